/* Opening, schema versions, transactions and prepared statements over one SQLite handle. What
 * SQLite reports becomes an errno that callers can act on: a full disk is not a broken one. */
#include "store/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xalloc.h"

#define STATEMENTS_MAX 128
#define BUSY_MS 2000

/* By kind, then by version: running them in turn leads from any older version to the newest. */
static const char GATE_1[] =
#include "store/schema_gate.inc"
	;
static const char GATE_2[] =
#include "store/schema_gate_2.inc"
	;
static const char GATE_3[] =
#include "store/schema_gate_3.inc"
	;
static const char STEWARD_1[] =
#include "store/schema_steward.inc"
	;

static const struct schema {
	int application_id; /* tells the kinds of files apart */
	const char *steps[4];
} SCHEMAS[] = {
	[DB_GATE] = {0x4c4e4731, {GATE_1, GATE_2, GATE_3}},
	[DB_STEWARD] = {0x4c4e5331, {STEWARD_1}             },
};

struct statement {
	const char *sql;
	sqlite3_stmt *st;
};

struct db {
	sqlite3 *handle;
	struct statement statements[STATEMENTS_MAX];
	unsigned n_statements;
	unsigned depth; /* of transactions */
	bool doomed;    /* one inside was rolled back */
};

static int io_code(sqlite3 *handle)
{
	int sys = sqlite3_system_errno(handle);
	return sys == ENOSPC || sys == EDQUOT ? -ENOSPC : sys == EROFS ? -EROFS : -EIO;
}

static int code_of(sqlite3 *handle, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		return io_code(handle);
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return -EBADMSG;
	case SQLITE_CONSTRAINT:
		if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
			return -EEXIST;
		return rc == SQLITE_CONSTRAINT_FOREIGNKEY ? -ENOENT : -EINVAL;
	default:
		return -EIO;
	}
}

static int fail(struct db *db, int rc, struct err *e)
{
	int code = code_of(db->handle, rc);
	if (code == -ENOSPC)
		return err_set(e, code, "database: the disk is full");
	if (code == -EROFS)
		return err_set(e, code, "database: the file cannot be written");
	return err_set(e, code, "database: %s", sqlite3_errmsg(db->handle));
}

static int exec(struct db *db, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : fail(db, rc, e);
}

/* A pragma that gives one number. */
static int pragma_int(struct db *db, const char *sql, int64_t *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL);
	if (rc != SQLITE_OK)
		return fail(db, rc, e);
	rc = sqlite3_step(st);
	*out = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	int code = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : fail(db, rc, e);
	sqlite3_finalize(st);
	return code;
}

static int set_pragma(struct db *db, const char *name, int64_t value, struct err *e)
{
	char sql[96];
	snprintf(sql, sizeof(sql), "PRAGMA %s=%lld", name, (long long)value);
	return exec(db, sql, e);
}

/* Make the file with the right mode before SQLite would with another one: the WAL and the index
 * beside it take over its mode. */
static int make_file(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, -errno, "%s", path);
	int rc = fchmod(fd, 0600) < 0 ? err_sys(e, -errno, "%s", path) : 0;
	close(fd);
	return rc;
}

/* Look at the file before anything is written to it. Sets the version it has. */
static int check_kind(struct db *db, const struct schema *s, int64_t *version, struct err *e)
{
	int64_t id, objects;
	int rc = pragma_int(db, "PRAGMA application_id", &id, e);
	if (rc == 0)
		rc = pragma_int(db, "PRAGMA user_version", version, e);
	if (rc == 0)
		rc = pragma_int(db, "SELECT count(*) FROM sqlite_schema", &objects, e);
	if (rc < 0)
		return rc;
	int64_t newest = 0;
	while (newest < 4 && s->steps[newest])
		newest++;
	bool is_new = !id && !*version && !objects;
	if (!is_new && id != s->application_id)
		return err_set(e, -EINVAL, "it is a database of another kind");
	if (*version > newest)
		return err_set(e, -EINVAL, "a newer version of this program wrote it (%lld > %lld)",
			(long long)*version, (long long)newest);
	return 0;
}

static int upgrade(struct db *db, const struct schema *s, int64_t version, struct err *e)
{
	int rc = 0;
	for (int64_t v = version; rc == 0 && v < 4 && s->steps[v]; v++) {
		rc = db_begin(db, e);
		if (rc < 0)
			return rc;
		rc = exec(db, s->steps[v], e);
		if (rc == 0)
			rc = set_pragma(db, "application_id", s->application_id, e);
		if (rc == 0)
			rc = set_pragma(db, "user_version", v + 1, e);
		rc = db_settle(db, rc, e);
	}
	return rc;
}

