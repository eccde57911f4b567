/* Unit tests of net/dnsmsg: packets made by hand, byte by byte, and a table of hostile ones. */
#include "net/dnsmsg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "base/xalloc.h"

/* Exactly as long as its content, so that reading past the end is seen by ASan. */
static uint8_t *from_hex(const char *hex, size_t *n)
{
	*n = strlen(hex) / 2;
	uint8_t *p = xcalloc(1, *n ? *n : 1);
	assert_int_equal(hex_decode(p, *n, hex), 0);
	return p;
}

static int decode(struct dns_reply *r, const char *hex, const char *name, enum dns_type type)
{
	size_t n;
	struct err e = {0};
	uint8_t *p = from_hex(hex, &n);
	int rc = dns_reply_decode(r, p, n, 0x1234, name, type, &e);
	free_secret(p, n);
	assert_int_equal(rc, e.code);
	return rc;
}

/* Pieces of packets. */
#define Q_TV "02747604686f6d6504746573740000" /* tv.home.test, then the type's low byte */
#define HEAD(counts) "12348580" counts        /* answer, AA, RD, RA */
#define ONE "0001000100000000"                /* 1 question, 1 answer */
#define RR_TAIL(len)                                                                               \
	"0001"                                                                                     \
	"0000003c" len /* IN, TTL 60 */

static void a_query_is_what_rfc1035_says(void **state)
{
	(void)state;
	uint8_t out[512];
	char hex[1025];
	int n = dns_query_encode(out, sizeof(out), 0x1234, "TV.home.test", DNS_A, true);
	assert_true(n > 0);
	hex_encode(hex, out, (size_t)n);
	assert_string_equal(hex, "123401000001000000000001" Q_TV "010001"
				 "00002904d0000000000000");
	n = dns_query_encode(out, sizeof(out), 0x1234, "", DNS_NS, false);
	hex_encode(hex, out, (size_t)n);
	assert_string_equal(hex, "12340000000100000000000100"
				 "00020001"
				 "00002904d0000000000000");
}

static void names_that_cannot_be_are_not_asked(void **state)
{
	(void)state;
	char longest[300], label64[70];
	memset(label64, 'a', 64);
	strcpy(label64 + 64, ".test");
	for (int i = 0; i < 254; i++)
		longest[i] = i % 2 ? '.' : 'a';
	longest[253] = 0;
	uint8_t out[512];
	assert_true(dns_query_encode(out, sizeof(out), 1, longest, DNS_A, true) > 0);
	strcpy(longest + 253, "a");
	const char *const bad[] = {
		longest, label64, ".", "a..b", ".a", "a.", "a b", "a\\.b", "\xc3\xa4"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			dns_query_encode(out, sizeof(out), 1, bad[i], DNS_A, true), -EINVAL);
	assert_int_equal(dns_query_encode(out, 20, 1, "tv.home.test", DNS_A, true), -ENOBUFS);
}

