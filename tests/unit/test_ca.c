/* gate/ca: the root is made once and kept, what it signs is what the links need, and requests that
 * prove nothing are refused. */
#include "gate_tmp.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/str.h"
#include "gate/ca.h"
#include "gate/ca_x509.h"
#include "gate_lab.h"
#include "net/crypto.h"
#include "net/tls.h"

#define NOW INT64_C(1790000000)

struct place {
	char dir[64], path[96];
	struct ca *ca;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct err e = {0};
	tmp_make(p->dir);
	snprintf(p->path, sizeof(p->path), "%s/device-ca.pem", p->dir);
	assert_int_equal(ca_open(&p->ca, p->path, NOW, &e), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	ca_free(p->ca);
	tmp_remove(p->dir);
	free(p);
	return 0;
}

static X509 *parse(const uint8_t *der, size_t n)
{
	X509 *c = d2i_X509(NULL, &der, (long)n);
	assert_non_null(c);
	return c;
}

static void the_root_is_made_once_and_kept(void **state)
{
	struct place *p = *state;
	struct ca *again;
	struct err e = {0};
	struct stat st;
	size_t a, b;
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(ca_open(&again, p->path, NOW + 86400, &e), 0);
	const uint8_t *one = ca_der(p->ca, &a), *two = ca_der(again, &b);
	assert_int_equal(a, b);
	assert_memory_equal(one, two, a);
	assert_memory_equal(ca_sha256(p->ca), ca_sha256(again), 32);
	assert_string_equal(ca_pem(p->ca), ca_pem(again));
	assert_null(strstr(ca_pem(p->ca), "PRIVATE"));
	ca_free(again);
}

static void the_root_is_limited(void **state)
{
	struct place *p = *state;
	size_t n;
	const uint8_t *der = ca_der(p->ca, &n);
	uint8_t sha[32];
	int64_t to;
	sha256(sha, der, n);
	assert_memory_equal(sha, ca_sha256(p->ca), 32);
	X509 *c = parse(der, n);
	assert_int_equal(X509_get_pathlen(c), 0);
	assert_true(X509_check_ca(c));
	assert_int_equal(X509_self_signed(c, 1), 1);
	assert_int_equal(ca_x509_time(&to, X509_get0_notAfter(c)), 0);
	assert_true(to - NOW > INT64_C(19) * 365 * 86400);
	assert_true(X509_get_ext_by_NID(c, NID_name_constraints, -1) >= 0);
	X509_free(c);
}

static void a_damaged_root_is_not_replaced(void **state)
{
	struct place *p = *state;
	struct ca *again = NULL;
	struct err e = {0};
	assert_int_equal(truncate(p->path, 100), 0);
	assert_int_equal(ca_open(&again, p->path, NOW, &e), -EINVAL);
	assert_non_null(strstr(e.text, "damaged"));
	struct stat st;
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_size, 100);
}

static void a_root_that_others_may_read_is_refused(void **state)
{
	struct place *p = *state;
	struct ca *again = NULL;
	struct err e = {0};
	assert_int_equal(chmod(p->path, 0644), 0);
	assert_int_equal(ca_open(&again, p->path, NOW, &e), -EPERM);
}

static void link_certificates_cover_every_device(void **state)
{
	struct place *p = *state;
	struct tls_cert *link, *enrol;
	struct err e = {0};
	assert_int_equal(ca_link_certs(p->ca, NOW, &link, &enrol, &e), 0);
	assert_true(tls_cert_covers(link, "tv.link.lanthorn.internal"));
	assert_true(tls_cert_covers(enrol, "enroll.link.lanthorn.internal"));
	assert_false(tls_cert_covers(link, "link.lanthorn.internal"));
	tls_cert_unref(link);
	tls_cert_unref(enrol);
}

/* As a TLS server would judge it, but for the dates: chain, purpose, name constraints. */
static int verify_as_client(struct place *p, X509 *leaf)
{
	size_t n;
	const uint8_t *der = ca_der(p->ca, &n);
	X509 *root = parse(der, n);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE_add_cert(store, root);
	X509_STORE_CTX_init(ctx, store, leaf, NULL);
	X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME);
	X509_verify_cert(ctx);
	int why = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(root);
	return why;
}

static void assert_dates(const X509 *c, int64_t not_before, int64_t not_after)
{
	int64_t at;
	assert_int_equal(ca_x509_time(&at, X509_get0_notBefore(c)), 0);
	assert_int_equal(at, not_before);
	assert_int_equal(ca_x509_time(&at, X509_get0_notAfter(c)), 0);
	assert_int_equal(at, not_after);
}

