/* Message heads: fields, growth, hop-by-hop rules. */
#include "http/msg_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

static void request_keeps_its_start_line(void **state)
{
	(void)state;
	struct msg *m = msg_new_request("PROPFIND", "https", "TV.Example.com:8443", "/a?b");
	assert_int_equal(msg_method(m), METHOD_OTHER);
	assert_string_equal(msg_method_text(m), "PROPFIND");
	assert_string_equal(msg_scheme(m), "https");
	assert_string_equal(msg_authority(m), "tv.example.com:8443");
	assert_string_equal(msg_target(m), "/a?b");
	msg_set_target(m, msg_target(m) + 1);
	assert_string_equal(msg_target(m), "a?b");
	msg_set_authority(m, "B");
	assert_string_equal(msg_authority(m), "b");
	msg_free(m);
	msg_free(NULL);
}

static void start_line_cannot_split_a_message(void **state)
{
	(void)state;
	struct msg *m = msg_new_request("GET", "http", "a\r\nx: y", "/ HTTP/1.1\r\nx: y");
	assert_string_equal(msg_authority(m), "a%0d%0ax:%20y");
	assert_string_equal(msg_target(m), "/%20HTTP/1.1%0D%0Ax:%20y");
	msg_free(m);
}

static void every_method_is_known(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum method method;
		bool safe, idempotent;
	} cases[] = {
		{"GET",     METHOD_GET,     true,  true },
		{"HEAD",    METHOD_HEAD,    true,  true },
		{"POST",    METHOD_POST,    false, false},
		{"PUT",     METHOD_PUT,     false, true },
		{"DELETE",  METHOD_DELETE,  false, true },
		{"OPTIONS", METHOD_OPTIONS, true,  true },
		{"PATCH",   METHOD_PATCH,   false, false},
		{"TRACE",   METHOD_TRACE,   true,  true },
		{"CONNECT", METHOD_CONNECT, false, false},
		{"get",     METHOD_OTHER,   false, false},
		{"GE",      METHOD_OTHER,   false, false},
		{"GETS",    METHOD_OTHER,   false, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct msg *m = msg_new_request(cases[i].text, "http", "a", "/");
		assert_int_equal(msg_method(m), cases[i].method);
		assert_string_equal(msg_method_text(m), cases[i].text);
		assert_int_equal(msg_is_safe(m), cases[i].safe);
		assert_int_equal(msg_is_idempotent(m), cases[i].idempotent);
		msg_free(m);
	}
}

static void forbidden_fields_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *name, *value;
	} bad[] = {
		{"",      "v"        },
		{"a b",   "v"        },
		{"a:",    "v"        },
		{"a\r",   "v"        },
		{"a",     "v\r\nx: y"},
		{"a",     "v\n"      },
		{"a",     "\x01"     },
		{"a",     "v\x7f"    },
		{"a\x80", "v"        },
		{"(",     "v"        },
		{"a",     "v\r"      },
		{"a=",    "v"        },
	};
	struct msg *m = msg_new_response(200);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(msg_add(m, bad[i].name, bad[i].value), -EINVAL);
	assert_int_equal(msg_count(m), 0);
	assert_int_equal(msg_add(m, "X-Name", " \t v\t\xc3\xa4 \t"), 0);
	assert_string_equal(msg_field(m, 0).name, "x-name");
	assert_string_equal(msg_field(m, 0).value, "v\t\xc3\xa4");
	assert_int_equal(msg_add(m, "empty", " "), 0);
	assert_string_equal(msg_get(m, "empty"), "");
	msg_free(m);
}

