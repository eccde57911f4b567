/* How often issuing for a set of names failed, and when it may be tried again: in the file, so that
 * a restart loop does not burn the CA's limits. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/procmsg.h"

struct db;

/* The names, sorted and joined by commas. */
#define ATTEMPT_KEY_MAX (PROCMSG_NAMES_MAX * 255)

struct attempt {
	char key[ATTEMPT_KEY_MAX];
	unsigned fails; /* in a row */
	enum state_class class;
	char text[PROCMSG_TEXT_MAX];
	int64_t last_at, next_at;
};

/* The key of a name set. `out`: ATTEMPT_KEY_MAX. */
void attempts_key(const struct procmsg *order, char *out);
/* -ENOENT: none failed since the last success. */
int attempts_get(struct db *db, const char *key, struct attempt *out, struct err *e);
int attempts_put(struct db *db, const struct attempt *a, struct err *e);
/* After a success; no row is no error. */
int attempts_clear(struct db *db, const char *key, struct err *e);
int attempts_list(struct db *db, struct attempt **out, size_t *n, struct err *e);
