/* The client's contexts: trust exactly some CAs, or exactly one key. There is no third kind. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "net/crypto.h"
#include "net/tls_int.h"

static int new_client(struct tls_client **out, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(ctx);
		ERR_clear_error();
		return err_set(e, -EIO, "OpenSSL refuses the client's TLS settings");
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	tls_count_messages(ctx);
	struct tls_client *c = xcalloc(1, sizeof(*c));
	atomic_init(&c->refs, 1);
	c->ctx = ctx;
	*out = c;
	return 0;
}

int tls_client_new_ca(struct tls_client **out, const void *ca_pem, size_t n, struct err *e)
{
	X509_STORE *store;
	struct tls_client *c;
	int rc = tls_store_new(&store, ca_pem, n, e);
	if (rc < 0)
		return rc;
	rc = new_client(&c, e);
	if (rc < 0) {
		X509_STORE_free(store);
		return rc;
	}
	/* "exactly these": each is an anchor, whether it signed itself or not */
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	SSL_CTX_set_cert_store(c->ctx, store);
	sha256(c->pin, ca_pem, n);
	*out = c;
	return 0;
}

/* Stands in for the whole verification of a chain. */
static int on_verify_pin(X509_STORE_CTX *sc, void *ctx)
{
	struct tls_client *c = ctx;
	SSL *ssl = X509_STORE_CTX_get_ex_data(sc, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_stream *t = tls_bio_stream(ssl);
	X509 *x = X509_STORE_CTX_get0_cert(sc);
	if (x) {
		struct tls_peer *peer = tls_stream_peer(t);
		tls_spki_sha256(x, peer->spki_sha256);
		if (CRYPTO_memcmp(peer->spki_sha256, c->pin, sizeof(c->pin)) == 0) {
			X509_STORE_CTX_set_error(sc, X509_V_OK);
			return 1;
		}
	}
	X509_STORE_CTX_set_error(sc, X509_V_ERR_CERT_UNTRUSTED);
	return 0;
}

int tls_client_new_pin(struct tls_client **out, const uint8_t spki_sha256[32], struct err *e)
{
	struct tls_client *c;
	int rc = new_client(&c, e);
	if (rc < 0)
		return rc;
	c->pinned = true;
	memcpy(c->pin, spki_sha256, sizeof(c->pin));
	SSL_CTX_set_cert_verify_callback(c->ctx, on_verify_pin, c);
	*out = c;
	return 0;
}

bool tls_client_is_same(const struct tls_client *a, const struct tls_client *b)
{
	return a == b || (a && b && a->pinned == b->pinned &&
				 memcmp(a->pin, b->pin, sizeof(a->pin)) == 0);
}

struct tls_client *tls_client_ref(struct tls_client *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void tls_client_unref(struct tls_client *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(c->ctx);
	free(c);
}
