/* Unit tests of net/crypto: vectors of FIPS 180, RFC 4231 and RFC 7914. */
#include "net/crypto.h"

#include <openssl/asn1err.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evperr.h>
#include <openssl/pemerr.h>
#include <openssl/x509err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void assert_hex(const uint8_t *got, size_t n, const char *want)
{
	char hex[129];
	assert_true(n <= 64);
	hex_encode(hex, got, n);
	assert_string_equal(hex, want);
}

/* The first of all, and the others after it. */
static void a_quiet_library_has_its_words_when_asked(void **state)
{
	static const unsigned long code = ERR_PACK(ERR_LIB_ASN1, 0, ASN1_R_BAD_OBJECT_HEADER);
	(void)state;
	crypto_quiet(true);
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL); /* as TLS would */
	assert_null(ERR_reason_error_string(code));
	assert_string_equal(crypto_why(code), "bad object header");
	assert_non_null(crypto_why(ERR_PACK(ERR_LIB_PEM, 0, PEM_R_NO_START_LINE)));
	assert_non_null(crypto_why(ERR_PACK(ERR_LIB_X509, 0, X509_R_KEY_VALUES_MISMATCH)));
	assert_non_null(crypto_why(ERR_PACK(ERR_LIB_EVP, 0, EVP_R_DECODE_ERROR)));
}

static void sha256_gives_the_standards_vectors(void **state)
{
	(void)state;
	static const struct {
		const char *in, *want;
	} t[] = {
		{"",							 "e3b0c44298fc1c149afbf4c8996fb924"
		     "27ae41e4649b934ca495991b7852b855"      },
		{"abc",						      "ba7816bf8f01cfea414140de5dae2223"
			"b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                 "248d6a61d20638b8e5c026930c3e6039"
			"a33ce45964ff2167f6ecedd419db06c1"                       },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint8_t out[32];
		sha256(out, t[i].in, strlen(t[i].in));
		assert_hex(out, 32, t[i].want);
	}
}

static void hmac_gives_rfc4231_vectors(void **state)
{
	(void)state;
	uint8_t long_key[131];
	memset(long_key, 0xaa, sizeof(long_key));
	static const char jefe[] = "what do ya want for nothing?",
			  large[] = "Test Using Larger Than Block-Size Key - Hash Key First";
	const struct {
		enum hmac_alg alg;
		const void *key;
		size_t key_len;
		const char *data, *want;
	} t[] = {
		{HMAC_SHA256, "Jefe",   4,                jefe,
                 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"       },
		{HMAC_SHA384, "Jefe",   4,                jefe,
                 "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47"
			"e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"                },
		{HMAC_SHA512, "Jefe",   4,                jefe,
                 "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
			"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
		{HMAC_SHA256, long_key, sizeof(long_key), large,
                 "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"       },
		{HMAC_SHA256, NULL,     0,                "",
                 "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"       },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint8_t out[64];
		size_t n =
			hmac(t[i].alg, out, t[i].key, t[i].key_len, t[i].data, strlen(t[i].data));
		assert_hex(out, n, t[i].want);
	}
}

static void scrypt_gives_rfc7914_vectors(void **state)
{
	(void)state;
	static const struct {
		const char *password, *salt;
		uint32_t n, r, p;
		const char *want;
	} t[] = {
		{"",              "",               16,    1, 1,
                 "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
			"fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
		{"password",      "NaCl",           1024,  8, 16,
                 "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
			"2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
		{"pleaseletmein", "SodiumChloride", 16384, 8, 1,
                 "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
			"d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint8_t out[64];
		assert_int_equal(scrypt(out, 64, t[i].password, (const uint8_t *)t[i].salt,
					 strlen(t[i].salt), t[i].n, t[i].r, t[i].p),
			0);
		assert_hex(out, 64, t[i].want);
	}
}

static void scrypt_refuses_impossible_costs(void **state)
{
	(void)state;
	uint8_t out[64];
	/* RFC 7914 §2: N is a power of two above one. */
	assert_true(scrypt(out, 64, "x", (const uint8_t *)"y", 1, 1000, 8, 1) < 0);
	assert_true(scrypt(out, 64, "x", (const uint8_t *)"y", 1, 1, 8, 1) < 0);
}

static void random_tokens_differ_and_have_their_length(void **state)
{
	(void)state;
	char a[BASE64_LEN(16)], b[BASE64_LEN(16)];
	random_token(a, 16);
	random_token(b, 16);
	assert_int_equal(strlen(a), 22);
	assert_string_not_equal(a, b);
	uint8_t zero[64] = {0}, out[64] = {0};
	random_bytes(out, sizeof(out));
	assert_memory_not_equal(zero, out, sizeof(out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quiet_library_has_its_words_when_asked),
		cmocka_unit_test(sha256_gives_the_standards_vectors),
		cmocka_unit_test(hmac_gives_rfc4231_vectors),
		cmocka_unit_test(scrypt_gives_rfc7914_vectors),
		cmocka_unit_test(scrypt_refuses_impossible_costs),
		cmocka_unit_test(random_tokens_differ_and_have_their_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
