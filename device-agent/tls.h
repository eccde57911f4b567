/* All that the agent asks of a TLS library: eleven calls on the wire, four on keys. A back end is
 * one file (tls_openssl.c) that implements these and nothing else; no other file includes a
 * header of the library.
 *
 * Sockets are non-blocking. Dates in the gateway's certificate are never judged: a device may
 * have no clock. What counts is the device CA, the name, and the purpose "server". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct tls;
struct tls_ctx;

/* Not now: wait until the socket can be read or written, then call again. */
#define TLS_WANT_READ (-2001)
#define TLS_WANT_WRITE (-2002)
/* The peer proved to be somebody else; nothing was sent to it. */
#define TLS_STRANGER (-2003)

#define TLS_KEY_MAX 2048  /* a private key in PEM */
#define TLS_CERT_MAX 4096 /* a certificate or a CSR in DER */
#define TLS_ALPN_MOST 2

struct tls_settings {
	const char *name;         /* SNI, and the name that the gateway must prove */
	/* The protocols asked for, the best first; one must be chosen. Unused places: NULL. */
	const char *alpn[TLS_ALPN_MOST];
	const uint8_t *ca_sha256; /* of the CA's DER, which the gateway sends along; or NULL: */
	const struct buf *ca;     /* the CA, DER */
	const struct buf *cert;   /* the device's certificate, DER; NULL: none is shown */
	const struct buf *key;    /* its private key, PEM */
};

/* A place for sessions and certificates, shared by many connections. Copies what it needs.
 * Refuses a certificate that is not of this key or not of this CA. NULL: see `e`. */
struct tls_ctx *tls_ctx_new(const struct tls_settings *s, struct err *e);
/* Connections that exist live on. */
void tls_ctx_free(struct tls_ctx *ctx);

/* A client connection over `fd`, which stays the caller's; the last session is offered again. */
struct tls *tls_open(struct tls_ctx *ctx, int fd, struct err *e);
/* 0 done, TLS_WANT_*, TLS_STRANGER, or another negative code. TLS 1.2 only with RFC 7627. */
int tls_handshake(struct tls *t, struct err *e);
/* Which of the settings' protocols was chosen, as they were given; NULL before the handshake is done.
 * Valid while `t` lives. */
const char *tls_protocol(const struct tls *t);
/* Bytes moved (≥ 1), 0 for the peer's close_notify or end (read only), TLS_WANT_*, or another
 * negative code. After TLS_WANT_* a write must be repeated with at least the same bytes. */
long tls_read(struct tls *t, void *p, size_t n, struct err *e);
long tls_write(struct tls *t, const void *p, size_t n, struct err *e);
/* From now on a system call may bring `n` bytes, more than are asked for: then poll() does not tell of
 * what is there. A buffer that the library holds already, because more than was asked for had come,
 * keeps its size. */
void tls_read_ahead(struct tls *t, size_t n);
/* Is something there that poll() knows nothing of? It need not make a whole record. */
bool tls_pending(const struct tls *t);
/* Send close_notify: 0 sent, or TLS_WANT_WRITE, or another negative code. */
int tls_close(struct tls *t);
void tls_free(struct tls *t);

/* Make a P-256 key; PEM to `pem` (cap ≥ TLS_KEY_MAX). */
int tls_key_new(struct buf *pem, struct err *e);
/* A certificate request, DER, of this key with the common name `cn`. */
int tls_csr_new(const struct buf *pem, const char *cn, struct buf *der, struct err *e);
/* HMAC-SHA256(secret, "lanthorn-enrol-1" ‖ exporter ‖ SHA-256(csr)); see PROTOCOL.md. */
int tls_proof(struct tls *t, const uint8_t secret[16], const struct buf *csr, uint8_t out[32]);

struct tls_cert {
	int64_t not_before, not_after; /* Unix seconds */
	uint8_t sha256[32];            /* of the DER */
};
int tls_cert_read(const struct buf *der, struct tls_cert *out, struct err *e);
