/* What the gate knows of each public certificate: names, dates, the order under way, the last
 * failure. Keys and chains are files beside the database, see gate/certs. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/procmsg.h"

struct db;

#define CERTS_BASE_ID "@base" /* base name and wildcard; all others have a device's label as id */
#define CERTS_SERIAL_MAX 40

enum certs_state {
	CERTS_WANTED = 1, /* nothing held, nothing ordered */
	CERTS_ORDERED,    /* order_id is with the steward; not_after says whether one is held too */
	CERTS_HELD,
};

struct certs_row {
	char id[64];
	char names[PROCMSG_NAMES_MAX][254];
	unsigned n_names;
	enum certs_state state;
	int64_t not_before, not_after; /* of the one held; 0: none */
	char serial[CERTS_SERIAL_MAX + 1];
	int64_t issued_at;
	unsigned fails;                   /* in a row; 0 after a success */
	enum state_class fail_class;      /* 0: no failure */
	char fail_text[PROCMSG_TEXT_MAX]; /* cause, for people */
	int64_t failed_at;                /* when; 0: no failure */
	int64_t next_at;                  /* next try or renewal; 0: not planned */
	uint64_t order_id;                /* 0: none */
	uint8_t file_sha256[32]; /* of the file that names, dates and serial were read from; zeros:
				    not known */
};

int certs_row_get(struct db *db, const char *id, struct certs_row *out, struct err *e);
int certs_row_by_order(struct db *db, uint64_t order_id, struct certs_row *out, struct err *e);
int certs_row_list(struct db *db, struct certs_row **out, size_t *n, struct err *e);
/* Insert or replace whole. */
int certs_row_put(struct db *db, const struct certs_row *r, struct err *e);
int certs_row_remove(struct db *db, const char *id, struct err *e);
/* A fresh order id, never given before, also not before a restart. */
int certs_order_id(struct db *db, uint64_t *out, struct err *e);
