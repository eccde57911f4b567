/* Sign-in, sign-out, and the one-time links that set a password. The password work happens on the
 * hasher's thread; the ask waits meanwhile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/ask.h"
#include "gate/auth_int.h"
#include "gate/headers.h"
#include "gate/known.h"
#include "gate/limit.h"
#include "gate/session_row.h"
#include "net/crypto.h"
#include "store/audit.h"
#include "store/invites.h"
#include "store/sessions.h"

#define KNOWN_FOR_S "34560000" /* 400 days: the most that browsers keep */

/* One form that waits for its password to be hashed. */
struct work {
	struct hash_work hash;
	struct list node;
	struct auth *auth;
	struct ask *ask;
	struct form form;
	struct auth_target target;
	int64_t user_id; /* 0: nobody of that name */
};

static struct work *work_new(struct auth *a, struct ask *ask, void (*fn)(struct hash_work *))
{
	struct work *w = xcalloc(1, sizeof(*w));
	w->auth = a;
	w->ask = ask;
	w->hash.fn = fn;
	list_push_back(&a->works, &w->node);
	return w;
}

static void work_free(struct work *w)
{
	list_remove(&w->node);
	form_done(&w->form);
	free_secret(w, sizeof(*w));
}

void auth_drop_works(struct auth *a)
{
	while (!list_empty(&a->works)) {
		struct work *w = container_of(a->works.next, struct work, node);
		ask_answer(w->ask, 503, "text/plain", "stopping\n");
		work_free(w);
	}
}

static void busy(struct auth *a, struct work *w,
	void (*page)(struct auth *, struct ask *, const struct auth_page *))
{
	struct auth_page p = {.status = 429,
		.note = "Several people are signing in at once. Please try again in a moment.",
		.target = &w->target,
		.token = form_get(&w->form, "token"),
		.name = form_get(&w->form, "name"),
		.retry_after = 2};
	page(a, w->ask, &p);
	work_free(w);
}

/* ---- sign-in ---- */

void auth_signin_page(struct auth *a, struct ask *ask)
{
	struct form f;
	struct auth_target t;
	struct session s;
	struct user u;
	if (form_parse_query(&f, msg_target(ask->req)) < 0)
		memset(&f, 0, sizeof(f));
	auth_target_read(a, &f, &t);
	form_done(&f);
	if (auth_session_of(a, ask, &s, &u) == 0)
		auth_go(a, ask, &s, &u, &t);
	else
		auth_page_signin(a, ask, &(struct auth_page){.status = 200, .target = &t});
}

static struct known_of known_of(const struct work *w)
{
	return (struct known_of){w->user_id, w->hash.blob, w->hash.blob_len};
}

void auth_keys_of(struct auth_keys *k, const char *name, const char *peer)
{
	char shown[USER_NAME_MAX + 1];
	snprintf(shown, sizeof(shown), "%.*s", USER_NAME_MAX, name);
	limit_key_of_addr(k->addr, peer);
	snprintf(k->account, sizeof(k->account), "%s", shown);
	snprintf(k->pair, sizeof(k->pair), "%s|%s", shown, k->addr);
	k->known = false;
}

static void keys_of_work(struct auth_keys *k, const struct work *w)
{
	auth_keys_of(k, form_get(&w->form, "user"), w->ask->peer);
	char *cookie = headers_cookie(w->ask->req, KNOWN_COOKIE);
	struct known_of who = known_of(w);
	if (cookie && known_check(cookie, &who)) {
		k->known = true;
		snprintf(k->pair, sizeof(k->pair), "%s|%.*s", k->account, KNOWN_ID_LEN, cookie);
	}
	free_secret_str(cookie);
}

unsigned auth_must_wait(struct auth *a, const struct auth_keys *k)
{
	uint64_t now = clock_mono_ms();
	if (k->known)
		return limit_wait_s(a->by_pair, k->pair, now);
	unsigned waits[] = {limit_wait_s(a->by_pair, k->pair, now),
		limit_wait_s(a->by_addr, k->addr, now),
		limit_wait_s(a->by_account, k->account, now)};
	unsigned most = 0;
	for (int i = 0; i < 3; i++)
		most = waits[i] > most ? waits[i] : most;
	return most;
}

void auth_note_failure(struct auth *a, const struct auth_keys *k)
{
	uint64_t now = clock_mono_ms();
	limit_failed(a->by_pair, k->pair, now);
	if (k->known)
		return;
	limit_failed(a->by_addr, k->addr, now);
	limit_failed(a->by_account, k->account, now);
}

static void refuse_signin(struct work *w, const struct auth_keys *k)
{
	struct auth *a = w->auth;
	const char *name = form_get(&w->form, "user");
	auth_note_failure(a, k);
	/* The try that shuts them out says so. Those after it leave no trace: a stranger could push
	 * everything else out of the trail with them. */
	auth_audit(a, users_name_is_valid(name) ? name : "?", "sign-in", w->ask->peer,
		auth_must_wait(a, k) ? "too many tries" : "refused");
	struct auth_page p = {.status = 403,
		.note = "Name and password do not match.",
		.target = &w->target,
		.name = name};
	auth_page_signin(a, w->ask, &p);
}

