/* The enrolment token that a person carries from the gateway to a device: what the agent must know
 * to find the gateway, to recognise it (SHA-256 of the device CA), and to prove that it was
 * invited (a 128-bit secret). Text form: "lt1." and base64url; fits one QR code. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TOKEN_ADDRS_MAX 4
#define TOKEN_SECRET_LEN 16
#define TOKEN_TEXT_MAX 640
#define TOKEN_ID_MAX 63

struct token {
	char device_id[TOKEN_ID_MAX + 1]; /* one DNS label */
	char dns_name[254];		  /* the gateway's public name, for when addresses changed */
	char addrs[TOKEN_ADDRS_MAX][46];  /* IP literals, best first */
	unsigned n_addrs;
	uint16_t port;
	uint8_t ca_sha256[32]; /* of the CA certificate's DER */
	uint8_t secret[TOKEN_SECRET_LEN];
	int64_t expires_at; /* Unix seconds, by the gateway's clock */
};

/* `out`: TOKEN_TEXT_MAX. 0 or -EINVAL for a token that could not be read back. */
int token_encode(const struct token *t, char out[TOKEN_TEXT_MAX]);
/* Strict: unknown version, wrong length, trailing bytes, bad names are refused. White space around
 * the text is tolerated (people paste). */
int token_decode(struct token *t, const char *text, struct err *e);
