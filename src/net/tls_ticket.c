/* Session tickets: every role has keys of its own, so that a ticket earned under one role is noise
 * under another. Keys turn every eight hours; the key before stays good for one more turn. */
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/tls_int.h"

#define TURN_MS (8u * 3600 * 1000)

void tickets_init(struct tickets *t)
{
	pthread_mutex_init(&t->lock, NULL);
}

void tickets_done(struct tickets *t)
{
	pthread_mutex_destroy(&t->lock);
	wipe(t, sizeof(*t));
}

/* Under the lock. False: the generator failed, the old keys stay. */
static bool turn(struct tickets *t, uint64_t now, bool drop_old)
{
	struct ticket_key fresh;
	if (RAND_bytes((unsigned char *)&fresh, sizeof(fresh)) != 1)
		return false;
	t->has_before = !drop_old && t->made_ms && now - t->made_ms < 2 * TURN_MS;
	t->before = t->now;
	t->now = fresh;
	t->made_ms = now;
	wipe(&fresh, sizeof(fresh));
	return true;
}

void tickets_rotate(struct tickets *t, bool drop_old)
{
	pthread_mutex_lock(&t->lock);
	if (!turn(t, clock_mono_ms() + 1, drop_old) && drop_old) {
		/* no key at all is better than one that was to be forgotten */
		t->made_ms = 0;
		t->has_before = false;
	}
	pthread_mutex_unlock(&t->lock);
}

/* Under the lock. */
static bool turn_when_due(struct tickets *t)
{
	uint64_t now = clock_mono_ms() + 1;
	if (t->made_ms && now - t->made_ms < TURN_MS)
		return true;
	return turn(t, now, false);
}

/* 0: no such key; 1: it is the present one; 2: the one before. `name` NULL: the present one. */
static int find_key(struct tickets *t, const unsigned char *name, struct ticket_key *out)
{
	int found = 0;
	pthread_mutex_lock(&t->lock);
	if (turn_when_due(t)) {
		if (!name || bytes_equal_ct(name, t->now.name, sizeof(t->now.name))) {
			*out = t->now;
			found = 1;
		} else if (t->has_before &&
			   bytes_equal_ct(name, t->before.name, sizeof(t->before.name))) {
			*out = t->before;
			found = 2;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

static bool set_mac_key(EVP_MAC_CTX *mac, struct ticket_key *k)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, k->mac, sizeof(k->mac)),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof(digest) - 1),
		OSSL_PARAM_END,
	};
	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

int tls_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int encrypt)
{
	struct tls_stream *t = tls_bio_stream(ssl);
	struct tls_server *server = t->server;
	struct ticket_key k;
	if (!t->chosen)
		return 0;
	int rc = find_key(&server->roles[t->info.role].tickets, encrypt ? NULL : name, &k);
	if (!rc)
		return encrypt ? -1 : 0;
	int ok;
	if (encrypt) {
		memcpy(name, k.name, sizeof(k.name));
		ok = RAND_bytes(iv, EVP_CIPHER_get_iv_length(server->ticket_cipher)) == 1 &&
		     EVP_EncryptInit_ex2(cipher, server->ticket_cipher, k.aes, iv, NULL);
	} else {
		ok = EVP_DecryptInit_ex2(cipher, server->ticket_cipher, k.aes, iv, NULL);
	}
	ok = ok && set_mac_key(mac, &k);
	wipe(&k, sizeof(k));
	/* Clients use a ticket of TLS 1.3 once (RFC 8446 §C.4): without a new one every second
	 * connection would shake hands anew. */
	if (!encrypt && rc == 1 && SSL_version(ssl) == TLS1_3_VERSION)
		rc = 2;
	return ok ? rc : -1;
}