static void answers_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		enum dns_type type;
		const char *text;
	} t[] = {
		{HEAD(ONE) Q_TV "010001"
				"c00c"
				"0001" RR_TAIL("0004") "c0a80102",
                 DNS_A,												      "192.168.1.2" },
		{HEAD(ONE) Q_TV "1c0001"
				"c00c"
				"001c" RR_TAIL("0010") "fd000000000000000000000000000001",
                 DNS_AAAA,												   "fd00::1"     },
		{HEAD(ONE) Q_TV "050001"
				"c00c"
				"0005" RR_TAIL("0005") "025456c00f",
                 DNS_CNAME,												  "tv.home.test"},
		{HEAD(ONE) Q_TV "020001"
				"c00c"
				"0002" RR_TAIL("0005") "026e73c00f",
                 DNS_NS,												     "ns.home.test"},
		{HEAD(ONE) Q_TV "060001"
				"c00c"
				"0006" RR_TAIL("001b") "026e73c00f"
						       "c00f"
						       "0000000100000002000000030000000400000005", DNS_SOA, "ns.home.test"},
		{HEAD(ONE) Q_TV "100001"
				"c00c"
				"0010" RR_TAIL("0008") "03616263"
						       "03646566",				 DNS_TXT, "abcdef"      },
		{HEAD(ONE) Q_TV "100001"
				"c00c"
				"0010" RR_TAIL("0001") "00",
                 DNS_TXT,												    ""            },
		{HEAD(ONE) Q_TV "100001"
				"c00c"
				"0010" RR_TAIL("0004") "03610063",
                 DNS_TXT,												    ""            },
	};
	struct dns_reply r;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(decode(&r, t[i].hex, "tv.home.test", t[i].type), 0);
		assert_int_equal(r.n_rrs, 1);
		assert_true(r.authoritative);
		assert_false(r.truncated);
		assert_string_equal(r.rrs[0].name, "tv.home.test");
		assert_string_equal(r.rrs[0].text, t[i].text);
		assert_int_equal(r.rrs[0].type, t[i].type);
		assert_int_equal(r.rrs[0].ttl, 60);
		assert_int_equal(r.rrs[0].section, 1);
	}
}

static void edns_extends_the_code_and_is_no_record(void **state)
{
	(void)state;
	struct dns_reply r;
	assert_int_equal(decode(&r,
				 "123484830001000000000001" Q_TV "010001"
				 "00002904d0"
				 "01000000"
				 "0000",
				 "tv.home.test", DNS_A),
		0);
	assert_int_equal(r.n_rrs, 0);
	assert_int_equal(r.rcode, 16 + 3);
}

static void a_cut_answer_gives_no_records(void **state)
{
	(void)state;
	struct dns_reply r;
	assert_int_equal(decode(&r,
				 "1234838000010001"
				 "00000000" Q_TV "010001"
				 "c00c00",
				 "tv.home.test", DNS_A),
		0);
	assert_true(r.truncated);
	assert_int_equal(r.n_rrs, 0);
}

static void a_bare_failure_is_an_answer(void **state)
{
	(void)state;
	struct dns_reply r;
	assert_int_equal(decode(&r, "123480010000000000000000", "tv.home.test", DNS_A), 0);
	assert_int_equal(r.rcode, DNS_FORMERR);
	assert_int_equal(decode(&r, "123480000000000000000000", "tv.home.test", DNS_A), -EBADMSG);
}

static void more_records_than_fit_are_told(void **state)
{
	(void)state;
	uint8_t msg[4096] = {0x12, 0x34, 0x84, 0, 0, 1, 0, 70};
	size_t n = 12;
	const uint8_t q[] = "\2tv\4home\4test\0\0\1\0\1",
		      rr[] = "\300\014\0\1\0\1\0\0\0\74\0\4\12\0\0\1";
	memcpy(msg + n, q, sizeof(q) - 1);
	n += sizeof(q) - 1;
	for (int i = 0; i < 70; i++, n += sizeof(rr) - 1)
		memcpy(msg + n, rr, sizeof(rr) - 1);
	struct dns_reply r;
	assert_int_equal(dns_reply_decode(&r, msg, n, 0x1234, "tv.home.test", DNS_A, NULL), 0);
	assert_int_equal(r.n_rrs, DNS_RRS_MAX);
	assert_true(r.truncated);
	/* The ones behind the table are checked all the same. */
	assert_int_equal(
		dns_reply_decode(&r, msg, n - 1, 0x1234, "tv.home.test", DNS_A, NULL), -EBADMSG);
}

