/* For tests of the API: a control thread with an admin and a user who are signed in, and one device
 * of gateway.yaml. */
#pragma once

#include "admin_lab.h"

#include "base/clock.h"
#include "base/file.h"
#include "net/crypto.h"
#include "store/db.h"
#include "store/sessions.h"
#include "store/users.h"

#define ADMIN_COOKIE "__Host-lanthorn=admin-cookie"
#define USER_COOKIE "__Host-lanthorn=user-cookie"

/* ---- people with sessions, put into the database before the start ---- */

static inline void add_person(struct db *db, const char *name, bool is_admin)
{
	struct user u = {.is_admin = is_admin, .created_at = clock_unix()};
	struct session s = {.host = ADMIN_DOMAIN, .created_at = clock_unix()};
	struct err e = {0};
	char cookie[64];
	snprintf(u.name, sizeof(u.name), "%s", name);
	assert_int_equal(users_add(db, &u, &e), 0);
	assert_int_equal(users_set_password(db, u.id, "x", 1, &e), 0);
	snprintf(cookie, sizeof(cookie), "%s-cookie", name);
	sha256(s.cookie_sha256, cookie, strlen(cookie));
	s.user_id = u.id;
	s.last_seen_at = s.created_at;
	s.expires_at = s.created_at + 3600;
	assert_int_equal(sessions_add(db, &s, &e), 0);
}

static inline int api_setup(void **state)
{
	struct admin_lab *l = calloc(1, sizeof(*l));
	struct err e = {0};
	struct db *db;
	admin_init(l);
	char *dir = xasprintf("%s/state/gate", l->dir), *path = xasprintf("%s/gate.db", dir);
	assert_int_equal(dir_make(dir, 0700, &e), 0);
	assert_int_equal(db_open(&db, path, DB_GATE, &e), 0);
	add_person(db, "admin", true);
	add_person(db, "user", false);
	db_close(db);
	free(dir);
	free(path);
	admin_write_conf(l, "devices:\n  - name: nas\n    upstream: http://192.168.7.20:5000\n");
	admin_start(l);
	*state = l;
	return 0;
}

static inline int api_teardown(void **state)
{
	struct admin_lab *l = *state;
	admin_stop(l);
	admin_done(l);
	free(l);
	return 0;
}

static inline int status_of(struct admin_lab *l, const struct ask_question *q)
{
	struct admin_answer *a = calloc(1, sizeof(*a));
	admin_ask(l, q, a);
	int status = a->status;
	if (status >= 400 && !a->json)
		fail_msg("%s: an error without JSON", q->target);
	if (status >= 400)
		admin_text(a->json, "error.message");
	json_decref(a->json);
	free(a);
	return status;
}
