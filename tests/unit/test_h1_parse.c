/* HTTP/1.1 heads: a table of good and hostile ones, each also cut short at every byte. */
#include "http/h1_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "h1_heads.h"

static const struct h1_limits limits = {.head_max = 4096, .url_max = 1024, .fields_max = 10};

static void summary(char *out, const struct h1_head *h, bool is_request)
{
	const struct msg *m = h->msg;
	if (is_request)
		out += sprintf(
			out, "%s %s %s", msg_method_text(m), msg_authority(m), msg_target(m));
	else
		out += sprintf(out, "%d", msg_status(m));
	out += sprintf(out, " 1.%d %s", h->minor, h->keep_alive ? "keep" : "close");
	if (h->expects_continue)
		out += sprintf(out, " expects");
	if (msg_body(m) == BODY_LENGTH)
		out += sprintf(out, " len:%llu", (unsigned long long)msg_body_length(m));
	if (msg_body(m) == BODY_CHUNKED)
		out += sprintf(out, " chunked");
	if (msg_body(m) == BODY_UNTIL_CLOSE)
		out += sprintf(out, " close-ends");
	for (unsigned i = 0; i < msg_count(m); i++)
		out += sprintf(out, " %s=%s", msg_field(m, i).name, msg_field(m, i).value);
}

/* Parse from memory of exactly `n` bytes, so that a sanitizer sees each byte too many. */
static int parse(char *out, const char *in, size_t n, bool is_request)
{
	uint8_t *p = malloc(n ? n : 1);
	memcpy(p, in, n);
	struct h1_head h;
	struct err e;
	int rc = is_request ? h1_parse_request(&h, p, n, &limits, "http", &e)
			    : h1_parse_response(&h, p, n, &limits, METHOD_GET, &e);
	free(p);
	if (rc == 0)
		strcpy(out, MORE);
	if (rc < 0) {
		assert_int_equal(rc, -EBADMSG);
		assert_null(h.msg);
		assert_true(e.text[0]);
		if (is_request)
			sprintf(out, "%d", h.status);
		else
			strcpy(out, "bad");
	}
	if (rc > 0)
		summary(out, &h, is_request);
	msg_free(h.msg);
	return rc;
}

static void check_table(const struct head_case *c, size_t n_cases, bool is_request)
{
	for (size_t i = 0; i < n_cases; i++) {
		char got[4096], part[4096];
		int len = parse(got, c[i].in, c[i].n, is_request);
		if (strcmp(got, c[i].out))
			fail_msg("%s: %s, expected %s", c[i].in, got, c[i].out);
		/* Of a good head no part is whole and none is refused; what refuses a part
		 * refuses the whole alike. */
		for (size_t n = 0; n < c[i].n; n++) {
			int rc = parse(part, c[i].in, n, is_request);
			if (len > 0 && rc != (n < (size_t)len ? 0 : len))
				fail_msg("%s: %zu bytes give %s", c[i].in, n, part);
			if (len <= 0 && rc && strcmp(part, got))
				fail_msg("%s: %zu bytes give %s, all give %s", c[i].in, n, part,
					got);
		}
	}
}

static void requests_become_messages_or_are_refused(void **state)
{
	(void)state;
	check_table(request_cases, sizeof(request_cases) / sizeof(request_cases[0]), true);
}

static void responses_become_messages_or_are_refused(void **state)
{
	(void)state;
	check_table(response_cases, sizeof(response_cases) / sizeof(response_cases[0]), false);
}

static void answers_to_head_have_no_body(void **state)
{
	(void)state;
	static const char in[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
	struct h1_head h;
	assert_int_equal(h1_parse_response(&h, (const uint8_t *)in, sizeof(in) - 1, &limits,
				 METHOD_HEAD, NULL),
		(int)sizeof(in) - 1);
	assert_int_equal(msg_body(h.msg), BODY_NONE);
	assert_string_equal(msg_get(h.msg, "content-length"), "9");
	msg_free(h.msg);
}

static int big(const char *start, size_t fill, const char *rest)
{
	static char in[16384], out[16384];
	size_t n = strlen(start);
	memcpy(in, start, n);
	memset(in + n, 'x', fill);
	strcpy(in + n + fill, rest);
	int rc = parse(out, in, n + fill + strlen(rest), true);
	return rc < 0 ? atoi(out) : rc > 0;
}

static void limits_hold_whole_or_in_part(void **state)
{
	(void)state;
	static const char end[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
	assert_int_equal(big("GET /", 1023, end), 1);
	assert_int_equal(big("GET /", 1024, end), 414);
	assert_int_equal(big("GET /", 1024, " "), 0);
	assert_int_equal(big("GET /", 5000, ""), 414);
	assert_int_equal(big("", 5000, ""), 414);
	assert_int_equal(big("GET / HTTP/1.1\r\nHost: a\r\nA: ", 4096 - 32, "\r\n\r\n"), 1);
	assert_int_equal(big("GET / HTTP/1.1\r\nHost: a\r\nA: ", 4096 - 31, "\r\n\r\n"), 431);
	assert_int_equal(big("GET / HTTP/1.1\r\nHost: a\r\nA: ", 5000, ""), 431);
	static const char ten[] =
		"GET / HTTP/1.1\r\nHost: a\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\n"
		"H:\r\nI:\r\n";
	assert_int_equal(big(ten, 0, "J:\r\n\r\n"), 1);
	assert_int_equal(big(ten, 0, "J:\r\nK:\r\n\r\n"), 431);
	assert_int_equal(big(ten, 0, "J:\r\nK:\r\n"), 431);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_become_messages_or_are_refused),
		cmocka_unit_test(responses_become_messages_or_are_refused),
		cmocka_unit_test(answers_to_head_have_no_body),
		cmocka_unit_test(limits_hold_whole_or_in_part),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