static void a_device_certificate_is_a_client_of_that_name(void **state)
{
	struct place *p = *state;
	struct buf csr = BUF_INIT(CA_CSR_MAX);
	struct ca_issued one, two;
	struct err e = {0};
	char cn[64], serial[41];
	EVP_PKEY *key = lab_key("P-256");
	lab_device_csr(&csr, key, "tv");
	assert_int_equal(ca_issue(p->ca, csr.data, csr.len, NOW, &one, &e), 0);
	assert_int_equal(ca_issue(p->ca, csr.data, csr.len, NOW, &two, &e), 0);
	assert_string_not_equal(one.serial, two.serial);
	assert_int_equal(strlen(one.serial), CA_SERIAL_LEN);
	assert_int_equal(one.not_after, NOW + CA_DEVICE_LIFE_S);
	X509 *c = parse(one.der.data, one.der.len);
	X509_NAME_get_text_by_NID(X509_get_subject_name(c), NID_commonName, cn, sizeof(cn));
	assert_string_equal(cn, "tv");
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(c), NULL);
	char *hex = BN_bn2hex(bn);
	snprintf(serial, sizeof(serial), "%s", hex);
	str_lower(serial);
	assert_string_equal(serial, one.serial);
	OPENSSL_free(hex);
	BN_free(bn);
	assert_int_equal(verify_as_client(p, c), X509_V_OK);
	assert_dates(c, NOW - 3600, NOW + CA_DEVICE_LIFE_S);
	assert_int_equal(X509_check_purpose(c, X509_PURPOSE_SSL_SERVER, 0), 0);
	X509_free(c);
	buf_done(&one.der);
	buf_done(&two.der);
	buf_done(&csr);
	EVP_PKEY_free(key);
}

/* 32 bits end in 2038, certificates change the form of their dates in 2050 (RFC 5280 4.1.2.5). */
static void dates_reach_beyond_2038_and_2050(void **state)
{
	struct place *p = *state;
	static const int64_t nows[] = {INT32_MAX - 60, INT64_C(4102444800)};
	struct buf csr = BUF_INIT(CA_CSR_MAX);
	struct err e = {0};
	EVP_PKEY *key = lab_key("P-256");
	lab_device_csr(&csr, key, "tv");
	for (size_t i = 0; i < sizeof(nows) / sizeof(*nows); i++) {
		struct ca_issued issued;
		assert_int_equal(ca_issue(p->ca, csr.data, csr.len, nows[i], &issued, &e), 0);
		X509 *c = parse(issued.der.data, issued.der.len);
		assert_dates(c, nows[i] - 3600, nows[i] + CA_DEVICE_LIFE_S);
		X509_free(c);
		buf_done(&issued.der);
	}
	buf_done(&csr);
	EVP_PKEY_free(key);
}

static void bad_requests_are_refused(void **state)
{
	struct place *p = *state;
	static const struct {
		const char *curve, *cn;
		int cut, flip; /* drop the last bytes; turn a bit in one of them */
		const char *says;
	} cases[] = {
		{"P-384", "tv",  0, 0, "P-256"            },
		{"P-256", "TV",  0, 0, "device name"      },
		{"P-256", "a.b", 0, 0, "device name"      },
		{"P-256", "-",   0, 0, "device name"      },
		{"P-256", "tv",  3, 0, "not a certificate"},
		{"P-256", "tv",  0, 4, "its own key"      },
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf csr = BUF_INIT(CA_CSR_MAX + 8);
		struct ca_issued out;
		struct ca_csr facts;
		struct err e = {0};
		EVP_PKEY *key = lab_key(cases[i].curve);
		lab_device_csr(&csr, key, cases[i].cn);
		csr.len -= (size_t)cases[i].cut;
		if (cases[i].flip)
			csr.data[csr.len - (size_t)cases[i].flip] ^= 1;
		assert_int_equal(ca_csr_read(&facts, csr.data, csr.len, &e), -EINVAL);
		if (!strstr(e.text, cases[i].says))
			fail_msg("case %u says: %s", i, e.text);
		assert_int_equal(ca_issue(p->ca, csr.data, csr.len, NOW, &out, &e), -EINVAL);
		buf_done(&csr);
		EVP_PKEY_free(key);
	}
}

static void bytes_after_a_request_are_refused(void **state)
{
	(void)state;
	struct buf csr = BUF_INIT(CA_CSR_MAX);
	struct ca_csr facts;
	EVP_PKEY *key = lab_key("P-256");
	lab_device_csr(&csr, key, "tv");
	assert_int_equal(ca_csr_read(&facts, csr.data, csr.len, NULL), 0);
	assert_string_equal(facts.device, "tv");
	buf_append(&csr, "", 1);
	assert_int_equal(ca_csr_read(&facts, csr.data, csr.len, NULL), -EINVAL);
	buf_done(&csr);
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_root_is_made_once_and_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(the_root_is_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_root_is_not_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_root_that_others_may_read_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			link_certificates_cover_every_device, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_device_certificate_is_a_client_of_that_name, setup, teardown),
		cmocka_unit_test_setup_teardown(dates_reach_beyond_2038_and_2050, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_requests_are_refused, setup, teardown),
		cmocka_unit_test(bytes_after_a_request_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
