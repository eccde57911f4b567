/* See tls_lab.h. The client pumps between OpenSSL's memory BIOs and the socket by itself, so that
 * it may cut what it sends as it likes. */
#include "tls_lab.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
}

struct lab_id lab_make(const struct lab_want *want, const struct lab_id *issuer)
{
	static long serial = 0x1001;
	struct lab_id id = {EVP_EC_gen("P-256"), X509_new()};
	const struct lab_id *by = issuer ? issuer : &id;
	bool day = !want->from_s && !want->to_s;
	X509_set_version(id.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(id.cert), day ? -3600 : want->from_s);
	X509_gmtime_adj(X509_getm_notAfter(id.cert), day ? 86400 : want->to_s);
	X509_set_pubkey(id.cert, id.key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(id.cert), "CN", MBSTRING_UTF8,
		(const unsigned char *)want->cn, -1, -1, 0);
	X509_set_issuer_name(id.cert, X509_get_subject_name(by->cert));
	add_ext(id.cert, by->cert, NID_basic_constraints,
		want->ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (want->san)
		add_ext(id.cert, by->cert, NID_subject_alt_name, want->san);
	assert_true(X509_sign(id.cert, by->key, EVP_sha256()) > 0);
	return id;
}

void lab_free(struct lab_id *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
	*id = (struct lab_id){0};
}

char *lab_pem(const struct lab_id *id, bool with_key)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *p, *out;
	PEM_write_bio_X509(b, id->cert);
	if (with_key)
		PEM_write_bio_PrivateKey(b, id->key, NULL, NULL, 0, NULL, NULL);
	long n = BIO_get_mem_data(b, &p);
	out = strndup(p, (size_t)n);
	BIO_free(b);
	return out;
}

/* ---- the client ---- */

struct pump {
	SSL *ssl;
	BIO *in, *out;
	int fd;
	bool drip;
};

static void send_out(struct pump *p)
{
	char *bytes;
	long n = BIO_get_mem_data(p->out, &bytes);
	for (long at = 0; at < n;) {
		ssize_t rc = send(p->fd, bytes + at, p->drip ? 1 : (size_t)(n - at), MSG_NOSIGNAL);
		if (rc <= 0)
			break;
		at += rc;
		if (p->drip)
			usleep(50);
	}
	(void)BIO_reset(p->out);
}

/* False: the server has left. */
static bool take_in(struct pump *p)
{
	char bytes[4096];
	ssize_t n = recv(p->fd, bytes, sizeof(bytes), 0);
	if (n > 0)
		BIO_write(p->in, bytes, (int)n);
	return n > 0;
}

/* After a call that returned `rc`: is it worth to call again? */
static bool again(struct pump *p, int rc)
{
	int why = SSL_get_error(p->ssl, rc);
	send_out(p);
	return why == SSL_ERROR_WANT_READ && take_in(p);
}

static bool shake(struct pump *p)
{
	int rc;
	do {
		ERR_clear_error();
		rc = SSL_do_handshake(p->ssl);
	} while (rc != 1 && again(p, rc));
	send_out(p);
	return rc == 1;
}

static void rekey(struct pump *p, unsigned n)
{
	while (n--) {
		if (SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED) != 1 || !shake(p))
			return;
	}
}

static bool ping(struct pump *p)
{
	char back[8] = "";
	SSL_write(p->ssl, "ping", 4);
	send_out(p);
	int rc;
	do {
		ERR_clear_error();
		rc = SSL_read(p->ssl, back, sizeof(back));
	} while (rc <= 0 && again(p, rc));
	return rc == 4 && memcmp(back, "ping", 4) == 0;
}

static SSL_CTX *client_ctx(const struct lab_client *c)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int version = c->version ? c->version : TLS1_3_VERSION;
	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	if (c->no_ems)
		SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	if (c->id) {
		SSL_CTX_use_certificate(ctx, c->id->cert);
		SSL_CTX_use_PrivateKey(ctx, c->id->key);
	}
	return ctx;
}

static SSL *client_ssl(const struct lab_client *c, SSL_CTX *ctx)
{
	SSL *ssl = SSL_new(ctx);
	SSL_set_connect_state(ssl);
	if (c->sni)
		SSL_set_tlsext_host_name(ssl, c->sni);
	if (c->alpn) {
		unsigned char list[18];
		size_t n = strlen(c->alpn);
		list[0] = (unsigned char)n;
		memcpy(list + 1, c->alpn, n);
		SSL_set_alpn_protos(ssl, list, (unsigned)n + 1);
	}
	if (c->session)
		SSL_set_session(ssl, c->session);
	return ssl;
}

static void note(struct lab_client *c, SSL *ssl)
{
	const unsigned char *alpn;
	unsigned n;
	SSL_get0_alpn_selected(ssl, &alpn, &n);
	if (n && n < sizeof(c->answered_alpn))
		memcpy(c->answered_alpn, alpn, n);
	c->resumed = SSL_session_reused(ssl);
	SSL_export_keying_material(ssl, c->exported, 32, "EXPORTER-test", 13, NULL, 0, 0);
}

void lab_client_run(struct lab_client *c, int fd)
{
	SSL_CTX *ctx = client_ctx(c);
	struct pump p = {
		client_ssl(c, ctx), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()), fd, c->drip};
	SSL_set_bio(p.ssl, p.in, p.out);
	c->shaken = shake(&p);
	if (c->shaken)
		rekey(&p, c->rekeys);
	c->echoed = c->shaken && ping(&p);
	c->reason = ERR_GET_REASON(ERR_peek_error());
	ERR_clear_error();
	if (c->shaken)
		note(c, p.ssl);
	SSL_SESSION_free(c->session);
	c->session = c->echoed ? SSL_get1_session(p.ssl) : NULL;
	if (c->echoed && !c->rude) {
		SSL_shutdown(p.ssl);
		send_out(&p);
	}
	SSL_free(p.ssl);
	SSL_CTX_free(ctx);
	close(fd);
}
