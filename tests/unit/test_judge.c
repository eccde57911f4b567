/* May the CA look now? A table of what servers answered and for how long. */
#include "steward/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Letters, one a server: v has the value, l lacks it, e answers SERVFAIL, s silent, o somebody else
 * answers. Servers 0 and 1 are two addresses of ns1, each further one a name of its own. */
struct row {
	const char *heard;
	uint64_t s; /* elapsed */
	enum judge_verdict verdict;
	const char *says;
};

static const struct row rows[] = {
	{"vvv",  0,   JUDGE_READY,       ""               },
	{"v",    0,   JUDGE_READY,       ""               },
	{"vvl",  1,   JUDGE_WAIT,        "ns2"            },
	{"vvl",  599, JUDGE_WAIT,        "does not have"  },
	{"vvl",  600, JUDGE_FAILED,      "ns2 (192.0.2.2)"},
	{"lll",  600, JUDGE_FAILED,      "ns1"            },
	{"vve",  40,  JUDGE_WAIT,        "SERVFAIL"       },
	{"vve",  600, JUDGE_FAILED,      "ns2"            },
	{"vsv",  0,   JUDGE_READY,       ""               }, /* v6 without a route */
	{"svv",  0,   JUDGE_READY,       ""               },
	{"vvs",  29,  JUDGE_WAIT,        "does not answer"},
	{"vvs",  30,  JUDGE_READY,       "does not answer"}, /* a dead secondary */
	{"vvsl", 31,  JUDGE_WAIT,        "ns3"            },
	{"sss",  29,  JUDGE_WAIT,        "does not answer"},
	{"sss",  30,  JUDGE_WAIT,        "does not answer"},
	{"sss",  119, JUDGE_WAIT,        "does not answer"},
	{"sss",  120, JUDGE_BLIND_READY, "does not answer"}, /* port 53 is blocked */
	{"ooo",  29,  JUDGE_WAIT,        "port 53"        },
	{"ooo",  120, JUDGE_BLIND_READY, "port 53"        },
	{"oos",  120, JUDGE_BLIND_READY, "port 53"        },
	{"ssl",  600, JUDGE_FAILED,      "ns2"            },
	{"oov",  31,  JUDGE_READY,       "port 53"        },
};

static void place_of(struct place *p, unsigned n)
{
	memset(p, 0, sizeof(*p));
	p->n_servers = n;
	for (unsigned i = 0; i < n; i++) {
		snprintf(p->servers[i].name, sizeof(p->servers[i].name), "ns%u", i ? i : 1);
		snprintf(p->servers[i].addr, sizeof(p->servers[i].addr), "192.0.2.%u", i);
	}
}

static enum heard heard_of(char c)
{
	switch (c) {
	case 'v':
		return HEARD_VALUE;
	case 'l':
		return HEARD_LACKS;
	case 'e':
		return HEARD_ERROR;
	case 'o':
		return HEARD_OTHER;
	}
	return HEARD_NOTHING;
}

static enum judge_verdict ask(const char *heard, uint64_t seconds, uint64_t ttl_s, char text[512])
{
	struct place p;
	struct judge_server s[PLACE_SERVERS_MAX] = {0};
	struct judge_times t = {seconds * 1000, 600000, ttl_s * 1000};
	place_of(&p, (unsigned)strlen(heard));
	for (unsigned i = 0; heard[i]; i++) {
		s[i].heard = heard_of(heard[i]);
		s[i].rcode = DNS_SERVFAIL;
	}
	return judge(&p, s, &t, text, 512);
}

static void answers_give_the_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		char text[512];
		enum judge_verdict v = ask(r->heard, r->s, 60, text);
		if (v != r->verdict || !strstr(text, r->says) || (!*r->says && *text))
			fail_msg("%s after %llu s: %d, \"%s\"", r->heard, (unsigned long long)r->s,
				(int)v, text);
	}
}

static void blind_wait_lasts_for_the_ttl(void **state)
{
	char text[512];
	(void)state;
	assert_int_equal(ask("s", 121, 3600, text), JUDGE_WAIT);
	assert_int_equal(ask("s", 3599, 3600, text), JUDGE_WAIT);
	assert_int_equal(ask("s", 3600, 3600, text), JUDGE_BLIND_READY);
}

static void add(
	struct dns_reply *r, uint16_t type, const char *name, const char *text, uint8_t section)
{
	struct dns_rr *rr = &r->rrs[r->n_rrs++];
	memset(rr, 0, sizeof(*rr));
	rr->type = type;
	rr->section = section;
	snprintf(rr->name, sizeof(rr->name), "%s", name);
	snprintf(rr->text, sizeof(rr->text), "%s", text);
}

static enum heard hear(const struct dns_reply *r)
{
	struct judge_server s = {0};
	judge_hear(&s, r, "_acme-challenge.a.example", DNS_TXT, "value");
	return s.heard;
}

static void replies_are_read_strictly(void **state)
{
	static struct dns_reply r;
	(void)state;
	memset(&r, 0, sizeof(r));
	r.authoritative = true;
	assert_int_equal(hear(&r), HEARD_LACKS);
	r.rcode = DNS_NXDOMAIN;
	assert_int_equal(hear(&r), HEARD_LACKS);
	r.rcode = DNS_SERVFAIL;
	assert_int_equal(hear(&r), HEARD_ERROR);
	r.rcode = DNS_NOERROR;
	add(&r, DNS_TXT, "_acme-challenge.a.example", "older", 1);
	add(&r, DNS_TXT, "_acme-challenge.b.example", "value", 1);
	add(&r, DNS_TXT, "_acme-challenge.a.example", "value", 3);
	assert_int_equal(hear(&r), HEARD_LACKS);
	add(&r, DNS_TXT, "_acme-challenge.a.example", "value",
		1); /* beside another value: base + wildcard */
	assert_int_equal(hear(&r), HEARD_VALUE);
	r.authoritative = false;
	assert_int_equal(hear(&r), HEARD_OTHER);
}

static void polling_slows_to_five_seconds(void **state)
{
	(void)state;
	assert_int_equal(judge_interval_ms(0), 1000);
	for (unsigned i = 1; i < 100; i++)
		assert_in_range(judge_interval_ms(i), judge_interval_ms(i - 1), 5000);
	assert_int_equal(judge_interval_ms(99), 5000);
}

/* A provider whose second server lags: the rounds of a fake clock until the verdict changes. */
static void laggard_is_awaited(void **state)
{
	char text[512];
	uint64_t ms = 0;
	unsigned round = 0;
	(void)state;
	while (ask(ms < 97000 ? "vvl" : "vvv", ms / 1000, 60, text) == JUDGE_WAIT)
		ms += judge_interval_ms(round++);
	assert_in_range(ms, 97000, 102000);
	assert_in_range(round, 20, 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_give_the_verdict),
		cmocka_unit_test(blind_wait_lasts_for_the_ttl),
		cmocka_unit_test(replies_are_read_strictly),
		cmocka_unit_test(polling_slows_to_five_seconds),
		cmocka_unit_test(laggard_is_awaited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
