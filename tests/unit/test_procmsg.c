/* Unit tests of base/procmsg: what one process says the other reads, and nothing else. */
#include "base/procmsg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "base/xalloc.h"

static uint8_t wire[PROCMSG_MAX];

static void assert_same(const struct procmsg *a, const struct procmsg *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->class, b->class);
	assert_int_equal(a->next_at, b->next_at);
	assert_int_equal(a->n_names, b->n_names);
	assert_int_equal(a->n_addrs, b->n_addrs);
	for (unsigned i = 0; i < a->n_names; i++)
		assert_string_equal(a->names[i], b->names[i]);
	for (unsigned i = 0; i < a->n_addrs; i++)
		assert_string_equal(a->addrs[i], b->addrs[i]);
	assert_string_equal(a->text, b->text);
	assert_int_equal(a->blob_len, b->blob_len);
	if (a->blob_len)
		assert_memory_equal(a->blob, b->blob, a->blob_len);
}

/* Decoded from memory of exactly its length, so that ASan sees a read behind it. */
static int decode(struct procmsg *m, const uint8_t *p, size_t n)
{
	static uint8_t *last;
	free_secret(last, 0);
	last = xcalloc(1, n ? n : 1);
	memcpy(last, p, n);
	struct err e = {0};
	int rc = procmsg_decode(m, last, n, &e);
	assert_int_equal(rc, e.code);
	if (rc < 0) {
		free_secret(last, 0);
		last = NULL;
	}
	return rc;
}

static void each_message_comes_back_as_it_was(void **state)
{
	(void)state;
	static const uint8_t blob[] = {0, 1, 2, 255};
	const struct procmsg t[] = {
		{.type = PROCMSG_ORDER,
                 .id = UINT64_MAX,
                 .flags = PROCMSG_FORCE,
                 .n_names = 2,
                 .names = {"home.example.com", "*.home.example.com"},
                 .blob = blob,
                 .blob_len = sizeof(blob)},
		{.type = PROCMSG_PUBLISH,
                 .n_names = 1,
                 .names = {"tv.home.example.com"},
                 .n_addrs = 2,
                 .addrs = {"192.168.1.1", "fd00::1"}},
		{.type = PROCMSG_PUBLISH,                             .n_names = 1,                          .names = {"tv.home.example.com"}                                                   },
		{.type = PROCMSG_CANCEL,                 .id = 7},
		{.type = PROCMSG_SET_SECRET,
                 .text = "tsig_secret",
                 .blob = blob,
                 .blob_len = sizeof(blob)},
		{.type = PROCMSG_DNS_TEST,						   .id = 1         },
		{.type = PROCMSG_CHAIN,                            .id = 2,            .blob = blob,.blob_len = 1},
		{.type = PROCMSG_STATE,						   .class = STATE_STARTED     },
		{.type = PROCMSG_STATE,
                 .class = STATE_FAIL_LIMIT,
                 .id = 3,
                 .text = "too many · später",
                 .next_at = INT64_MAX,
                 .n_names = 1,
                 .names = {"tv.home.example.com"}},
		{.type = PROCMSG_STATE,						   .class = STATE_LOG,          .next_at = -1                                },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct procmsg back;
		int n = procmsg_encode(&t[i], wire);
		assert_true(n > 0);
		assert_int_equal(decode(&back, wire, (size_t)n), 0);
		assert_same(&t[i], &back);
		assert_string_not_equal(procmsg_name(t[i].type), "unknown");
	}
}

static void every_length_has_its_end(void **state)
{
	(void)state;
	struct procmsg back, m = {.type = PROCMSG_STATE,
				     .class = STATE_PUBLISHED,
				     .text = "ok",
				     .n_names = 1,
				     .names = {"tv.home.test"},
				     .n_addrs = 1,
				     .addrs = {"::1"},
				     .blob = (const uint8_t *)"abc",
				     .blob_len = 3};
	int n = procmsg_encode(&m, wire);
	for (int i = 0; i < n; i++)
		assert_int_equal(decode(&back, wire, (size_t)i), -EBADMSG);
	wire[n] = 0;
	assert_int_equal(decode(&back, wire, (size_t)n + 1), -EBADMSG);
	assert_int_equal(decode(&back, wire, (size_t)n), 0);
}

static void the_largest_fits_and_one_byte_more_does_not(void **state)
{
	(void)state;
	static uint8_t blob[PROCMSG_MAX];
	struct procmsg back, m = {.type = PROCMSG_CHAIN, .blob = blob};
	m.blob_len = PROCMSG_MAX - 30; /* the fixed part */
	assert_int_equal(procmsg_encode(&m, wire), PROCMSG_MAX);
	assert_int_equal(decode(&back, wire, PROCMSG_MAX), 0);
	assert_int_equal(back.blob_len, m.blob_len);
	m.blob_len++;
	assert_int_equal(procmsg_encode(&m, wire), -EMSGSIZE);
}

