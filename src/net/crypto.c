/* See crypto.h. Only EVP calls; what cannot fail but for exhausted memory or a broken libcrypto
 * ends the process rather than going on with bytes that nobody made. */
#include "net/crypto.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/str.h"
#include "base/xalloc.h"

void random_bytes(void *out, size_t n)
{
	uint8_t *p = out;
	while (n) {
		ssize_t k = getrandom(p, n, 0);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			abort();
		p += k;
		n -= (size_t)k;
	}
}

void random_token(char *out, size_t n)
{
	uint8_t *raw = xcalloc(1, n);
	random_bytes(raw, n);
	base64url_encode(out, raw, n);
	free_secret(raw, n);
}

void sha256(uint8_t out[32], const void *p, size_t n)
{
	if (!EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL))
		abort();
}

void sha1(uint8_t out[20], const void *p, size_t n)
{
	if (!EVP_Digest(p, n, out, NULL, EVP_sha1(), NULL))
		abort();
}

static const char *digest_name(enum hmac_alg alg)
{
	switch (alg) {
	case HMAC_SHA256:
		return "SHA256";
	case HMAC_SHA384:
		return "SHA384";
	case HMAC_SHA512:
		return "SHA512";
	}
	abort();
}

size_t hmac(enum hmac_alg alg, uint8_t out[64], const void *key, size_t key_len, const void *p,
	size_t n)
{
	size_t len = 0;
	if (!EVP_Q_mac(NULL, "HMAC", NULL, digest_name(alg), NULL, key_len ? key : "", key_len, p,
		    n, out, 64, &len))
		abort();
	return len;
}

int scrypt(uint8_t *out, size_t out_len, const char *password, const uint8_t *salt, size_t salt_len,
	uint32_t n, uint32_t r, uint32_t p)
{
	/* RFC 7914 §2: V takes 128·r·N bytes, B 128·r·p; libcrypto's own cap is 32 MiB. */
	uint64_t need = 128ull * r * ((uint64_t)n + p + 2) + 4096;
	if (!EVP_PBE_scrypt(
		    password, strlen(password), salt, salt_len, n, r, p, need, out, out_len))
		return -ENOMEM;
	return 0;
}
