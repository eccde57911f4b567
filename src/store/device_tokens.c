/* Rows of enrolment tokens. Whatever ends a token overwrites its secret first (secure_delete zeroes
 * what the row held) and then empties the write-ahead log, which still has the old page. */
#include "store/device_tokens.h"

#include <errno.h>
#include <sqlite3.h>

#include "store/db.h"
#include "store/devices.h"

static void fill(sqlite3_stmt *st, void *row)
{
	struct device_token *t = row;
	t->id = db_int(st, 0);
	db_text(st, 1, t->device, sizeof(t->device));
	db_blob(st, 2, t->secret, sizeof(t->secret));
	t->bound = db_blob(st, 3, t->spki_sha256, sizeof(t->spki_sha256));
	t->attempts = (unsigned)db_int(st, 4);
	t->created_at = db_int(st, 5);
	t->expires_at = db_int(st, 6);
}

static const struct db_shape TOKEN = {sizeof(struct device_token), fill, "enrolment token"};

/* Of one device (row number), or with 0 those that expired at `now`. Returns how many. */
static int wipe_tokens(struct db *db, int64_t device, int64_t now, struct err *e)
{
	int rc = db_run(db, e,
		"UPDATE device_tokens SET secret = NULL"
		" WHERE (?1 <> 0 AND device_id = ?1) OR (?1 = 0 AND expires_at <= ?2)",
		"ii", device, now);
	if (rc > 0)
		rc = db_run(db, e, "DELETE FROM device_tokens WHERE secret IS NULL", "");
	return rc;
}

static int wipe_durably(struct db *db, int64_t device, int64_t now, struct err *e)
{
	int rc = db_begin(db, e);
	if (rc < 0)
		return rc;
	rc = db_settle(db, wipe_tokens(db, device, now, e), e);
	if (rc > 0)
		db_scrub(db);
	return rc;
}

static int add(struct db *db, struct device_token *t, int64_t device, struct err *e)
{
	int rc = wipe_tokens(db, device, 0, e);
	if (rc >= 0)
		rc = db_run(db, e,
			"INSERT INTO device_tokens (device_id, secret, created_at, expires_at)"
			" VALUES (?, ?, ?, ?)",
			"ibii", device, t->secret, sizeof(t->secret), t->created_at, t->expires_at);
	if (rc < 0)
		return rc;
	t->id = db_last_id(db);
	t->bound = false;
	t->attempts = 0;
	return 0;
}

int device_tokens_add(struct db *db, struct device_token *t, struct err *e)
{
	struct device d;
	int rc = devices_find(db, t->device, &d, e);
	if (rc == 0)
		rc = db_begin(db, e);
	if (rc < 0)
		return rc;
	rc = db_settle(db, add(db, t, d.row, e), e);
	if (rc == 0)
		db_scrub(db);
	return rc;
}

int device_tokens_find(
	struct db *db, const char *device, int64_t now, struct device_token *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st,
		"SELECT t.id, label, secret, spki_sha256, attempts, t.created_at, expires_at"
		" FROM device_tokens AS t JOIN devices AS d ON d.id = t.device_id"
		" WHERE label = ? AND removed_at IS NULL AND secret IS NOT NULL",
		"t", device);
	if (rc == 0)
		rc = db_one(db, st, &TOKEN, out, e);
	if (rc < 0 || out->expires_at > now)
		return rc;
	*out = (struct device_token){0};
	rc = device_tokens_purge(db, now, e);
	return rc < 0 ? rc : err_set(e, -ESTALE, "the enrolment token has expired");
}

static int bump(struct db *db, int64_t id, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_must(
		db_run(db, e, "UPDATE device_tokens SET attempts = attempts + 1 WHERE id = ?", "i",
			id),
		"enrolment token", e);
	if (rc == 0)
		rc = db_query(
			db, e, &st, "SELECT attempts FROM device_tokens WHERE id = ?", "i", id);
	if (rc < 0)
		return rc;
	rc = db_step(db, st, e);
	if (rc > 0)
		rc = (int)db_int(st, 0);
	db_end(st);
	return rc;
}

int device_tokens_failed(struct db *db, int64_t id, struct err *e)
{
	int rc = db_begin(db, e);
	return rc < 0 ? rc : db_settle(db, bump(db, id, e), e);
}

int device_tokens_bind(struct db *db, int64_t id, const uint8_t spki_sha256[32], struct err *e)
{
	/* One statement decides, so of two proofs at once one key wins. */
	int rc = db_run(db, e,
		"UPDATE device_tokens SET spki_sha256 = ?1"
		" WHERE id = ?2 AND (spki_sha256 IS NULL OR spki_sha256 = ?1)",
		"bi", spki_sha256, (size_t)32, id);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	sqlite3_stmt *st;
	rc = db_query(db, e, &st, "SELECT 1 FROM device_tokens WHERE id = ?", "i", id);
	if (rc < 0)
		return rc;
	rc = db_step(db, st, e);
	db_end(st);
	if (rc > 0)
		return err_set(e, -EEXIST, "the enrolment token belongs to another key");
	return rc < 0 ? rc : err_set(e, -ENOENT, "no such enrolment token");
}

int device_tokens_drop(struct db *db, const char *device, struct err *e)
{
	struct device d;
	int rc = devices_find(db, device, &d, e);
	if (rc == -ENOENT)
		return 0;
	if (rc == 0)
		rc = wipe_durably(db, d.row, 0, e);
	return rc < 0 ? rc : 0;
}

int device_tokens_purge(struct db *db, int64_t now, struct err *e)
{
	return wipe_durably(db, 0, now, e);
}

int64_t device_tokens_open_until(struct db *db, const char *device, int64_t now)
{
	sqlite3_stmt *st;
	int64_t until = 0;
	if (db_query(db, NULL, &st,
		    "SELECT expires_at FROM device_tokens AS t JOIN devices AS d ON d.id = t.device_id"
		    " WHERE label = ? AND removed_at IS NULL AND secret IS NOT NULL"
		    " AND spki_sha256 IS NULL AND expires_at > ?",
		    "ti", device, now) < 0)
		return 0;
	if (db_step(db, st, NULL) > 0)
		until = db_int(st, 0);
	db_end(st);
	return until;
}
