/* See limit.h. */
#include "gate/limit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "base/xalloc.h"

struct slot {
	struct list node; /* oldest first */
	unsigned fails;
	uint64_t first_ms, until_ms; /* until_ms: locked; 0: not */
	char key[];
};

struct limit {
	struct limit_opts o;
	struct map *map;
	struct list order;
};

struct limit *limit_new(const struct limit_opts *o)
{
	struct limit *l = xcalloc(1, sizeof(*l));
	l->o = *o;
	l->map = map_new();
	list_init(&l->order);
	return l;
}

void limit_free(struct limit *l)
{
	if (!l)
		return;
	map_free(l->map, free);
	free(l);
}

unsigned limit_wait_s(const struct limit *l, const char *key, uint64_t now_ms)
{
	const struct slot *s = map_get(l->map, key);
	if (!s || s->until_ms <= now_ms)
		return 0;
	return (unsigned)((s->until_ms - now_ms + 999) / 1000);
}

static void drop(struct limit *l, struct slot *s)
{
	list_remove(&s->node);
	map_remove(l->map, s->key);
	free(s);
}

static struct slot *obtain(struct limit *l, const char *key, uint64_t now_ms)
{
	struct slot *s = map_get(l->map, key);
	if (s)
		return s;
	if (map_count(l->map) >= l->o.keys_max)
		drop(l, container_of(l->order.next, struct slot, node));
	size_t n = strlen(key) + 1;
	s = xcalloc(1, sizeof(*s) + n);
	memcpy(s->key, key, n);
	s->first_ms = now_ms;
	list_push_back(&l->order, &s->node);
	map_put(l->map, key, s);
	return s;
}

void limit_failed(struct limit *l, const char *key, uint64_t now_ms)
{
	struct slot *s = obtain(l, key, now_ms);
	bool unlocked = s->until_ms && s->until_ms <= now_ms;
	if (unlocked || now_ms > s->first_ms + l->o.window_ms) {
		s->fails = 0;
		s->until_ms = 0;
		s->first_ms = now_ms;
	}
	list_remove(&s->node);
	list_push_back(&l->order, &s->node);
	if (++s->fails >= l->o.most)
		s->until_ms = now_ms + l->o.window_ms;
}

void limit_forgive(struct limit *l, const char *key)
{
	struct slot *s = map_get(l->map, key);
	if (s && s->fails && !s->until_ms)
		s->fails--;
}

void limit_clear(struct limit *l, const char *key)
{
	struct slot *s = map_get(l->map, key);
	if (s)
		drop(l, s);
}

void limit_key_of_addr(char out[46], const char *addr)
{
	struct in6_addr raw;
	snprintf(out, 46, "%s", addr);
	if (inet_pton(AF_INET6, addr, &raw) != 1 || IN6_IS_ADDR_V4MAPPED(&raw))
		return;
	memset(raw.s6_addr + 8, 0, 8);
	inet_ntop(AF_INET6, &raw, out, 46);
}
