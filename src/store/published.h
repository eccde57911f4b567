/* The A and AAAA records that the steward keeps in DNS: what is wanted, and what may stand there.
 * An address is noted as maybe-present before the plugin runs, so a change after a crash still
 * takes the old one out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/procmsg.h"

struct db;

#define PUBLISHED_ADDRS_MAX (2 * PROCMSG_ADDRS_MAX)

enum published_state { PUBLISHED_ABSENT = 1, PUBLISHED_MAYBE, PUBLISHED_PRESENT };

struct published_addr {
	char addr[46];
	bool wanted;
	enum published_state state;
};

struct published {
	char name[254];
	struct published_addr addrs[PUBLISHED_ADDRS_MAX];
	unsigned n_addrs;
	bool done; /* every wanted address is present, no other is there */
};

/* Make the set of `name` that of `m` (names[0] and addrs of a PUBLISH); none: take it out. What
 * stands in DNS is remembered until published_mark says that it is gone. */
int published_want(struct db *db, const struct procmsg *m, struct err *e);
/* -ENOENT once nothing is wanted and nothing is left. */
int published_get(struct db *db, const char *name, struct published *out, struct err *e);
int published_list(struct db *db, struct published **out, size_t *n, struct err *e);
/* MAYBE before the plugin runs, PRESENT after a set, ABSENT after an unset. */
int published_mark(struct db *db, const char *name, const char *addr, enum published_state state,
	struct err *e);
