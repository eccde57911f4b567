/* Certificates with their keys as shared, immutable objects. What is held is DER, packed into one
 * block: OpenSSL's objects take ten times as much and some 0.5 ms to make, so they are made when a
 * handshake first needs them, and forgotten again (tls_cache). */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "net/tls_int.h"

#define DER_MAX 65535u /* bytes of one certificate or key */

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

/* ---- the packed form ---- */

/* What a certificate is packed from. Nothing here is owned. */
struct parts {
	const uint8_t *key, *leaf;
	size_t key_len, leaf_len;
	const struct buf *chain, *names;
	unsigned n_names;
};

static struct tls_chain *chain_new(const struct buf *der)
{
	struct tls_chain *ch = xcalloc(1, sizeof(*ch) + der->len);
	atomic_init(&ch->refs, 1);
	pthread_mutex_init(&ch->lock, NULL);
	ch->len = der->len;
	if (der->len)
		memcpy(ch->der, der->data, der->len);
	return ch;
}

static void chain_unref(struct tls_chain *ch)
{
	if (!ch || atomic_fetch_sub_explicit(&ch->refs, 1, memory_order_acq_rel) != 1)
		return;
	sk_X509_pop_free(ch->certs, X509_free);
	pthread_mutex_destroy(&ch->lock);
	free(ch);
}

static struct tls_cert *pack(const struct parts *p)
{
	size_t names_len = p->names->len;
	struct tls_cert *c = xcalloc(1, sizeof(*c) + p->key_len + p->leaf_len + names_len);
	atomic_init(&c->refs, 1);
	c->key_len = (unsigned)p->key_len;
	c->leaf_len = (unsigned)p->leaf_len;
	c->n_names = p->n_names;
	memcpy(c->data, p->key, p->key_len);
	memcpy(c->data + p->key_len, p->leaf, p->leaf_len);
	if (names_len)
		memcpy(c->data + p->key_len + p->leaf_len, p->names->data, names_len);
	c->chain = chain_new(p->chain);
	return c;
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
	chain_unref(c->chain);
	wipe(c->data, c->key_len);
	free(c);
}

bool tls_cert_share_chain(struct tls_cert *c, const struct tls_cert *with)
{
	struct tls_chain *theirs = with->chain;
	if (theirs->len != c->chain->len || memcmp(theirs->der, c->chain->der, theirs->len) != 0)
		return false;
	atomic_fetch_add_explicit(&theirs->refs, 1, memory_order_relaxed);
	chain_unref(c->chain);
	c->chain = theirs;
	return true;
}

bool tls_cert_covers(const struct tls_cert *c, const char *host)
{
	const char *rest = strchr(host, '.');
	const char *name = (const char *)c->data + c->key_len + c->leaf_len;
	for (unsigned i = 0; i < c->n_names; i++, name += strlen(name) + 1) {
		if (strcmp(name, host) == 0)
			return true;
		/* RFC 6125 §6.4.3: the whole left-most label, and that one alone */
		if (name[0] == '*' && name[1] == '.' && rest && rest != host &&
			strcmp(name + 1, rest) == 0)
			return true;
	}
	return false;
}

/* ---- from objects ---- */

/* Append NUL-terminated, lower case. */
static unsigned put_name(struct buf *out, const char *p, size_t n)
{
	char name[254];
	if (n == 0 || n >= sizeof(name) || memchr(p, 0, n))
		return 0;
	memcpy(name, p, n);
	name[n] = 0;
	str_lower(name);
	return buf_append(out, name, n + 1) == 0;
}

static unsigned put_names(struct buf *out, X509 *leaf)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	unsigned n = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *gn = sk_GENERAL_NAME_value(all, i);
		if (gn->type == GEN_DNS)
			n += put_name(out, (const char *)ASN1_STRING_get0_data(gn->d.dNSName),
				(size_t)ASN1_STRING_length(gn->d.dNSName));
	}
	GENERAL_NAMES_free(all);
	ERR_clear_error();
	return n;
}

static int put_cert(struct buf *out, X509 *x)
{
	uint8_t *der = NULL;
	int n = i2d_X509(x, &der);
	int rc = n > 0 && (unsigned)n <= DER_MAX ? buf_append(out, der, (size_t)n) : -EBADMSG;
	OPENSSL_free(der);
	return rc;
}

/* As PKCS #8 (RFC 5958), whatever it came as. */
static int put_key(struct buf *out, const EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	uint8_t *der = NULL;
	int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
	int rc = n > 0 && (unsigned)n <= DER_MAX ? buf_append(out, der, (size_t)n) : -EBADMSG;
	if (n > 0)
		OPENSSL_clear_free(der, (size_t)n);
	PKCS8_PRIV_KEY_INFO_free(info);
	return rc;
}

