/* Unit tests of TSIG in net/dnsmsg, against bytes made by an independent implementation
 * (dnspython 2.3: an update that adds one TXT, signed at 1700000000, and its signed answers). */
#include "net/dnsmsg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "base/xalloc.h"

#define NOW 1700000000
#define SECRET "0123456789abcdef0123456789abcdef"

static const struct pair {
	enum hmac_alg alg;
	const char *request, *answer;
} pairs[] = {
	{HMAC_SHA256,
         "12342800000100000001000104686f6d65047465737400000600010f5f61636d"
		"652d6368616c6c656e6765027476c00c001000010000003c000403616263086c"
		"616e74686f726e0000fa00ff00000000003d0b686d61632d7368613235360000"
		"006553f100012c002001d6d0159b09eb9c2c2a25933146cf84cff60c941d21c6"
		"e30d12028596c39cf1123400000000",				 "1234a800000100000000000104686f6d6504746573740000060001086c616e74"
		"686f726e0000fa00ff00000000003d0b686d61632d7368613235360000006553"
		"f100012c0020ebb1f0dfa2eb1d65dcd595b135c883eca034f04382b7bb33bf58"
		"9dfda63b273d123400000000"								},
	{HMAC_SHA384,
         "12342800000100000001000104686f6d65047465737400000600010f5f61636d"
		"652d6368616c6c656e6765027476c00c001000010000003c000403616263086c"
		"616e74686f726e0000fa00ff00000000004d0b686d61632d7368613338340000"
		"006553f100012c00303be9140cb7fe6136e1a1fe591918d048240b694766d46b"
		"04dfd0c15e16005291d6b537fe24de13876901d2ded1067f21123400000000", "1234a800000100000000000104686f6d6504746573740000060001086c616e74"
		"686f726e0000fa00ff00000000004d0b686d61632d7368613338340000006553"
		"f100012c003075c520e34c77ddf0b4fbba55624dd222f7f4c978be24db698d81"
		"1a79cd74e94065009be6b84d806ac2601509c8bdbf29123400000000"},
	{HMAC_SHA512,
         "12342800000100000001000104686f6d65047465737400000600010f5f61636d"
		"652d6368616c6c656e6765027476c00c001000010000003c000403616263086c"
		"616e74686f726e0000fa00ff00000000005d0b686d61632d7368613531320000"
		"006553f100012c0040a1e7763313490e1978e3b78ceac3a4d57eb1d32ac2f49c"
		"cb16bdbb952f6066bd9f92d70f6f3c62d1515d972f99ae353e85f7fe1665458b"
		"c9f0feaf295a30f8e2123400000000",				 "1234a800000100000000000104686f6d6504746573740000060001086c616e74"
		"686f726e0000fa00ff00000000005d0b686d61632d7368613531320000006553"
		"f100012c00405c45fd156405f8869e4125cdff737e72bb60cf1de4882006b224"
		"0a8b454e9959afb0c40d0ddf9044fc205fca252d3a6424fce51b47e4e9ff16c2"
		"622ae9213058123400000000"								},
};

static const char answer_bad_time[] =
	"1234a800000100000000000104686f6d6504746573740000060001086c616e74"
	"686f726e0000fa00ff0000000000430b686d61632d7368613235360000006553"
	"f100012c00208a5f243734b1baa40e25e942b2e6ac57dda8cd661828d2fc1794"
	"21aa713cf92b12340012000600006553f4e8";
static const char answer_other_key[] =
	"1234a800000100000000000104686f6d6504746573740000060001056f746865"
	"720000fa00ff00000000003d0b686d61632d7368613235360000006553f10001"
	"2c002081201f967172f316dda7b5dbc9669f3583dc2d4a50f711f421693290c8"
	"5280c5123400000000";
static const char answer_unknown_error[] =
	"1234a800000100000000000104686f6d6504746573740000060001086c616e74"
	"686f726e0000fa00ff00000000003d0b686d61632d7368613235360000006553"
	"f100012c002087d131fcf6feea1bb79a9a660d6df6fe973fb3a2106053af3336"
	"fe0fd14f01fe123400150000";

/* What a server says that could not check the request: no MAC. */
#define UNSIGNED(error)                                                                            \
	"1234a800000100000000000104686f6d6504746573740000060001"                                   \
	"086c616e74686f726e0000fa00ff00000000001d"                                                 \
	"0b686d61632d73686132353600"                                                               \
	"00006553f100"                                                                             \
	"012c"                                                                                     \
	"0000"                                                                                     \
	"1234" error "0000"

