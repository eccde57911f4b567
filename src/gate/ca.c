/* See ca.h. One file holds key and certificate, so that a crash can never leave one without the
 * other. */
#include "gate/ca.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/ca_x509.h"
#include "net/crypto.h"
#include "net/tls.h"

#define FILE_MAX 16384u
#define ROOT_LIFE_S (INT64_C(20) * 365 * 86400)
#define LINK_LIFE_S (INT64_C(2) * 365 * 86400)
#define BACKDATE_S 3600

struct ca {
	EVP_PKEY *key;
	X509 *cert;
	struct buf pem, der;
	uint8_t sha[32];
};

void ca_free(struct ca *ca)
{
	if (!ca)
		return;
	EVP_PKEY_free(ca->key);
	X509_free(ca->cert);
	buf_done(&ca->pem);
	buf_done(&ca->der);
	free_secret(ca, sizeof(*ca));
}

const char *ca_pem(const struct ca *ca)
{
	return (const char *)ca->pem.data;
}

const uint8_t *ca_der(const struct ca *ca, size_t *n)
{
	*n = ca->der.len;
	return ca->der.data;
}

const uint8_t *ca_sha256(const struct ca *ca)
{
	return ca->sha;
}

/* 128 bits, of which the first two are fixed: always positive and always 32 digits long, however
 * a program prints it. */
static void fresh_serial(uint8_t out[16])
{
	random_bytes(out, 16);
	out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
}

static int put_der(struct buf *out, X509 *cert)
{
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);
	if (n <= 0)
		return -ENOMEM;
	int rc = buf_append(out, der, (size_t)n);
	OPENSSL_free(der);
	return rc;
}

/* The name constraint is not critical, against RFC 5280 §4.2.1.10: small TLS libraries in devices
 * refuse what they do not know there, and whoever knows it obeys it either way. */
static const struct {
	int nid;
	const char *value;
} root_exts[] = {
	{NID_basic_constraints,      "critical,CA:TRUE,pathlen:0"  },
	{NID_key_usage,              "critical,keyCertSign,cRLSign"},
	{NID_subject_key_identifier, "hash"                        },
	{NID_name_constraints,       "permitted;DNS:" CA_LINK_ZONE },
};

static X509 *make_root(EVP_PKEY *key, int64_t now)
{
	uint8_t serial[16];
	char hex[9], cn[48];
	fresh_serial(serial);
	hex_encode(hex, serial + 12, 4);
	snprintf(cn, sizeof(cn), "Lanthorn device CA %s", hex);
	X509 *c = ca_x509_new(
		&(struct ca_x509_shape){serial, now - BACKDATE_S, now + ROOT_LIFE_S, key});
	int ok = c && ca_x509_set_cn(X509_get_subject_name(c), cn) == 0 &&
		 X509_set_issuer_name(c, X509_get_subject_name(c));
	for (size_t i = 0; ok && i < sizeof(root_exts) / sizeof(root_exts[0]); i++)
		ok = ca_x509_ext(c, NULL, root_exts[i].nid, root_exts[i].value) == 0;
	if (ok && X509_sign(c, key, EVP_sha256()) > 0)
		return c;
	X509_free(c);
	return NULL;
}

static int make(struct ca *ca, const char *path, int64_t now, struct err *e)
{
	struct buf pem = BUF_INIT(FILE_MAX);
	int rc;
	ca->key = ca_x509_key_new();
	ca->cert = ca->key ? make_root(ca->key, now) : NULL;
	if (!ca->cert)
		return ca_x509_err(e, -EIO, "cannot make the device CA");
	rc = ca_x509_put_key(&pem, ca->key);
	if (rc == 0)
		rc = ca_x509_put_cert(&pem, ca->cert);
	if (rc == 0)
		rc = file_write_durable(path, pem.data, pem.len, 0600, e);
	else
		ca_x509_err(e, rc, "cannot write down the device CA");
	buf_done_secret(&pem);
	return rc;
}

static X509 *read_cert(const void *pem, size_t n)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)n);
	if (!bio)
		return NULL;
	X509 *c = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	return c;
}

