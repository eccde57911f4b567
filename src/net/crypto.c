/* See crypto.h. Only EVP calls; what cannot fail but for exhausted memory or a broken libcrypto
 * ends the process rather than going on with bytes that nobody made. */
#include "net/crypto.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <pthread.h>
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

void crypto_quiet(bool hashes_only)
{
	uint64_t names = OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS;
	if (OPENSSL_init_crypto(
		    OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS | (hashes_only ? names : 0), NULL) != 1)
		abort();
}

/* Looked up once: EVP_sha256() stands for a search by name, under locks, at each use. */
static pthread_once_t md_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256_md;

static void fetch_md(void)
{
	sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha256_md)
		abort();
}

/* Asked for by its libraries: the call that loads all of them does nothing after crypto_quiet(). */
static pthread_once_t texts_once = PTHREAD_ONCE_INIT;

static void load_texts(void)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	ERR_load_ASN1_strings();
	ERR_load_BIO_strings();
	ERR_load_BN_strings();
	ERR_load_CRYPTO_strings();
	ERR_load_EC_strings();
	ERR_load_EVP_strings();
	ERR_load_PEM_strings();
	ERR_load_RAND_strings();
	ERR_load_RSA_strings();
	ERR_load_X509_strings();
	ERR_load_X509V3_strings();
#pragma GCC diagnostic pop
}

const char *crypto_why(unsigned long code)
{
	pthread_once(&texts_once, load_texts);
	return ERR_reason_error_string(code);
}

void sha256(uint8_t out[32], const void *p, size_t n)
{
	pthread_once(&md_once, fetch_md);
	if (!EVP_Digest(p, n, out, NULL, sha256_md, NULL))
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
