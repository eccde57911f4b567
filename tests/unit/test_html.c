/* Escaping for each place that text goes to, and the policy that names the style. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"
#include "gate/html.h"
#include "net/crypto.h"

static void text_is_escaped_for_where_it_stands(void **state)
{
	(void)state;
	static const struct {
		void (*fn)(struct buf *b, const char *s);
		const char *in, *out;
	} rows[] = {
		{html_escape,      "plain \xc3\xa4",         "plain \xc3\xa4"                             },
		{html_escape,      "<b a=\"x\" c='&'>",      "&#60;b a=&#34;x&#34; c=&#39;&#38;&#39;&#62;"},
		{html_json_escape, "a\"b\\c\n\x01/\xc3\xa4",
                 "a\\u0022b\\u005cc\\u000a\\u0001/\xc3\xa4"                                               },
		{html_url_escape,  "/a-b_c.d~",              "/a-b_c.d~"                                  },
		{html_url_escape,  "a b&c=d?e#f%+\xff",      "a%20b%26c%3Dd%3Fe%23f%25%2B%FF"             },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct buf b = BUF_INIT(1024);
		rows[i].fn(&b, rows[i].in);
		assert_string_equal(buf_str(&b), rows[i].out);
		buf_done(&b);
	}
}

static void the_policy_names_the_style_that_is_sent(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(65536);
	uint8_t hash[32];
	char text[BASE64_LEN(32)], policy[320], expected[100];
	html_begin(&b, "A <title>", 7);
	html_end(&b);
	const char *page = buf_str(&b);
	assert_non_null(strstr(page, "<title>A &#60;title&#62;</title>"));
	assert_non_null(strstr(page, "content=\"7\""));
	const char *from = strstr(page, "<style>") + 7;
	assert_null(strstr(from, "<style>"));
	assert_null(strstr(page, "<script"));
	assert_null(strstr(page, "style="));
	sha256(hash, from, (size_t)(strstr(from, "</style>") - from));
	base64_encode(text, hash, sizeof(hash));
	html_policy(policy, "'self' https://*.home.example.com:8443");
	snprintf(expected, sizeof(expected), "style-src 'sha256-%s';", text);
	assert_non_null(strstr(policy, expected));
	assert_non_null(strstr(policy, "default-src 'none';"));
	assert_non_null(strstr(policy, "frame-ancestors 'none';"));
	assert_true(str_ends(policy, "form-action 'self' https://*.home.example.com:8443"));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_escaped_for_where_it_stands),
		cmocka_unit_test(the_policy_names_the_style_that_is_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
