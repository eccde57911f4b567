/* Certificates with their keys as shared, immutable objects; reading PEM; names and digests. */
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "net/tls_int.h"

/* A key under a password is refused; nobody is there to be asked. */
static int no_password(char *out, int size, int writing, void *ctx)
{
	(void)out, (void)size, (void)writing, (void)ctx;
	return -1;
}

static BIO *pem_bio(const void *pem, size_t n)
{
	return n <= INT32_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
}

/* All certificates in their order. NULL when one is damaged or memory is short. */
static STACK_OF(X509) * read_certs(const void *pem, size_t n)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	BIO *b = pem_bio(pem, n);
	if (!all || !b)
		goto fail;
	for (;;) {
		X509 *x = PEM_read_bio_X509(b, NULL, no_password, NULL);
		if (!x)
			break;
		if (!sk_X509_push(all, x)) {
			X509_free(x);
			goto fail;
		}
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		goto fail;
	ERR_clear_error();
	BIO_free(b);
	return all;
fail:
	ERR_clear_error();
	BIO_free(b);
	sk_X509_pop_free(all, X509_free);
	return NULL;
}

static EVP_PKEY *read_key(const void *pem, size_t n)
{
	BIO *b = pem_bio(pem, n);
	EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;
	BIO_free(b);
	ERR_clear_error();
	return key;
}

static void add_name(struct tls_cert *c, const GENERAL_NAME *gn)
{
	if (gn->type != GEN_DNS)
		return;
	const char *p = (const char *)ASN1_STRING_get0_data(gn->d.dNSName);
	int n = ASN1_STRING_length(gn->d.dNSName);
	if (n <= 0 || n > 253 || memchr(p, 0, (size_t)n))
		return;
	c->names = xrealloc(c->names, c->n_names + 1, sizeof(*c->names));
	char *name = xstrndup(p, (size_t)n);
	str_lower(name);
	c->names[c->n_names++] = name;
}

static void read_names(struct tls_cert *c)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++)
		add_name(c, sk_GENERAL_NAME_value(all, i));
	GENERAL_NAMES_free(all);
	ERR_clear_error();
}

int tls_cert_new(struct tls_cert **out, const void *pem, size_t n, struct err *e)
{
	struct tls_cert *c = xcalloc(1, sizeof(*c));
	int rc = 0;
	atomic_init(&c->refs, 1);
	ERR_clear_error();
	c->chain = read_certs(pem, n);
	c->key = read_key(pem, n);
	if (!c->chain) {
		rc = err_set(e, -EBADMSG, "a certificate in the PEM text is damaged");
		goto out;
	}
	c->leaf = sk_X509_shift(c->chain);
	if (!c->leaf)
		rc = err_set(e, -EBADMSG, "there is no certificate in the PEM text");
	else if (!c->key)
		rc = err_set(e, -EBADMSG, "there is no readable private key in the PEM text");
	else if (X509_check_private_key(c->leaf, c->key) != 1)
		rc = err_set(e, -EBADMSG, "the private key is not that of the first certificate");
	ERR_clear_error();
	if (rc < 0)
		goto out;
	/* OpenSSL caches what extensions say at first use: do it before threads share it. */
	X509_check_purpose(c->leaf, -1, 0);
	for (int i = 0; i < sk_X509_num(c->chain); i++)
		X509_check_purpose(sk_X509_value(c->chain, i), -1, 0);
	read_names(c);
	*out = c;
	c = NULL;
out:
	tls_cert_unref(c);
	return rc;
}

struct tls_cert *tls_cert_ref(struct tls_cert *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void tls_cert_unref(struct tls_cert *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < c->n_names; i++)
		free(c->names[i]);
	free(c->names);
	X509_free(c->leaf);
	EVP_PKEY_free(c->key);
	sk_X509_pop_free(c->chain, X509_free);
	free(c);
}

bool tls_cert_covers(const struct tls_cert *c, const char *host)
{
	const char *rest = strchr(host, '.');
	for (size_t i = 0; i < c->n_names; i++) {
		const char *name = c->names[i];
		if (strcmp(name, host) == 0)
			return true;
		/* RFC 6125 §6.4.3: the whole left-most label, and that one alone */
		if (name[0] == '*' && name[1] == '.' && rest && rest != host &&
			strcmp(name + 1, rest) == 0)
			return true;
	}
	return false;
}

void tls_spki_sha256(X509 *x, uint8_t out[32])
{
	uint8_t *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	memset(out, 0, 32);
	if (n > 0)
		EVP_Digest(der, (size_t)n, out, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
}

int tls_store_new(X509_STORE **out, const void *pem, size_t n, struct err *e)
{
	ERR_clear_error();
	STACK_OF(X509) *certs = read_certs(pem, n);
	X509_STORE *store = X509_STORE_new();
	int rc = 0;
	if (!certs || !store)
		rc = err_set(e, -EBADMSG, "a CA certificate in the PEM text is damaged");
	else if (!sk_X509_num(certs))
		rc = err_set(e, -EBADMSG, "there is no CA certificate in the PEM text");
	for (int i = 0; rc == 0 && i < sk_X509_num(certs); i++) {
		if (X509_STORE_add_cert(store, sk_X509_value(certs, i)) != 1)
			rc = err_set(e, -ENOMEM, "cannot keep a CA certificate");
	}
	ERR_clear_error();
	sk_X509_pop_free(certs, X509_free);
	if (rc == 0)
		*out = store;
	else
		X509_STORE_free(store);
	return rc;
}
