/* See ca_x509.h. */
#include "gate/ca_x509.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

#include "net/crypto.h"

int ca_x509_err(struct err *e, int code, const char *what)
{
	unsigned long n = ERR_peek_last_error();
	const char *why = n ? crypto_why(n) : NULL;
	err_set(e, code, "%s%s%s%s", what, why ? " (" : "", why ? why : "", why ? ")" : "");
	ERR_clear_error();
	return code;
}

EVP_PKEY *ca_x509_key_new(void)
{
	return EVP_EC_gen("P-256");
}

bool ca_x509_key_is_p256(EVP_PKEY *key)
{
	char group[32];
	size_t n = 0;
	return EVP_PKEY_is_a(key, "EC") &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 &&
	       strcmp(group, SN_X9_62_prime256v1) == 0;
}

int ca_x509_spki_sha256(uint8_t out[32], EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	if (n <= 0)
		return -EINVAL;
	sha256(out, der, (size_t)n);
	OPENSSL_free(der);
	return 0;
}

static int take_bio(struct buf *out, BIO *bio, int ok)
{
	char *p;
	long n = ok ? BIO_get_mem_data(bio, &p) : 0;
	int rc = n > 0 ? buf_append(out, p, (size_t)n) : -ENOMEM;
	BIO_free(bio);
	return rc;
}

int ca_x509_put_key(struct buf *out, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	if (!bio)
		return -ENOMEM;
	int ok = PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	return take_bio(out, bio, ok);
}

int ca_x509_put_cert(struct buf *out, X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	if (!bio)
		return -ENOMEM;
	return take_bio(out, bio, PEM_write_bio_X509(bio, cert));
}

/* Without a callback libcrypto would ask a terminal for the passphrase of an encrypted key. */
static int no_passphrase(char *to, int size, int rw, void *ctx)
{
	(void)to, (void)size, (void)rw, (void)ctx;
	return -1;
}

EVP_PKEY *ca_x509_get_key(const void *pem, size_t n)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)n);
	if (!bio)
		return NULL;
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	return key;
}

static int set_time(X509 *cert, int64_t at, int (*set)(X509 *, const ASN1_TIME *))
{
	char text[32];
	struct tm tm;
	time_t unix_time = (time_t)at;
	ASN1_TIME *t = ASN1_TIME_new();
	int ok = t && gmtime_r(&unix_time, &tm) &&
		 strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm) &&
		 ASN1_TIME_set_string_X509(t, text) && set(cert, t);
	ASN1_TIME_free(t);
	return ok;
}

X509 *ca_x509_new(const struct ca_x509_shape *shape)
{
	X509 *c = X509_new();
	BIGNUM *bn = BN_bin2bn(shape->serial, 16, NULL);
	int ok = c && bn && X509_set_version(c, 2) &&
		 BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(c)) &&
		 set_time(c, shape->not_before, X509_set1_notBefore) &&
		 set_time(c, shape->not_after, X509_set1_notAfter) &&
		 X509_set_pubkey(c, shape->key);
	BN_free(bn);
	if (ok)
		return c;
	X509_free(c);
	return NULL;
}

int ca_x509_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer ? issuer : cert, cert, NULL, NULL, 0);
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	int ok = x && X509_add_ext(cert, x, -1);
	X509_EXTENSION_free(x);
	return ok ? 0 : -EINVAL;
}

int ca_x509_set_cn(X509_NAME *name, const char *cn)
{
	return X509_NAME_add_entry_by_txt(
		       name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0)
		       ? 0
		       : -EINVAL;
}

int ca_x509_time(int64_t *out, const ASN1_TIME *t)
{
	struct tm tm;
	if (!t || !ASN1_TIME_to_tm(t, &tm))
		return -EINVAL;
	*out = (int64_t)timegm(&tm);
	return 0;
}
