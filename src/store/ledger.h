/* The steward's ledger of TXT records: what may stand in DNS because of us. A row is durable
 * before the plugin runs and struck only after the record is gone, so what a crash left behind is
 * known at the next start. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct db;

#define LEDGER_VALUE_MAX 255

enum ledger_state { LEDGER_ADDING = 1, LEDGER_PRESENT, LEDGER_REMOVING };

struct ledger_row {
	int64_t id;
	char name[254]; /* of the TXT, after CNAMEs */
	char value[LEDGER_VALUE_MAX + 1];
	char zone[254];
	uint64_t order_id;
	enum ledger_state state;
	int64_t created_at;
};

/* Durable when this returns; state is LEDGER_ADDING, sets r->id. The same name and value again is
 * no error: the old row is taken over, with the new order. */
int ledger_add(struct db *db, struct ledger_row *r, struct err *e);
int ledger_mark(struct db *db, int64_t id, enum ledger_state state, struct err *e);
/* The record is gone from DNS: forget it. */
int ledger_strike(struct db *db, int64_t id, struct err *e);
/* In order of age: those of one order, or all with order_id 0 (the sweep). */
int ledger_list(
	struct db *db, uint64_t order_id, struct ledger_row **out, size_t *n, struct err *e);
