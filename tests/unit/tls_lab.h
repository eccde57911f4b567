/* Certificates made on the spot, and a TLS client that is OpenSSL itself: what a browser or an
 * agent would be to the server under test. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key with its certificate. */
struct lab_id {
	EVP_PKEY *key;
	X509 *cert;
};

struct lab_want {
	const char *cn, *san; /* "DNS:a,IP:127.0.0.1"; NULL: none */
	bool ca;
	long from_s, to_s; /* from now; both 0: an hour back, a day ahead */
};

/* Signed by `issuer`, or by itself when NULL. */
struct lab_id lab_make(const struct lab_want *want, const struct lab_id *issuer);
void lab_free(struct lab_id *id);
/* The certificate, and the key behind it when `with_key`; freed by the caller. */
char *lab_pem(const struct lab_id *id, bool with_key);

struct lab_client {
	/* what to do */
	const char *sni, *alpn;  /* alpn: one protocol */
	int version;             /* TLS1_2_VERSION … */
	SSL_SESSION *session;    /* offered, when not NULL; then replaced by the one earned */
	const struct lab_id *id; /* the client certificate */
	unsigned rekeys;         /* new keys that it sends, and asks for, before it says anything */
	bool drip;               /* one byte a write */
	bool no_ems;             /* without extended master secret */
	bool rude;               /* leave without close_notify */
	/* what came of it */
	bool shaken, resumed, echoed;
	int reason; /* of OpenSSL's last error: 1000 and the alert, when one came */
	char answered_alpn[17];
	uint8_t exported[32];
};

/* Shake hands on `fd` (taken), send "ping", wait for the same, say good-bye. Blocks. */
void lab_client_run(struct lab_client *c, int fd);