static void make_known(struct work *w, int64_t user_id)
{
	char text[KNOWN_TEXT], line[256];
	w->user_id = user_id;
	struct known_of who = known_of(w);
	known_make(text, &who);
	snprintf(line, sizeof(line),
		KNOWN_COOKIE "=%s; Path=/; Max-Age=" KNOWN_FOR_S "; Secure; HttpOnly; SameSite=Lax",
		text);
	if (text[0])
		msg_add(w->ask->resp, "set-cookie", line);
}

static void accept_signin(struct work *w, const struct user *u, const struct auth_keys *k)
{
	struct auth *a = w->auth;
	struct session old, s = {.user_id = u->id};
	struct user was;
	struct err e;
	limit_clear(a->by_pair, k->pair);
	if (auth_session_of(a, w->ask, &old, &was) == 0)
		auth_end_session(a, old.id, &e); /* rotate */
	str_copy(s.host, sizeof(s.host), auth_domain(a));
	make_known(w, u->id);
	int rc = auth_begin_session(a, w->ask, &s, &e);
	if (rc < 0) {
		log_error("gate/auth", "cannot store a session", "why", e.text);
		ask_answer(w->ask, 503, "text/plain",
			"Signing in is not possible now: the gateway cannot write to its disk.\n");
		return;
	}
	auth_audit(a, u->name, "sign-in", w->ask->peer, "ok");
	auth_go(a, w->ask, &s, u, &w->target);
}

static void on_checked(struct hash_work *h)
{
	struct work *w = container_of(h, struct work, hash);
	struct user u;
	struct auth_keys k;
	keys_of_work(&k, w);
	bool known = w->user_id && users_get(w->auth->o.db, w->user_id, &u, NULL) == 0;
	if (h->ok && known && !u.disabled)
		accept_signin(w, &u, &k);
	else
		refuse_signin(w, &k);
	work_free(w);
}

static void load_blob(struct work *w, const char *name)
{
	struct user u;
	struct buf blob = BUF_INIT(PASSWORD_BLOB_MAX);
	if (users_name_is_valid(name) && users_find(w->auth->o.db, name, &u, NULL) == 0) {
		w->user_id = u.id;
		if (users_password(w->auth->o.db, u.id, &blob, NULL) == 0) {
			memcpy(w->hash.blob, blob.data, blob.len);
			w->hash.blob_len = blob.len;
		}
	}
	buf_done_secret(&blob);
}

static void bad_form(struct auth *a, struct ask *ask)
{
	static const struct auth_words text = {
		"That could not be read", "The form arrived damaged. Please try again.", "/"};
	auth_page_plain(a, ask, 400, &text);
}

void auth_signin_form(struct auth *a, struct ask *ask)
{
	struct form f;
	struct auth_keys k;
	if (form_parse(&f, (const char *)ask->body.data, ask->body.len) < 0) {
		bad_form(a, ask);
		return;
	}
	struct work *w = work_new(a, ask, on_checked);
	w->form = f;
	auth_target_read(a, &w->form, &w->target);
	const char *name = form_get(&w->form, "user");
	load_blob(w, name);
	keys_of_work(&k, w);
	unsigned wait = auth_must_wait(a, &k);
	if (wait) {
		struct auth_page p = {.status = 429,
			.note = "Too many tries. Please wait a few minutes.",
			.target = &w->target,
			.name = name,
			.retry_after = wait};
		auth_page_signin(a, ask, &p);
		work_free(w);
		return;
	}
	if (hasher_check(a->hasher, &w->hash, form_get(&w->form, "password")) == -EBUSY)
		busy(a, w, auth_page_signin);
}

void auth_signout_form(struct auth *a, struct ask *ask)
{
	struct session s;
	struct user u;
	static const struct auth_words not_kept = {"Signed out, but not for good yet",
		"This browser is signed out. The gateway could not write that down, because its disk "
		"is full or cannot be written: restarted before there is room, it would take the old "
		"session for a live one. Please tell whoever looks after this home.",
		"/"};
	struct err e;
	bool is_there = auth_session_of(a, ask, &s, &u) == 0;
	int rc = is_there ? auth_end_session(a, s.id, &e) : 0;
	if (is_there)
		auth_audit(a, u.name, "sign-out", ask->peer, rc < 0 ? "not stored" : "ok");
	auth_clear_cookie(ask, SESSION_COOKIE);
	if (rc < 0)
		auth_page_plain(a, ask, 503, &not_kept);
	else
		ask_redirect(ask, 303, "/signin");
}

/* ---- one-time links ---- */

static bool is_setup(const struct ask *ask)
{
	return str_starts(msg_target(ask->req), "/setup");
}

