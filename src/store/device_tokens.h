/* Enrolment tokens. The secret must stay readable until the token expires, because the device
 * proves with an HMAC that it has it; then it is overwritten in the file. The first valid proof
 * binds a token to one public key. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/token.h"

struct db;

struct device_token {
	int64_t id;
	char device[TOKEN_ID_MAX + 1];
	uint8_t secret[TOKEN_SECRET_LEN];
	bool bound; /* read only */
	uint8_t spki_sha256[32];
	unsigned attempts; /* failed proofs */
	int64_t created_at, expires_at;
};

/* For a live device; sets t->id. An earlier token of the device is wiped and gone. */
int device_tokens_add(struct db *db, struct device_token *t, struct err *e);
/* The token of a device. -ENOENT when there is none, -ESTALE when it expired (and is now wiped).
 * Wipe `*out` after use. */
int device_tokens_find(
	struct db *db, const char *device, int64_t now, struct device_token *out, struct err *e);
/* Until when a token waits for a device to use it; 0: none does. */
int64_t device_tokens_open_until(struct db *db, const char *device, int64_t now);
/* Count a failed proof. Returns how many there were, or a negative code. */
int device_tokens_failed(struct db *db, int64_t id, struct err *e);
/* A valid proof by this key: 0 the first time and again for the same key, -EEXIST for another. */
int device_tokens_bind(struct db *db, int64_t id, const uint8_t spki_sha256[32], struct err *e);
/* Wipe and forget one device's token; none is no error. */
int device_tokens_drop(struct db *db, const char *device, struct err *e);
/* Wipe and forget the expired ones. Returns how many, or a negative code. */
int device_tokens_purge(struct db *db, int64_t now, struct err *e);
