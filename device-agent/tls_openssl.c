/* The OpenSSL back end of tls.h, TLS 1.2 and 1.3. Verification replaces the library's own
 * choice of anchors: the one CA that the token or the identity names, whatever the peer sends. */
#include "device-agent/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "base/xalloc.h"

#define EXPORTER_LABEL "EXPORTER-lanthorn-enrol-1"
#define PROOF_LABEL "lanthorn-enrol-1"

struct tls_ctx {
	SSL_CTX *ssl;
	SSL_SESSION *session; /* the newest ticket */
	X509 *ca;             /* NULL: known by hash */
	uint8_t ca_sha256[32];
	char *name, *alpn[TLS_ALPN_MOST];
	unsigned refs;
};

struct tls {
	SSL *ssl;
	struct tls_ctx *ctx;
	const char *protocol; /* one of the context's */
};

/* The words of the newest error in the library's queue, or those of errno. */
static int fail(struct err *e, int code, const char *what)
{
	unsigned long top = ERR_peek_last_error();
	const char *why = top ? ERR_reason_error_string(top) : NULL;
	ERR_clear_error();
	return err_set(e, code, "%s: %s", what, why ? why : "connection lost");
}

static X509 *read_cert(const struct buf *der)
{
	const unsigned char *p = der->data;
	X509 *x = d2i_X509(NULL, &p, (long)der->len);
	if (x && p != der->data + der->len) {
		X509_free(x);
		return NULL;
	}
	return x;
}

static EVP_PKEY *read_key(const struct buf *pem)
{
	BIO *b = BIO_new_mem_buf(pem->data, (int)pem->len);
	EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
	BIO_free(b);
	return k;
}

/* The CA among what the peer sent, known by its hash. Borrowed. */
static X509 *find_anchor(const struct tls_ctx *ctx, STACK_OF(X509) * sent)
{
	for (int i = 0; i < sk_X509_num(sent); i++) {
		uint8_t hash[32];
		X509 *x = sk_X509_value(sent, i);
		if (X509_digest(x, EVP_sha256(), hash, NULL) &&
			bytes_equal_ct(hash, ctx->ca_sha256, sizeof(hash)))
			return x;
	}
	return NULL;
}

/* A device's certificate comes from the same CA: it must not pass for a gateway's. */
static bool is_for_servers(X509 *leaf)
{
	uint32_t flags = X509_get_extension_flags(leaf);
	return (flags & EXFLAG_XKUSAGE) && (X509_get_extended_key_usage(leaf) & XKU_SSL_SERVER);
}

static int on_verify(X509_STORE_CTX *store, void *arg)
{
	struct tls_ctx *ctx = arg;
	X509 *anchor = ctx->ca ? ctx->ca : find_anchor(ctx, X509_STORE_CTX_get0_untrusted(store));
	STACK_OF(X509) *trusted = anchor ? sk_X509_new_null() : NULL;
	if (!trusted || !sk_X509_push(trusted, anchor)) {
		sk_X509_free(trusted);
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
		return 0;
	}
	X509_STORE_CTX_set0_trusted_stack(store, trusted);
	int ok = X509_verify_cert(store);
	if (ok == 1 && !is_for_servers(X509_STORE_CTX_get0_cert(store))) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE);
		ok = 0;
	}
	X509_STORE_CTX_set0_trusted_stack(store, NULL);
	sk_X509_free(trusted);
	return ok == 1;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	SSL_SESSION_free(ctx->session);
	ctx->session = session;
	return 1;
}

static int check_own_cert(const struct tls_ctx *ctx, X509 *cert, EVP_PKEY *key, struct err *e)
{
	if (X509_check_private_key(cert, key) != 1)
		return fail(e, -EINVAL, "the device's certificate is not of its key");
	if (ctx->ca && X509_verify(cert, X509_get0_pubkey(ctx->ca)) != 1)
		return fail(e, -EINVAL, "the device's certificate is not from its gateway's CA");
	if (SSL_CTX_use_certificate(ctx->ssl, cert) != 1 ||
		SSL_CTX_use_PrivateKey(ctx->ssl, key) != 1)
		return fail(e, -EINVAL, "the device's certificate cannot be used");
	return 0;
}

static int load_own_cert(struct tls_ctx *ctx, const struct tls_settings *s, struct err *e)
{
	X509 *cert = read_cert(s->cert);
	EVP_PKEY *key = read_key(s->key);
	int rc;
	if (!cert)
		rc = fail(e, -EINVAL, "the device's certificate is damaged");
	else if (!key)
		rc = fail(e, -EINVAL, "the device's key is damaged");
	else
		rc = check_own_cert(ctx, cert, key, e);
	X509_free(cert);
	EVP_PKEY_free(key);
	return rc;
}

static int load_trust(struct tls_ctx *ctx, const struct tls_settings *s, struct err *e)
{
	if (s->ca_sha256) {
		memcpy(ctx->ca_sha256, s->ca_sha256, sizeof(ctx->ca_sha256));
		return 0;
	}
	ctx->ca = read_cert(s->ca);
	return ctx->ca ? 0 : fail(e, -EINVAL, "the gateway's CA certificate is damaged");
}

