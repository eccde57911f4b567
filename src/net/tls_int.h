/* The inside of net/tls: what certificates, contexts and streams know of each other. */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "net/stream_int.h"
#include "net/tls.h"

struct tls_cert {
	atomic_uint refs;
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* without the leaf */
	char **names;           /* of the SAN, lower case */
	size_t n_names;
};

/* SHA-256 of the certificate's SubjectPublicKeyInfo. */
void tls_spki_sha256(X509 *x, uint8_t out[32]);
/* Every certificate of a PEM text into a new store. */
int tls_store_new(X509_STORE **out, const void *pem, size_t n, struct err *e);

struct ticket_key {
	uint8_t name[16], aes[32], mac[32];
};

struct tickets {
	pthread_mutex_t lock; /* of what follows */
	struct ticket_key now, before;
	uint64_t made_ms; /* 0: no key yet */
	bool has_before;
};

struct tls_role {
	struct tickets tickets;
	X509_STORE *client_ca;
	bool ignore_dates;
};

struct tls_server {
	atomic_uint refs;
	SSL_CTX *ctx;
	EVP_CIPHER *ticket_cipher;
	tls_choose_fn choose;
	void *choose_ctx;
	struct tls_role roles[TLS_ROLES_MAX];
};

/* `role` of `ssl` decides; called by OpenSSL. */
int tls_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int encrypt);
void tickets_init(struct tickets *t);
void tickets_done(struct tickets *t);
void tickets_rotate(struct tickets *t, bool drop_old);

struct tls_client {
	atomic_uint refs;
	SSL_CTX *ctx;
	bool pinned;
	uint8_t pin[32]; /* or the SHA-256 of the CAs' PEM */
};

struct tls_stream {
	struct stream s;
	SSL *ssl;
	struct tls_server *server; /* one of the two */
	struct tls_client *client;
	struct tls_info info;
	struct buf raw;    /* undecoded input of an earlier turn */
	struct err *ended; /* met behind input that had to be delivered first */
	char *sni;
	char alpn[TLS_ALPN_MAX + 1];
	bool chosen, require_client_cert;
	bool drained; /* this turn's reading has emptied the socket */
	bool wire_eof;
};

/* The BIO through which `t` reads and writes the wire. */
BIO *tls_bio_new(struct tls_stream *t);

/* Alerts of RFC 8446 §6. */
#define ALERT_ILLEGAL_PARAMETER 47
#define ALERT_INTERNAL_ERROR 80
#define ALERT_NO_APPLICATION_PROTOCOL 120

/* What went wrong with the last call on `ssl`, into `e`. 0: the peer ended in order; -EAGAIN. */
int tls_why(struct tls_stream *t, int rc, struct err *e);
