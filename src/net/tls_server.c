/* The server's context: one for all certificates. The ClientHello decides, before anything is
 * computed, which certificate is shown, which role's ticket keys count and whether a client
 * certificate is demanded; all of it is set on the connection, none on the context. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "net/tls_hello.h"
#include "net/tls_int.h"

/* Mozilla's "intermediate": what every browser of the last years speaks, forward secrecy always. */
#define CIPHERS_TLS12                                                                              \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_TLS13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"
#define CACHED_CERTS 256 /* with OpenSSL's objects: some 15 KiB each */
#define SESSION_S (8 * 3600)

static bool is_offered(const struct tls_hello *h, const char *alpn)
{
	size_t len = strlen(alpn);
	for (size_t at = 0; at < h->alpn_len; at += 1 + (size_t)h->alpn[at]) {
		if (h->alpn[at] == len && memcmp(h->alpn + at + 1, alpn, len) == 0)
			return true;
	}
	return false;
}

static bool demand_client_cert(SSL *ssl, const struct tls_role *role, bool ignore_dates)
{
	if (!role->client_ca || SSL_set1_verify_cert_store(ssl, role->client_ca) != 1)
		return false;
	if (role->ignore_dates || ignore_dates)
		X509_VERIFY_PARAM_set_flags(SSL_get0_param(ssl), X509_V_FLAG_NO_CHECK_TIME);
	SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return true;
}

/* Not asked for by a session that is resumed. */
static int on_cert(SSL *ssl, void *unused)
{
	struct tls_stream *t = tls_bio_stream(ssl);
	(void)unused;
	if (!t->objects)
		t->objects = tls_cache_get(t->server->cache, t->info.cert);
	struct tls_objects *o = t->objects;
	return o && SSL_use_cert_and_key(ssl, o->leaf, o->key, o->chain, 1) == 1;
}

/* 0 or an alert. */
static int apply_choice(struct tls_stream *t, const struct tls_hello *h, const struct tls_choice *c)
{
	if (c->role >= TLS_ROLES_MAX || !c->cert)
		return ALERT_INTERNAL_ERROR;
	if (c->alpn && (!is_offered(h, c->alpn) || strlen(c->alpn) > TLS_ALPN_MAX))
		return ALERT_NO_APPLICATION_PROTOCOL;
	const uint8_t id[] = {'l', 't', (uint8_t)c->role, c->require_client_cert};
	if (SSL_set_session_id_context(t->ssl, id, sizeof(id)) != 1)
		return ALERT_INTERNAL_ERROR;
	if (c->require_client_cert &&
		!demand_client_cert(t->ssl, &t->server->roles[c->role], c->ignore_dates))
		return ALERT_INTERNAL_ERROR;
	if (c->alpn)
		memcpy(t->alpn, c->alpn, strlen(c->alpn) + 1);
	t->info.role = c->role;
	t->info.cert = tls_cert_ref(c->cert);
	t->require_client_cert = c->require_client_cert;
	t->sni = xstrdup(h->sni);
	t->chosen = true;
	return 0;
}

static int on_client_hello(SSL *ssl, int *alert, void *ctx)
{
	struct tls_server *server = ctx;
	struct tls_stream *t = tls_bio_stream(ssl);
	const unsigned char *ext;
	char sni[TLS_HOST_MAX] = "";
	size_t n;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &n) == 1)
		tls_hello_sni(sni, ext, n);
	struct tls_hello hello = {.sni = sni, .conn = t->s.ctx};
	if (SSL_client_hello_get0_ext(
		    ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext, &n) == 1)
		hello.alpn_len = tls_hello_alpn(&hello.alpn, ext, n);
	if (t->chosen) {
		/* the second hello after a HelloRetryRequest must ask for the same */
		*alert = strcmp(sni, t->sni) == 0 ? 0 : ALERT_ILLEGAL_PARAMETER;
	} else {
		struct tls_choice choice = {0};
		*alert = server->choose(server->choose_ctx, &hello, &choice);
		if (!*alert)
			*alert = apply_choice(t, &hello, &choice);
		tls_cert_unref(choice.cert);
	}
	return *alert ? SSL_CLIENT_HELLO_ERROR : SSL_CLIENT_HELLO_SUCCESS;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *offered, unsigned int n, void *ctx)
{
	struct tls_stream *t = tls_bio_stream(ssl);
	(void)offered, (void)n, (void)ctx;
	if (!t->alpn[0])
		return SSL_TLSEXT_ERR_NOACK;
	*out = (const unsigned char *)t->alpn;
	*out_len = (unsigned char)strlen(t->alpn);
	return SSL_TLSEXT_ERR_OK;
}

static bool set_up_ctx(SSL_CTX *ctx)
{
	tls_count_messages(ctx);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, SESSION_S);
	SSL_CTX_set_verify_depth(ctx, 4);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, CIPHERS_TLS12) == 1 &&
	       SSL_CTX_set_ciphersuites(ctx, CIPHERS_TLS13) == 1 &&
	       SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 && SSL_CTX_set_num_tickets(ctx, 1) == 1 &&
	       SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_on_ticket) == 1;
}

int tls_server_new(struct tls_server **out, tls_choose_fn choose, void *ctx, struct err *e)
{
	struct tls_server *s = xcalloc(1, sizeof(*s));
	atomic_init(&s->refs, 1);
	s->cache = tls_cache_new(CACHED_CERTS);
	s->choose = choose;
	s->choose_ctx = ctx;
	for (unsigned i = 0; i < TLS_ROLES_MAX; i++)
		tickets_init(&s->roles[i].tickets);
	s->ctx = SSL_CTX_new(TLS_server_method());
	s->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (!s->ctx || !s->ticket_cipher || !set_up_ctx(s->ctx)) {
		tls_server_unref(s);
		ERR_clear_error();
		return err_set(e, -EIO, "OpenSSL refuses the server's TLS settings");
	}
	SSL_CTX_set_client_hello_cb(s->ctx, on_client_hello, s);
	SSL_CTX_set_cert_cb(s->ctx, on_cert, NULL);
	SSL_CTX_set_alpn_select_cb(s->ctx, on_alpn, s);
	*out = s;
	return 0;
}

struct tls_server *tls_server_ref(struct tls_server *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void tls_server_unref(struct tls_server *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; i < TLS_ROLES_MAX; i++) {
		tickets_done(&s->roles[i].tickets);
		X509_STORE_free(s->roles[i].client_ca);
	}
	SSL_CTX_free(s->ctx);
	EVP_CIPHER_free(s->ticket_cipher);
	tls_cache_free(s->cache);
	free(s);
}

int tls_server_client_ca(struct tls_server *s, unsigned role, const void *ca_pem, size_t n,
	bool ignore_dates, struct err *e)
{
	if (role >= TLS_ROLES_MAX)
		return err_set(e, -EINVAL, "there is no TLS role %u", role);
	X509_STORE *store;
	int rc = tls_store_new(&store, ca_pem, n, e);
	if (rc < 0)
		return rc;
	X509_STORE_free(s->roles[role].client_ca);
	s->roles[role].client_ca = store;
	s->roles[role].ignore_dates = ignore_dates;
	return 0;
}

void tls_server_rotate_tickets(struct tls_server *s, unsigned role, bool drop_old)
{
	if (role < TLS_ROLES_MAX)
		tickets_rotate(&s->roles[role].tickets, drop_old);
}
