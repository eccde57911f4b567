/* Rows of failed issuance, by name set. */
#include "store/attempts.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/db.h"

static void fill(sqlite3_stmt *st, void *row)
{
	struct attempt *a = row;
	db_text(st, 0, a->key, sizeof(a->key));
	a->fails = (unsigned)db_int(st, 1);
	a->class = (enum state_class)db_int(st, 2);
	db_text(st, 3, a->text, sizeof(a->text));
	a->last_at = db_int(st, 4);
	a->next_at = db_int(st, 5);
}

static const struct db_shape ATTEMPT = {sizeof(struct attempt), fill, "failed attempt"};

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void attempts_key(const struct procmsg *order, char *out)
{
	const char *names[PROCMSG_NAMES_MAX];
	size_t len = 0;
	for (unsigned i = 0; i < order->n_names; i++)
		names[i] = order->names[i];
	qsort(names, order->n_names, sizeof(*names), compare);
	*out = 0;
	for (unsigned i = 0; i < order->n_names; i++)
		len += (size_t)snprintf(
			out + len, ATTEMPT_KEY_MAX - len, "%s%s", i ? "," : "", names[i]);
}

int attempts_get(struct db *db, const char *key, struct attempt *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st,
		"SELECT names, fails, class, text, last_at, next_at FROM attempts WHERE names = ?",
		"t", key);
	return rc < 0 ? rc : db_one(db, st, &ATTEMPT, out, e);
}

int attempts_put(struct db *db, const struct attempt *a, struct err *e)
{
	int rc = db_run(db, e,
		"INSERT OR REPLACE INTO attempts (names, fails, class, text, last_at, next_at)"
		" VALUES (?, ?, ?, ?, ?, ?)",
		"tiitii", a->key, (int64_t)a->fails, (int64_t)a->class, a->text, a->last_at,
		a->next_at);
	return rc < 0 ? rc : 0;
}

int attempts_clear(struct db *db, const char *key, struct err *e)
{
	int rc = db_run(db, e, "DELETE FROM attempts WHERE names = ?", "t", key);
	return rc < 0 ? rc : 0;
}

int attempts_list(struct db *db, struct attempt **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	struct db_rows r = {0};
	int rc = db_query(db, e, &st,
		"SELECT names, fails, class, text, last_at, next_at FROM attempts ORDER BY names",
		"");
	if (rc == 0)
		rc = db_all(db, st, &ATTEMPT, &r, e);
	*out = r.rows;
	*n = r.n;
	return rc;
}
