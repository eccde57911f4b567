/* A cookie that says "this browser has signed in as this person before". It opens nothing: a
 * browser that shows it has tries of its own, so that strangers who guess cannot lock its owner
 * out. Nothing is stored for it: its MAC is made with the password's hash, and ends with the
 * password. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KNOWN_COOKIE "__Host-lanthorn-known"
#define KNOWN_ID_LEN 22 /* base64url of 128 bits: which browser */
#define KNOWN_TEXT 67	/* id, ".", MAC, NUL */

struct known_of {
	int64_t user_id;
	const uint8_t *blob; /* of the password, lent; empty: nobody is known */
	size_t blob_len;
};

/* A fresh one into `out`; "" when there is no password. */
void known_make(char out[KNOWN_TEXT], const struct known_of *who);
/* Is `text` one of theirs? */
bool known_check(const char *text, const struct known_of *who);
