/* Who did what to what, and how it ended. Append-only; the oldest rows go above the cap. Never
 * give it a secret. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct db;

#define AUDIT_ROWS_MAX 10000

struct audit_row {
	int64_t id;
	int64_t at;        /* Unix seconds */
	char actor[65];    /* user name, "cli", "gateway", "device:tv" */
	char action[33];   /* "session.create", "device.remove" … */
	char object[256];  /* what it was about */
	char outcome[129]; /* "ok" or why not */
};

/* Texts that are too long are cut. */
struct audit {
	int64_t at;
	const char *actor, *action, *object, *outcome;
};
int audit_add(struct db *db, const struct audit *a, struct err *e);
/* Newest first, older than row `before` (0: from the newest). `*n`: how many at most, then how many
 * there are in `*out`, which is for free(). */
int audit_list(struct db *db, int64_t before, struct audit_row **out, size_t *n, struct err *e);