static const struct {
	const char *why, *hex;
} hostile[] = {
	{"nothing",                     ""											   },
	{"half a header",               "123485800001"									       },
	{"another id",                  "4321858000010000"
		       "00000000" Q_TV "010001"							},
	{"a question",                  "1234010000010000"
		       "00000000" Q_TV "010001"							},
	{"another opcode",              "1234a80000010000"
			   "00000000" Q_TV "010001"                                                },
	{"two questions",               "1234858000020000"
			  "00000000" Q_TV "010001" Q_TV "010001"                                    },
	{"no question",                 "1234858000000000"
			"00000000"								    },
	{"another name",                HEAD("0001000000000000") "02747404686f6d6504746573740000"
						  "010001"                                           },
	{"another type",                HEAD("0001000000000000") Q_TV "1c0001"                                                       },
	{"another class",               HEAD("0001000000000000") Q_TV "010003"                                                       },
	{"question cut",                HEAD("0001000000000000") Q_TV "01"                                                           },
	{"question by pointer",         HEAD("0001000000000000") "c00c"
							 "00010001"                           },
	{"bytes behind the end",        HEAD("0001000000000000") Q_TV "010001"
							       "00"                          },
	{"records missing",             HEAD(ONE) Q_TV "010001"								      },
	{"pointer to itself",           HEAD(ONE) Q_TV "010001"
					     "c01e"
					     "0001" RR_TAIL("0004") "c0a80102"                  },
	{"pointer forward",             HEAD(ONE) Q_TV "010001"
					   "c020"
					   "0001" RR_TAIL("0004") "c0a80102"                      },
	{"pointer into the header",     HEAD(ONE) Q_TV "010001"
						   "c004"
						   "0001" RR_TAIL("0004") "c0a80102"      },
	{"pointer past the end",        HEAD(ONE) Q_TV "010001"
						"ffff"
						"0001" RR_TAIL("0004") "c0a80102"            },
	{"half a pointer",              HEAD(ONE) Q_TV "010001"
					  "c0"                                                     },
	{"label type 01",               HEAD(ONE) Q_TV "010001"
					 "4161"
					 "00"
					 "0001" RR_TAIL("0004") "c0a80102"                          },
	{"label type 10",               HEAD(ONE) Q_TV "010001"
					 "8161"
					 "00"
					 "0001" RR_TAIL("0004") "c0a80102"                          },
	{"label with a dot",            HEAD(ONE) Q_TV "010001"
					    "03612e6200"
					    "0001" RR_TAIL("0004") "c0a80102"                    },
	{"label with a NUL",            HEAD(ONE) Q_TV "010001"
					    "03610062"
					    "00"
					    "0001" RR_TAIL("0004") "c0a80102"                    },
	{"A of 3 bytes",                HEAD(ONE) Q_TV "010001"
					"c00c"
					"0001" RR_TAIL("0003") "c0a801"                              },
	{"A of 5 bytes",                HEAD(ONE) Q_TV "010001"
					"c00c"
					"0001" RR_TAIL("0005") "c0a8010200"                          },
	{"A of no bytes",               HEAD(ONE) Q_TV "010001"
					 "c00c"
					 "0001" RR_TAIL("0000")                                     },
	{"AAAA of 4 bytes",             HEAD(ONE) Q_TV "010001"
					   "c00c"
					   "001c" RR_TAIL("0004") "c0a80102"                      },
	{"data past the end",           HEAD(ONE) Q_TV "010001"
					     "c00c"
					     "0001" RR_TAIL("ffff") "c0a80102"                  },
	{"TXT without a string",        HEAD(ONE) Q_TV "010001"
						"c00c"
						"0010" RR_TAIL("0000")                       },
	{"TXT string past its data",    HEAD(ONE) Q_TV "010001"
						    "c00c"
						    "0010" RR_TAIL("0002") "0561"        },
	{"CNAME longer than its data",  HEAD(ONE) Q_TV "010001"
						      "c00c"
						      "0005" RR_TAIL("0002") "0161"
									     "00"      },
	{"CNAME shorter than its data", HEAD(ONE) Q_TV "010001"
						       "c00c"
						       "0005" RR_TAIL("0003") "c00c00"},
	{"SOA without its numbers",     HEAD(ONE) Q_TV "010001"
						   "c00c"
						   "0006" RR_TAIL("0004") "c00cc00c"      },
	{"SOA loop in the second name", HEAD(ONE) Q_TV
		"010001"
		"c00c"
		"0006" RR_TAIL("0018") "c00c"
				       "c02c"
				       "0000000100000002000000030000000400000005"     },
	{"two OPT",                     HEAD("0001000000000002") Q_TV "010001"
						  "00002904d0000000000000"
						  "00002904d0000000000000"                                },
	{"OPT in the answer",           HEAD(ONE) Q_TV "010001"
					     "00002904d0000000000000"                           },
	{"OPT with a name",             HEAD("0001000000000001") Q_TV "010001"
							  "0161"
							  "00002904d0000000000000"                },
};

