/* See certs_key.h. */
#include "gate/certs_key.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/str.h"
#include "gate/ca_x509.h"

int certs_key_new(struct buf *pem, struct err *e)
{
	EVP_PKEY *key = ca_x509_key_new();
	int rc = key ? ca_x509_put_key(pem, key) : -EIO;
	EVP_PKEY_free(key);
	return rc < 0 ? ca_x509_err(e, rc, "cannot make a key") : 0;
}

static int add_san(X509_REQ *req, const struct certs_names *want)
{
	struct buf text = BUF_INIT(PROCMSG_NAMES_MAX * 260);
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	int ok = exts != NULL;
	for (unsigned i = 0; ok && i < want->n; i++)
		ok = buf_printf(&text, "%sDNS:%s", i ? "," : "", want->names[i]) == 0;
	const char *san = ok ? buf_str(&text) : NULL;
	X509_EXTENSION *x = san ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san) : NULL;
	ok = x && sk_X509_EXTENSION_push(exts, x) > 0;
	if (!ok)
		X509_EXTENSION_free(x);
	ok = ok && X509_REQ_add_extensions(req, exts);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	buf_done(&text);
	return ok ? 0 : -EINVAL;
}

int certs_csr_new(
	struct buf *der, const struct buf *key_pem, const struct certs_names *want, struct err *e)
{
	uint8_t *out = NULL;
	EVP_PKEY *key = ca_x509_get_key(key_pem->data, key_pem->len);
	X509_REQ *req = X509_REQ_new();
	int rc = -EINVAL;
	int ok = key && req && ca_x509_key_is_p256(key) && want->n &&
		 X509_REQ_set_version(req, 0) && X509_REQ_set_pubkey(req, key) &&
		 add_san(req, want) == 0;
	if (ok && strlen(want->names[0]) <= 64)
		ok = ca_x509_set_cn(X509_REQ_get_subject_name(req), want->names[0]) == 0;
	if (ok && X509_REQ_sign(req, key, EVP_sha256()) > 0) {
		int n = i2d_X509_REQ(req, &out);
		rc = n > 0 ? buf_append(der, out, (size_t)n) : -ENOMEM;
		OPENSSL_free(out);
	}
	X509_REQ_free(req);
	EVP_PKEY_free(key);
	return rc < 0 ? ca_x509_err(e, rc, "cannot make a signing request") : 0;
}

/* ---- the chain ---- */

static STACK_OF(X509) * read_chain(const void *pem, size_t n, struct err *e)
{
	BIO *bio = n <= CERTS_CHAIN_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *c = NULL;
	if (!bio || !chain)
		goto bad;
	while (sk_X509_num(chain) <= CERTS_CHAIN_CERTS_MAX &&
		(c = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (sk_X509_push(chain, c) <= 0) {
			X509_free(c);
			goto bad;
		}
	}
	if (sk_X509_num(chain) < 1 || sk_X509_num(chain) > CERTS_CHAIN_CERTS_MAX)
		goto bad;
	/* What ended the loop must be the end, not a block that could not be read. */
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		goto bad;
	ERR_clear_error();
	BIO_free(bio);
	return chain;
bad:
	BIO_free(bio);
	sk_X509_pop_free(chain, X509_free);
	ca_x509_err(e, -EINVAL, "this is not a chain of one to six certificates");
	return NULL;
}

static bool wants(const struct certs_names *want, const ASN1_STRING *s)
{
	size_t n = (size_t)ASN1_STRING_length(s);
	const uint8_t *p = ASN1_STRING_get0_data(s);
	for (unsigned i = 0; i < want->n; i++)
		if (strlen(want->names[i]) == n &&
			strncasecmp(want->names[i], (const char *)p, n) == 0)
			return true;
	return false;
}

/* Exactly the names ordered: as many as ordered, every one of them wanted, none twice. */
static bool names_match(X509 *leaf, const struct certs_names *want)
{
	GENERAL_NAMES *san = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	int n = san ? sk_GENERAL_NAME_num(san) : 0;
	bool ok = n == (int)want->n;
	for (int i = 0; ok && i < n; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);
		ok = g->type == GEN_DNS && wants(want, g->d.dNSName);
		for (int k = 0; ok && k < i; k++)
			ok = ASN1_STRING_cmp(
				     g->d.dNSName, sk_GENERAL_NAME_value(san, k)->d.dNSName) != 0;
	}
	GENERAL_NAMES_free(san);
	return ok;
}

