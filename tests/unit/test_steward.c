/* The small pure parts of the steward: names, resolvers, zones, requests. */
#include "acme/csr.h"
#include "steward/names.h"
#include "steward/place.h"
#include "steward/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void only_names_of_the_domain_are_ours(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		bool ours, wild;
	} cases[] = {
		{"home.example.com",      true,  false},
		{"tv.home.example.com",   true,  false},
		{"*.home.example.com",    false, true },
		{"a.tv.home.example.com", false, false},
		{"*.tv.home.example.com", false, false},
		{"example.com",           false, false},
		{"xhome.example.com",     false, false},
		{"tv.home.example.org",   false, false},
		{".home.example.com",     false, false},
		{"-a.home.example.com",   false, false},
		{"TV.home.example.com",   false, false},
		{"_x.home.example.com",   false, false},
		{"",		      false, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;
		if (names_allowed("home.example.com", name, false) != cases[i].ours)
			fail_msg("%s", name);
		if (names_allowed("home.example.com", name, true) !=
			(cases[i].ours || cases[i].wild))
			fail_msg("%s with wildcards", name);
	}
	char label[300];
	snprintf(label, sizeof(label), "%070d.home.example.com", 0);
	assert_false(names_allowed("home.example.com", label, true));
}

static void resolvers_are_parsed(void **state)
{
	(void)state;
	static const struct {
		const char *text, *addr;
		uint16_t port;
	} cases[] = {
		{"192.0.2.1",          "192.0.2.1",   53  },
		{"192.0.2.1:5353",     "192.0.2.1",   5353},
		{"2001:db8::1",        "2001:db8::1", 53  },
		{"[2001:db8::1]:5353", "2001:db8::1", 5353},
		{"[2001:db8::1]",      "2001:db8::1", 53  },
		{"192.0.2.1:0",        NULL,          0   },
		{"192.0.2.1:70000",    NULL,          0   },
		{"dns.example",        NULL,          0   },
		{"[2001:db8::1",       NULL,          0   },
		{"[2001:db8::1]x",     NULL,          0   },
		{"",                   NULL,          0   },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct resolver r;
		int rc = resolver_parse(&r, cases[i].text);
		if ((rc == 0) != (cases[i].addr != NULL))
			fail_msg("%s: %d", cases[i].text, rc);
		if (rc == 0 && (strcmp(r.addr, cases[i].addr) != 0 || r.port != cases[i].port))
			fail_msg("%s: %s %u", cases[i].text, r.addr, r.port);
	}
}

static void system_resolvers_are_read(void **state)
{
	(void)state;
	struct resolvers r = {.n = 0};
	resolvers_parse_system(&r,
		"# nameserver 10.0.0.9\nsearch lan\nnameserver 192.0.2.1\n"
		"nameserver\t2001:db8::1\nnameserver nonsense\nnameserver 192.0.2.2");
	assert_int_equal(r.n, 3);
	assert_string_equal(r.v[0].addr, "192.0.2.1");
	assert_string_equal(r.v[1].addr, "2001:db8::1");
	assert_string_equal(r.v[2].addr, "192.0.2.2");
}

static struct dns_reply *reply(
	unsigned rcode, uint16_t type, const char *name, const char *text, uint8_t section)
{
	static struct dns_reply r;
	memset(&r, 0, sizeof(r));
	r.rcode = (uint8_t)rcode;
	r.n_rrs = 1;
	r.rrs[0].type = type;
	r.rrs[0].section = section;
	snprintf(r.rrs[0].name, sizeof(r.rrs[0].name), "%s", name);
	snprintf(r.rrs[0].text, sizeof(r.rrs[0].text), "%s", text);
	return &r;
}

static void zone_comes_from_the_soa(void **state)
{
	(void)state;
	static const char name[] = "_acme-challenge.tv.home.example.com";
	static const struct {
		unsigned rcode;
		uint16_t type;
		const char *owner;
		uint8_t section;
		const char *zone;
	} cases[] = {
		{DNS_NXDOMAIN, DNS_SOA, "example.com",      2, "example.com"     },
		{DNS_NOERROR,  DNS_SOA, "home.example.com", 2, "home.example.com"},
		{DNS_NOERROR,  DNS_SOA, name,               1, name              },
		{DNS_NOERROR,  DNS_SOA, "example.com",      1, NULL              }, /* not about the name */
		{DNS_NXDOMAIN, DNS_SOA, "com",              2, "com"             }, /* refused later */
		{DNS_NXDOMAIN, DNS_SOA, "",                 2, NULL              },
		{DNS_NXDOMAIN, DNS_SOA, "example.org",      2, NULL              },
		{DNS_SERVFAIL, DNS_SOA, "example.com",      2, NULL              },
		{DNS_NOERROR,  DNS_NS,  "example.com",      2, NULL              },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *zone = place_zone(reply(cases[i].rcode, cases[i].type, cases[i].owner,
						      "ns", cases[i].section),
			name);
		if ((zone == NULL) != (cases[i].zone == NULL) ||
			(zone && strcmp(zone, cases[i].zone)))
			fail_msg("case %zu: %s", i, zone ? zone : "none");
	}
}

static void cname_counts_only_at_the_name(void **state)
{
	(void)state;
	assert_string_equal(
		place_cname(reply(0, DNS_CNAME, "a.example", "b.example", 1), "a.example"),
		"b.example");
	assert_null(place_cname(reply(0, DNS_CNAME, "c.example", "b.example", 1), "a.example"));
	assert_null(place_cname(reply(0, DNS_CNAME, "a.example", "b.example", 3), "a.example"));
	assert_null(place_cname(reply(0, DNS_TXT, "a.example", "b.example", 1), "a.example"));
}

/* SEQUENCE { SEQUENCE { 1 2 3 }, rest }: the digest covers the inner one alone. */
static void request_is_told_apart_without_its_signature(void **state)
{
	(void)state;
	const uint8_t a[] = {0x30, 7, 0x30, 3, 1, 2, 3, 9, 9},
		      b[] = {0x30, 7, 0x30, 3, 1, 2, 3, 8, 8};
	const uint8_t c[] = {0x30, 7, 0x30, 3, 1, 2, 4, 9, 9};
	uint8_t da[32], db[32], dc[32];
	assert_int_equal(csr_digest(da, a, sizeof(a)), 0);
	assert_int_equal(csr_digest(db, b, sizeof(b)), 0);
	assert_int_equal(csr_digest(dc, c, sizeof(c)), 0);
	assert_memory_equal(da, db, 32);
	assert_memory_not_equal(da, dc, 32);
	for (size_t n = 0; n < sizeof(a); n++)
		assert_true(csr_digest(da, a, n) < 0);
	const uint8_t lies[] = {0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30, 0};
	assert_true(csr_digest(da, lies, sizeof(lies)) < 0);
	const uint8_t inner[] = {0x30, 2, 0x30, 5};
	assert_true(csr_digest(da, inner, sizeof(inner)) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_names_of_the_domain_are_ours),
		cmocka_unit_test(resolvers_are_parsed),
		cmocka_unit_test(system_resolvers_are_read),
		cmocka_unit_test(zone_comes_from_the_soa),
		cmocka_unit_test(cname_counts_only_at_the_name),
		cmocka_unit_test(request_is_told_apart_without_its_signature),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