static void hostile_answers_are_refused(void **state)
{
	(void)state;
	struct dns_reply r;
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		if (decode(&r, hostile[i].hex, "tv.home.test", DNS_A) != -EBADMSG)
			fail_msg("accepted: %s", hostile[i].why);
	}
}

/* A name of `labels` labels of one byte, from `msg + 12` on; the answer's owner is made of a few
 * labels more and a pointer to it. */
static int decode_long_owner(unsigned extra)
{
	uint8_t msg[1024] = {0x12, 0x34, 0x84, 0, 0, 1, 0, 1};
	char name[DNS_NAME_MAX] = "";
	size_t n = 12;
	for (int i = 0; i < 120; i++, n += 2) {
		memcpy(msg + n, "\1a", 2);
		strcat(name, i ? ".a" : "a");
	}
	memcpy(msg + n, "\0\0\1\0\1", 5);
	n += 5;
	for (unsigned i = 0; i < extra; i++, n += 2)
		memcpy(msg + n, "\1b", 2);
	memcpy(msg + n, "\300\014\0\1\0\1\0\0\0\74\0\4\12\0\0\1", 16);
	struct dns_reply r;
	return dns_reply_decode(&r, msg, n + 16, 0x1234, name, DNS_A, NULL);
}

static void names_of_255_bytes_pass_and_longer_ones_do_not(void **state)
{
	(void)state;
	assert_int_equal(decode_long_owner(7), 0); /* 127 · 2 + 1 = 255 */
	assert_int_equal(decode_long_owner(8), -EBADMSG);
	assert_int_equal(decode_long_owner(120), -EBADMSG);
}

static void updates_are_what_rfc2136_says(void **state)
{
	(void)state;
	static const struct {
		struct dns_update u;
		const char *tail;
	} t[] = {
		{{"home.test", "tv.home.test", DNS_A, 60, "192.168.1.2", DNS_ADD},         "0001"
										   "0001"
										   "0000003c"
										   "0004"
										   "c0a80102"},
		{{"home.test", "tv.home.test", DNS_AAAA, 60, "fd00::1", DNS_DELETE_VALUE},
                 "001c"
			"00fe"
			"00000000"
			"0010"
			"fd000000000000000000000000000001"														     },
		{{"home.test", "tv.home.test", DNS_TXT, 60, "abc", DNS_ADD},               "0010"
									     "0001"
									     "0000003c"
									     "0004"
									     "03616263"            },
		{{"home.test", "tv.home.test", DNS_TXT, 60, "", DNS_ADD},                  "0010"
									  "0001"
									  "0000003c"
									  "0001"
									  "00"                        },
		{{"home.test", "tv.home.test", DNS_TXT, 60, NULL, DNS_DELETE_RRSET},       "0010"
										     "00ff"
										     "00000000"
										     "0000"},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint8_t out[512];
		char hex[1025], want[1025];
		int n = dns_update_encode(out, sizeof(out), 0x1234, &t[i].u, 1);
		assert_true(n > 0);
		hex_encode(hex, out, (size_t)n);
		snprintf(want, sizeof(want),
			"123428000001000000010000"
			"04686f6d6504746573740000060001"
			"02747604686f6d65047465737400%s",
			t[i].tail);
		assert_string_equal(hex, want);
	}
}