static int prepare(struct db *db, const struct schema *s, struct err *e)
{
	int64_t version = 0;
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	int rc = check_kind(db, s, &version, e);
	if (rc < 0)
		return rc;
	/* In the order that matters: the mode first, what depends on it after. The log is folded in
	 * every 128 KiB: left alone it grows to 4 MiB, more than a small router's disk has to spare. */
	rc = exec(db,
		"PRAGMA journal_mode=WAL;"
		"PRAGMA synchronous=FULL;"
		"PRAGMA foreign_keys=ON;"
		"PRAGMA secure_delete=ON;"
		"PRAGMA temp_store=MEMORY;"
		"PRAGMA cache_size=-512;"
		"PRAGMA wal_autocheckpoint=32;"
		"PRAGMA journal_size_limit=262144;"
		"PRAGMA trusted_schema=OFF",
		e);
	return rc < 0 ? rc : upgrade(db, s, version, e);
}

int db_open(struct db **out, const char *path, enum db_kind kind, struct err *e)
{
	*out = NULL;
	int rc = make_file(path, e);
	if (rc < 0)
		return rc;
	struct db *db = xcalloc(1, sizeof(*db));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
	/* Pages one by one, not twenty at once that are never given back. Once SQLite runs this says
	 * that it comes too late, which is as well. */
	sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
	int sq = sqlite3_open_v2(path, &db->handle, flags, NULL);
	rc = sq == SQLITE_OK ? prepare(db, &SCHEMAS[kind], e) : fail(db, sq, e);
	if (rc < 0) {
		err_prefix(e, "%s", path);
		db_close(db);
		return rc;
	}
	*out = db;
	return 0;
}

static void forget_statements(struct db *db)
{
	while (db->n_statements)
		sqlite3_finalize(db->statements[--db->n_statements].st);
}

void db_shrink(struct db *db)
{
	forget_statements(db);
	sqlite3_db_release_memory(db->handle);
}

void db_close(struct db *db)
{
	if (!db)
		return;
	if (db->depth)
		exec(db, "ROLLBACK", NULL);
	forget_statements(db);
	sqlite3_close(db->handle);
	free(db);
}

int db_begin(struct db *db, struct err *e)
{
	if (db->depth == 0) {
		int rc = exec(db, "BEGIN IMMEDIATE", e);
		if (rc < 0)
			return rc;
		db->doomed = false;
	}
	db->depth++;
	return 0;
}

static void undo(struct db *db)
{
	/* SQLite has rolled back by itself after some errors, such as a full disk. */
	if (!sqlite3_get_autocommit(db->handle))
		exec(db, "ROLLBACK", NULL);
	db->doomed = false;
}

int db_commit(struct db *db, struct err *e)
{
	assert(db->depth);
	bool outermost = --db->depth == 0;
	if (db->doomed || sqlite3_get_autocommit(db->handle)) {
		if (outermost)
			undo(db);
		return err_set(e, -ECANCELED, "database: a part of this change was rolled back");
	}
	int rc = outermost ? exec(db, "COMMIT", e) : 0;
	if (rc < 0)
		undo(db);
	return rc;
}

void db_rollback(struct db *db)
{
	assert(db->depth);
	if (--db->depth == 0)
		undo(db);
	else
		db->doomed = true;
}

int db_settle(struct db *db, int rc, struct err *e)
{
	if (rc >= 0) {
		int committed = db_commit(db, e);
		return committed < 0 ? committed : rc;
	}
	db_rollback(db);
	return rc;
}

int db_limit_pages(struct db *db, unsigned pages, struct err *e)
{
	return set_pragma(db, "max_page_count", pages ? pages : 0xfffffffe, e);
}