/* 0, or an answer was given. */
static int find_link(struct auth *a, struct ask *ask, const char *token, struct invite *inv)
{
	static const struct auth_words stale = {"This link does not work any more",
		"Each link works once and for a limited time. If you have an account, go on and "
		"sign in; else ask whoever looks after this home for a new link.",
		"/signin"};
	uint8_t hash[32];
	struct auth_keys k;
	auth_keys_of(&k, "", ask->peer);
	sha256(hash, token, strlen(token));
	int rc = limit_wait_s(a->links_by_addr, k.addr, clock_mono_ms()) ? -EAGAIN : 0;
	if (rc == 0)
		rc = invites_find(a->o.db, hash, clock_unix(), inv, NULL);
	if (rc == 0 && (inv->kind == INVITE_SETUP) != is_setup(ask))
		rc = -ENOENT;
	if (rc == 0)
		return 0;
	if (rc == -ENOENT)
		limit_failed(a->links_by_addr, k.addr, clock_mono_ms());
	auth_page_plain(a, ask, rc == -EAGAIN ? 429 : 410, &stale);
	return rc;
}

static void show_link_page(struct work *w, int status, const char *note)
{
	struct invite inv;
	struct user u;
	struct auth_page p = {.status = status,
		.note = note,
		.token = form_get(&w->form, "token"),
		.name = form_get(&w->form, "name"),
		.setup = is_setup(w->ask)};
	if (find_link(w->auth, w->ask, p.token, &inv) < 0)
		return;
	if (!p.setup && users_get(w->auth->o.db, inv.user_id, &u, NULL) == 0)
		p.name = u.name;
	auth_page_link(w->auth, w->ask, &p);
}

void auth_link_page(struct auth *a, struct ask *ask)
{
	struct work *w = work_new(a, ask, NULL);
	if (form_parse_query(&w->form, msg_target(ask->req)) < 0)
		bad_form(a, ask);
	else
		show_link_page(w, 200, NULL);
	work_free(w);
}

/* A new password ends the person's sessions in the store; the loops must hear of each before. */
static void end_whose_password_it_is(struct auth *a, const struct invite_redeem *r)
{
	struct invite inv;
	if (invites_find(a->o.db, r->token_sha256, r->now, &inv, NULL) == 0 &&
		inv.kind == INVITE_USER)
		auth_end_user(a, inv.user_id);
}

static void on_made(struct hash_work *h)
{
	struct work *w = container_of(h, struct work, hash);
	struct auth *a = w->auth;
	const char *token = form_get(&w->form, "token");
	struct invite_redeem r = {.now = clock_unix(),
		.name = form_get(&w->form, "name"),
		.password = h->blob,
		.password_len = h->blob_len};
	struct user u;
	struct auth_keys k;
	struct err e;
	sha256(r.token_sha256, token, strlen(token));
	if (h->ok)
		end_whose_password_it_is(a, &r);
	int rc = h->ok ? invites_redeem(a->o.db, &r, &u, &e)
		       : err_set(&e, -ENOMEM, "There is not enough memory to store a password.");
	if (rc == 0) {
		auth_audit(a, u.name, is_setup(w->ask) ? "user.create" : "user.password", u.name,
			"ok");
		auth_keys_of(&k, u.name, w->ask->peer);
		accept_signin(w, &u, &k);
	} else if (rc == -EEXIST) {
		show_link_page(w, 409, "That name is taken. Please choose another.");
	} else {
		log_warn_limited("gate/auth", "a one-time link failed", "why", e.text);
		show_link_page(w, rc == -ENOSPC || rc == -EROFS ? 503 : 410, e.text);
	}
	work_free(w);
}

static int judge(struct work *w, const struct invite *inv, struct err *e)
{
	const char *name = form_get(&w->form, "name"), *pw = form_get(&w->form, "password");
	struct user u;
	if (!is_setup(w->ask) && users_get(w->auth->o.db, inv->user_id, &u, NULL) == 0)
		name = u.name; /* whatever the form says */
	if (is_setup(w->ask) && !users_name_is_valid(name))
		return err_set(
			e, -EINVAL, "The name may have small letters, digits, dots and hyphens.");
	int rc = password_judge(pw, name, e);
	if (rc == 0 && strcmp(pw, form_get(&w->form, "password2")) != 0)
		rc = err_set(e, -EINVAL, "The two passwords differ.");
	return rc;
}

void auth_link_form(struct auth *a, struct ask *ask)
{
	struct err e;
	struct invite inv;
	struct form f;
	if (form_parse(&f, (const char *)ask->body.data, ask->body.len) < 0) {
		bad_form(a, ask);
		return;
	}
	struct work *w = work_new(a, ask, on_made);
	w->form = f;
	if (find_link(a, ask, form_get(&f, "token"), &inv) < 0) {
		work_free(w);
	} else if (judge(w, &inv, &e) < 0) {
		show_link_page(w, 400, e.text);
		work_free(w);
	} else if (hasher_make(a->hasher, &w->hash, form_get(&f, "password")) == -EBUSY) {
		busy(a, w, auth_page_link);
	}
}
