/* Rows of public certificates. Names are kept joined by commas, which no host name holds. */
#include "store/certs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "store/db.h"
#include "store/meta.h"

#define COLUMNS                                                                                    \
	"id, names, state, not_before, not_after, serial, issued_at, fails, fail_class,"           \
	" fail_text, failed_at, next_at, order_id, file_sha256"
#define NAMES_TEXT_MAX (PROCMSG_NAMES_MAX * 254 + 1)

static void split_names(struct certs_row *r, char *text)
{
	for (char *name; *text && (name = strsep(&text, ","));) {
		if (r->n_names < PROCMSG_NAMES_MAX)
			str_copy(r->names[r->n_names++], sizeof(r->names[0]), name);
		if (!text)
			return;
	}
}

static void fill(sqlite3_stmt *st, void *row)
{
	struct certs_row *r = row;
	char names[NAMES_TEXT_MAX];
	db_text(st, 0, r->id, sizeof(r->id));
	db_text(st, 1, names, sizeof(names));
	split_names(r, names);
	r->state = (enum certs_state)db_int(st, 2);
	r->not_before = db_int(st, 3);
	r->not_after = db_int(st, 4);
	db_text(st, 5, r->serial, sizeof(r->serial));
	r->issued_at = db_int(st, 6);
	r->fails = (unsigned)db_int(st, 7);
	r->fail_class = (enum state_class)db_int(st, 8);
	db_text(st, 9, r->fail_text, sizeof(r->fail_text));
	r->failed_at = db_int(st, 10);
	r->next_at = db_int(st, 11);
	r->order_id = (uint64_t)db_int(st, 12);
	db_blob(st, 13, r->file_sha256, sizeof(r->file_sha256));
}

static const struct db_shape CERT = {sizeof(struct certs_row), fill, "certificate"};

int certs_row_get(struct db *db, const char *id, struct certs_row *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st, "SELECT " COLUMNS " FROM certs WHERE id = ?", "t", id);
	return rc < 0 ? rc : db_one(db, st, &CERT, out, e);
}

int certs_row_by_order(struct db *db, uint64_t order_id, struct certs_row *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st,
		"SELECT " COLUMNS " FROM certs WHERE order_id = ? AND order_id <> 0", "i",
		(int64_t)order_id);
	return rc < 0 ? rc : db_one(db, st, &CERT, out, e);
}

int certs_row_list(struct db *db, struct certs_row **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	struct db_rows r = {0};
	int rc = db_query(db, e, &st, "SELECT " COLUMNS " FROM certs ORDER BY id", "");
	if (rc == 0)
		rc = db_all(db, st, &CERT, &r, e);
	*out = r.rows;
	*n = r.n;
	return rc;
}

/* -EINVAL for what could not be read back. */
static int join_names(const struct certs_row *r, char out[NAMES_TEXT_MAX], struct err *e)
{
	size_t len = 0;
	*out = 0;
	if (!*r->id || !r->n_names || r->n_names > PROCMSG_NAMES_MAX)
		return err_set(e, -EINVAL, "a certificate needs an id and 1 to %d names",
			PROCMSG_NAMES_MAX);
	for (unsigned i = 0; i < r->n_names; i++) {
		const char *name = r->names[i];
		if (!name_is_host(str_starts(name, "*.") ? name + 2 : name))
			return err_set(e, -EINVAL, "“%.80s” is no name for a certificate", name);
		len += (size_t)snprintf(
			out + len, NAMES_TEXT_MAX - len, "%s%s", i ? "," : "", name);
		if (len >= NAMES_TEXT_MAX)
			return err_set(e, -EINVAL, "the names of a certificate are too long");
	}
	return 0;
}

int certs_row_put(struct db *db, const struct certs_row *r, struct err *e)
{
	char names[NAMES_TEXT_MAX];
	int rc = join_names(r, names, e);
	if (rc == 0)
		rc = db_run(db, e,
			"INSERT OR REPLACE INTO certs (" COLUMNS
			") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"ttiiitiiitiiib", r->id, names, (int64_t)r->state, r->not_before,
			r->not_after, r->serial, r->issued_at, (int64_t)r->fails,
			(int64_t)r->fail_class, r->fail_text, r->failed_at, r->next_at,
			(int64_t)r->order_id, r->file_sha256, sizeof(r->file_sha256));
	return rc < 0 ? rc : 0;
}

int certs_row_remove(struct db *db, const char *id, struct err *e)
{
	return db_must(db_run(db, e, "DELETE FROM certs WHERE id = ?", "t", id), "certificate", e);
}

static int next_order(struct db *db, int64_t *id, struct err *e)
{
	int rc = meta_get_int(db, "last_order_id", 0, id, e);
	return rc < 0 ? rc : meta_set_int(db, "last_order_id", ++*id, e);
}

int certs_order_id(struct db *db, uint64_t *out, struct err *e)
{
	int64_t id = 0;
	int rc = db_begin(db, e);
	if (rc == 0)
		rc = db_settle(db, next_order(db, &id, e), e);
	if (rc == 0)
		*out = (uint64_t)id;
	return rc;
}
