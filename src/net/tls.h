/* TLS by OpenSSL: server contexts that decide by the ClientHello, client contexts that pin or verify,
 * certificates as shared immutable objects. No OpenSSL type leaves net/.
 *
 * A server has several *roles* (browser, link, enrol). A role has ticket keys, a session-id context
 * and a client-CA policy of its own, so that nothing a client earned under one role is worth
 * anything under another (decision 4). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct stream;
struct tls_cert;
struct tls_server;
struct tls_client;

#define TLS_ROLES_MAX 4
#define TLS_ALPN_MAX 16

/* ALPN of draft-thomson-ptth-potato-02, kept here alone. */
#define TLS_ALPN_RHTTP1 "\xc6\x96\xc9\xa5"
#define TLS_ALPN_RHTTP2 "\xd5\x87\xc9\xa5"

/* ---- certificates with their key: immutable, reference-counted, any thread ---- */

/* From PEM: a private key and a chain, leaf first, in any order of key and certificates. Checks that
 * the key belongs to the leaf. */
int tls_cert_new(struct tls_cert **out, const void *pem, size_t n, struct err *e);
/* A text that tls_cert_new() has accepted before, byte for byte, with the names of its leaf. */
struct tls_cert_text {
	const void *pem; /* a PKCS #8 key and a chain, nothing else */
	size_t len;
	const char (*names)[254];
	unsigned n_names;
};
/* The same without parsing what is in it: hundreds of times faster. -EBADMSG for another kind of
 * text. All lent. */
int tls_cert_new_known(struct tls_cert **out, const struct tls_cert_text *t, struct err *e);
/* Let `c` have the same memory for its chain as `with`. False when the chains differ. Before other
 * threads see `c`. */
bool tls_cert_share_chain(struct tls_cert *c, const struct tls_cert *with);
struct tls_cert *tls_cert_ref(struct tls_cert *c);
void tls_cert_unref(struct tls_cert *c);
/* Does the leaf's SAN cover this lower-case host (one wildcard label, RFC 6125 §6.4.3)? */
bool tls_cert_covers(const struct tls_cert *c, const char *host);

/* ---- server ---- */

struct tls_hello {
	const char *sni;     /* lower case, or "" when absent or not a host name */
	const uint8_t *alpn; /* the offered list as on the wire: u8 length, bytes, … */
	size_t alpn_len;
	void *conn; /* what tls_accept() was given for the callbacks */
};

struct tls_choice {
	unsigned role;		/* < TLS_ROLES_MAX */
	struct tls_cert *cert;	/* a reference, which the connection takes */
	const char *alpn;	/* the protocol to answer, NUL-terminated; NULL: none */
	bool require_client_cert; /* of the role's client CA */
	bool ignore_dates; /* of the client certificate, for this connection */
};

/* Decide, on the connection's loop, before any handshake work. 0, or a TLS alert number (112 =
 * unrecognized_name, 120 = no_application_protocol) with which the connection ends. */
typedef int (*tls_choose_fn)(void *ctx, const struct tls_hello *hello, struct tls_choice *out);

/* One a process; loops share it. Mozilla intermediate: TLS 1.2 and 1.3, ECDHE + AEAD only. */
int tls_server_new(struct tls_server **out, tls_choose_fn choose, void *ctx, struct err *e);
struct tls_server *tls_server_ref(struct tls_server *s);
void tls_server_unref(struct tls_server *s);
/* Certificates (PEM) that client certificates of `role` must chain to. Dates of client certificates
 * are NOT judged here when `ignore_dates` (an expired device certificate may still renew): the
 * caller reads tls_peer.not_after. Before the first connection. */
int tls_server_client_ca(struct tls_server *s, unsigned role, const void *ca_pem, size_t n,
	bool ignore_dates, struct err *e);
/* New ticket keys for `role` now; tickets under older keys stop resuming when `drop_old`, else they
 * live one more turn. Any thread. tls also turns them by itself every 8 hours. */
void tls_server_rotate_tickets(struct tls_server *s, unsigned role, bool drop_old);

/* ---- client ---- */

/* Trust exactly these CAs (PEM) and check name and dates. */
int tls_client_new_ca(struct tls_client **out, const void *ca_pem, size_t n, struct err *e);
/* Trust exactly the key whose SubjectPublicKeyInfo has this SHA-256; nothing else is looked at. */
int tls_client_new_pin(struct tls_client **out, const uint8_t spki_sha256[32], struct err *e);
/* Do both trust the same pin or the same CAs? NULL (no TLS) is the same as NULL only. */
bool tls_client_is_same(const struct tls_client *a, const struct tls_client *b);
struct tls_client *tls_client_ref(struct tls_client *c);
void tls_client_unref(struct tls_client *c);

/* ---- what an open TLS stream knows ---- */

/* A certificate. */
struct tls_peer {
	char serial[41];   /* hex, lower case; "" when it is longer than certificates of ours have */
	char cn[64];	   /* of the subject */
	int64_t not_after; /* Unix seconds */
	uint8_t spki_sha256[32];
};

struct tls_info {
	unsigned role;
	const char *sni;  /* "" when none */
	const char *alpn; /* "" when none */
	struct tls_cert *cert; /* what we showed (server); ref'd for the stream's life */
	bool resumed;
	const struct tls_peer *peer; /* what the peer showed; NULL: no certificate */
};

/* Keying material (RFC 5705, RFC 8446 §7.5), no context. `label` in ASCII. Fails with -EPROTO on TLS
 * 1.2 without extended master secret. */
int tls_exporter(const struct stream *s, const char *label, uint8_t *out, size_t n, struct err *e);
