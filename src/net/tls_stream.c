/* TLS as a transport of a stream, both ends: handshake and the checks behind it, records, the two
 * kinds of end, and words for what went wrong. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "net/crypto.h"
#include "net/dial.h"
#include "net/tls_connect.h"
#include "net/tls_int.h"

static struct tls_stream *tls_of(const struct stream *s)
{
	return container_of((struct stream *)s, struct tls_stream, s);
}

/* ---- what went wrong ---- */

static int why_unverified(struct tls_stream *t, struct err *e)
{
	if (t->client && t->client->pinned) {
		char hex[65];
		hex_encode(hex, t->peer ? t->peer->spki_sha256 : (const uint8_t[32]){0}, 32);
		return err_set(e, -EKEYREJECTED,
			"the peer's key is not the pinned one, its SPKI SHA-256 is %s", hex);
	}
	long code = SSL_get_verify_result(t->ssl);
	return err_set(e, -EKEYREJECTED, "the peer's certificate is not accepted: %s",
		X509_verify_cert_error_string(code));
}

static int why_protocol(struct tls_stream *t, unsigned long code, struct err *e)
{
	int reason = ERR_GET_REASON(code);
	bool of_ssl = ERR_GET_LIB(code) == ERR_LIB_SSL;
	if (of_ssl && reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return err_set(e, -ECONNRESET, "the peer cut the connection%s",
			SSL_is_init_finished(t->ssl) ? " without close_notify"
						     : " during the TLS handshake");
	if (of_ssl && reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return why_unverified(t, e);
	if (of_ssl && reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return err_set(e, -EKEYREJECTED, "the peer showed no certificate");
	if (of_ssl && reason == SSL_R_CALLBACK_FAILED && t->server && !t->chosen)
		return err_set(e, -EPROTO, "nothing is served under the name asked for");
	const char *text = crypto_why(code);
	if (text)
		return err_set(e, -EPROTO, "TLS failed: %s", text);
	return err_set(e, -EPROTO, "TLS failed: OpenSSL's error %08lX", code);
}

int tls_why(struct tls_stream *t, int rc, struct err *e)
{
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_SSL:
		rc = why_protocol(t, ERR_peek_error(), e);
		ERR_clear_error();
		return rc;
	default:
		/* the BIO has told the stream more exactly */
		return err_set(e, -ECONNRESET, "the connection broke");
	}
}

/* ---- handshake ---- */

struct tls_peer *tls_stream_peer(struct tls_stream *t)
{
	if (!t->peer)
		t->peer = xcalloc(1, sizeof(*t->peer));
	return t->peer;
}

static void read_peer(struct tls_peer *peer, X509 *x)
{
	tls_spki_sha256(x, peer->spki_sha256);
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	int n = ASN1_STRING_length(serial);
	if (n > 0 && n <= 20)
		hex_encode(peer->serial, ASN1_STRING_get0_data(serial), (size_t)n);
	/* a longer one is no name of ours, and half a name could be somebody else's */
	X509_NAME *subject = X509_get_subject_name(x);
	if (X509_NAME_get_text_by_NID(subject, NID_commonName, NULL, 0) <
		(int)sizeof(peer->cn))
		X509_NAME_get_text_by_NID(subject, NID_commonName, peer->cn, sizeof(peer->cn));
	struct tm tm;
	if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1)
		peer->not_after = timegm(&tm);
}

static void fill_info(struct tls_stream *t, X509 *peer)
{
	struct tls_info *info = &t->info;
	info->resumed = SSL_session_reused(t->ssl);
	info->sni = t->sni ? t->sni : "";
	const unsigned char *alpn;
	unsigned n;
	SSL_get0_alpn_selected(t->ssl, &alpn, &n);
	if (n && n <= TLS_ALPN_MAX) {
		memcpy(t->alpn, alpn, n);
		t->alpn[n] = 0;
	} else {
		t->alpn[0] = 0;
	}
	info->alpn = t->alpn;
	if (peer)
		read_peer(tls_stream_peer(t), peer);
	info->peer = t->peer;
	t->s.tls = info;
}

/* Resumed sessions bring the certificate of the full handshake with them, or none: so look, always.
 */
static int check_peer(struct tls_stream *t)
{
	X509 *peer = SSL_get1_peer_certificate(t->ssl);
	bool demanded = t->client || t->require_client_cert;
	int rc = 1;
	if (demanded && !peer) {
		stream_fail(&t->s, -EKEYREJECTED, "the peer showed no certificate");
		rc = -EKEYREJECTED;
	} else if (demanded && SSL_get_verify_result(t->ssl) != X509_V_OK) {
		struct err e;
		rc = why_unverified(t, &e);
		stream_fail(&t->s, rc, "%s", e.text);
	} else {
		fill_info(t, peer);
	}
	X509_free(peer);
	return rc;
}

/* What only a handshake needs of our own certificate: there is no second one on a connection. */
static void forget_own_cert(struct tls_stream *t)
{
	if (!t->server)
		return;
	SSL_certs_clear(t->ssl);
	tls_objects_unref(t->objects);
	t->objects = NULL;
}

static int tls_open(struct stream *s)
{
	struct tls_stream *t = tls_of(s);
	struct err e;
	ERR_clear_error();
	tls_bio_turn(t);
	int rc = SSL_do_handshake(t->ssl);
	if (rc == 1) {
		forget_own_cert(t);
		rc = check_peer(t);
	} else {
		rc = tls_why(t, rc, &e);
		if (rc == -EAGAIN)
			rc = 0;
		else if (rc == 0)
			rc = err_set(&e, -ECONNRESET, "the peer ended the TLS handshake");
	}
	if (rc < 0 && s->state != STREAM_CLOSED) {
		wire_flush(s); /* an alert may say why */
		stream_fail(s, rc, "%s", e.text);
	}
	if (rc == 0)
		wire_flush(s); /* the peer waits for it */
	return rc;
}

/* ---- records ---- */

static void on_info(const SSL *ssl, int where, int ret)
{
	struct tls_stream *t = tls_bio_stream(ssl);
	(void)ret;
	if (t->s.tls && where & (SSL_CB_LOOP | SSL_CB_ALERT))
		t->untimely++;
}

void tls_count_messages(SSL_CTX *ctx)
{
	SSL_CTX_set_info_callback(ctx, on_info);
}

static ssize_t tell_end(struct tls_stream *t)
{
	int code = t->ended->code;
	if (!code)
		return 0;
	wire_flush(&t->s); /* an alert may say why */
	stream_fail(&t->s, code, "%s", t->ended->text);
	return code;
}

/* The queue of errors has to be empty before a call whose outcome SSL_get_error() judges. It nearly
 * always is, and looking is cheaper than clearing. */
static void forget_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

/* The wire was read until it had no more, and all of it is decoded: asking again would only cost. */
static bool is_dry(const struct tls_stream *t)
{
	const struct stream_shared *sh = t->s.sh;
	bool raw = t->raw.len || (sh->raw_owner == &t->s && sh->raw_off < sh->raw_len);
	return t->drained && !raw && !SSL_has_pending(t->ssl);
}

/* Decode until `n` bytes are there or the wire has no more, so that one on_data serves all. */
static ssize_t tls_read(struct stream *s, uint8_t *p, size_t n)
{
	struct tls_stream *t = tls_of(s);
	size_t got = 0;
	struct err e = {0};
	int rc = 0;
	while (got < n && !t->ended) {
		size_t part;
		forget_errors();
		tls_bio_turn(t);
		int ok = SSL_read_ex(t->ssl, p + got, n - got, &part);
		if (ok == 1) {
			got += part;
			if (is_dry(t))
				break;
			continue;
		}
		rc = tls_why(t, ok, &e);
		if (rc == -EAGAIN)
			break;
		t->ended = xcalloc(1, sizeof(*t->ended));
		t->ended->code = rc;
		memcpy(t->ended->text, e.text, sizeof(e.text));
	}
	if (t->untimely > TLS_UNTIMELY_MAX) {
		stream_fail(s, -EPROTO, "the peer sends TLS messages without end");
		return -EPROTO;
	}
	if (got)
		return (ssize_t)got;
	return t->ended ? tell_end(t) : -EAGAIN;
}

static bool tls_pending(const struct stream *s)
{
	const struct tls_stream *t = tls_of(s);
	const struct stream_shared *sh = s->sh;
	return t->raw.len || t->ended || (sh->raw_owner == s && sh->raw_off < sh->raw_len) ||
	       SSL_pending(t->ssl) > 0;
}

static void tls_park(struct stream *s)
{
	struct tls_stream *t = tls_of(s);
	struct stream_shared *sh = s->sh;
	t->drained = false;
	if (sh->raw_owner != s)
		return;
	sh->raw_owner = NULL;
	if (s->state != STREAM_CLOSED && sh->raw_off < sh->raw_len &&
		buf_append(&t->raw, sh->raw + sh->raw_off, sh->raw_len - sh->raw_off) < 0)
		stream_fail(s, -ENOMEM, "no memory for input");
}

static void encrypt(struct tls_stream *t, const uint8_t *p, size_t n)
{
	size_t done;
	struct err e;
	forget_errors();
	tls_bio_turn(t);
	int ok = SSL_write_ex(t->ssl, p, n, &done);
	if (ok == 1)
		return;
	int rc = tls_why(t, ok, &e);
	if (rc == 0 || rc == -EAGAIN)
		rc = err_set(&e, -EPROTO, "TLS takes no more output");
	stream_fail(&t->s, rc, "%s", e.text);
}

static void tls_flush(struct stream *s)
{
	struct stream_shared *sh = s->sh;
	struct stream_held *held = s->held;
	if (sh->rec_owner == s) {
		sh->rec_owner = NULL;
		encrypt(tls_of(s), sh->rec, sh->rec_len);
	} else if (held) {
		s->held = NULL;
		encrypt(tls_of(s), held->data, held->len);
		free(held);
	}
}

/* Whoever has the record leaves it; little is kept for its next write. */
static void make_way(struct stream_shared *sh)
{
	struct stream *s = sh->rec_owner;
	if (!s)
		return;
	if (sh->rec_len > STREAM_HELD) {
		tls_flush(s);
		return;
	}
	sh->rec_owner = NULL;
	s->held = xrealloc(NULL, 1, sizeof(*s->held) + sh->rec_len);
	s->held->len = sh->rec_len;
	memcpy(s->held->data, sh->rec, sh->rec_len);
}

static void take_record(struct stream *s)
{
	struct stream_shared *sh = s->sh;
	make_way(sh);
	sh->rec_owner = s;
	sh->rec_len = 0;
	if (!s->held)
		return;
	sh->rec_len = s->held->len;
	memcpy(sh->rec, s->held->data, sh->rec_len);
	free(s->held);
	s->held = NULL;
}

/* What fills a record by itself needs no place to be gathered in. Returns what is left. */
static size_t encrypt_whole(struct tls_stream *t, const uint8_t *p, size_t n)
{
	for (; n >= STREAM_RECORD && t->s.state != STREAM_CLOSED; n -= STREAM_RECORD) {
		encrypt(t, p, STREAM_RECORD);
		p += STREAM_RECORD;
	}
	return n;
}

/* Corked output fills whole records. */
static void gather(struct stream *s, const uint8_t *p, size_t n)
{
	struct stream_shared *sh = s->sh;
	if (sh->rec_owner != s && !s->held) {
		size_t left = encrypt_whole(tls_of(s), p, n);
		p += n - left;
		n = left;
	}
	while (n && s->state != STREAM_CLOSED) {
		if (sh->rec_owner != s)
			take_record(s);
		size_t part = STREAM_RECORD - sh->rec_len;
		if (part > n)
			part = n;
		memcpy(sh->rec + sh->rec_len, p, part);
		sh->rec_len += part;
		p += part;
		n -= part;
		if (sh->rec_len == STREAM_RECORD)
			tls_flush(s);
	}
}

static void tls_write(struct stream *s, const uint8_t *p, size_t n)
{
	if (s->corked)
		gather(s, p, n);
	else
		encrypt(tls_of(s), p, n);
}

static void tls_end(struct stream *s)
{
	ERR_clear_error();
	tls_bio_turn(tls_of(s));
	SSL_shutdown(tls_of(s)->ssl);
	ERR_clear_error();
}

static void tls_done(struct stream *s)
{
	struct tls_stream *t = tls_of(s);
	SSL_free(t->ssl);
	tls_objects_unref(t->objects);
	tls_cert_unref(t->info.cert);
	tls_server_unref(t->server);
	tls_client_unref(t->client);
	buf_done(&t->raw);
	free(t->ended);
	free(t->peer);
	free(t->sni);
}

static const struct stream_ops tls_ops = {
	.open = tls_open,
	.read = tls_read,
	.pending = tls_pending,
	.park = tls_park,
	.write = tls_write,
	.flush = tls_flush,
	.end = tls_end,
	.done = tls_done,
};

/* ---- making one ---- */

_Static_assert(offsetof(struct tls_stream, s) == 0, "a stream is freed by its own address");

static struct tls_stream *new_stream(
	struct loop *loop, SSL_CTX *ctx, const struct stream_cb *cb, void *cb_ctx)
{
	struct tls_stream *t = xcalloc(1, sizeof(*t));
	stream_init(&t->s, loop, &tls_ops, cb, cb_ctx);
	buf_init(&t->raw, STREAM_CHUNK);
	t->ssl = SSL_new(ctx);
	if (!t->ssl || !tls_bio_set(t)) {
		ERR_clear_error();
		stream_fail(&t->s, -ENOMEM, "no memory for a TLS connection");
	}
	return t;
}

struct stream *tls_accept(struct loop *loop, int fd, struct tls_server *server,
	uint64_t deadline_ms, const struct stream_cb *cb, void *ctx)
{
	struct tls_stream *t = new_stream(loop, server->ctx, cb, ctx);
	t->server = tls_server_ref(server);
	if (t->ssl)
		SSL_set_accept_state(t->ssl);
	stream_deadline(&t->s, deadline_ms);
	stream_attach(&t->s, fd);
	return &t->s;
}

static bool is_ip(const char *name)
{
	uint8_t addr[16];
	return inet_pton(AF_INET, name, addr) == 1 || inet_pton(AF_INET6, name, addr) == 1;
}

static bool expect_name(SSL *ssl, const char *name)
{
	if (is_ip(name))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

struct stream *tls_connect_new(struct loop *loop, struct tls_client *client, const char *name,
	const struct stream_cb *cb, void *ctx)
{
	struct tls_stream *t = new_stream(loop, client->ctx, cb, ctx);
	t->client = tls_client_ref(client);
	t->sni = xstrdup(is_ip(name) ? "" : name);
	if (!t->ssl)
		return &t->s;
	SSL_set_connect_state(t->ssl);
	if (!expect_name(t->ssl, name)) {
		ERR_clear_error();
		stream_fail(&t->s, -EINVAL, "\"%s\" is no name to verify a peer by", name);
	}
	return &t->s;
}

int tls_exporter(const struct stream *s, const char *label, uint8_t *out, size_t n, struct err *e)
{
	if (s->ops != &tls_ops || !s->tls)
		return err_set(e, -EPROTO, "there is no open TLS connection");
	SSL *ssl = tls_of(s)->ssl;
	if (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1)
		return err_set(e, -EPROTO, "the peer's TLS binds no keys to the handshake");
	ERR_clear_error();
	if (SSL_export_keying_material(ssl, out, n, label, strlen(label), NULL, 0, 0) != 1) {
		ERR_clear_error();
		return err_set(e, -EPROTO, "TLS gives no keying material");
	}
	return 0;
}
