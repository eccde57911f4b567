/* base/token: what was written is read back, and nothing that was not. */
#include "base/token.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static struct token sample(void)
{
	struct token t = {
		.device_id = "tv",
		.dns_name = "home.example.com",
		.addrs = {"192.0.2.7", "2001:db8::7"},
		.n_addrs = 2,
		.port = 8443,
		.expires_at = 1900000000
        };
	for (unsigned i = 0; i < sizeof(t.ca_sha256); i++)
		t.ca_sha256[i] = (uint8_t)(i * 5);
	for (unsigned i = 0; i < sizeof(t.secret); i++)
		t.secret[i] = (uint8_t)(255 - i);
	return t;
}

static void a_token_returns(void **state)
{
	struct token t = sample(), back;
	char text[TOKEN_TEXT_MAX], padded[TOKEN_TEXT_MAX + 8];
	struct err e = {0};
	(void)state;
	assert_int_equal(token_encode(&t, text), 0);
	assert_true(str_starts(text, "lt1."));
	assert_int_equal(token_decode(&back, text, &e), 0);
	assert_string_equal(back.device_id, "tv");
	assert_string_equal(back.dns_name, "home.example.com");
	assert_int_equal(back.n_addrs, 2);
	assert_string_equal(back.addrs[0], "192.0.2.7");
	assert_string_equal(back.addrs[1], "2001:db8::7");
	assert_int_equal(back.port, 8443);
	assert_memory_equal(back.ca_sha256, t.ca_sha256, sizeof(t.ca_sha256));
	assert_memory_equal(back.secret, t.secret, sizeof(t.secret));
	assert_int_equal(back.expires_at, 1900000000);
	snprintf(padded, sizeof(padded), "\r\n %s\t\n", text);
	assert_int_equal(token_decode(&back, padded, &e), 0);
}

static void the_largest_token_fits(void **state)
{
	struct token t = sample(), back;
	char text[TOKEN_TEXT_MAX];
	(void)state;
	memset(t.device_id, 'a', TOKEN_ID_MAX);
	for (size_t i = 0; i < 253; i++)
		t.dns_name[i] = i % 2 ? '.' : 'a';
	t.dns_name[253] = 0;
	t.n_addrs = TOKEN_ADDRS_MAX;
	for (unsigned i = 0; i < TOKEN_ADDRS_MAX; i++)
		strcpy(t.addrs[i], "2001:db8:1111:2222:3333:4444:5555:6666");
	assert_int_equal(token_encode(&t, text), 0);
	assert_true(strlen(text) < TOKEN_TEXT_MAX);
	assert_int_equal(token_decode(&back, text, NULL), 0);
	assert_string_equal(back.dns_name, t.dns_name);
}

static void each_truncation_is_refused(void **state)
{
	struct token t = sample(), back;
	char text[TOKEN_TEXT_MAX];
	(void)state;
	assert_int_equal(token_encode(&t, text), 0);
	for (size_t n = strlen(text); n-- > 0;) {
		struct err e = {0};
		text[n] = 0;
		if (token_decode(&back, text, &e) == 0)
			fail_msg("accepted the first %zu characters", n);
		assert_true(e.text[0] != 0);
		assert_int_equal(back.secret[0], 0);
	}
}

static void damage_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "hello", "lt1.", "lt2.AAAA", "lt", "lt1.!!!!", "LT1.AAAA"};
	struct token t = sample(), back;
	char text[TOKEN_TEXT_MAX], two[TOKEN_TEXT_MAX * 2];
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_true(token_decode(&back, bad[i], NULL) < 0);
	assert_int_equal(token_decode(&back, "lt2.AAAA", NULL), -EPROTONOSUPPORT);
	assert_int_equal(token_encode(&t, text), 0);
	snprintf(two, sizeof(two), "%s %s", text, text);
	assert_true(token_decode(&back, two, NULL) < 0);
	snprintf(two, sizeof(two), "%sAAAA", text);
	assert_true(token_decode(&back, two, NULL) < 0);
}

static void the_version_is_checked(void **state)
{
	struct token t = sample(), back;
	char text[TOKEN_TEXT_MAX];
	uint8_t raw[512];
	size_t n = sizeof(raw);
	(void)state;
	assert_int_equal(token_encode(&t, text), 0);
	assert_int_equal(base64_decode(raw, &n, text + 4, strlen(text) - 4), 0);
	raw[0] = 2;
	base64url_encode(text + 4, raw, n);
	assert_int_equal(token_decode(&back, text, NULL), -EPROTONOSUPPORT);
}

static void what_cannot_be_read_back_is_not_written(void **state)
{
	char text[TOKEN_TEXT_MAX];
	struct token t = sample();
	(void)state;
	strcpy(t.device_id, "TV");
	assert_int_equal(token_encode(&t, text), -EINVAL);
	t = sample();
	strcpy(t.dns_name, "a..b");
	assert_int_equal(token_encode(&t, text), -EINVAL);
	t = sample();
	strcpy(t.addrs[1], "2001:db8::7%eth0");
	assert_int_equal(token_encode(&t, text), -EINVAL);
	t = sample();
	t.port = 0;
	assert_int_equal(token_encode(&t, text), -EINVAL);
	t = sample();
	t.expires_at = 0;
	assert_int_equal(token_encode(&t, text), -EINVAL);
	t = sample();
	t.n_addrs = TOKEN_ADDRS_MAX + 1;
	assert_int_equal(token_encode(&t, text), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_returns),
		cmocka_unit_test(the_largest_token_fits),
		cmocka_unit_test(each_truncation_is_refused),
		cmocka_unit_test(damage_is_refused),
		cmocka_unit_test(the_version_is_checked),
		cmocka_unit_test(what_cannot_be_read_back_is_not_written),
	};
	return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
