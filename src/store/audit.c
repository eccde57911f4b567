/* The audit trail: rows are only ever appended, and dropped at the far end above the cap. */
#include "store/audit.h"

#include <sqlite3.h>
#include <string.h>

#include "store/db.h"

static void fill(sqlite3_stmt *st, void *row)
{
	struct audit_row *a = row;
	a->id = db_int(st, 0);
	a->at = db_int(st, 1);
	db_text(st, 2, a->actor, sizeof(a->actor));
	db_text(st, 3, a->action, sizeof(a->action));
	db_text(st, 4, a->object, sizeof(a->object));
	db_text(st, 5, a->outcome, sizeof(a->outcome));
}

static const struct db_shape ROW = {sizeof(struct audit_row), fill, "audit row"};

/* At most size - 1 bytes, never half a character. */
static void cut(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src);
	if (n >= size)
		for (n = size - 1; n && ((unsigned char)src[n] & 0xc0) == 0x80; n--)
			;
	memcpy(dst, src, n);
	dst[n] = 0;
}

static int append(struct db *db, const struct audit *a, struct err *e)
{
	struct audit_row r;
	cut(r.actor, sizeof(r.actor), a->actor);
	cut(r.action, sizeof(r.action), a->action);
	cut(r.object, sizeof(r.object), a->object);
	cut(r.outcome, sizeof(r.outcome), a->outcome);
	int rc = db_run(db, e,
		"INSERT INTO audit (at, actor, action, object, outcome) VALUES (?, ?, ?, ?, ?)",
		"itttt", a->at, r.actor, r.action, r.object, r.outcome);
	if (rc >= 0)
		rc = db_run(db, e, "DELETE FROM audit WHERE id <= ?", "i",
			db_last_id(db) - AUDIT_ROWS_MAX);
	return rc < 0 ? rc : 0;
}

int audit_add(struct db *db, const struct audit *a, struct err *e)
{
	int rc = db_begin(db, e);
	return rc < 0 ? rc : db_settle(db, append(db, a, e), e);
}

int audit_list(struct db *db, int64_t before, struct audit_row **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	struct db_rows r = {0};
	int rc = db_query(db, e, &st,
		"SELECT id, at, actor, action, object, outcome FROM audit"
		" WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2",
		"ii", before, (int64_t)(*n > AUDIT_ROWS_MAX ? AUDIT_ROWS_MAX : *n));
	if (rc == 0)
		rc = db_all(db, st, &ROW, &r, e);
	*out = r.rows;
	*n = r.n;
	return rc;
}
