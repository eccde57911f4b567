/* OpenSSL's objects for the certificates that handshakes use: made on first use, the least recently
 * used forgotten. All loops share one cache; its mutex is held for a look-up, never while an object
 * is made. Whoever got objects has references of its own, so being forgotten harms no handshake. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "base/xalloc.h"
#include "net/tls_int.h"

struct slot {
	struct list node; /* the newest first */
	struct tls_cert *cert;
	struct tls_objects *objects;
};

struct tls_cache {
	pthread_mutex_t lock; /* of what follows */
	struct map *slots;    /* address of the certificate → slot */
	struct list used;
	unsigned most;
};

/* ---- making ---- */

static X509 *make_cert(const uint8_t **at, size_t n)
{
	X509 *x = d2i_X509(NULL, at, (long)n);
	/* OpenSSL caches what extensions say at first use: do it before threads share it. */
	if (x)
		X509_check_purpose(x, -1, 0);
	return x;
}

static STACK_OF(X509) * make_chain(const struct tls_chain *ch)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	const uint8_t *at = ch->der, *end = ch->der + ch->len;
	while (all && at < end) {
		X509 *x = make_cert(&at, (size_t)(end - at));
		if (!x || !sk_X509_push(all, x)) {
			X509_free(x);
			sk_X509_pop_free(all, X509_free);
			return NULL;
		}
	}
	return all;
}

/* Made once for all certificates that share it, and kept as long as they are. */
static STACK_OF(X509) * chain_of(struct tls_chain *ch)
{
	pthread_mutex_lock(&ch->lock);
	if (!ch->certs)
		ch->certs = make_chain(ch);
	STACK_OF(X509) *certs = ch->certs;
	pthread_mutex_unlock(&ch->lock);
	return certs;
}

/* A P-256 key as OpenSSL writes it (RFC 5958 around RFC 5915): this, the private number, that, and
 * the public point. */
static const uint8_t P256_HEAD[] = {0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07,
	0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
	0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20};
static const uint8_t P256_MIDDLE[] = {0xa1, 0x44, 0x03, 0x42, 0x00};
#define P256_NUMBER 32
#define P256_POINT 65

static EVP_PKEY *p256_from(uint8_t *number, uint8_t *point)
{
	char group[] = "P-256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, number, P256_NUMBER),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, P256_POINT),
		OSSL_PARAM_construct_end()};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;
	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* What the decoders of OpenSSL 3.0 take 25 times as long for. NULL for any other kind of key. */
static EVP_PKEY *make_p256(const uint8_t *der, size_t n)
{
	const uint8_t *middle = der + sizeof(P256_HEAD) + P256_NUMBER;
	uint8_t number[P256_NUMBER], point[P256_POINT];
	if (n != sizeof(P256_HEAD) + P256_NUMBER + sizeof(P256_MIDDLE) + P256_POINT ||
		memcmp(der, P256_HEAD, sizeof(P256_HEAD)) != 0 ||
		memcmp(middle, P256_MIDDLE, sizeof(P256_MIDDLE)) != 0)
		return NULL;
	BIGNUM *bn = BN_bin2bn(der + sizeof(P256_HEAD), P256_NUMBER, NULL);
	memcpy(point, middle + sizeof(P256_MIDDLE), P256_POINT);
	EVP_PKEY *key = bn && BN_bn2nativepad(bn, number, P256_NUMBER) == P256_NUMBER
				? p256_from(number, point)
				: NULL;
	BN_clear_free(bn);
	wipe(number, sizeof(number));
	return key;
}

static EVP_PKEY *make_key(const uint8_t *der, size_t n)
{
	EVP_PKEY *p256 = make_p256(der, n);
	if (p256)
		return p256;
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &der, (long)n);
	EVP_PKEY *key = info ? EVP_PKCS82PKEY(info) : NULL;
	PKCS8_PRIV_KEY_INFO_free(info);
	return key;
}

void tls_objects_unref(struct tls_objects *o)
{
	if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
		return;
	X509_free(o->leaf);
	EVP_PKEY_free(o->key);
	free(o);
}

static struct tls_objects *ref(struct tls_objects *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return o;
}

static struct tls_objects *make(struct tls_cert *c)
{
	struct tls_objects *o = xcalloc(1, sizeof(*o));
	const uint8_t *leaf = c->data + c->key_len;
	atomic_init(&o->refs, 1);
	o->leaf = make_cert(&leaf, c->leaf_len);
	o->key = make_key(c->data, c->key_len);
	o->chain = chain_of(c->chain);
	ERR_clear_error();
	if (o->leaf && o->key && o->chain)
		return o;
	tls_objects_unref(o);
	return NULL;
}

/* ---- keeping ---- */

static void slot_free(struct slot *s)
{
	tls_objects_unref(s->objects);
	tls_cert_unref(s->cert);
	free(s);
}

static struct slot *find(struct tls_cache *k, const struct tls_cert *c)
{
	struct slot *s = map_get_n(k->slots, &c, sizeof(c));
	if (s) {
		list_remove(&s->node);
		list_push_front(&k->used, &s->node);
	}
	return s;
}

/* Takes the least recently used one out, when there are too many. */
static struct slot *surplus(struct tls_cache *k)
{
	if (map_count(k->slots) < k->most)
		return NULL;
	struct slot *s = container_of(k->used.prev, struct slot, node);
	list_remove(&s->node);
	map_remove_n(k->slots, &s->cert, sizeof(s->cert));
	return s;
}

static struct slot *slot_new(struct tls_cert *c, struct tls_objects *o)
{
	struct slot *s = xcalloc(1, sizeof(*s));
	s->cert = tls_cert_ref(c);
	list_init(&s->node);
	s->objects = ref(o);
	return s;
}

/* Another thread may have been faster: then its objects stay. */
static void keep(struct tls_cache *k, struct tls_cert *c, struct tls_objects *o)
{
	struct slot *s = slot_new(c, o), *gone = s;
	pthread_mutex_lock(&k->lock);
	if (!find(k, c)) {
		gone = surplus(k);
		map_put_n(k->slots, &s->cert, sizeof(s->cert), s);
		list_push_front(&k->used, &s->node);
	}
	pthread_mutex_unlock(&k->lock);
	if (gone)
		slot_free(gone);
}

struct tls_objects *tls_cache_get(struct tls_cache *k, struct tls_cert *c)
{
	pthread_mutex_lock(&k->lock);
	struct slot *s = find(k, c);
	struct tls_objects *o = s ? ref(s->objects) : NULL;
	pthread_mutex_unlock(&k->lock);
	if (o)
		return o;
	o = make(c);
	if (o)
		keep(k, c, o);
	return o;
}

struct tls_cache *tls_cache_new(unsigned most)
{
	struct tls_cache *k = xcalloc(1, sizeof(*k));
	pthread_mutex_init(&k->lock, NULL);
	k->slots = map_new();
	list_init(&k->used);
	k->most = most;
	return k;
}

void tls_cache_free(struct tls_cache *k)
{
	if (!k)
		return;
	list_each_safe(at, &k->used) slot_free(container_of(at, struct slot, node));
	map_free(k->slots, NULL);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

size_t tls_cache_count(struct tls_cache *k)
{
	pthread_mutex_lock(&k->lock);
	size_t n = map_count(k->slots);
	pthread_mutex_unlock(&k->lock);
	return n;
}
