/* Small blocking cryptographic helpers over libcrypto, so that layers above need no OpenSSL header. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* From the kernel's generator; ends the process when it fails. */
void random_bytes(void *out, size_t n);
/* A fresh token: `n` random bytes as base64url; `out`: BASE64_LEN(n). */
void random_token(char *out, size_t n);

/* Call first. libcrypto's own texts for what went wrong, 50 KiB, are then loaded when crypto_why() first
 * asks for one. `hashes_only`: the lists of names that certificates and keys need are not loaded,
 * another 16. */
void crypto_quiet(bool hashes_only);
/* OpenSSL's reason for an error, NULL when it has none. Any thread. */
const char *crypto_why(unsigned long code);

void sha256(uint8_t out[32], const void *p, size_t n);
/* For protocols that say so (RFC 6455), never for security. */
void sha1(uint8_t out[20], const void *p, size_t n);

enum hmac_alg { HMAC_SHA256, HMAC_SHA384, HMAC_SHA512 };
/* Returns the length written (≤ 64). */
size_t hmac(enum hmac_alg alg, uint8_t out[64], const void *key, size_t key_len, const void *p,
	size_t n);

/* scrypt (RFC 7914); 16 MiB for N=2^14 r=8. 0 or -ENOMEM. */
int scrypt(uint8_t *out, size_t out_len, const char *password, const uint8_t *salt, size_t salt_len,
	uint32_t n, uint32_t r, uint32_t p);