static int load(struct ca *ca, const char *path, struct err *e)
{
	struct buf pem = BUF_INIT(FILE_MAX);
	int rc = file_read_secret(path, &pem, e);
	if (rc == 0) {
		ca->key = ca_x509_get_key(pem.data, pem.len);
		ca->cert = read_cert(pem.data, pem.len);
		if (!ca->key || !ca->cert || !ca_x509_key_is_p256(ca->key) ||
			X509_check_private_key(ca->cert, ca->key) != 1 ||
			X509_verify(ca->cert, ca->key) != 1) {
			ca_x509_err(NULL, -EINVAL, "");
			rc = err_set(e, -EINVAL,
				"%s is damaged: restore it from a backup; without it every device "
				"must be paired again",
				path);
		}
	}
	buf_done_secret(&pem);
	return rc;
}

static int fill_forms(struct ca *ca, struct err *e)
{
	int rc = ca_x509_put_cert(&ca->pem, ca->cert);
	if (rc == 0)
		rc = put_der(&ca->der, ca->cert);
	if (rc == 0 && !buf_str(&ca->pem))
		rc = -ENOMEM;
	if (rc < 0)
		return ca_x509_err(e, rc, "cannot encode the device CA");
	sha256(ca->sha, ca->der.data, ca->der.len);
	return 0;
}

int ca_open(struct ca **out, const char *path, int64_t now, struct err *e)
{
	struct ca *ca = xcalloc(1, sizeof(*ca));
	buf_init(&ca->pem, FILE_MAX);
	buf_init(&ca->der, FILE_MAX);
	struct err why = {0};
	int rc = load(ca, path, &why);
	if (rc == -ENOENT)
		rc = make(ca, path, now, &why);
	if (rc == 0)
		rc = fill_forms(ca, &why);
	if (rc == 0) {
		*out = ca;
		return 0;
	}
	ca_free(ca);
	return err_set(e, rc, "%s", why.text);
}

/* A leaf under the root. `exts`: nid, text pairs beyond the common ones. */
struct leaf {
	const char *cn, *san, *usage;
	EVP_PKEY *key;
	int64_t now, life_s;
};

static X509 *make_leaf(struct ca *ca, const struct leaf *l)
{
	uint8_t serial[16];
	fresh_serial(serial);
	X509 *c = ca_x509_new(
		&(struct ca_x509_shape){serial, l->now - BACKDATE_S, l->now + l->life_s, l->key});
	int ok = c && ca_x509_set_cn(X509_get_subject_name(c), l->cn) == 0 &&
		 X509_set_issuer_name(c, X509_get_subject_name(ca->cert)) &&
		 ca_x509_ext(c, NULL, NID_basic_constraints, "critical,CA:FALSE") == 0 &&
		 ca_x509_ext(c, NULL, NID_key_usage, "critical,digitalSignature") == 0 &&
		 ca_x509_ext(c, NULL, NID_ext_key_usage, l->usage) == 0 &&
		 ca_x509_ext(c, NULL, NID_subject_alt_name, l->san) == 0 &&
		 ca_x509_ext(c, ca->cert, NID_authority_key_identifier, "keyid:always") == 0;
	if (ok && X509_sign(c, ca->key, EVP_sha256()) > 0)
		return c;
	X509_free(c);
	return NULL;
}

int ca_link_certs(
	struct ca *ca, int64_t now, struct tls_cert **link, struct tls_cert **enrol, struct err *e)
{
	struct buf pem = BUF_INIT(FILE_MAX);
	EVP_PKEY *key = ca_x509_key_new();
	struct leaf l = {
		"*." CA_LINK_ZONE, "DNS:*." CA_LINK_ZONE, "serverAuth", key, now, LINK_LIFE_S};
	X509 *c = key ? make_leaf(ca, &l) : NULL;
	int rc = -EIO;
	*link = NULL;
	if (!c || ca_x509_put_key(&pem, key) < 0 || ca_x509_put_cert(&pem, c) < 0) {
		ca_x509_err(e, rc, "cannot make the link certificate");
		goto out;
	}
	rc = tls_cert_new(link, pem.data, pem.len, e);
	if (rc == 0)
		rc = buf_append(&pem, ca->pem.data, ca->pem.len);
	if (rc == 0)
		rc = tls_cert_new(enrol, pem.data, pem.len, e);
	if (rc < 0)
		tls_cert_unref(*link);
out:
	X509_free(c);
	EVP_PKEY_free(key);
	buf_done_secret(&pem);
	return rc;
}