static void set_options(struct tls_ctx *ctx)
{
	SSL_CTX *c = ctx->ssl;
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(c, on_verify, ctx);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c), X509_V_FLAG_NO_CHECK_TIME);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(c, on_session);
	SSL_CTX_set_app_data(c, ctx);
}

static void ctx_unref(struct tls_ctx *ctx)
{
	if (!ctx || --ctx->refs)
		return;
	SSL_SESSION_free(ctx->session);
	SSL_CTX_free(ctx->ssl);
	X509_free(ctx->ca);
	free(ctx->name);
	for (unsigned i = 0; i < TLS_ALPN_MOST; i++)
		free(ctx->alpn[i]);
	free(ctx);
}

struct tls_ctx *tls_ctx_new(const struct tls_settings *s, struct err *e)
{
	struct tls_ctx *ctx = xcalloc(1, sizeof(*ctx));
	ctx->refs = 1;
	ctx->name = xstrdup(s->name);
	for (unsigned i = 0; i < TLS_ALPN_MOST && s->alpn[i]; i++)
		ctx->alpn[i] = xstrdup(s->alpn[i]);
	ctx->ssl = SSL_CTX_new(TLS_client_method());
	int rc = ctx->ssl ? load_trust(ctx, s, e) : fail(e, -ENOMEM, "cannot start TLS");
	if (rc == 0)
		set_options(ctx);
	if (rc == 0 && s->cert)
		rc = load_own_cert(ctx, s, e);
	if (rc == 0)
		return ctx;
	ctx_unref(ctx);
	return NULL;
}

void tls_ctx_free(struct tls_ctx *ctx)
{
	ctx_unref(ctx);
}

/* RFC 7301 §3.1: each name behind its length. */
static bool ask_for_protocols(SSL *ssl, const struct tls_ctx *ctx)
{
	unsigned char list[64];
	unsigned at = 0;
	for (unsigned i = 0; i < TLS_ALPN_MOST && ctx->alpn[i]; i++) {
		size_t n = strlen(ctx->alpn[i]);
		if (n == 0 || n >= sizeof(list) - at)
			return false;
		list[at++] = (unsigned char)n;
		memcpy(list + at, ctx->alpn[i], n);
		at += (unsigned)n;
	}
	return SSL_set_alpn_protos(ssl, list, at) == 0;
}

static bool set_up(SSL *ssl, const struct tls_ctx *ctx, int fd)
{
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_fd(ssl, fd) == 1 && SSL_set_tlsext_host_name(ssl, ctx->name) == 1 &&
	       SSL_set1_host(ssl, ctx->name) == 1 && ask_for_protocols(ssl, ctx) &&
	       (!ctx->session || SSL_set_session(ssl, ctx->session) == 1);
}

struct tls *tls_open(struct tls_ctx *ctx, int fd, struct err *e)
{
	SSL *ssl = SSL_new(ctx->ssl);
	if (!ssl || !set_up(ssl, ctx, fd)) {
		SSL_free(ssl);
		fail(e, -ENOMEM, "cannot start TLS");
		return NULL;
	}
	SSL_set_connect_state(ssl);
	struct tls *t = xcalloc(1, sizeof(*t));
	t->ssl = ssl;
	t->ctx = ctx;
	ctx->refs++;
	return t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	ctx_unref(t->ctx);
	free(t);
}

/* Translate the library's verdict on a call that returned `rc`; 0 is the peer's orderly end. */
static int verdict(struct tls *t, int rc, const char *what, struct err *e)
{
	int saved = errno;
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		if (saved)
			return err_sys(e, -saved, "%s", what);
		break;
	}
	return fail(e, -EPROTO, what);
}

static int check_agreed(struct tls *t, struct err *e)
{
	const unsigned char *alpn;
	unsigned n;
	SSL_get0_alpn_selected(t->ssl, &alpn, &n);
	for (unsigned i = 0; i < TLS_ALPN_MOST && t->ctx->alpn[i]; i++) {
		if (n == strlen(t->ctx->alpn[i]) && memcmp(alpn, t->ctx->alpn[i], n) == 0)
			t->protocol = t->ctx->alpn[i];
	}
	if (!t->protocol)
		return err_set(e, -EPROTO, "the gateway does not speak this protocol here");
	if (SSL_version(t->ssl) < TLS1_3_VERSION && SSL_get_extms_support(t->ssl) != 1)
		return err_set(
			e, -EPROTO, "the gateway's TLS 1.2 lacks the extended master secret");
	return 0;
}

