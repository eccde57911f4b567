/* What gate's two certificate modules (ca, certs_key) share over libcrypto: P-256 keys, extensions,
 * times, PEM. For those two alone: the only header above net/ that names OpenSSL types. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Set `e` to `code` and a sentence, with libcrypto's reason when it gave one; clears its queue. */
int ca_x509_err(struct err *e, int code, const char *what);
/* A new P-256 key, or NULL. */
EVP_PKEY *ca_x509_key_new(void);
bool ca_x509_key_is_p256(EVP_PKEY *key);
/* SHA-256 of the SubjectPublicKeyInfo. 0 or -EINVAL. */
int ca_x509_spki_sha256(uint8_t out[32], EVP_PKEY *key);
/* Append as PEM (PKCS#8 / certificate). 0 or -ENOMEM. */
int ca_x509_put_key(struct buf *out, EVP_PKEY *key);
int ca_x509_put_cert(struct buf *out, X509 *cert);
/* One private key of a PEM text, or NULL. */
EVP_PKEY *ca_x509_get_key(const void *pem, size_t n);

/* A certificate under construction: version 3, `serial` (16 bytes), dates, key. NULL on failure. */
struct ca_x509_shape {
	const uint8_t *serial;
	int64_t not_before, not_after;
	EVP_PKEY *key;
};
X509 *ca_x509_new(const struct ca_x509_shape *shape);
/* Add an extension in OpenSSL's text form; `issuer` for those that refer to one. 0 or -EINVAL. */
int ca_x509_ext(X509 *cert, X509 *issuer, int nid, const char *value);
/* One CN as the whole name. 0 or -EINVAL. */
int ca_x509_set_cn(X509_NAME *name, const char *cn);
/* Unix seconds of an ASN.1 time. 0 or -EINVAL. */
int ca_x509_time(int64_t *out, const ASN1_TIME *t);