static void long_txt_is_split_and_too_long_txt_refused(void **state)
{
	(void)state;
	char value[1100];
	uint8_t out[2048];
	struct dns_update u = {"home.test", "tv.home.test", DNS_TXT, 60, value, DNS_ADD};
	memset(value, 'x', sizeof(value));
	value[256] = 0;
	int n = dns_update_encode(out, sizeof(out), 1, &u, 1);
	assert_true(n > 258);
	assert_int_equal(out[n - 258], 255);
	assert_int_equal(out[n - 2], 1);
	value[256] = 'x';
	value[1023] = 0;
	assert_int_equal(dns_update_encode(out, sizeof(out), 1, &u, 1), -EINVAL);
}

static void updates_that_cannot_be_are_refused(void **state)
{
	(void)state;
	static const struct dns_update t[] = {
		{"home.test",  "tv.other.test", DNS_A,     60,         "192.168.1.2", DNS_ADD},
		{"home.test",  "xhome.test",    DNS_A,     60,         "192.168.1.2", DNS_ADD},
		{"home.test",  "tv.home.test",  DNS_A,     60,         "fd00::1",     DNS_ADD},
		{"home.test",  "tv.home.test",  DNS_AAAA,  60,         "192.168.1.2", DNS_ADD},
		{"home.test",  "tv.home.test",  DNS_CNAME, 60,         "x.home.test", DNS_ADD},
		{"home.test",  "tv.home.test",  DNS_A,     60,         NULL,          DNS_ADD},
		{"home.test",  "tv.home.test",  DNS_A,     0x80000000, "192.168.1.2", DNS_ADD},
		{"home..test", "tv.home..test", DNS_A,     60,         "192.168.1.2", DNS_ADD},
	};
	uint8_t out[512];
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(dns_update_encode(out, sizeof(out), 1, &t[i], 1), -EINVAL);
	assert_int_equal(dns_update_encode(out, sizeof(out), 1, t, 0), -EINVAL);
}

static void update_answers_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		int rc, rcode;
	} t[] = {
		{"1234a8000000000000000000",                        0,        DNS_NOERROR},
		{"1234a8050001000000000000"
		 "04686f6d6504746573740000060001", 0,        DNS_REFUSED},
		{"1234a8050001000000000000"
		 "04686f6d6504746573740000060001"
		 "00",			     -EBADMSG, 0          },
		{"1234a8050001000000010000"
		 "04686f6d6504746573740000060001", -EBADMSG, 0          },
		{"1234a8",					  -EBADMSG, 0          },
		{"123428000000000000000000",                        -EBADMSG, 0          },
		{"123480000000000000000000",                        -EBADMSG, 0          },
		{"4321a8000000000000000000",                        -EBADMSG, 0          },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n;
		uint8_t rcode = 0, *p = from_hex(t[i].hex, &n);
		assert_int_equal(dns_update_reply(p, n, 0x1234, &rcode, NULL), t[i].rc);
		assert_int_equal(rcode, t[i].rcode);
		free_secret(p, n);
	}
}

static void each_code_has_words(void **state)
{
	(void)state;
	assert_non_null(strstr(dns_rcode_text(DNS_REFUSED), "REFUSED"));
	assert_non_null(strstr(dns_rcode_text(DNS_BADTIME), "clock"));
	for (unsigned i = 0; i < 300; i++)
		assert_true(strlen(dns_rcode_text(i)) > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_query_is_what_rfc1035_says),
		cmocka_unit_test(names_that_cannot_be_are_not_asked),
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(edns_extends_the_code_and_is_no_record),
		cmocka_unit_test(a_cut_answer_gives_no_records),
		cmocka_unit_test(a_bare_failure_is_an_answer),
		cmocka_unit_test(more_records_than_fit_are_told),
		cmocka_unit_test(hostile_answers_are_refused),
		cmocka_unit_test(names_of_255_bytes_pass_and_longer_ones_do_not),
		cmocka_unit_test(updates_are_what_rfc2136_says),
		cmocka_unit_test(long_txt_is_split_and_too_long_txt_refused),
		cmocka_unit_test(updates_that_cannot_be_are_refused),
		cmocka_unit_test(update_answers_are_read),
		cmocka_unit_test(each_code_has_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
