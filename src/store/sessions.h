/* Sessions of browsers. Only the SHA-256 of the cookie is kept. A base session (on the gateway's
 * own name) is the parent of those on the devices' hosts; removing it removes them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct db;

#define SESSION_AGENT_MAX 127
#define SESSIONS_PER_USER_MAX 2000

struct session {
	int64_t id;
	uint8_t cookie_sha256[32];
	int64_t user_id;
	char host[254];
	int64_t parent; /* id of the base session, or 0: this is one */
	int64_t created_at, last_seen_at, expires_at;
	char agent[SESSION_AGENT_MAX + 1]; /* User-Agent, cut by the caller */
	char address[46];                  /* where it was begun; "": not known */
};

/* Sets s->id. Above the cap the person's least recently seen session goes, with its children. */
int sessions_add(struct db *db, struct session *s, struct err *e);
/* -ENOENT also for an expired one, and for one made under a clock that ran ahead. */
int sessions_find(struct db *db, const uint8_t cookie_sha256[32], int64_t now, struct session *out,
	struct err *e);
/* Of one person, or of all with user_id 0 (to fill the loops' replicas); newest seen first. */
int sessions_list(struct db *db, int64_t user_id, struct session **out, size_t *n, struct err *e);
/* Note use: `last_seen_at` moves forward, and the expiry becomes `expires_at`. */
int sessions_touch(
	struct db *db, int64_t id, int64_t last_seen_at, int64_t expires_at, struct err *e);
int sessions_remove(struct db *db, int64_t id, struct err *e);
/* All of one person, but for `keep` (a base session) and its children; 0 keeps none. */
int sessions_remove_user(struct db *db, int64_t user_id, int64_t keep, struct err *e);
/* All on one host, for a removed device. */
int sessions_remove_host(struct db *db, const char *host, struct err *e);
/* Remove what expired. Returns how many, or a negative code. */
int sessions_purge(struct db *db, int64_t now, struct err *e);