static void what_has_no_shape_is_not_sent(void **state)
{
	(void)state;
	const uint8_t *x = (const uint8_t *)"x";
	const struct procmsg t[] = {
		{.type = 0                     },
		{				 .type = 200			     },
		{             .type = PROCMSG_ORDER,                 .blob = x, .blob_len = 1},
		{						 .type = PROCMSG_ORDER,                  .n_names = 1, .names = {"a.test"}},
		{              .type = PROCMSG_ORDER,          .n_names = PROCMSG_NAMES_MAX + 1, .blob = x, .blob_len = 1},
		{.type = PROCMSG_PUBLISH                },
		{						 .type = PROCMSG_PUBLISH,              .n_names = 2, .names = {"a.test", "b.test"}},
		{.type = PROCMSG_PUBLISH,
                 .n_names = 1,
                 .names = {"a.test"},
                 .n_addrs = PROCMSG_ADDRS_MAX + 1},
		{				 .type = PROCMSG_SET_SECRET,                   .text = "key"},
		{					      .type = PROCMSG_SET_SECRET,                              .blob = x, .blob_len = 1},
		{    .type = PROCMSG_CHAIN                             },
		{.type = PROCMSG_STATE,                 .class = 0},
		{						 .type = PROCMSG_STATE, .class = STATE_LOG + 1},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(procmsg_encode(&t[i], wire), -EINVAL);
}

/* type, class, names, addrs · flags · id · next_at · text · blob */
#define HEAD(start, text, blob)                                                                    \
	start "00000000"                                                                           \
	      "0000000000000000"                                                                   \
	      "0000000000000000" text blob

static void hostile_messages_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *why, *hex;
	} t[] = {
		{"nothing", ""										},
		{ "type 0",                    HEAD("00000000",									  "0000", "00000000")},
		{ "type 63",                   HEAD("3f000000",									  "0000", "00000000")},
		{ "type 255",                  HEAD("ff000000",									  "0000", "00000000")},
		{ "state without class",       HEAD("41000000",									  "0000", "00000000")},
		{ "state of class 255",        HEAD("41ff0000",									  "0000", "00000000")},
		{ "nine names",                HEAD("41010900",        "0000", "00000000") "0161016101610161016101610161"
								    "01610161"},
		{ "255 names",                 HEAD("4101ff00",									  "0000", "00000000")},
		{ "nine addresses",            HEAD("41010009",									  "0000", "00000000")},
		{ "a name past the end",       HEAD("41010100",								   "0000", "00000000") "ff61"},
		{ "an empty name",             HEAD("41010100",								     "0000", "00000000") "00"},
		{ "a name in capitals",        HEAD("41010100",								   "0000", "00000000") "0141"},
		{ "a name with a slash",       HEAD("41010100",							       "0000", "00000000") "03612f62"},
		{ "a name with a NUL",         HEAD("41010100",							       "0000", "00000000") "03610062"},
		{ "a name that ends in a dot", HEAD("41010100",								 "0000", "00000000") "02612e"},
		{ "a wildcard of nothing",     HEAD("41010100",								 "0000", "00000000") "022a2e"},
		{ "a wildcard inside",         HEAD("41010100",							   "0000", "00000000") "05612e2a2e62"},
		{ "an address that is none",   HEAD("41010001", "0000", "00000000") "03312e32"
										 "33"},
		{ "an address with a zone",    HEAD("41010001",                                                       "0000", "00000000") "07666538303a3a25"},
		{ "an address too long",       HEAD("41010001",								     "0000", "00000000") "ff"},
		{ "text past the end",         HEAD("41010000",									  "0100", "00000000")},
		{ "text longer than ours",     HEAD("41010000",									  "ffff", "00000000")},
		{ "text with a NUL",           HEAD("41010000",								 "0300", "00000000") "610062"},
		{ "blob past the end",         HEAD("41010000",									  "0000", "01000000")},
		{ "blob of 4 GiB",             HEAD("41010000",								     "0000", "ffffffff") "00"},
		{ "bytes behind the end",      HEAD("41010000",								     "0000", "00000000") "00"},
		{ "a chain without a chain",   HEAD("40000000",									  "0000", "00000000")},
		{ "an order without names",    HEAD("01000000",								     "0000", "01000000") "00"},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct procmsg m;
		size_t n = strlen(t[i].hex) / 2;
		assert_int_equal(hex_decode(wire, n, t[i].hex), 0);
		if (decode(&m, wire, n) != -EBADMSG)
			fail_msg("accepted: %s", t[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_comes_back_as_it_was),
		cmocka_unit_test(every_length_has_its_end),
		cmocka_unit_test(the_largest_fits_and_one_byte_more_does_not),
		cmocka_unit_test(what_has_no_shape_is_not_sent),
		cmocka_unit_test(hostile_messages_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
