/* See throttle.h. An entry is forgotten an hour after its last failure. */
#include "gate/throttle.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/xalloc.h"

#define FORGET_S 3600

struct entry {
	unsigned failures;
	int64_t last, until;
};

struct throttle {
	struct map *entries;
};

struct throttle *throttle_new(void)
{
	struct throttle *t = xcalloc(1, sizeof(*t));
	t->entries = map_new();
	return t;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	map_free(t->entries, free);
	free(t);
}

int64_t throttle_wait(struct throttle *t, const char *key, int64_t now)
{
	const struct entry *e = map_get(t->entries, key);
	if (!e || e->until <= now)
		return 0;
	/* A clock that jumped back must not lock anybody out for longer than the rule says. */
	return e->until - now > THROTTLE_WAIT_MAX_S ? THROTTLE_WAIT_MAX_S : e->until - now;
}

static void forget_oldest(struct throttle *t)
{
	const char *key, *oldest = NULL;
	int64_t last = INT64_MAX;
	size_t pos = 0;
	for (const struct entry *e; (e = map_next(t->entries, &pos, &key));) {
		if (e->last < last) {
			last = e->last;
			oldest = key;
		}
	}
	char *copy = xstrdup(oldest);
	free(map_remove(t->entries, copy));
	free(copy);
}

void throttle_fail(struct throttle *t, const char *key, unsigned free_tries, int64_t now)
{
	struct entry *e = map_get(t->entries, key);
	if (!e) {
		if (map_count(t->entries) >= THROTTLE_KEYS_MAX)
			forget_oldest(t);
		e = xcalloc(1, sizeof(*e));
		map_put(t->entries, key, e);
	}
	if (now - e->last > FORGET_S)
		e->failures = 0;
	e->failures++;
	e->last = now;
	if (e->failures <= free_tries)
		return;
	unsigned over = e->failures - free_tries;
	int64_t wait = over > 10 ? THROTTLE_WAIT_MAX_S : (int64_t)1 << (over - 1);
	e->until = now + (wait > THROTTLE_WAIT_MAX_S ? THROTTLE_WAIT_MAX_S : wait);
}

void throttle_clear(struct throttle *t, const char *key)
{
	free(map_remove(t->entries, key));
}