/* What RFC 9110 §5.6.2 lets stand in a token. */
static bool is_token_byte(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void judge_name(char *name, int byte)
{
	struct msg *m = msg_new_response(200);
	bool good = is_token_byte(byte);
	assert_int_equal(msg_add_n(m, name, strlen(name), "v", 1), good ? 0 : -EINVAL);
	if (good) {
		for (char *p = name; *p; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
		assert_string_equal(msg_field(m, 0).name, name);
		assert_string_equal(msg_get(m, name), "v");
	}
	msg_free(m);
}

static void judge_value(const char *value, size_t n, int byte)
{
	struct msg *m = msg_new_response(200);
	bool good = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
	assert_int_equal(msg_add_n(m, "n", 1, value, n), good ? 0 : -EINVAL);
	if (good)
		assert_memory_equal(msg_get(m, "n"), value, n + 1);
	msg_free(m);
}

static void each_byte_is_judged_at_each_place(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 25; n++)
		for (size_t at = 0; at < n; at++)
			for (int byte = 1; byte < 256; byte++) {
				char text[32] = "Content-Security-Policy-X";
				text[n] = 0;
				text[at] = (char)byte;
				judge_value(text, n, byte);
				judge_name(text, byte);
			}
}

static void set_replaces_all_and_keeps_on_refusal(void **state)
{
	(void)state;
	struct msg *m = msg_new_response(200);
	msg_add(m, "a", "1");
	msg_add(m, "b", "2");
	msg_add(m, "a", "3");
	assert_int_equal(msg_set(m, "a", "x\n"), -EINVAL);
	assert_int_equal(msg_count(m), 3);
	assert_int_equal(msg_set(m, "A", msg_get(m, "b")), 0);
	assert_int_equal(msg_count(m), 2);
	assert_string_equal(msg_get(m, "a"), "2");
	const char *all[4];
	msg_add(m, "b", "4");
	assert_int_equal(msg_get_all(m, "b", all, 4), 2);
	assert_string_equal(all[1], "4");
	assert_int_equal(msg_get_all(m, "b", all, 1), 1);
	msg_remove(m, "b");
	assert_null(msg_get(m, "b"));
	assert_int_equal(msg_count(m), 1);
	msg_remove_at(m, 0);
	assert_int_equal(msg_count(m), 0);
	msg_free(m);
}

static void fields_stop_at_64_kib(void **state)
{
	(void)state;
	static char big[40000];
	memset(big, 'x', sizeof(big) - 1);
	struct msg *m = msg_new_response(200);
	assert_int_equal(msg_add(m, "a", big), 0);
	assert_int_equal(msg_add(m, "b", big), -ENOBUFS);
	/* Replacing for ever needs no more room than what is there. */
	big[20000] = 0;
	msg_remove(m, "a");
	for (int i = 0; i < 1000; i++)
		assert_int_equal(msg_set(m, "a", big), 0);
	assert_int_equal(msg_count(m), 1);
	assert_string_equal(msg_get(m, "a"), big);
	msg_free(m);
}

static void many_fields_survive_growth_and_copy(void **state)
{
	(void)state;
	struct msg *m = msg_new_request("GET", "http", "a", "/t");
	char name[32], value[32];
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		snprintf(value, sizeof(value), "v%d", i);
		assert_int_equal(msg_add(m, name, value), 0);
	}
	for (int i = 0; i < 3000; i += 2) {
		snprintf(name, sizeof(name), "n%d", i);
		msg_remove(m, name);
	}
	msg_set_body(m, BODY_LENGTH, 7);
	struct msg *c = msg_copy(m);
	msg_free(m);
	assert_int_equal(msg_count(c), 1500);
	assert_string_equal(msg_get(c, "n2999"), "v2999");
	assert_null(msg_get(c, "n2998"));
	assert_string_equal(msg_target(c), "/t");
	assert_int_equal(msg_body(c), BODY_LENGTH);
	assert_int_equal(msg_body_length(c), 7);
	msg_add(c, "z", msg_get(c, "n1"));
	assert_string_equal(msg_get(c, "z"), "v1");
	msg_free(c);
}

static void tokens_are_found_in_lists(void **state)
{
	(void)state;
	struct msg *m = msg_new_response(200);
	msg_add(m, "connection", "Keep-Alive,, x");
	msg_add(m, "connection", "\tUPGRADE , closed");
	assert_true(msg_has_token(m, "connection", "keep-alive"));
	assert_true(msg_has_token(m, "connection", "upgrade"));
	assert_true(msg_has_token(m, "connection", "x"));
	assert_false(msg_has_token(m, "connection", "close"));
	assert_false(msg_has_token(m, "connection", ""));
	assert_false(msg_has_token(m, "te", "x"));
	msg_free(m);
}

static void hop_by_hop_fields_go(void **state)
{
	(void)state;
	struct msg *m = msg_new_request("GET", "http", "a", "/");
	static const char *const in[][2] = {
		{"x-secret",          "1"           },
		{"connection",        "X-Secret, te"},
		{"accept",            "*"           },
		{"te",                "trailers"    },
		{"keep-alive",        "5"           },
		{"upgrade",           "h2c"         },
		{"http2-settings",    "x"           },
		{"transfer-encoding", "chunked"     },
		{"proxy-connection",  "x"           },
		{"x-secret",          "2"           },
		{"cookie",            "c"           },
	};
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		msg_add(m, in[i][0], in[i][1]);
	msg_strip_hop_by_hop(m);
	assert_int_equal(msg_count(m), 3);
	assert_string_equal(msg_field(m, 0).name, "accept");
	assert_string_equal(msg_field(m, 1).value, "trailers");
	assert_string_equal(msg_field(m, 2).name, "cookie");
	msg_set(m, "te", "gzip");
	msg_strip_hop_by_hop(m);
	assert_null(msg_get(m, "te"));
	msg_free(m);
}

static void upgrade_needs_get_connection_and_no_body(void **state)
{
	(void)state;
	struct msg *m = msg_new_request("GET", "http", "a", "/");
	msg_add(m, "upgrade", "websocket");
	assert_null(msg_upgrade(m));
	msg_add(m, "connection", "keep-alive, Upgrade");
	assert_string_equal(msg_upgrade(m), "websocket");
	msg_set_body(m, BODY_LENGTH, 0);
	assert_string_equal(msg_upgrade(m), "websocket");
	msg_set_body(m, BODY_CHUNKED, 0);
	assert_null(msg_upgrade(m));
	msg_free(m);
	m = msg_new_request("POST", "http", "a", "/");
	msg_add(m, "upgrade", "websocket");
	msg_add(m, "connection", "upgrade");
	assert_null(msg_upgrade(m));
	msg_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_keeps_its_start_line),
		cmocka_unit_test(start_line_cannot_split_a_message),
		cmocka_unit_test(every_method_is_known),
		cmocka_unit_test(forbidden_fields_are_refused),
		cmocka_unit_test(each_byte_is_judged_at_each_place),
		cmocka_unit_test(set_replaces_all_and_keeps_on_refusal),
		cmocka_unit_test(fields_stop_at_64_kib),
		cmocka_unit_test(many_fields_survive_growth_and_copy),
		cmocka_unit_test(tokens_are_found_in_lists),
		cmocka_unit_test(hop_by_hop_fields_go),
		cmocka_unit_test(upgrade_needs_get_connection_and_no_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