void db_scrub(struct db *db)
{
	/* A reader elsewhere may hold the log; then the next one does it. */
	if (!db->depth)
		sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

/* The statement kept for this literal, or a fresh one. */
static int statement(struct db *db, const char *sql, sqlite3_stmt **out, struct err *e)
{
	for (unsigned i = 0; i < db->n_statements; i++)
		if (db->statements[i].sql == sql) {
			*out = db->statements[i].st;
			return 0;
		}
	assert(db->n_statements < STATEMENTS_MAX);
	int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
	if (rc != SQLITE_OK)
		return fail(db, rc, e);
	db->statements[db->n_statements++] = (struct statement){sql, *out};
	return 0;
}

/* Binds without copying: what is bound lives until db_end, which the callers' shape ensures. */
static int bind(struct db *db, sqlite3_stmt *st, const char *types, va_list ap, struct err *e)
{
	int rc = SQLITE_OK;
	assert((int)strlen(types) == sqlite3_bind_parameter_count(st));
	for (int i = 1; *types && rc == SQLITE_OK; i++, types++) {
		if (*types == 'i') {
			rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
		} else if (*types == 't') {
			rc = sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
		} else {
			assert(*types == 'b');
			const void *p = va_arg(ap, const void *);
			size_t n = va_arg(ap, size_t);
			rc = sqlite3_bind_blob64(st, i, p, n, SQLITE_STATIC);
		}
	}
	return rc == SQLITE_OK ? 0 : fail(db, rc, e);
}

int db_query(
	struct db *db, struct err *e, sqlite3_stmt **st, const char *sql, const char *types, ...)
{
	int rc = statement(db, sql, st, e);
	if (rc < 0)
		return rc;
	va_list ap;
	va_start(ap, types);
	rc = bind(db, *st, types, ap, e);
	va_end(ap);
	if (rc < 0)
		db_end(*st);
	return rc;
}

int db_step(struct db *db, sqlite3_stmt *st, struct err *e)
{
	int rc = sqlite3_step(st);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : fail(db, rc, e);
}

void db_end(sqlite3_stmt *st)
{
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
}

int db_run(struct db *db, struct err *e, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st;
	int rc = statement(db, sql, &st, e);
	if (rc < 0)
		return rc;
	va_list ap;
	va_start(ap, types);
	rc = bind(db, st, types, ap, e);
	va_end(ap);
	if (rc == 0)
		rc = db_step(db, st, e);
	db_end(st);
	return rc < 0 ? rc : sqlite3_changes(db->handle);
}

int db_must(int changed, const char *what, struct err *e)
{
	if (changed == 0)
		return err_set(e, -ENOENT, "no such %s", what);
	return changed < 0 ? changed : 0;
}

int64_t db_int(sqlite3_stmt *st, int column)
{
	return sqlite3_column_int64(st, column);
}

void db_text(sqlite3_stmt *st, int column, char *dst, size_t size)
{
	const void *text = sqlite3_column_text(st, column);
	size_t n = (size_t)sqlite3_column_bytes(st, column);
	*dst = 0;
	if (text && n < size && !memchr(text, 0, n)) {
		memcpy(dst, text, n);
		dst[n] = 0;
	}
}

bool db_blob(sqlite3_stmt *st, int column, void *dst, size_t n)
{
	const void *p = sqlite3_column_blob(st, column);
	bool fits = p && (size_t)sqlite3_column_bytes(st, column) == n;
	if (fits)
		memcpy(dst, p, n);
	else
		memset(dst, 0, n);
	return fits;
}

int db_blob_buf(sqlite3_stmt *st, int column, struct buf *out)
{
	const void *p = sqlite3_column_blob(st, column);
	return p ? buf_append(out, p, (size_t)sqlite3_column_bytes(st, column)) : 0;
}

int64_t db_last_id(struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

int db_one(struct db *db, sqlite3_stmt *st, const struct db_shape *shape, void *out, struct err *e)
{
	int rc = db_step(db, st, e);
	memset(out, 0, shape->size);
	if (rc > 0)
		shape->fill(st, out);
	else if (rc == 0)
		rc = err_set(e, -ENOENT, "no such %s", shape->what);
	db_end(st);
	return rc < 0 ? rc : 0;
}

int db_all(struct db *db, sqlite3_stmt *st, const struct db_shape *shape, struct db_rows *r,
	struct err *e)
{
	size_t room = 0;
	int rc;
	*r = (struct db_rows){0};
	while ((rc = db_step(db, st, e)) > 0) {
		if (r->n == room) {
			room = room ? 2 * room : 16;
			r->rows = xrealloc(r->rows, room, shape->size);
		}
		void *row = (char *)r->rows + r->n++ * shape->size;
		memset(row, 0, shape->size);
		shape->fill(st, row);
	}
	db_end(st);
	if (rc < 0) {
		free(r->rows);
		*r = (struct db_rows){0};
	}
	return rc;
}