static int judge_key(X509 *leaf, const struct buf *key_pem, struct err *e)
{
	EVP_PKEY *key = ca_x509_get_key(key_pem->data, key_pem->len);
	int ok = key && X509_check_private_key(leaf, key) == 1;
	EVP_PKEY_free(key);
	return ok ? 0 : ca_x509_err(e, -EINVAL, "the certificate is not for our key");
}

static int judge_dates(X509 *leaf, int64_t now, struct certs_facts *out, struct err *e)
{
	if (ca_x509_time(&out->not_before, X509_get0_notBefore(leaf)) < 0 ||
		ca_x509_time(&out->not_after, X509_get0_notAfter(leaf)) < 0 ||
		out->not_after <= out->not_before)
		return ca_x509_err(e, -EINVAL, "the certificate has no usable dates");
	if (!now)
		return 0;
	if (out->not_after <= now)
		return err_set(
			e, -ERANGE, "the certificate is expired already; is the clock right?");
	if (out->not_before > now + 86400)
		return err_set(e, -ERANGE,
			"the certificate begins more than a day ahead; is the clock right?");
	return 0;
}

static int judge_links(STACK_OF(X509) * chain, struct err *e)
{
	for (int i = 0; i + 1 < sk_X509_num(chain); i++) {
		X509 *c = sk_X509_value(chain, i), *issuer = sk_X509_value(chain, i + 1);
		EVP_PKEY *key = X509_get0_pubkey(issuer);
		if (X509_check_issued(issuer, c) != X509_V_OK || !key || X509_verify(c, key) != 1)
			return ca_x509_err(e, -EINVAL,
				"the chain is broken: a certificate is not signed by the next");
	}
	return 0;
}

static int serial_hex(X509 *leaf, char out[CERTS_SERIAL_MAX + 1])
{
	uint8_t raw[CERTS_SERIAL_MAX / 2];
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
	int n = bn ? BN_num_bytes(bn) : 0;
	bool ok =
		n > 0 && (size_t)n <= sizeof(raw) && !BN_is_negative(bn) && BN_bn2bin(bn, raw) == n;
	BN_free(bn);
	if (!ok)
		return -EINVAL;
	hex_encode(out, raw, (size_t)n);
	return 0;
}

static int put_chain(struct buf *out, STACK_OF(X509) * chain, struct err *e)
{
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (ca_x509_put_cert(out, sk_X509_value(chain, i)) < 0)
			return ca_x509_err(e, -ENOMEM, "cannot encode the chain");
	return 0;
}

int certs_chain_judge(const struct certs_judge *j, const void *pem, size_t n,
	struct certs_facts *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	STACK_OF(X509) *chain = read_chain(pem, n, e);
	if (!chain)
		return -EINVAL;
	X509 *leaf = sk_X509_value(chain, 0);
	int rc = judge_key(leaf, j->key_pem, e);
	if (rc == 0 && !names_match(leaf, j->want))
		rc = ca_x509_err(
			e, -EINVAL, "the certificate is not for exactly the names ordered");
	if (rc == 0)
		rc = judge_dates(leaf, j->now, out, e);
	if (rc == 0 && serial_hex(leaf, out->serial) < 0)
		rc = ca_x509_err(e, -EINVAL, "the certificate's serial number is not usable");
	if (rc == 0)
		rc = judge_links(chain, e);
	if (rc == 0 && j->clean)
		rc = put_chain(j->clean, chain, e);
	sk_X509_pop_free(chain, X509_free);
	return rc;
}
