/* See gate_lab.h. */
#include "gate_lab.h"

#include <assert.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "gate/ca_x509.h"
#include "net/crypto.h"

static X509 *sign_new(const struct ca_x509_shape *shape, const char *cn, X509 *issuer, EVP_PKEY *by,
	const char *basic)
{
	X509 *c = ca_x509_new(shape);
	assert(c);
	assert(ca_x509_set_cn(X509_get_subject_name(c), cn) == 0);
	X509_set_issuer_name(c, X509_get_subject_name(issuer ? issuer : c));
	assert(ca_x509_ext(c, NULL, NID_basic_constraints, basic) == 0);
	assert(X509_sign(c, by, EVP_sha256()) > 0);
	return c;
}

static struct ca_x509_shape shape(
	uint8_t serial[16], int64_t not_before, int64_t not_after, EVP_PKEY *key)
{
	random_bytes(serial, 16);
	serial[0] = 0x41;
	return (struct ca_x509_shape){serial, not_before, not_after, key};
}

EVP_PKEY *lab_key(const char *curve)
{
	EVP_PKEY *key = EVP_EC_gen(curve);
	assert(key);
	return key;
}

void lab_init(struct lab *l, int64_t now)
{
	uint8_t serial[16];
	l->now = now;
	l->root_key = lab_key("P-256");
	l->mid_key = lab_key("P-256");
	struct ca_x509_shape s = shape(serial, now - 86400, now + 86400 * 3650, l->root_key);
	l->root = sign_new(&s, "Lab Root", NULL, l->root_key, "critical,CA:TRUE");
	s = shape(serial, now - 86400, now + 86400 * 3650, l->mid_key);
	l->mid = sign_new(
		&s, "Lab Intermediate", l->root, l->root_key, "critical,CA:TRUE,pathlen:0");
}

void lab_done(struct lab *l)
{
	X509_free(l->root);
	X509_free(l->mid);
	EVP_PKEY_free(l->root_key);
	EVP_PKEY_free(l->mid_key);
}

/* The SAN extension of the request, or of `text` instead. */
static void copy_san(X509 *leaf, X509_REQ *req, enum lab_fault fault)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	GENERAL_NAMES *san = X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);
	char text[2048] = "";
	assert(san);
	int n = sk_GENERAL_NAME_num(san);
	for (int i = 0; i < n - (fault == LAB_NAME_LESS); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%sDNS:%s", i ? "," : "",
			(const char *)ASN1_STRING_get0_data(
				sk_GENERAL_NAME_value(san, i)->d.dNSName));
	if (fault == LAB_NAME_MORE)
		strcat(text, ",DNS:www.bank.example");
	if (fault == LAB_NAME_LESS && n == 1)
		strcpy(text, "DNS:other.example");
	assert(ca_x509_ext(leaf, NULL, NID_subject_alt_name, text) == 0);
	GENERAL_NAMES_free(san);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

static X509 *make_leaf(struct lab *l, X509_REQ *req, int64_t life_s, enum lab_fault fault)
{
	uint8_t serial[16];
	int64_t from = l->now - 3600, to = from + life_s;
	EVP_PKEY *other = lab_key("P-256");
	if (fault == LAB_EXPIRED)
		to = l->now - 60;
	if (fault == LAB_FUTURE)
		from = l->now + 2 * 86400, to = from + life_s;
	struct ca_x509_shape s =
		shape(serial, from, to, fault == LAB_OTHER_KEY ? other : X509_REQ_get0_pubkey(req));
	X509 *c = ca_x509_new(&s);
	assert(c);
	X509_set_issuer_name(c, X509_get_subject_name(l->mid));
	copy_san(c, req, fault);
	assert(X509_sign(c, fault == LAB_FORGED ? other : l->mid_key, EVP_sha256()) > 0);
	EVP_PKEY_free(other);
	return c;
}

void lab_sign(struct lab *l, const uint8_t *csr, size_t n, int64_t life_s, enum lab_fault fault,
	struct buf *out)
{
	X509_REQ *req = d2i_X509_REQ(NULL, &csr, (long)n);
	assert(req && X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1);
	X509 *leaf = make_leaf(l, req, life_s, fault);
	X509_REQ_free(req);
	if (fault == LAB_GARBAGE) {
		buf_puts(out, "-----BEGIN CERTIFICATE-----\nno base64 at all!\n");
	} else if (fault != LAB_EMPTY) {
		ca_x509_put_cert(out, leaf);
		if (fault == LAB_WRONG_ORDER)
			ca_x509_put_cert(out, l->root);
		ca_x509_put_cert(out, l->mid);
		for (int i = 0; fault == LAB_TOO_MANY && i < 5; i++)
			ca_x509_put_cert(out, l->root);
		if (fault == LAB_CUT)
			out->len -= 60;
	}
	X509_free(leaf);
}

void lab_device_csr(struct buf *der, EVP_PKEY *key, const char *cn)
{
	uint8_t *p = NULL;
	X509_REQ *req = X509_REQ_new();
	X509_REQ_set_pubkey(req, key);
	assert(ca_x509_set_cn(X509_REQ_get_subject_name(req), cn) == 0);
	assert(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	int n = i2d_X509_REQ(req, &p);
	assert(n > 0 && buf_append(der, p, (size_t)n) == 0);
	OPENSSL_free(p);
	X509_REQ_free(req);
}
