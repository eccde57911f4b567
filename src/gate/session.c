/* See session.h. Keyed by the hash alone: 256 random bits make the lookup's timing worthless. */
#include "gate/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/xalloc.h"
#include "net/crypto.h"

struct session_table {
	struct map *rows;
};

struct session_table *session_table_new(void)
{
	struct session_table *t = xcalloc(1, sizeof(*t));
	t->rows = map_new();
	return t;
}

static void session_free(struct session *s)
{
	while (!list_empty(&s->users)) {
		struct session_use *u = container_of(s->users.next, struct session_use, node);
		list_remove(&u->node);
		u->on_revoked(u);
	}
	free(s);
}

static void free_row(void *p)
{
	session_free(p);
}

void session_table_free(struct session_table *t)
{
	if (!t)
		return;
	map_free(t->rows, free_row);
	free(t);
}

void session_table_put(struct session_table *t, const struct session_row *row)
{
	struct session *s = map_get_n(t->rows, row->hash, sizeof(row->hash));
	if (!s) {
		s = xcalloc(1, sizeof(*s));
		list_init(&s->users);
		map_put_n(t->rows, row->hash, sizeof(row->hash), s);
	}
	s->row = *row;
}

void session_table_drop(struct session_table *t, const uint8_t hash[32])
{
	struct session *s = map_remove_n(t->rows, hash, 32);
	if (s)
		session_free(s);
}

struct session *session_table_find(
	struct session_table *t, const char *cookie, const char *host, int64_t now)
{
	uint8_t hash[32];
	sha256(hash, cookie, strlen(cookie));
	struct session *s = map_get_n(t->rows, hash, sizeof(hash));
	if (!s || strcmp(s->row.host, host) != 0 || s->row.expires_at <= now ||
		s->row.created_at > now + CLOCK_SKEW_S)
		return NULL;
	return s;
}

void session_table_sweep(struct session_table *t, int64_t now)
{
	size_t pos = 0;
	for (struct session *s; (s = map_next(t->rows, &pos, NULL));) {
		if (s->row.expires_at > now)
			continue;
		session_table_drop(t, s->row.hash);
		pos = 0; /* a removal moves slots: begin again */
	}
}

void session_use_begin(struct session *s, struct session_use *u)
{
	list_push_back(&s->users, &u->node);
}

void session_use_end(struct session_use *u)
{
	list_remove(&u->node);
}