static struct tsig_key key_of(enum hmac_alg alg)
{
	return (struct tsig_key){"lanthorn", alg, (const uint8_t *)SECRET, 32};
}

static const size_t mac_lens[] = {[HMAC_SHA256] = 32, [HMAC_SHA384] = 48, [HMAC_SHA512] = 64};

/* The MAC stands before original id, error and other length. */
static size_t request_mac(const struct pair *p, uint8_t mac[64])
{
	size_t n = mac_lens[p->alg];
	char hex[129] = {0};
	memcpy(hex, p->request + strlen(p->request) - 12 - 2 * n, 2 * n);
	assert_int_equal(hex_decode(mac, n, hex), 0);
	return n;
}

static int verify_as(const char *hex, const struct pair *p, const struct tsig_key *key, int64_t now,
	struct err *e)
{
	uint8_t mac[64];
	size_t mac_len = request_mac(p, mac), n = strlen(hex) / 2;
	uint8_t *msg = xcalloc(1, n);
	assert_int_equal(hex_decode(msg, n, hex), 0);
	int rc = tsig_verify(msg, n, key, now, mac, mac_len, e);
	free_secret(msg, n);
	return rc;
}

static int verify(const char *hex, int64_t now, struct err *e)
{
	struct tsig_key key = key_of(HMAC_SHA256);
	return verify_as(hex, &pairs[0], &key, now, e);
}

static void a_request_is_signed_as_others_sign_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		uint8_t msg[512], mac[64], want_mac[64];
		size_t mac_len = 0, n = strlen(pairs[i].request) / 2;
		assert_int_equal(hex_decode(msg, n, pairs[i].request), 0);
		/* Take the TSIG record off again. */
		size_t tsig_len = 10 + 10 + 13 + 16 + mac_lens[pairs[i].alg];
		msg[11] = 0;
		struct tsig_key key = key_of(pairs[i].alg);
		int len = tsig_sign(msg, n - tsig_len, sizeof(msg), &key, NOW, mac, &mac_len);
		char hex[1025];
		assert_int_equal(len, n);
		hex_encode(hex, msg, n);
		assert_string_equal(hex, pairs[i].request);
		assert_int_equal(mac_len, request_mac(&pairs[i], want_mac));
		assert_memory_equal(mac, want_mac, mac_len);
	}
}

static void signing_without_room_is_refused(void **state)
{
	(void)state;
	uint8_t msg[512] = {0}, mac[64];
	size_t mac_len, n = 12;
	struct tsig_key key = key_of(HMAC_SHA256);
	for (size_t room = 0; room < 12 + 81; room++)
		assert_true(tsig_sign(msg, n, room, &key, NOW, mac, &mac_len) < 0);
	assert_int_equal(msg[11], 0);
	assert_int_equal(tsig_sign(msg, n, 12 + 81, &key, NOW, mac, &mac_len), 12 + 81);
	assert_int_equal(msg[11], 1);
}

static void a_right_answer_is_believed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct err e = {0};
		struct tsig_key key = key_of(pairs[i].alg);
		assert_int_equal(verify_as(pairs[i].answer, &pairs[i], &key, NOW, &e), 0);
	}
}

static void any_changed_bit_is_noticed(void **state)
{
	(void)state;
	char hex[1025];
	/* But for the id: the one that was signed is in the record (RFC 8945 §4.2). */
	for (size_t i = 4; i < strlen(pairs[0].answer); i++) {
		strcpy(hex, pairs[0].answer);
		hex[i] = hex[i] == '0' ? '1' : '0';
		struct err e = {0};
		int rc = verify(hex, NOW, &e);
		if (rc == 0)
			fail_msg("digit %zu may change", i);
	}
}

static void any_cut_is_noticed(void **state)
{
	(void)state;
	char hex[1025];
	for (size_t i = 0; i < strlen(pairs[0].answer); i += 2) {
		strcpy(hex, pairs[0].answer);
		hex[i] = 0;
		assert_int_equal(verify(hex, NOW, NULL), -EBADMSG);
	}
	strcpy(hex, pairs[0].answer);
	strcat(hex, "00");
	assert_int_equal(verify(hex, NOW, NULL), -EBADMSG);
}

