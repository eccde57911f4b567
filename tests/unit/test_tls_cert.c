/* Certificates from PEM in any order, the names that they cover, and what a ClientHello's
 * extensions say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/tls.h"
#include "net/tls_hello.h"
#include "tls_lab.h"

static struct lab_id ca, leaf, other;

static int make_ids(void **state)
{
	(void)state;
	ca = lab_make(&(struct lab_want){"CA", NULL, true, 0, 0}, NULL);
	leaf = lab_make(&(struct lab_want){"leaf", "DNS:lan.test,DNS:*.Lan.test,DNS:tv.home.test",
				false, 0, 0},
		&ca);
	other = lab_make(&(struct lab_want){"other", NULL, false, 0, 0}, &ca);
	return 0;
}

static int free_ids(void **state)
{
	(void)state;
	lab_free(&ca);
	lab_free(&leaf);
	lab_free(&other);
	return 0;
}

/* Parts of a PEM text by letter: l leaf, c CA, o other, k leaf's key, x other's key, ! rubbish, and
 * D a damaged certificate. */
static char *pem_of(const char *parts)
{
	char *out = calloc(1, 20000);
	for (; *parts; parts++) {
		char *all = lab_pem(strchr("lkD", *parts) ? &leaf
				    : *parts == 'c'       ? &ca
							  : &other,
			true);
		char *key = strstr(all, "-----BEGIN PRIVATE");
		if (*parts == 'k' || *parts == 'x') {
			strcat(out, key);
		} else if (*parts == '!') {
			strcat(out, "some words\n");
		} else {
			*key = 0;
			if (*parts == 'D')
				all[100] = '!';
			strcat(out, all);
		}
		free(all);
	}
	return out;
}

static void pem_is_read_in_any_order(void **state)
{
	(void)state;
	static const struct {
		const char *parts;
		const char *fails; /* a word of the reason; NULL: accepted */
	} cases[] = {
		{"lk",     NULL                     },
		{"kl",     NULL                     },
		{"lck",    NULL                     },
		{"!kl!c!", NULL                     },
		{"lkc",    NULL                     },
		{"",       "no certificate"         },
		{"!",      "no certificate"         },
		{"k",      "no certificate"         },
		{"l",      "no readable private key"},
		{"lx",     "not that of the first"  },
		{"clk",    "not that of the first"  },
		{"Dk",     "damaged"                },
		{"lDk",    "damaged"                },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tls_cert *c = NULL;
		struct err e = {0};
		char *pem = pem_of(cases[i].parts);
		int rc = tls_cert_new(&c, pem, strlen(pem), &e);
		if (!cases[i].fails != !rc)
			fail_msg("%s: %d %s", cases[i].parts, rc, e.text);
		if (rc && !strstr(e.text, cases[i].fails))
			fail_msg("%s says: %s", cases[i].parts, e.text);
		tls_cert_unref(c);
		free(pem);
	}
}

static void a_wildcard_covers_one_label(void **state)
{
	(void)state;
	static const struct {
		const char *host;
		bool covered;
	} cases[] = {
		{"lan.test",         true },
                {"tv.lan.test",      true },
                {"tv.home.test",     true },
		{"a.tv.lan.test",    false},
                {"home.test",        false},
                {"test",             false},
		{".lan.test",        false},
                {"xlan.test",        false},
		{"*.lan.test",       true }, /* the name itself; no host is called so */
		{"tv.lan.test.evil", false},
                {"",                 false},
                {"leaf",             false}, /* the CN is no name */
	};
	char *pem = pem_of("lk");
	struct tls_cert *c;
	assert_int_equal(tls_cert_new(&c, pem, strlen(pem), NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (tls_cert_covers(c, cases[i].host) != cases[i].covered)
			fail_msg("%s", cases[i].host);
	}
	tls_cert_unref(c);
	free(pem);
}

struct bytes {
	const char *p;
	size_t n;
};
#define B(s)                                                                                       \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}

static void server_names_are_strict(void **state)
{
	(void)state;
	static const struct {
		struct bytes ext;
		const char *name;
	} cases[] = {
		{B("\0\013\0\0\010tv.a.lan"),                 "tv.a.lan"},
		{B("\0\013\0\0\010TV.a.LAN"),                 "tv.a.lan"},
		{B(""),				       ""        },
		{B("\0\013\0\0"),                             ""        },
		{B("\0\014\0\0\010tv.a.lan"),                 ""        },
		{B("\0\013\0\0\011tv.a.lan"),                 ""        },
		{B("\0\013\x01\0\010tv.a.lan"),               ""        },
		{B("\0\013\0\0\010tv.a.la\0"),                ""        },
		{B("\0\013\0\0\010tv.a/lan"),                 ""        },
		{B("\0\013\0\0\010tv.a_lan"),                 ""        },
		{B("\0\013\0\0\010.v.a.lan"),                 ""        },
		{B("\0\013\0\0\010tv.a.la."),                 ""        },
		{B("\0\x03\0\0\0"),                           ""        },
		{B("\0\x16\0\0\010tv.a.lan\0\0\010ab.a.lan"), ""        },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char name[TLS_HOST_MAX];
		tls_hello_sni(name, (const uint8_t *)cases[i].ext.p, cases[i].ext.n);
		if (strcmp(name, cases[i].name) != 0)
			fail_msg("case %zu: %s", i, name);
	}
}

static void protocol_lists_are_strict(void **state)
{
	(void)state;
	static const struct {
		struct bytes ext;
		size_t n;
	} cases[] = {
		{B("\0\x03\x02h2"),                     3},
		{B("\0\010\x02h2\x04\xc6\x96\xc9\xa5"), 8},
		{B("\0\x03\x03h2"),                     0},
		{B("\0\x04\x02h2"),                     0},
		{B("\0\x04\x02h2\0"),                   0},
		{B("\0\0"),			     0},
		{B("\0\x01\x01"),                       0},
		{B(""),				 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const uint8_t *list;
		const uint8_t *ext = (const uint8_t *)cases[i].ext.p;
		size_t n = tls_hello_alpn(&list, ext, cases[i].ext.n);
		if (n != cases[i].n || (n ? list != ext + 2 : list != NULL))
			fail_msg("case %zu: %zu", i, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pem_is_read_in_any_order),
		cmocka_unit_test(a_wildcard_covers_one_label),
		cmocka_unit_test(server_names_are_strict),
		cmocka_unit_test(protocol_lists_are_strict),
	};
	return cmocka_run_group_tests(tests, make_ids, free_ids);
}
