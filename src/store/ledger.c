/* Rows of TXT records. Each call is its own durable transaction: the order "written, then done" is
 * what the sweep after a crash relies on. */
#include "store/ledger.h"

#include <errno.h>
#include <sqlite3.h>

#include "store/db.h"

#define COLUMNS "id, name, value, zone, order_id, state, created_at"

static void fill(sqlite3_stmt *st, void *row)
{
	struct ledger_row *r = row;
	r->id = db_int(st, 0);
	db_text(st, 1, r->name, sizeof(r->name));
	db_text(st, 2, r->value, sizeof(r->value));
	db_text(st, 3, r->zone, sizeof(r->zone));
	r->order_id = (uint64_t)db_int(st, 4);
	r->state = (enum ledger_state)db_int(st, 5);
	r->created_at = db_int(st, 6);
}

static const struct db_shape ROW = {sizeof(struct ledger_row), fill, "TXT record"};

static int add(struct db *db, struct ledger_row *r, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_run(db, e,
		"INSERT INTO ledger (name, value, zone, order_id, state, created_at)"
		" VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name, value) DO UPDATE SET"
		" zone = excluded.zone, order_id = excluded.order_id, state = excluded.state",
		"tttiii", r->name, r->value, r->zone, (int64_t)r->order_id, (int64_t)LEDGER_ADDING,
		r->created_at);
	if (rc >= 0)
		rc = db_query(db, e, &st,
			"SELECT " COLUMNS " FROM ledger WHERE name = ? AND value = ?", "tt",
			r->name, r->value);
	if (rc < 0)
		return rc;
	struct ledger_row kept;
	rc = db_one(db, st, &ROW, &kept, e);
	if (rc == 0)
		*r = kept;
	return rc;
}

int ledger_add(struct db *db, struct ledger_row *r, struct err *e)
{
	if (!*r->name || !*r->value)
		return err_set(e, -EINVAL, "a TXT record needs a name and a value");
	int rc = db_begin(db, e);
	return rc < 0 ? rc : db_settle(db, add(db, r, e), e);
}

int ledger_mark(struct db *db, int64_t id, enum ledger_state state, struct err *e)
{
	return db_must(
		db_run(db, e, "UPDATE ledger SET state = ? WHERE id = ?", "ii", (int64_t)state, id),
		"TXT record", e);
}

int ledger_strike(struct db *db, int64_t id, struct err *e)
{
	return db_must(db_run(db, e, "DELETE FROM ledger WHERE id = ?", "i", id), "TXT record", e);
}

int ledger_list(struct db *db, uint64_t order_id, struct ledger_row **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	struct db_rows r = {0};
	int rc = db_query(db, e, &st,
		"SELECT " COLUMNS " FROM ledger"
		" WHERE ?1 = 0 OR order_id = ?1 ORDER BY id",
		"i", (int64_t)order_id);
	if (rc == 0)
		rc = db_all(db, st, &ROW, &r, e);
	*out = r.rows;
	*n = r.n;
	return rc;
}
