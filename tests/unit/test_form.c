/* Forms, queries and one-time codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gate/codes.h"
#include "gate/form.h"

static void fields_are_decoded(void **state)
{
	(void)state;
	static const struct {
		const char *text, *a, *b;
	} rows[] = {
		{"a=1&b=2", "1", "2"},
		{"a=x+y&b=%26%3d", "x y", "&="},
		{"a=%C3%A4&&b", "\xc3\xa4", ""},
		{"b=1&a=2&a=3", "2", "1"},
		{"", "", ""},
		{"&&&", "", ""},
		{"a==&b=%2B", "=", "+"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct form f;
		assert_int_equal(form_parse(&f, rows[i].text, strlen(rows[i].text)), 0);
		assert_string_equal(form_get(&f, "a"), rows[i].a);
		assert_string_equal(form_get(&f, "b"), rows[i].b);
		form_done(&f);
	}
}

static void damaged_forms_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"a=%", "a=%4", "a=%zz", "a=%00", "a=\n", "a=%0d%0ab",
		"%00=1", "a=\x7f", "1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct form f;
		if (form_parse(&f, bad[i], strlen(bad[i])) == 0)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(f.n, 0);
	}
}

static void a_query_is_what_follows_the_question_mark(void **state)
{
	(void)state;
	struct form f;
	assert_int_equal(form_parse_query(&f, "/signin?host=tv&to=%2Fa%3Fb"), 0);
	assert_string_equal(form_get(&f, "to"), "/a?b");
	form_done(&f);
	assert_int_equal(form_parse_query(&f, "/signin"), 0);
	assert_int_equal(f.n, 0);
	form_done(&f);
}

static struct code_grant grant(const char *host)
{
	struct code_grant g = {.base_session = 7, .user_id = 3};
	strcpy(g.host, host);
	memset(g.state, 0xab, sizeof(g.state));
	return g;
}

static int redeem(struct codes *c, const char *code, const char *host, int state_byte, int64_t now)
{
	struct code_grant out;
	struct code_claim claim = {.code = code, .host = host, .now = now};
	memset(claim.state, state_byte, sizeof(claim.state));
	return codes_redeem(c, &claim, &out);
}

static void a_code_works_once_for_its_host_and_browser(void **state)
{
	(void)state;
	static const struct {
		const char *host;
		int state;
		int64_t now;
		bool works;
	} rows[] = {
		{"tv.home.test", 0xab, 1000, true},
		{"tv.home.test", 0xab, 1059, true},
		{"tv.home.test", 0xab, 1060, false},
		{"tv.home.test", 0xab, 999, false},
		{"lamp.home.test", 0xab, 1000, false},
		{"tv.home.test", 0xac, 1000, false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct codes *c = codes_new();
		struct code_grant g = grant("tv.home.test");
		char code[CODE_TEXT_LEN];
		codes_issue(c, &g, 1000, code);
		assert_true(strlen(code) >= 22);
		int rc = redeem(c, code, rows[i].host, rows[i].state, rows[i].now);
		assert_int_equal(rc == 0, rows[i].works);
		assert_true(redeem(c, code, "tv.home.test", 0xab, 1000) < 0);
		codes_free(c);
	}
}

static void codes_are_bounded_and_the_oldest_goes(void **state)
{
	(void)state;
	struct codes *c = codes_new();
	struct code_grant g = grant("tv.home.test");
	char first[CODE_TEXT_LEN], last[CODE_TEXT_LEN];
	codes_issue(c, &g, 1000, first);
	for (unsigned i = 0; i < CODES_MAX; i++)
		codes_issue(c, &g, 1001, last);
	assert_true(redeem(c, first, "tv.home.test", 0xab, 1002) < 0);
	assert_int_equal(redeem(c, last, "tv.home.test", 0xab, 1002), 0);
	codes_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_decoded),
		cmocka_unit_test(damaged_forms_are_refused),
		cmocka_unit_test(a_query_is_what_follows_the_question_mark),
		cmocka_unit_test(a_code_works_once_for_its_host_and_browser),
		cmocka_unit_test(codes_are_bounded_and_the_oldest_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
