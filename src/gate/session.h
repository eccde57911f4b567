/* The loops' replica of sessions: which cookie opens which host. Kept up to date by the control
 * thread, which owns the truth; holds hashes, never cookies. One table a loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "gate/session_row.h"

struct session {
	struct session_row row;
	struct list users;  /* ring of struct session_use: what runs under it */
	int64_t touched_at; /* when the control thread was last told that it is in use */
};

/* Embedded in whatever must end when the session ends (an open WebSocket, say). */
struct session_use {
	struct list node;
	void (*on_revoked)(struct session_use *u);
};

struct session_table;
struct session_table *session_table_new(void);
void session_table_free(struct session_table *t);
/* Add or replace. */
void session_table_put(struct session_table *t, const struct session_row *row);
/* Remove; every use gets on_revoked. */
void session_table_drop(struct session_table *t, const uint8_t hash[32]);
/* The live session of this cookie text on this host at this time, or NULL. One made under a clock
 * that ran ahead is not live. */
struct session *session_table_find(
	struct session_table *t, const char *cookie, const char *host, int64_t now);
/* Expired ones go; their uses are told. Call now and then. */
void session_table_sweep(struct session_table *t, int64_t now);
void session_use_begin(struct session *s, struct session_use *u);
void session_use_end(struct session_use *u);
