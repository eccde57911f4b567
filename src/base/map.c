/* Open addressing with linear probing and backward-shift deletion; SipHash-1-3 over the key. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/xalloc.h"

struct slot {
	char *key; /* NULL: free; NUL-terminated besides its length */
	size_t n;
	uint64_t hash;
	void *value;
};

struct map {
	struct slot *slots;
	size_t mask, count;
	uint64_t seed[2];
};

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTL(v[1], 13) ^ v[0];
	v[0] = ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTL(v[1], 17) ^ v[2];
	v[2] = ROTL(v[2], 32);
}

static uint64_t hash_of(const struct map *m, const uint8_t *p, size_t n)
{
	uint64_t v[4] = {m->seed[0] ^ 0x736f6d6570736575u, m->seed[1] ^ 0x646f72616e646f6du,
		m->seed[0] ^ 0x6c7967656e657261u, m->seed[1] ^ 0x7465646279746573u};
	for (size_t i = 0; i <= n / 8; i++) {
		uint64_t w = i == n / 8 ? (uint64_t)n << 56 : 0;
		size_t part = i == n / 8 ? n % 8 : 8;
		for (size_t k = 0; k < part; k++)
			w |= (uint64_t)p[i * 8 + k] << (8 * k);
		v[3] ^= w;
		sip_round(v);
		v[0] ^= w;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map *map_new(void)
{
	struct map *m = xcalloc(1, sizeof(*m));
	m->mask = 15;
	m->slots = xcalloc(m->mask + 1, sizeof(*m->slots));
	if (getrandom(m->seed, sizeof(m->seed), GRND_NONBLOCK) < 0)
		m->seed[0] = (uint64_t)(uintptr_t)m; /* early boot: better than waiting */
	return m;
}

void map_free(struct map *m, void (*free_value)(void *))
{
	if (!m)
		return;
	for (size_t i = 0; i <= m->mask; i++) {
		if (!m->slots[i].key)
			continue;
		if (free_value)
			free_value(m->slots[i].value);
		free(m->slots[i].key);
	}
	free(m->slots);
	free(m);
}

size_t map_count(const struct map *m)
{
	return m->count;
}

static size_t find(const struct map *m, const void *key, size_t n, uint64_t hash)
{
	size_t i = (size_t)hash & m->mask;
	while (m->slots[i].key) {
		const struct slot *s = &m->slots[i];
		if (s->hash == hash && s->n == n && memcmp(s->key, key, n) == 0)
			break;
		i = (i + 1) & m->mask;
	}
	return i;
}

void *map_get_n(const struct map *m, const void *key, size_t n)
{
	return m->slots[find(m, key, n, hash_of(m, key, n))].value;
}

void *map_get(const struct map *m, const char *key)
{
	return map_get_n(m, key, strlen(key));
}

static void rehash(struct map *m)
{
	struct slot *old = m->slots;
	size_t n = m->mask + 1;
	m->mask = n * 2 - 1;
	m->slots = xcalloc(n * 2, sizeof(*m->slots));
	for (size_t i = 0; i < n; i++) {
		if (old[i].key)
			m->slots[find(m, old[i].key, old[i].n, old[i].hash)] = old[i];
	}
	free(old);
}

void *map_put_n(struct map *m, const void *key, size_t n, void *value)
{
	uint64_t hash = hash_of(m, key, n);
	struct slot *s = &m->slots[find(m, key, n, hash)];
	if (s->key) {
		void *before = s->value;
		s->value = value;
		return before;
	}
	if ((m->count + 1) * 4 > (m->mask + 1) * 3) {
		rehash(m);
		s = &m->slots[find(m, key, n, hash)];
	}
	*s = (struct slot){.key = xcalloc(1, n + 1), .n = n, .hash = hash, .value = value};
	if (n)
		memcpy(s->key, key, n);
	m->count++;
	return NULL;
}

void *map_put(struct map *m, const char *key, void *value)
{
	return map_put_n(m, key, strlen(key), value);
}

void *map_remove_n(struct map *m, const void *key, size_t n)
{
	size_t i = find(m, key, n, hash_of(m, key, n));
	if (!m->slots[i].key)
		return NULL;
	void *value = m->slots[i].value;
	free(m->slots[i].key);
	m->count--;
	for (size_t j = (i + 1) & m->mask; m->slots[j].key; j = (j + 1) & m->mask) {
		size_t home = (size_t)m->slots[j].hash & m->mask;
		if (((j - home) & m->mask) >= ((j - i) & m->mask)) {
			m->slots[i] = m->slots[j];
			i = j;
		}
	}
	m->slots[i] = (struct slot){0};
	return value;
}

void *map_remove(struct map *m, const char *key)
{
	return map_remove_n(m, key, strlen(key));
}

void *map_next(const struct map *m, size_t *pos, const char **key)
{
	while (*pos <= m->mask) {
		const struct slot *s = &m->slots[(*pos)++];
		if (!s->key)
			continue;
		if (key)
			*key = s->key;
		return s->value;
	}
	return NULL;
}
