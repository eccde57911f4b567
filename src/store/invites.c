/* Links that work once. Looking up, using up and what the link is for happen in one transaction, so
 * a crash or a second click can never leave half of it. */
#include "store/invites.h"

#include <errno.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "base/str.h"
#include "store/db.h"

#define PURGE_AFTER_S (30 * 86400)

static void fill(sqlite3_stmt *st, void *row)
{
	struct invite *i = row;
	i->id = db_int(st, 0);
	i->kind = (enum invite_kind)db_int(st, 1);
	i->user_id = db_int(st, 2);
	i->created_at = db_int(st, 3);
	i->expires_at = db_int(st, 4);
	i->used_at = db_int(st, 5);
}

static const struct db_shape INVITE = {sizeof(struct invite), fill, "invitation"};

static int add(struct db *db, const uint8_t token_sha256[32], struct invite *i, struct err *e)
{
	int rc;
	if (i->kind == INVITE_SETUP) {
		rc = db_run(db, e, "DELETE FROM invites WHERE kind = ? AND used_at = 0", "i",
			(int64_t)INVITE_SETUP);
		if (rc >= 0)
			rc = db_run(db, e,
				"INSERT INTO invites (token_sha256, kind, created_at, expires_at)"
				" VALUES (?, ?, ?, ?)",
				"biii", token_sha256, (size_t)32, (int64_t)INVITE_SETUP,
				i->created_at, i->expires_at);
	} else {
		rc = db_run(db, e, "DELETE FROM invites WHERE user_id = ? AND used_at = 0", "i",
			i->user_id);
		if (rc >= 0)
			rc = db_run(db, e,
				"INSERT INTO invites"
				" (token_sha256, kind, user_id, created_at, expires_at)"
				" VALUES (?, ?, ?, ?, ?)",
				"biiii", token_sha256, (size_t)32, (int64_t)INVITE_USER, i->user_id,
				i->created_at, i->expires_at);
		if (rc == -ENOENT)
			err_set(e, rc, "no such user");
	}
	if (rc < 0)
		return rc;
	i->id = db_last_id(db);
	i->used_at = 0;
	return 0;
}

int invites_add(struct db *db, const uint8_t token_sha256[32], struct invite *i, struct err *e)
{
	int rc = db_begin(db, e);
	return rc < 0 ? rc : db_settle(db, add(db, token_sha256, i, e), e);
}

int invites_find(struct db *db, const uint8_t token_sha256[32], int64_t now, struct invite *out,
	struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st,
		"SELECT id, kind, user_id, created_at, expires_at, used_at FROM invites"
		" WHERE token_sha256 = ?",
		"b", token_sha256, (size_t)32);
	if (rc == 0)
		rc = db_one(db, st, &INVITE, out, e);
	if (rc < 0)
		return rc;
	if (out->used_at)
		return err_set(e, -ESTALE, "this link was used already");
	if (out->created_at > now + CLOCK_SKEW_S)
		return err_set(e, -ESTALE,
			"this link was made while the gateway's clock was wrong; ask for a new one");
	if (out->expires_at <= now)
		return err_set(e, -ESTALE, "this link has expired");
	return 0;
}

static int make_admin(struct db *db, const struct invite_redeem *r, struct user *u, struct err *e)
{
	unsigned admins;
	int rc = users_count(db, NULL, &admins, e);
	if (rc < 0)
		return rc;
	if (admins)
		return err_set(e, -EPERM, "there is an admin already");
	*u = (struct user){.is_admin = true, .created_at = r->now};
	if (!r->name || str_copy(u->name, sizeof(u->name), r->name) < 0 ||
		(r->display && str_copy(u->display, sizeof(u->display), r->display) < 0))
		return err_set(e, -EINVAL, "the name is missing or too long");
	return users_add(db, u, e);
}

static int redeem(struct db *db, const struct invite_redeem *r, struct user *u, struct err *e)
{
	struct invite i;
	int rc = invites_find(db, r->token_sha256, r->now, &i, e);
	if (rc == 0 && i.kind == INVITE_SETUP)
		rc = make_admin(db, r, u, e);
	else if (rc == 0)
		rc = users_get(db, i.user_id, u, e);
	if (rc == 0 && u->disabled)
		rc = err_set(e, -EPERM, "this account is disabled");
	if (rc == 0)
		rc = users_set_password(db, u->id, r->password, r->password_len, e);
	if (rc == 0)
		rc = db_run(db, e, "DELETE FROM sessions WHERE user_id = ?", "i", u->id);
	if (rc >= 0)
		rc = db_must(db_run(db, e, "UPDATE invites SET used_at = ? WHERE id = ?", "ii",
				     r->now, i.id),
			"invitation", e);
	u->has_password = rc == 0;
	return rc;
}

int invites_redeem(struct db *db, const struct invite_redeem *r, struct user *out, struct err *e)
{
	*out = (struct user){0};
	int rc = db_begin(db, e);
	return rc < 0 ? rc : db_settle(db, redeem(db, r, out, e), e);
}

int invites_purge(struct db *db, int64_t now, struct err *e)
{
	int rc = db_run(db, e,
		"DELETE FROM invites WHERE expires_at < ?1 OR (used_at > 0 AND used_at < ?1)", "i",
		now - PURGE_AFTER_S);
	return rc < 0 ? rc : 0;
}

int64_t invites_open_until(struct db *db, int64_t user_id, int64_t now)
{
	sqlite3_stmt *st;
	int64_t until = 0;
	if (db_query(db, NULL, &st,
		    "SELECT max(expires_at) FROM invites WHERE user_id = ? AND used_at = 0"
		    " AND expires_at > ? AND created_at <= ?",
		    "iii", user_id, now, now + CLOCK_SKEW_S) < 0)
		return 0;
	if (db_step(db, st, NULL) > 0)
		until = db_int(st, 0);
	db_end(st);
	return until;
}
