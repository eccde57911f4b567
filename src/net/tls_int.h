/* The inside of net/tls: what certificates, contexts and streams know of each other. */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "net/stream_int.h"
#include "net/tls.h"

/* The certificates above a leaf; those of one authority share one. */
struct tls_chain {
	atomic_uint refs;
	pthread_mutex_t lock;
	STACK_OF(X509) * certs; /* under `lock`: made on first use */
	size_t len;
	uint8_t der[]; /* one after the other */
};

struct tls_cert {
	atomic_uint refs;
	unsigned key_len, leaf_len, n_names;
	struct tls_chain *chain;
	uint8_t data[]; /* the key (PKCS #8), the leaf, then the SAN's names, lower case, each with
			   its NUL */
};

/* What OpenSSL needs of a certificate. Counted by ourselves, not by OpenSSL's own counters alone:
 * a thread sanitizer sees only ours. */
struct tls_objects {
	atomic_uint refs;
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* lives as long as the certificate; may be empty */
};

/* A cache of at most `most` certificates' objects. Any thread may get. */
struct tls_cache *tls_cache_new(unsigned most);
void tls_cache_free(struct tls_cache *k);
/* The objects of `c`, with a reference to be given back after the last use; an SSL that has them
 * uses them until it is freed. NULL: its DER cannot be read. */
struct tls_objects *tls_cache_get(struct tls_cache *k, struct tls_cert *c);
void tls_objects_unref(struct tls_objects *o);
/* How many certificates have their objects here now. */
size_t tls_cache_count(struct tls_cache *k);

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
	struct tls_cache *cache;
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
	struct tls_peer *peer; /* NULL: nothing is known of one */
	struct tls_objects *objects; /* of info.cert, until the handshake is done */
	struct buf raw;    /* undecoded input of an earlier turn */
	struct err *ended; /* met behind input that had to be delivered first */
	char *sni;
	char alpn[TLS_ALPN_MAX + 1];
	unsigned untimely; /* messages of the protocol itself, once it was open */
	bool chosen, require_client_cert;
	bool drained; /* this turn's reading has emptied the socket */
	bool wire_eof;
};

/* New keys, requests to shake hands anew, warnings: each costs as much as kilobytes of data, and takes
 * some bytes. Who works with a connection for years sends a handful. */
#define TLS_UNTIMELY_MAX 1000u
/* Have `ctx`'s connections, of either end, count them. */
void tls_count_messages(SSL_CTX *ctx);

/* Room for what is learned of the peer's certificate, which most connections need not have. */
struct tls_peer *tls_stream_peer(struct tls_stream *t);
/* Let `t`, which is new, read and write the wire by its loop's BIO. False: no memory. */
bool tls_bio_set(struct tls_stream *t);
/* `t` is whose SSL is called next. */
void tls_bio_turn(struct tls_stream *t);
/* Inside a callback of OpenSSL: whose SSL it is. */
struct tls_stream *tls_bio_stream(const SSL *ssl);

/* Alerts of RFC 8446 §6. */
#define ALERT_ILLEGAL_PARAMETER 47
#define ALERT_INTERNAL_ERROR 80
#define ALERT_NO_APPLICATION_PROTOCOL 120

/* What went wrong with the last call on `ssl`, into `e`. 0: the peer ended in order; -EAGAIN. */
int tls_why(struct tls_stream *t, int rc, struct err *e);
