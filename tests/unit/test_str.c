/* base/str: tables of what is accepted and, above all, of what is not. */
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void base64_vectors_of_rfc4648(void **state)
{
	static const struct {
		const char *plain, *std, *url;
	} c[] = {
		{"",             "",         ""        },
		{"f",            "Zg==",     "Zg"      },
		{"fo",           "Zm8=",     "Zm8"     },
		{"foo",          "Zm9v",     "Zm9v"    },
		{"foob",         "Zm9vYg==", "Zm9vYg"  },
		{"fooba",        "Zm9vYmE=", "Zm9vYmE" },
		{"foobar",       "Zm9vYmFy", "Zm9vYmFy"},
		{"\xff\xef\xbe", "/+++",     "_---"    },
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(c); i++) {
		char out[64];
		size_t n = sizeof(out), len = strlen(c[i].plain);
		base64_encode(out, c[i].plain, len);
		assert_string_equal(out, c[i].std);
		base64url_encode(out, c[i].plain, len);
		assert_string_equal(out, c[i].url);
		assert_int_equal(base64_decode(out, &n, c[i].std, strlen(c[i].std)), 0);
		assert_int_equal(n, len);
		assert_memory_equal(out, c[i].plain, len);
		n = sizeof(out);
		assert_int_equal(base64_decode(out, &n, c[i].url, strlen(c[i].url)), 0);
		assert_int_equal(n, len);
	}
}

static void hostile_base64_is_refused(void **state)
{
	static const char *const bad[] = {"=", "==", "====", "Z",
		"Zg=", "Zg===", "Zg==Zg==", "Z=g=", "Zh==", "Zm9", "Zm9v\n",
		" Zg==", "Zg ==", "Zm9v.", "Zm9v!A==", "\xc3\xa9==", "A===", "Zm9vY", "Zm9vYg=A"};
	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		char out[64];
		size_t n = sizeof(out);
		if (base64_decode(out, &n, bad[i], strlen(bad[i])) == 0)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void base64_keeps_to_its_room(void **state)
{
	char out[4] = {9, 9, 9, 9};
	size_t n = 3;
	(void)state;
	assert_int_equal(base64_decode(out, &n, "Zm9vYg", 6), -ENOBUFS);
	assert_int_equal(out[3], 9);
	n = 0;
	assert_int_equal(base64_decode(out, &n, "", 0), 0);
}

static void every_length_returns(void **state)
{
	uint8_t in[100], back[100];
	char text[BASE64_LEN(100)];
	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 37 + 11);
	for (size_t len = 0; len <= sizeof(in); len++) {
		size_t n = sizeof(back);
		base64url_encode(text, in, len);
		assert_int_equal(base64_decode(back, &n, text, strlen(text)), 0);
		assert_int_equal(n, len);
		assert_memory_equal(back, in, len);
	}
}

static void numbers_are_whole_decimals(void **state)
{
	static const struct {
		const char *text;
		uint64_t most;
		int rc;
		uint64_t value;
	} c[] = {
		{"0",                    0,          0,       0         },
		{"65535",                65535,      0,       65535     },
		{"65536",                65535,      -ERANGE, 0         },
		{"18446744073709551615", UINT64_MAX, 0,       UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -ERANGE, 0         },
		{"99999999999999999999", UINT64_MAX, -ERANGE, 0         },
		{"",		     10,         -EINVAL, 0         },
		{"01",                   10,         -EINVAL, 0         },
		{"00",                   10,         -EINVAL, 0         },
		{"+1",                   10,         -EINVAL, 0         },
		{"-1",                   10,         -EINVAL, 0         },
		{" 1",                   10,         -EINVAL, 0         },
		{"1 ",                   10,         -EINVAL, 0         },
		{"0x1",                  10,         -EINVAL, 0         },
		{"1e1",                  100,        -EINVAL, 0         },
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(c); i++) {
		uint64_t v = 0;
		if (str_to_u64(c[i].text, c[i].most, &v) != c[i].rc || v != c[i].value)
			fail_msg("case %zu: \"%s\"", i, c[i].text);
	}
}

