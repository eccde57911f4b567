/* Rows of people and of what they may reach. The rule that an admin who can sign in must remain is
 * kept here, inside the transaction that would break it. */
#include "store/users.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "base/str.h"
#include "store/db.h"

#define COLUMNS "id, name, display, is_admin, disabled, password IS NOT NULL, created_at"

static void fill(sqlite3_stmt *st, void *row)
{
	struct user *u = row;
	u->id = db_int(st, 0);
	db_text(st, 1, u->name, sizeof(u->name));
	db_text(st, 2, u->display, sizeof(u->display));
	u->is_admin = db_int(st, 3);
	u->disabled = db_int(st, 4);
	u->has_password = db_int(st, 5);
	u->created_at = db_int(st, 6);
}

static const struct db_shape USER = {sizeof(struct user), fill, "user"};

bool users_name_is_valid(const char *name)
{
	size_t n = strlen(name);
	return n && n <= USER_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

int users_add(struct db *db, struct user *u, struct err *e)
{
	unsigned all;
	if (!users_name_is_valid(u->name))
		return err_set(e, -EINVAL, "a user's name is 1 to 32 of a–z, 0–9, “.”, “_”, “-”");
	int rc = users_count(db, &all, NULL, e);
	if (rc < 0)
		return rc;
	if (all >= USERS_MAX)
		return err_set(e, -EINVAL, "there are %d users already", USERS_MAX);
	rc = db_run(db, e,
		"INSERT INTO users (name, display, is_admin, disabled, created_at)"
		" VALUES (?, ?, ?, ?, ?)",
		"ttiii", u->name, u->display, (int64_t)u->is_admin, (int64_t)u->disabled,
		u->created_at);
	if (rc == -EEXIST)
		return err_set(e, rc, "there is a user “%s” already", u->name);
	if (rc < 0)
		return rc;
	u->id = db_last_id(db);
	u->has_password = false;
	return 0;
}

int users_get(struct db *db, int64_t id, struct user *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st, "SELECT " COLUMNS " FROM users WHERE id = ?", "i", id);
	return rc < 0 ? rc : db_one(db, st, &USER, out, e);
}

int users_find(struct db *db, const char *name, struct user *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st, "SELECT " COLUMNS " FROM users WHERE name = ?", "t", name);
	return rc < 0 ? rc : db_one(db, st, &USER, out, e);
}

int users_list(struct db *db, struct user **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	struct db_rows r = {0};
	int rc = db_query(db, e, &st, "SELECT " COLUMNS " FROM users ORDER BY name", "");
	if (rc == 0)
		rc = db_all(db, st, &USER, &r, e);
	*out = r.rows;
	*n = r.n;
	return rc;
}

int users_count(struct db *db, unsigned *all, unsigned *admins, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st,
		"SELECT count(*), count(*) FILTER (WHERE is_admin AND NOT disabled AND"
		" password IS NOT NULL) FROM users",
		"");
	if (rc < 0)
		return rc;
	rc = db_step(db, st, e);
	if (rc > 0 && all)
		*all = (unsigned)db_int(st, 0);
	if (rc > 0 && admins)
		*admins = (unsigned)db_int(st, 1);
	db_end(st);
	return rc < 0 ? rc : 0;
}

/* After a change: an admin who could sign in before it must still be there. */
static int check_admins(struct db *db, unsigned before, struct err *e)
{
	unsigned now;
	int rc = users_count(db, NULL, &now, e);
	if (rc == 0 && before && !now)
		return err_set(e, -EPERM, "this is the last admin who can sign in");
	return rc;
}

