/* base/log: one event is one line, whatever its values hold, and JSON stays JSON when cut. */
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>

#include "base/log_limit.h"

static char last[LOG_LINE_MAX + 1];
static unsigned lines;
static int saved_stderr;

static void on_line(void *ctx, enum log_level level, const char *line, size_t n)
{
	(void)ctx;
	(void)level;
	assert_true(n < sizeof(last));
	memcpy(last, line, n);
	last[n] = 0;
	lines++;
}

static int setup(void **state)
{
	(void)state;
	lines = 0;
	last[0] = 0;
	log_set_sink(on_line, NULL);
	saved_stderr = dup(STDERR_FILENO);
	int null = open("/dev/null", O_WRONLY);
	int rc = dup2(null, STDERR_FILENO);
	close(null);
	return rc < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	int rc = dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	return rc < 0 ? -1 : 0;
}

static bool line_is_clean(void)
{
	for (const char *p = last; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	}
	return true;
}

/* What follows the quoted value that starts at `p`, just after its opening quote. */
static const char *after_quoted(const char *p)
{
	for (; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
	}
	return *p ? p + 1 : p;
}

static void a_line_for_people(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_INFO, false);
	log_info("gate/link", "link up", "device", "tv", "why", "it called", "n", LOG_NUM(-3), "no",
		(char *)NULL);
	assert_non_null(strstr(last, "Z info gate/link: link up device=tv why=\"it called\" n=-3"));
	assert_null(strstr(last, "no="));
}

static void values_cannot_forge_a_line(void **state)
{
	static const char *const evil[] = {"a\n2026-01-01T00:00:00.000Z error x: forged", "a\r\nb",
		"a\" device=\"admin", "a device=admin", "a=b", "\x1b[2Jgone", "\x7f", "",
		"back\\slash",
		"\xc2\x9b"
		"31m",
		"\x9b"
		"31m",
		"\xe2\x80\xa8line"};
	(void)state;
	for (int json = 0; json < 2; json++) {
		log_setup(LOG_LEVEL_INFO, json);
		for (size_t i = 0; i < sizeof(evil) / sizeof(*evil); i++) {
			lines = 0;
			log_warn("a", "e", "v", evil[i], "end", "1");
			assert_int_equal(lines, 1);
			assert_true(line_is_clean());
			assert_null(strstr(last, "\xc2\x9b"));
			const char *v = strstr(last, json ? "\"v\":\"" : " v=\"");
			assert_non_null(v);
			assert_string_equal(after_quoted(v + (json ? 5 : 4)),
				json ? ",\"end\":\"1\"}" : " end=1");
		}
	}
}

static void json_values_return(void **state)
{
	const char *value = "q\" b\\ n\n t\t e\x1b \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80";
	(void)state;
	log_setup(LOG_LEVEL_INFO, true);
	log_error("area", "event", "key", value);
	json_t *j = json_loads(last, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "level")), "error");
	assert_string_equal(json_string_value(json_object_get(j, "area")), "area");
	assert_string_equal(json_string_value(json_object_get(j, "event")), "event");
	assert_string_equal(json_string_value(json_object_get(j, "key")), value);
	json_decref(j);
}

static void bytes_that_are_no_text_stay_json(void **state)
{
	char raw[258];
	(void)state;
	log_setup(LOG_LEVEL_INFO, true);
	for (int i = 0; i < 255; i++)
		raw[i] = (char)(255 - i);
	raw[255] = 0;
	log_info("a", "e", "v", raw, "w", "\xc3", "x", "\xed\xa0\x80", "y", "\xc0\x80");
	json_t *j = json_loads(last, 0, NULL);
	assert_non_null(j);
	json_decref(j);
}

static void long_lines_are_cut_and_stay_json(void **state)
{
	static char big[LOG_LINE_MAX * 2];
	(void)state;
	log_setup(LOG_LEVEL_INFO, true);
	for (size_t n = LOG_LINE_MAX - 160; n < LOG_LINE_MAX + 40; n++) {
		for (int kind = 0; kind < 3; kind++) {
			memset(big, "a\n\xc3"[kind], n);
			if (kind == 2)
				for (size_t i = 1; i < n; i += 2)
					big[i] = '\xa4';
			big[n] = 0;
			log_info("a", "e", "v", big, "after", "1", "then", "more");
			assert_true(strlen(last) < LOG_LINE_MAX);
			json_t *j = json_loads(last, 0, NULL);
			if (!j)
				fail_msg("not JSON with %zu bytes of kind %d", n, kind);
			json_decref(j);
		}
	}
}

static void the_level_is_a_threshold(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_WARN, false);
	log_info("a", "quiet");
	log_debug("a", "quiet");
	assert_int_equal(lines, 0);
	log_warn("a", "heard");
	log_error("a", "heard");
	assert_int_equal(lines, 2);
}

static void strangers_cannot_flood_the_log(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		log_warn_limited("test/flood", "knock", "n", LOG_NUM(i));
	assert_in_range(lines, LOG_LIMIT_BURST, LOG_LIMIT_BURST + 3);
	lines = 0;
	log_warn_limited("test/flood", "another kind");
	log_warn("test/flood", "knock");
	assert_int_equal(lines, 2);
}

static void a_kind_comes_back_with_the_number_left_out(void **state)
{
	uint64_t n, at = 1000000;
	(void)state;
	for (unsigned i = 0; i < LOG_LIMIT_BURST; i++)
		assert_true(log_limit_admits("test/pure", "x", at, &n) && n == 0);
	for (unsigned i = 0; i < 7; i++)
		assert_false(log_limit_admits("test/pure", "x", at + i, &n));
	assert_true(log_limit_admits("test/pure", "x", at + LOG_LIMIT_EVERY_MS, &n));
	assert_int_equal(n, 7);
	assert_false(log_limit_admits("test/pure", "x", at + LOG_LIMIT_EVERY_MS + 1, &n));
	at += 1000 * LOG_LIMIT_EVERY_MS;
	for (unsigned i = 0; i < LOG_LIMIT_BURST; i++)
		assert_true(log_limit_admits("test/pure", "x", at, &n));
	assert_false(log_limit_admits("test/pure", "x", at, &n));
}

static void kinds_beyond_the_table_share_one(void **state)
{
	static char names[64][8];
	unsigned admitted = 0;
	uint64_t n;
	(void)state;
	for (unsigned i = 0; i < 6400; i++) {
		snprintf(names[i % 64], sizeof(names[0]), "k%u", i % 64);
		admitted += log_limit_admits("test/many", names[i % 64], 5000000, &n);
	}
	assert_in_range(admitted, LOG_LIMIT_BURST, 32 * LOG_LIMIT_BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_for_people, setup, teardown),
		cmocka_unit_test_setup_teardown(values_cannot_forge_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(json_values_return, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_that_are_no_text_stay_json, setup, teardown),
		cmocka_unit_test_setup_teardown(long_lines_are_cut_and_stay_json, setup, teardown),
		cmocka_unit_test_setup_teardown(the_level_is_a_threshold, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_cannot_flood_the_log, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_kind_comes_back_with_the_number_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(kinds_beyond_the_table_share_one, setup, teardown),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
