/* One SQLite file: opened with WAL, synchronous=FULL, foreign keys and mode 0600, its schema
 * brought up to date by PRAGMA user_version. A handle belongs to one thread. Every function of the
 * row modules (users, invites, sessions, devices, device_tokens, certs, meta, audit; ledger,
 * published, attempts) works on such a handle and returns:
 *
 *   0 done · -ENOENT no such row · -EEXIST it is there already · -EINVAL what the caller gave is
 *   not valid · -ENOSPC disk full · -EROFS read-only · -EBUSY another process holds the file ·
 *   -EBADMSG the file is damaged · -EIO anything else; the words in `e` say more.
 *
 * A function that lists gives a heap array that the caller passes to free(), NULL for no rows.
 * One that writes more than one row does so in one transaction, or inside the caller's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct db;
struct sqlite3_stmt;

enum db_kind { DB_GATE, DB_STEWARD };

/* Open or make the file. A file of a newer program or of the other kind is -EINVAL and stays
 * untouched. The directory must exist. */
int db_open(struct db **out, const char *path, enum db_kind kind, struct err *e);
/* NULL is accepted. Rolls back what was not committed. */
void db_close(struct db *db);
/* Give back the memory of what was asked so far: after a start, which reads everything once. What is
 * asked for again is prepared and read again. No query may be open. */
void db_shrink(struct db *db);

/* Transactions nest: only the outermost writes, and a rollback inside undoes all of it. After a
 * failed call inside: db_rollback. A commit that fails has ended the transaction, undone. */
int db_begin(struct db *db, struct err *e);
int db_commit(struct db *db, struct err *e);
void db_rollback(struct db *db);
/* End a transaction by how it went: commit and return `rc`, or for a negative one roll back. */
int db_settle(struct db *db, int rc, struct err *e);

/* Let the file grow no further than `pages` of 4 KiB; then writes are -ENOSPC. 0: no bound. */
int db_limit_pages(struct db *db, unsigned pages, struct err *e);

/* Move what the log holds into the file and cut the log, so that overwritten secrets are in
 * neither. Not inside a transaction. */
void db_scrub(struct db *db);

/* From here on for the row modules only.
 *
 * `types` has one letter per `?` of `sql`, followed by its arguments: t const char * (NULL: SQL
 * NULL), i int64_t, b const void * and size_t (NULL pointer: SQL NULL). `sql` must be a literal:
 * the prepared statement is kept under its address. */

/* Run a statement that gives no rows. Returns the number of rows changed, or a negative code. */
int db_run(struct db *db, struct err *e, const char *sql, const char *types, ...);
/* What db_run returned, for a statement that must change a row: 0, or -ENOENT "no such WHAT". */
int db_must(int changed, const char *what, struct err *e);
/* Start a statement that gives rows; unless this fails, db_one or db_all or db_end ends it. What
 * was passed must live until then. */
int db_query(struct db *db, struct err *e, struct sqlite3_stmt **st, const char *sql,
	const char *types, ...);
/* 1 a row, 0 no more, negative. */
int db_step(struct db *db, struct sqlite3_stmt *st, struct err *e);
void db_end(struct sqlite3_stmt *st);

/* How a row becomes a struct: `fill` gets it zeroed. */
struct db_shape {
	size_t size;
	void (*fill)(struct sqlite3_stmt *st, void *row);
	const char *what; /* for "no such WHAT" */
};
/* The first row into `out`, or -ENOENT. Ends the statement. */
int db_one(struct db *db, struct sqlite3_stmt *st, const struct db_shape *shape, void *out,
	struct err *e);
struct db_rows {
	void *rows; /* heap, NULL for none */
	size_t n;
};
/* All rows. Ends the statement. */
int db_all(struct db *db, struct sqlite3_stmt *st, const struct db_shape *shape, struct db_rows *r,
	struct err *e);

int64_t db_int(struct sqlite3_stmt *st, int column);
/* Copies; a text that does not fit ends up empty. NULL gives "". */
void db_text(struct sqlite3_stmt *st, int column, char *dst, size_t size);
/* Exactly `n` bytes: true; else `dst` is zeroed and false. */
bool db_blob(struct sqlite3_stmt *st, int column, void *dst, size_t n);
/* Append to `out`. */
int db_blob_buf(struct sqlite3_stmt *st, int column, struct buf *out);
int64_t db_last_id(struct db *db);
