/* gate/certs_key: the request says what was ordered, and no chain passes that does not prove
 * exactly that for our key, now. */
#include "gate_tmp.h"

#include <errno.h>
#include <openssl/x509v3.h>

#include "gate/certs_key.h"
#include "gate_lab.h"

#define NOW INT64_C(1790000000)
#define LIFE (90 * 86400)

static const char names[2][254] = {"home.example.com", "*.home.example.com"};
static const struct certs_names want = {names, 2};

struct order {
	struct lab lab;
	struct buf key, csr;
};

static void order_init(struct order *o, const struct certs_names *n)
{
	lab_init(&o->lab, NOW);
	buf_init(&o->key, CERTS_KEY_MAX);
	buf_init(&o->csr, 16384);
	assert_int_equal(certs_key_new(&o->key, NULL), 0);
	assert_int_equal(certs_csr_new(&o->csr, &o->key, n, NULL), 0);
}

static void order_done(struct order *o)
{
	buf_done(&o->key);
	buf_done(&o->csr);
	lab_done(&o->lab);
}

static int judge(struct order *o, enum lab_fault fault, struct certs_facts *f, struct err *e)
{
	struct buf pem = BUF_INIT(CERTS_CHAIN_MAX), clean = BUF_INIT(CERTS_CHAIN_MAX);
	lab_sign(&o->lab, o->csr.data, o->csr.len, LIFE, fault, &pem);
	struct certs_judge j = {&o->key, &want, NOW, &clean};
	int rc = certs_chain_judge(&j, pem.data ? (void *)pem.data : "", pem.len, f, e);
	assert_true((rc == 0) == (clean.len > 0));
	buf_done(&pem);
	buf_done(&clean);
	return rc;
}

static void a_chain_passes_only_when_all_of_it_is_right(void **state)
{
	(void)state;
	static const struct {
		enum lab_fault fault;
		int rc;
		const char *says;
	} cases[] = {
		{LAB_GOOD,        0,       ""                 },
		{LAB_OTHER_KEY,   -EINVAL, "our key"          },
		{LAB_NAME_MORE,   -EINVAL, "exactly the names"},
		{LAB_NAME_LESS,   -EINVAL, "exactly the names"},
		{LAB_EXPIRED,     -ERANGE, "expired"          },
		{LAB_FUTURE,      -ERANGE, "a day ahead"      },
		{LAB_WRONG_ORDER, -EINVAL, "broken"           },
		{LAB_FORGED,      -EINVAL, "broken"           },
		{LAB_TOO_MANY,    -EINVAL, "one to six"       },
		{LAB_EMPTY,       -EINVAL, "one to six"       },
		{LAB_GARBAGE,     -EINVAL, "one to six"       },
		{LAB_CUT,         -EINVAL, "one to six"       },
	};
	struct order o;
	order_init(&o, &want);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct certs_facts f;
		struct err e = {0};
		int rc = judge(&o, cases[i].fault, &f, &e);
		if (rc != cases[i].rc || !strstr(e.text, cases[i].says))
			fail_msg("case %u: %d, %s", i, rc, e.text);
		if (rc == 0) {
			assert_int_equal(f.not_before, NOW - 3600);
			assert_int_equal(f.not_after, NOW - 3600 + LIFE);
			assert_int_equal(strlen(f.serial), 32);
		}
	}
	order_done(&o);
}

static void more_than_64_kib_are_refused(void **state)
{
	(void)state;
	struct order o;
	struct certs_facts f;
	order_init(&o, &want);
	struct buf pem = BUF_INIT(1 << 20);
	lab_sign(&o.lab, o.csr.data, o.csr.len, LIFE, LAB_GOOD, &pem);
	while (pem.len <= CERTS_CHAIN_MAX)
		buf_puts(&pem, "# padding\n");
	struct certs_judge j = {.key_pem = &o.key, .want = &want, .now = NOW};
	assert_int_equal(certs_chain_judge(&j, pem.data, pem.len, &f, NULL), -EINVAL);
	buf_done(&pem);
	order_done(&o);
}

static void a_private_key_in_the_chain_is_not_kept(void **state)
{
	(void)state;
	struct order o;
	struct certs_facts f;
	order_init(&o, &want);
	struct buf pem = BUF_INIT(1 << 20), foreign = BUF_INIT(CERTS_KEY_MAX),
		   clean = BUF_INIT(1 << 20);
	assert_int_equal(certs_key_new(&foreign, NULL), 0);
	buf_append(&pem, foreign.data, foreign.len);
	lab_sign(&o.lab, o.csr.data, o.csr.len, LIFE, LAB_GOOD, &pem);
	struct certs_judge j = {&o.key, &want, NOW, &clean};
	assert_int_equal(certs_chain_judge(&j, pem.data, pem.len, &f, NULL), 0);
	assert_null(strstr(buf_str(&clean), "PRIVATE"));
	buf_done(&pem);
	buf_done(&foreign);
	buf_done(&clean);
	order_done(&o);
}

static void only_short_names_become_a_cn(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int cn;
	} cases[] = {
		{"tv.home.example.com",					       1},
 /* 64 and 65 bytes */
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com",  1},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com", 0},
	};
	for (unsigned i = 0; i < 3; i++) {
		char one[1][254];
		struct order o;
		snprintf(one[0], sizeof(one[0]), "%s", cases[i].name);
		order_init(&o, &(struct certs_names){(const char(*)[254])one, 1});
		const uint8_t *p = o.csr.data;
		X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)o.csr.len);
		assert_int_equal(
			X509_NAME_entry_count(X509_REQ_get_subject_name(req)), cases[i].cn);
		X509_REQ_free(req);
		order_done(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_passes_only_when_all_of_it_is_right),
		cmocka_unit_test(more_than_64_kib_are_refused),
		cmocka_unit_test(a_private_key_in_the_chain_is_not_kept),
		cmocka_unit_test(only_short_names_become_a_cn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
