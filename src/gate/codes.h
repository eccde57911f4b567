/* Sign-in codes: what carries a sign-in from the base name to a device's host. 128 bits, 60 s, one use,
 * for one host, one browser (hash of its state cookie) and one base session. In memory: a
 * restart only makes somebody click again. Pure but for randomness. */
#pragma once

#include <stdint.h>

#define CODES_MAX 256u
#define CODE_LIFE_S 60
#define CODE_TEXT_LEN 24 /* base64url of 16 bytes, and NUL, rounded up */

struct codes;

struct code_grant {
	char host[254];
	uint8_t state[32]; /* SHA-256 of the browser's state cookie */
	int64_t base_session; /* row id */
	int64_t user_id;
};

struct codes *codes_new(void);
void codes_free(struct codes *c);
/* When the table is full the oldest goes. */
void codes_issue(struct codes *c, const struct code_grant *g, int64_t now, char out[CODE_TEXT_LEN]);
/* Use up. 0, or -EACCES: unknown, expired, another host or another browser; it is gone either
 * way. */
struct code_claim {
	const char *code, *host;
	uint8_t state[32];
	int64_t now;
};
int codes_redeem(struct codes *c, const struct code_claim *claim, struct code_grant *out);