/* Exactly one CN, a label, and nothing else in the subject. */
static int csr_name(char out[64], const X509_NAME *name)
{
	if (X509_NAME_entry_count(name) != 1)
		return -EINVAL;
	const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, 0);
	if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName)
		return -EINVAL;
	const ASN1_STRING *s = X509_NAME_ENTRY_get_data(entry);
	int n = ASN1_STRING_length(s);
	if (n < 1 || n > 63)
		return -EINVAL;
	memcpy(out, ASN1_STRING_get0_data(s), (size_t)n);
	out[n] = 0;
	return strlen(out) == (size_t)n && name_is_label(out) ? 0 : -EINVAL;
}

static X509_REQ *csr_parse(const uint8_t *der, size_t n, struct ca_csr *out, struct err *e)
{
	const uint8_t *p = der;
	X509_REQ *req = n <= CA_CSR_MAX ? d2i_X509_REQ(NULL, &p, (long)n) : NULL;
	EVP_PKEY *key = req ? X509_REQ_get0_pubkey(req) : NULL;
	if (!req || p != der + n || !key)
		ca_x509_err(e, -EINVAL, "not a certificate signing request");
	else if (!ca_x509_key_is_p256(key))
		err_set(e, -EINVAL, "the key of the signing request is not P-256");
	else if (X509_REQ_verify(req, key) != 1)
		ca_x509_err(e, -EINVAL, "the signing request is not signed by its own key");
	else if (csr_name(out->device, X509_REQ_get_subject_name(req)) < 0)
		err_set(e, -EINVAL, "the subject of the signing request is not one device name");
	else if (ca_x509_spki_sha256(out->spki_sha256, key) < 0)
		ca_x509_err(e, -EINVAL, "cannot read the key of the signing request");
	else
		return req;
	X509_REQ_free(req);
	return NULL;
}

int ca_csr_read(struct ca_csr *out, const uint8_t *der, size_t n, struct err *e)
{
	X509_REQ *req = csr_parse(der, n, out, e);
	if (!req)
		return -EINVAL;
	X509_REQ_free(req);
	return 0;
}

static int issued_facts(struct ca_issued *out, X509 *c)
{
	uint8_t raw[16];
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(c), NULL);
	int ok = bn && BN_bn2binpad(bn, raw, sizeof(raw)) == sizeof(raw);
	BN_free(bn);
	if (!ok || ca_x509_time(&out->not_after, X509_get0_notAfter(c)) < 0)
		return -EIO;
	hex_encode(out->serial, raw, sizeof(raw));
	return put_der(&out->der, c);
}

int ca_issue(struct ca *ca, const uint8_t *csr_der, size_t n, int64_t now, struct ca_issued *out,
	struct err *e)
{
	struct ca_csr facts;
	char san[128];
	memset(out, 0, sizeof(*out));
	buf_init(&out->der, FILE_MAX);
	X509_REQ *req = csr_parse(csr_der, n, &facts, e);
	if (!req)
		return -EINVAL;
	snprintf(san, sizeof(san), "DNS:%s." CA_LINK_ZONE, facts.device);
	struct leaf l = {
		facts.device, san, "clientAuth", X509_REQ_get0_pubkey(req), now, CA_DEVICE_LIFE_S};
	X509 *c = make_leaf(ca, &l);
	int rc = c ? issued_facts(out, c) : -EIO;
	memcpy(out->spki_sha256, facts.spki_sha256, sizeof(out->spki_sha256));
	if (rc < 0) {
		ca_x509_err(e, rc, "cannot issue a device certificate");
		buf_done(&out->der);
	}
	X509_free(c);
	X509_REQ_free(req);
	return rc;
}
