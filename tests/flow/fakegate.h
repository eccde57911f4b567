/* The gateway's end of the link protocol, for tests of the agent alone: a device CA made at the
 * first start, enrolment, renewal, time, and links that a plain "tap" port leads to. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/token.h"

#define GATE_SUFFIX ".link.lanthorn.internal"
#define GATE_LINK_ALPN "\xc6\x96\xc9\xa5"
#define GATE_LINK_ALPN_H2 "\xd5\x87\xc9\xa5"

struct gate {
	const char *dir;  /* CA and secret are kept here */
	const char *mode; /* normal, foreign, foreign-chain, wrong-name, device-cert, no-purpose,
			   * cut, gone, closing */
	int tls_max;      /* 0: the newest */
	bool h2;          /* links over HTTP/2, which is spoken by who comes to the tap */
	int64_t offset;   /* of the gateway's clock from the machine's, seconds */
	int64_t life;     /* of the certificates it issues, seconds */
	uint16_t port;
	struct token token;
	X509 *ca, *cert;
	EVP_PKEY *ca_key, *cert_key;
	SSL_CTX *ctx;
};

int64_t gate_now(const struct gate *g);
/* Keys, certificates and TLS context by `mode`. Dies where that fails. */
void gate_make(struct gate *g);
/* A certificate of `key` for `cn`; `issuer` NULL: by itself. */
X509 *gate_issue(const struct gate *g, EVP_PKEY *key, const char *cn, X509 *issuer);
/* Answer one short request on an open connection. */
void gate_answer(struct gate *g, SSL *ssl, bool enrol);
/* One line on stdout, at once. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die(const char *what);