static int update(struct db *db, const struct user *u, struct err *e)
{
	unsigned admins;
	int rc = users_count(db, NULL, &admins, e);
	if (rc == 0)
		rc = db_must(db_run(db, e,
				     "UPDATE users SET display = ?, is_admin = ?, disabled = ?"
				     " WHERE id = ?",
				     "tiii", u->display, (int64_t)u->is_admin, (int64_t)u->disabled,
				     u->id),
			"user", e);
	if (rc == 0)
		rc = check_admins(db, admins, e);
	if (rc == 0 && u->disabled)
		rc = db_run(db, e, "DELETE FROM sessions WHERE user_id = ?", "i", u->id);
	return rc < 0 ? rc : 0;
}

int users_update(struct db *db, const struct user *u, struct err *e)
{
	int rc = db_begin(db, e);
	return rc < 0 ? rc : db_settle(db, update(db, u, e), e);
}

static int remove_user(struct db *db, int64_t id, struct err *e)
{
	unsigned admins;
	int rc = users_count(db, NULL, &admins, e);
	if (rc == 0)
		rc = db_must(db_run(db, e, "DELETE FROM users WHERE id = ?", "i", id), "user", e);
	return rc < 0 ? rc : check_admins(db, admins, e);
}

int users_remove(struct db *db, int64_t id, struct err *e)
{
	int rc = db_begin(db, e);
	return rc < 0 ? rc : db_settle(db, remove_user(db, id, e), e);
}

int users_set_password(struct db *db, int64_t id, const void *p, size_t n, struct err *e)
{
	if (!n || n > USER_PASSWORD_MAX)
		return err_set(
			e, -EINVAL, "a stored password has 1 to %d bytes", USER_PASSWORD_MAX);
	return db_must(db_run(db, e, "UPDATE users SET password = ? WHERE id = ?", "bi", p, n, id),
		"user", e);
}

int users_password(struct db *db, int64_t id, struct buf *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st,
		"SELECT password FROM users WHERE id = ? AND password IS NOT NULL", "i", id);
	if (rc < 0)
		return rc;
	rc = db_step(db, st, e);
	if (rc == 0)
		rc = err_set(e, -ENOENT, "no password is set");
	else if (rc > 0 && (rc = db_blob_buf(st, 0, out)) < 0)
		err_sys(e, rc, "the stored password");
	db_end(st);
	return rc;
}

int users_grant(struct db *db, int64_t id, const char *device, struct err *e)
{
	if (!name_is_label(device))
		return err_set(e, -EINVAL, "not the name of a device");
	int rc = db_run(db, e, "INSERT OR IGNORE INTO grants (user_id, device) VALUES (?, ?)", "it",
		id, device);
	if (rc == -ENOENT)
		err_set(e, rc, "no such user");
	return rc < 0 ? rc : 0;
}

int users_revoke(struct db *db, int64_t id, const char *device, struct err *e)
{
	int rc = db_run(
		db, e, "DELETE FROM grants WHERE user_id = ? AND device = ?", "it", id, device);
	return rc < 0 ? rc : 0;
}

int users_may_reach(struct db *db, int64_t id, const char *device, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st,
		"SELECT 1 FROM users WHERE id = ? AND NOT disabled AND (is_admin OR EXISTS"
		" (SELECT 1 FROM grants WHERE user_id = users.id AND device = ?))",
		"it", id, device);
	if (rc < 0)
		return rc;
	rc = db_step(db, st, e);
	db_end(st);
	return rc;
}

static void fill_grant(sqlite3_stmt *st, void *row)
{
	struct user_grant *g = row;
	g->user_id = db_int(st, 0);
	db_text(st, 1, g->device, sizeof(g->device));
}

static const struct db_shape GRANT = {sizeof(struct user_grant), fill_grant, "grant"};

int users_grants(struct db *db, int64_t id, struct user_grant **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	struct db_rows r = {0};
	int rc = db_query(db, e, &st,
		"SELECT user_id, device FROM grants WHERE ?1 = 0 OR user_id = ?1"
		" ORDER BY user_id, device",
		"i", id);
	if (rc == 0)
		rc = db_all(db, st, &GRANT, &r, e);
	*out = r.rows;
	*n = r.n;
	return rc;
}
