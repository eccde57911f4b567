/* Rows of sessions. That a base session takes its children with it is the database's own doing
 * (ON DELETE CASCADE), so it holds for every way in which a session can end. */
#include "store/sessions.h"

#include <errno.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "store/db.h"

#define COLUMNS                                                                                    \
	"id, cookie_sha256, user_id, host, parent, created_at, last_seen_at, expires_at, agent, "  \
	"address"

static void fill(sqlite3_stmt *st, void *row)
{
	struct session *s = row;
	s->id = db_int(st, 0);
	db_blob(st, 1, s->cookie_sha256, sizeof(s->cookie_sha256));
	s->user_id = db_int(st, 2);
	db_text(st, 3, s->host, sizeof(s->host));
	s->parent = db_int(st, 4);
	s->created_at = db_int(st, 5);
	s->last_seen_at = db_int(st, 6);
	s->expires_at = db_int(st, 7);
	db_text(st, 8, s->agent, sizeof(s->agent));
	db_text(st, 9, s->address, sizeof(s->address));
}

static const struct db_shape SESSION = {sizeof(struct session), fill, "session"};

static int insert(struct db *db, const struct session *s, struct err *e)
{
	int rc = db_run(db, e,
		"INSERT INTO sessions (cookie_sha256, user_id, host, parent, created_at,"
		" last_seen_at, expires_at, agent, address)"
		" VALUES (?, ?, ?, nullif(?, 0), ?, ?, ?, ?, ?)",
		"bitiiiitt", s->cookie_sha256, sizeof(s->cookie_sha256), s->user_id, s->host,
		s->parent, s->created_at, s->last_seen_at, s->expires_at, s->agent, s->address);
	if (rc == -ENOENT)
		err_set(e, rc, "the user or the base session is gone");
	return rc;
}

/* Neither the new one nor its parent, whose end would take the new one along. */
static int make_room(struct db *db, const struct session *s, struct err *e)
{
	return db_run(db, e,
		"DELETE FROM sessions WHERE id = (SELECT id FROM sessions WHERE user_id = ?1 AND"
		" id NOT IN (?2, ?3) ORDER BY last_seen_at, id LIMIT 1)"
		" AND (SELECT count(*) FROM sessions WHERE user_id = ?1) > ?4",
		"iiii", s->user_id, s->id, s->parent, (int64_t)SESSIONS_PER_USER_MAX);
}

int sessions_add(struct db *db, struct session *s, struct err *e)
{
	int rc = db_begin(db, e);
	if (rc < 0)
		return rc;
	rc = insert(db, s, e);
	if (rc >= 0) {
		s->id = db_last_id(db);
		rc = make_room(db, s, e);
	}
	rc = db_settle(db, rc, e);
	return rc < 0 ? rc : 0;
}

int sessions_find(struct db *db, const uint8_t cookie_sha256[32], int64_t now, struct session *out,
	struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st,
		"SELECT " COLUMNS " FROM sessions WHERE cookie_sha256 = ? AND expires_at > ?"
		" AND created_at <= ?",
		"bii", cookie_sha256, (size_t)32, now, now + CLOCK_SKEW_S);
	return rc < 0 ? rc : db_one(db, st, &SESSION, out, e);
}

int sessions_list(struct db *db, int64_t user_id, struct session **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	struct db_rows r = {0};
	int rc = db_query(db, e, &st,
		"SELECT " COLUMNS " FROM sessions WHERE ?1 = 0 OR user_id = ?1"
		" ORDER BY last_seen_at DESC, id DESC",
		"i", user_id);
	if (rc == 0)
		rc = db_all(db, st, &SESSION, &r, e);
	*out = r.rows;
	*n = r.n;
	return rc;
}

int sessions_touch(
	struct db *db, int64_t id, int64_t last_seen_at, int64_t expires_at, struct err *e)
{
	return db_must(db_run(db, e,
			       "UPDATE sessions SET last_seen_at = max(last_seen_at, ?),"
			       " expires_at = ? WHERE id = ?",
			       "iii", last_seen_at, expires_at, id),
		"session", e);
}

int sessions_remove(struct db *db, int64_t id, struct err *e)
{
	return db_must(db_run(db, e, "DELETE FROM sessions WHERE id = ?", "i", id), "session", e);
}

int sessions_remove_user(struct db *db, int64_t user_id, int64_t keep, struct err *e)
{
	int rc = db_run(db, e,
		"DELETE FROM sessions WHERE user_id = ?1 AND id <> ?2 AND"
		" (parent IS NULL OR parent <> ?2)",
		"ii", user_id, keep);
	return rc < 0 ? rc : 0;
}

int sessions_remove_host(struct db *db, const char *host, struct err *e)
{
	int rc = db_run(db, e, "DELETE FROM sessions WHERE host = ?", "t", host);
	return rc < 0 ? rc : 0;
}

int sessions_purge(struct db *db, int64_t now, struct err *e)
{
	return db_run(db, e, "DELETE FROM sessions WHERE expires_at <= ?", "i", now);
}