static int pack_objects(
	struct tls_cert **out, STACK_OF(X509) * certs, const EVP_PKEY *key, struct err *e)
{
	struct buf key_der = BUF_INIT(DER_MAX), leaf = BUF_INIT(DER_MAX), names = BUF_INIT(DER_MAX);
	struct buf chain = BUF_INIT(DER_MAX * 4);
	unsigned n_names = put_names(&names, sk_X509_value(certs, 0));
	int rc = put_key(&key_der, key);
	if (rc == 0)
		rc = put_cert(&leaf, sk_X509_value(certs, 0));
	for (int i = 1; rc == 0 && i < sk_X509_num(certs); i++)
		rc = put_cert(&chain, sk_X509_value(certs, i));
	if (rc == 0)
		*out = pack(&(struct parts){.key = key_der.data,
			.key_len = key_der.len,
			.leaf = leaf.data,
			.leaf_len = leaf.len,
			.chain = &chain,
			.names = &names,
			.n_names = n_names});
	else
		err_set(e, rc, "the certificate or its key is too large");
	ERR_clear_error();
	buf_done_secret(&key_der);
	buf_done(&leaf);
	buf_done(&names);
	buf_done(&chain);
	return rc;
}

int tls_cert_new(struct tls_cert **out, const void *pem, size_t n, struct err *e)
{
	ERR_clear_error();
	STACK_OF(X509) *certs = read_certs(pem, n);
	EVP_PKEY *key = read_key(pem, n);
	int rc;
	if (!certs)
		rc = err_set(e, -EBADMSG, "a certificate in the PEM text is damaged");
	else if (!sk_X509_num(certs))
		rc = err_set(e, -EBADMSG, "there is no certificate in the PEM text");
	else if (!key)
		rc = err_set(e, -EBADMSG, "there is no readable private key in the PEM text");
	else if (X509_check_private_key(sk_X509_value(certs, 0), key) != 1)
		rc = err_set(e, -EBADMSG, "the private key is not that of the first certificate");
	else
		rc = pack_objects(out, certs, key, e);
	ERR_clear_error();
	sk_X509_pop_free(certs, X509_free);
	EVP_PKEY_free(key);
	return rc;
}

/* ---- from a text that was judged before ---- */

/* One block of the text after the other: the first certificate becomes the leaf, the others the
 * chain. -ENOENT after the last. */
static int take_block(BIO *in, struct buf *key, struct buf *leaf, struct buf *chain)
{
	char *name = NULL, *header = NULL;
	uint8_t *der = NULL;
	long n = 0;
	int rc = 0;
	if (PEM_read_bio(in, &name, &header, &der, &n) != 1)
		return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? -ENOENT
										    : -EBADMSG;
	if (strcmp(name, PEM_STRING_PKCS8INF) == 0)
		rc = key->len ? -EBADMSG : buf_append(key, der, (size_t)n);
	else if (strcmp(name, PEM_STRING_X509) == 0)
		rc = buf_append(leaf->len ? chain : leaf, der, (size_t)n);
	else
		rc = -EBADMSG;
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, (size_t)n);
	return rc;
}

int tls_cert_new_known(struct tls_cert **out, const struct tls_cert_text *t, struct err *e)
{
	struct buf key = BUF_INIT(DER_MAX), leaf = BUF_INIT(DER_MAX), names = BUF_INIT(DER_MAX);
	struct buf chain = BUF_INIT(DER_MAX * 4);
	unsigned n_names = 0;
	BIO *in = pem_bio(t->pem, t->len);
	int rc = in ? 0 : -ENOMEM;
	ERR_clear_error();
	for (unsigned i = 0; i < t->n_names; i++)
		n_names += put_name(&names, t->names[i], strlen(t->names[i]));
	while (rc == 0)
		rc = take_block(in, &key, &leaf, &chain);
	rc = rc == -ENOENT && key.len && leaf.len ? 0 : -EBADMSG;
	if (rc == 0)
		*out = pack(&(struct parts){.key = key.data,
			.key_len = key.len,
			.leaf = leaf.data,
			.leaf_len = leaf.len,
			.chain = &chain,
			.names = &names,
			.n_names = n_names});
	else
		err_set(e, rc, "the PEM text is not a key and its chain");
	ERR_clear_error();
	BIO_free(in);
	buf_done_secret(&key);
	buf_done(&leaf);
	buf_done(&names);
	buf_done(&chain);
	return rc;
}

/* ---- other uses of certificates ---- */

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