static void hexadecimal_is_exact(void **state)
{
	uint8_t b[3];
	char out[7];
	(void)state;
	hex_encode(out, "\x00\xab\xff", 3);
	assert_string_equal(out, "00abff");
	assert_int_equal(hex_decode(b, 3, "00ABff"), 0);
	assert_memory_equal(b, "\x00\xab\xff", 3);
	assert_int_equal(hex_decode(b, 3, "00abf"), -EINVAL);
	assert_int_equal(hex_decode(b, 3, "00abff0"), -EINVAL);
	assert_int_equal(hex_decode(b, 3, "00abfg"), -EINVAL);
	assert_int_equal(hex_decode(b, 3, "0x0abf"), -EINVAL);
	assert_int_equal(hex_decode(b, 0, ""), 0);
}

static void copies_are_whole_or_refused(void **state)
{
	char d[4];
	(void)state;
	assert_int_equal(str_copy(d, sizeof(d), "abc"), 0);
	assert_string_equal(d, "abc");
	assert_int_equal(str_copy(d, sizeof(d), "abcd"), -ENAMETOOLONG);
	assert_string_equal(d, "");
	assert_int_equal(str_copy(d, 0, ""), -ENAMETOOLONG);
}

static void case_and_affixes(void **state)
{
	char s[] = "AbC-\xc3\x84z";
	(void)state;
	str_lower(s);
	assert_string_equal(s, "abc-\xc3\x84z");
	assert_true(str_eq_nocase("Host", "hOST"));
	assert_false(str_eq_nocase("host", "hosts"));
	assert_false(str_eq_nocase("host", "hos"));
	assert_false(str_eq_nocase("@", "`")); /* 32 apart, but no letters */
	assert_true(str_starts("abc", "") && str_starts("abc", "abc") && !str_starts("ab", "abc"));
	assert_true(str_ends("abc", "") && str_ends("abc", "bc") && !str_ends("bc", "abc"));
	assert_true(bytes_equal_ct("abc", "abd", 2) && !bytes_equal_ct("abc", "abd", 3));
}

static void host_names(void **state)
{
	char label63[65], long_host[300];
	static const char *const good[] = {
		"a", "a.b", "tv.home.example.com", "0.1", "a-b.c", "xn--4ca"};
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "A",
		"a_b", "a b", "*.a", "a/b", "caf\xc3\xa9", "a\n", "a.b-"};
	(void)state;
	for (size_t i = 0; i < LENGTH(good); i++)
		assert_true(name_is_host(good[i]));
	for (size_t i = 0; i < LENGTH(bad); i++) {
		if (name_is_host(bad[i]))
			fail_msg("accepted: \"%s\"", bad[i]);
	}
	memset(label63, 'a', sizeof(label63));
	label63[63] = 0;
	assert_true(name_is_label(label63));
	label63[63] = 'a';
	label63[64] = 0;
	assert_false(name_is_label(label63));
	assert_false(name_is_label("a.b"));
	for (size_t i = 0; i < 253; i++)
		long_host[i] = i % 2 ? '.' : 'a';
	long_host[253] = 0;
	assert_true(name_is_host(long_host));
	strcpy(long_host + 253, "a");
	assert_false(name_is_host(long_host));
}

static void names_within_a_zone(void **state)
{
	(void)state;
	assert_true(name_is_within("a.example", "a.example"));
	assert_true(name_is_within("b.a.example", "a.example"));
	assert_false(name_is_within("ba.example", "a.example"));
	assert_false(name_is_within("example", "a.example"));
	assert_false(name_is_within("a.example.org", "a.example"));
}

static void distance_counts_edits(void **state)
{
	char long64[65];
	(void)state;
	assert_int_equal(str_distance("", ""), 0);
	assert_int_equal(str_distance("", "abc"), 3);
	assert_int_equal(str_distance("kitten", "sitting"), 3);
	assert_int_equal(str_distance("domain", "domian"), 2);
	memset(long64, 'a', 64);
	long64[64] = 0;
	assert_int_equal(str_distance(long64, "a"), 64);
	long64[63] = 0;
	assert_int_equal(str_distance(long64, "a"), 62);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_vectors_of_rfc4648),
		cmocka_unit_test(hostile_base64_is_refused),
		cmocka_unit_test(base64_keeps_to_its_room),
		cmocka_unit_test(every_length_returns),
		cmocka_unit_test(numbers_are_whole_decimals),
		cmocka_unit_test(hexadecimal_is_exact),
		cmocka_unit_test(copies_are_whole_or_refused),
		cmocka_unit_test(case_and_affixes),
		cmocka_unit_test(host_names),
		cmocka_unit_test(names_within_a_zone),
		cmocka_unit_test(distance_counts_edits),
	};
	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