int tls_handshake(struct tls *t, struct err *e)
{
	ERR_clear_error();
	errno = 0;
	int rc = SSL_do_handshake(t->ssl);
	if (rc == 1)
		return check_agreed(t, e);
	long verify = SSL_get_verify_result(t->ssl);
	if (verify != X509_V_OK) {
		ERR_clear_error();
		return err_set(e, TLS_STRANGER, "not the gateway of this device: %s",
			X509_verify_cert_error_string(verify));
	}
	rc = verdict(t, rc, "TLS handshake failed", e);
	return rc ? rc : err_set(e, -ECONNRESET, "the peer closed during the TLS handshake");
}

const char *tls_protocol(const struct tls *t)
{
	return t->protocol;
}

long tls_read(struct tls *t, void *p, size_t n, struct err *e)
{
	size_t got;
	ERR_clear_error();
	errno = 0;
	int rc = SSL_read_ex(t->ssl, p, n, &got);
	return rc == 1 ? (long)got : verdict(t, rc, "reading from the gateway failed", e);
}

void tls_read_ahead(struct tls *t, size_t n)
{
	SSL_set_default_read_buffer_len(t->ssl, n);
	SSL_set_read_ahead(t->ssl, 1);
}

bool tls_pending(const struct tls *t)
{
	return SSL_has_pending(t->ssl);
}

long tls_write(struct tls *t, const void *p, size_t n, struct err *e)
{
	size_t put;
	ERR_clear_error();
	errno = 0;
	int rc = SSL_write_ex(t->ssl, p, n, &put);
	if (rc == 1)
		return (long)put;
	rc = verdict(t, rc, "writing to the gateway failed", e);
	return rc ? rc : err_set(e, -EPIPE, "the gateway closed the connection");
}

int tls_close(struct tls *t)
{
	ERR_clear_error();
	int rc = SSL_shutdown(t->ssl);
	if (rc >= 0)
		return 0;
	return SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_WRITE ? TLS_WANT_WRITE : -EPIPE;
}

int tls_key_new(struct buf *pem, struct err *e)
{
	EVP_PKEY *k = EVP_EC_gen("P-256");
	BIO *b = BIO_new(BIO_s_secmem());
	int rc = -EIO;
	if (k && b && PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL, NULL) == 1) {
		char *p;
		long n = BIO_get_mem_data(b, &p);
		rc = buf_append(pem, p, (size_t)n);
	}
	EVP_PKEY_free(k);
	BIO_free(b);
	return rc < 0 ? fail(e, rc, "cannot make a key") : 0;
}

static int sign_csr(X509_REQ *r, EVP_PKEY *k, const char *cn)
{
	X509_NAME *name = X509_REQ_get_subject_name(r);
	return X509_REQ_set_version(r, 0) && X509_REQ_set_pubkey(r, k) &&
	       X509_NAME_add_entry_by_txt(
		       name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) &&
	       X509_REQ_sign(r, k, EVP_sha256()) > 0;
}

int tls_csr_new(const struct buf *pem, const char *cn, struct buf *der, struct err *e)
{
	EVP_PKEY *k = read_key(pem);
	X509_REQ *r = X509_REQ_new();
	unsigned char *p = NULL;
	int rc = -EINVAL;
	if (k && r && sign_csr(r, k, cn)) {
		int n = i2d_X509_REQ(r, &p);
		rc = n > 0 ? buf_append(der, p, (size_t)n) : -EINVAL;
	}
	OPENSSL_free(p);
	X509_REQ_free(r);
	EVP_PKEY_free(k);
	return rc < 0 ? fail(e, rc, "cannot make the certificate request") : 0;
}

int tls_proof(struct tls *t, const uint8_t secret[16], const struct buf *csr, uint8_t out[32])
{
	uint8_t msg[sizeof(PROOF_LABEL) - 1 + 64], *p = msg + sizeof(PROOF_LABEL) - 1;
	unsigned n = 32;
	memcpy(msg, PROOF_LABEL, sizeof(PROOF_LABEL) - 1);
	if (SSL_export_keying_material(
		    t->ssl, p, 32, EXPORTER_LABEL, sizeof(EXPORTER_LABEL) - 1, NULL, 0, 0) != 1 ||
		EVP_Digest(csr->data, csr->len, p + 32, &n, EVP_sha256(), NULL) != 1 ||
		!HMAC(EVP_sha256(), secret, 16, msg, sizeof(msg), out, &n))
		return -EIO;
	wipe(msg, sizeof(msg));
	return 0;
}

static int64_t unix_time(const ASN1_TIME *at)
{
	struct tm tm;
	return ASN1_TIME_to_tm(at, &tm) == 1 ? timegm(&tm) : 0;
}

int tls_cert_read(const struct buf *der, struct tls_cert *out, struct err *e)
{
	X509 *x = read_cert(der);
	if (!x)
		return fail(e, -EINVAL, "a certificate is damaged");
	out->not_before = unix_time(X509_get0_notBefore(x));
	out->not_after = unix_time(X509_get0_notAfter(x));
	int ok = X509_digest(x, EVP_sha256(), out->sha256, NULL);
	X509_free(x);
	return ok ? 0 : fail(e, -EIO, "cannot hash a certificate");
}