static void another_key_or_algorithm_is_refused(void **state)
{
	(void)state;
	assert_int_equal(verify(answer_other_key, NOW, NULL), -EBADMSG);
	assert_int_equal(verify(pairs[1].answer, NOW, NULL), -EBADMSG);
	struct tsig_key key = key_of(HMAC_SHA256);
	key.secret = (const uint8_t *)"0123456789abcdef0123456789abcdeX";
	assert_int_equal(verify_as(pairs[0].answer, &pairs[0], &key, NOW, NULL), -EBADMSG);
	/* An answer to somebody else's request. */
	key = key_of(HMAC_SHA256);
	assert_int_equal(verify_as(pairs[0].answer, &pairs[2], &key, NOW, NULL), -EBADMSG);
}

static void a_truncated_mac_is_refused(void **state)
{
	(void)state;
	/* The first 16 bytes of the right MAC, which RFC 8945 §5.2.2.1 would let a server allow. */
	char hex[1025], *at;
	strcpy(hex, pairs[0].answer);
	at = strstr(hex, "012c0020");
	memcpy(at, "012c0010", 8);
	memmove(at + 8 + 32, at + 8 + 64, strlen(at + 8 + 64) + 1);
	at = strstr(hex, "00000000003d");
	memcpy(at, "00000000002d", 12);
	assert_int_equal(verify(hex, NOW, NULL), -EBADMSG);
}

static void the_clock_is_checked_both_ways(void **state)
{
	(void)state;
	struct err e = {0};
	assert_int_equal(verify(pairs[0].answer, NOW + 300, &e), 0);
	assert_int_equal(verify(pairs[0].answer, NOW - 300, &e), 0);
	assert_int_equal(verify(pairs[0].answer, NOW + 301, &e), -ETIME);
	assert_non_null(strstr(e.text, "301 s ahead"));
	assert_int_equal(verify(pairs[0].answer, NOW - 301, &e), -ETIME);
	assert_non_null(strstr(e.text, "301 s behind"));
	assert_int_equal(verify(pairs[0].answer, 0, &e), -ETIME);
}

static void the_servers_complaints_are_told_apart(void **state)
{
	(void)state;
	struct err e = {0};
	assert_int_equal(verify(answer_bad_time, NOW, &e), -ETIME);
	assert_non_null(strstr(e.text, "BADTIME"));
	assert_non_null(strstr(e.text, "1000 s behind"));
	assert_int_equal(verify(UNSIGNED("0011"), NOW, &e), -EKEYREJECTED);
	assert_non_null(strstr(e.text, "BADKEY"));
	assert_int_equal(verify(UNSIGNED("0010"), NOW, &e), -EKEYREJECTED);
	assert_non_null(strstr(e.text, "BADSIG"));
	assert_int_equal(verify(answer_unknown_error, NOW, &e), -EKEYREJECTED);
	/* Without a MAC nothing else is believed. */
	assert_int_equal(verify(UNSIGNED("0000"), NOW, &e), -EBADMSG);
	assert_int_equal(verify(UNSIGNED("0012"), NOW, &e), -EBADMSG);
}

static void only_one_signature_and_only_at_the_end(void **state)
{
	(void)state;
	char hex[2049], want[] = "086c616e74686f726e";
	/* Twice. */
	strcpy(hex, pairs[0].answer);
	strcat(hex, strstr(pairs[0].answer, want));
	hex[23] = '2';
	assert_int_equal(verify(hex, NOW, NULL), -EBADMSG);
	/* In the authority section. */
	strcpy(hex, pairs[0].answer);
	memcpy(hex + 16, "00010000", 8);
	assert_int_equal(verify(hex, NOW, NULL), -EBADMSG);
	/* None. */
	assert_int_equal(verify("1234a8000000000000000000", NOW, NULL), -EBADMSG);
	assert_int_equal(verify("1234a8000001000000000000"
				"04686f6d6504746573740000060001",
				 NOW, NULL),
		-EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_signed_as_others_sign_it),
		cmocka_unit_test(signing_without_room_is_refused),
		cmocka_unit_test(a_right_answer_is_believed),
		cmocka_unit_test(any_changed_bit_is_noticed),
		cmocka_unit_test(any_cut_is_noticed),
		cmocka_unit_test(another_key_or_algorithm_is_refused),
		cmocka_unit_test(a_truncated_mac_is_refused),
		cmocka_unit_test(the_clock_is_checked_both_ways),
		cmocka_unit_test(the_servers_complaints_are_told_apart),
		cmocka_unit_test(only_one_signature_and_only_at_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
