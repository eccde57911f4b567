/* Key and value, in both kinds of database. */
#include "store/meta.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "store/db.h"

int meta_get(struct db *db, const char *key, char *dst, size_t size, struct err *e)
{
	sqlite3_stmt *st;
	*dst = 0;
	int rc = db_query(db, e, &st,
		"SELECT value, length(CAST(value AS BLOB)) FROM meta WHERE key = ?", "t", key);
	if (rc < 0)
		return rc;
	rc = db_step(db, st, e);
	if (rc == 0)
		rc = err_set(e, -ENOENT, "“%s” is not set", key);
	else if (rc > 0 && (size_t)db_int(st, 1) >= size)
		rc = err_set(e, -ENOBUFS, "“%s” is longer than %zu bytes", key, size - 1);
	else if (rc > 0)
		db_text(st, 0, dst, size);
	db_end(st);
	return rc < 0 ? rc : 0;
}

int meta_set(struct db *db, const char *key, const char *value, struct err *e)
{
	if (strlen(value) > META_VALUE_MAX)
		return err_set(
			e, -EINVAL, "“%s” would be longer than %d bytes", key, META_VALUE_MAX);
	int rc = db_run(
		db, e, "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", "tt", key, value);
	return rc < 0 ? rc : 0;
}

int meta_get_int(struct db *db, const char *key, int64_t missing, int64_t *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(
		db, e, &st, "SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?", "t", key);
	if (rc < 0)
		return rc;
	rc = db_step(db, st, e);
	*out = rc > 0 ? db_int(st, 0) : missing;
	db_end(st);
	return rc < 0 ? rc : 0;
}

int meta_set_int(struct db *db, const char *key, int64_t value, struct err *e)
{
	int rc = db_run(db, e,
		"INSERT OR REPLACE INTO meta (key, value) VALUES (?, CAST(? AS TEXT))", "ti", key,
		value);
	return rc < 0 ? rc : 0;
}
