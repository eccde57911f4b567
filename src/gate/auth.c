/* See auth.h. This file: life, sessions in the store and on the loops, and the table of pages. */
#include "gate/auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/ask.h"
#include "gate/auth_int.h"
#include "gate/codes.h"
#include "gate/headers.h"
#include "gate/limit.h"
#include "gate/session_row.h"
#include "net/crypto.h"
#include "store/audit.h"
#include "store/conf.h"
#include "store/devices.h"
#include "store/invites.h"
#include "store/sessions.h"

#define SWEEP_MS 3600000u
#define AGAIN_MS 2000u
#define TOUCH_EVERY_S 300
#define TOKEN_AGENT "script token"
#define TOKEN_LIFE_S (365 * 86400)

/* ---- helpers ---- */

const char *auth_domain(const struct auth *a)
{
	return a->o.conf->domain;
}

int auth_device_of(const struct auth *a, const char *host, char *out)
{
	size_t n = strcspn(host, ".");
	if (n == 0 || n > 63 || !host[n] || strcmp(host + n + 1, auth_domain(a)) != 0)
		return -EINVAL;
	memcpy(out, host, n);
	out[n] = 0;
	return name_is_label(out) ? 0 : -EINVAL;
}

bool auth_host_is_known(struct auth *a, const char *host)
{
	char label[64];
	struct device d;
	if (auth_device_of(a, host, label) < 0)
		return false;
	for (unsigned i = 0; i < a->o.conf->n_devices; i++) {
		if (strcmp(a->o.conf->devices[i].name, label) == 0)
			return true;
	}
	return devices_find(a->o.db, label, &d, NULL) == 0;
}

void auth_origin(const struct auth *a, const char *host, char *out)
{
	if (a->o.conf->public_port == 443)
		snprintf(out, 300, "https://%s", host);
	else
		snprintf(out, 300, "https://%s:%u", host, a->o.conf->public_port);
}

void auth_audit(struct auth *a, const char *actor, const char *action, const char *object,
	const char *outcome)
{
	struct err e;
	struct audit row = {.at = clock_unix(),
		.actor = actor,
		.action = action,
		.object = object,
		.outcome = outcome};
	log_info("gate/auth", action, "actor", actor, "object", object, "outcome", outcome);
	if (audit_add(a->o.db, &row, &e) < 0)
		log_error("gate/auth", "cannot write the audit trail", "why", e.text);
}

bool auth_path_is_safe(const char *to)
{
	if (to[0] != '/' || to[1] == '/' || to[1] == '\\')
		return false;
	for (const char *p = to; *p; p++) {
		if ((unsigned char)*p <= 0x20 || *p == 0x7f || *p == '\\')
			return false;
	}
	return true;
}

static struct msg *head_of(struct ask *ask)
{
	if (!ask->resp)
		ask->resp = msg_new_response(200);
	return ask->resp;
}

void auth_clear_cookie(struct ask *ask, const char *name)
{
	char line[128];
	snprintf(
		line, sizeof(line), "%s=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax", name);
	msg_add(head_of(ask), "set-cookie", line);
}

/* ---- sessions ---- */

static void tell_loops(struct auth *a, const struct session *s, const struct user *u)
{
	struct session_row row = {.user_id = s->user_id,
		.is_admin = u->is_admin,
		.created_at = s->created_at,
		.expires_at = s->expires_at};
	memcpy(row.hash, s->cookie_sha256, sizeof(row.hash));
	str_copy(row.host, sizeof(row.host), s->host);
	str_copy(row.user, sizeof(row.user), u->name);
	a->o.notify.session_put(a->o.notify.ctx, &row);
}

/* When the person signed in: a device's session lives no longer than the one it came from. 0 when
 * that is gone. */
static int64_t signed_in_at(struct auth *a, const struct session *s)
{
	struct session *list = NULL;
	size_t n = 0;
	int64_t at = 0;
	if (!s->parent)
		return s->created_at;
	sessions_list(a->o.db, s->user_id, &list, &n, NULL);
	for (size_t i = 0; i < n; i++) {
		if (list[i].id == s->parent)
			at = list[i].created_at;
	}
	free_secret(list, n * sizeof(*list));
	return at;
}

static bool is_among(const struct session *list, size_t n, int64_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].id == id)
			return true;
	}
	return false;
}

/* The store keeps so many of a person's sessions, and makes room; the loops must hear which ended.
 */
static int add_session(struct auth *a, struct session *s, struct err *e)
{
	struct session *was = NULL, *is = NULL;
	size_t n_was = 0, n_is = 0;
	int rc = sessions_list(a->o.db, s->user_id, &was, &n_was, e);
	if (rc == 0)
		rc = sessions_add(a->o.db, s, e);
	if (rc == 0 && n_was >= SESSIONS_PER_USER_MAX)
		rc = sessions_list(a->o.db, s->user_id, &is, &n_is, e);
	for (size_t i = 0; rc == 0 && n_is && i < n_was; i++) {
		if (!is_among(is, n_is, was[i].id))
			a->o.notify.session_drop(a->o.notify.ctx, was[i].cookie_sha256);
	}
	free_secret(was, n_was * sizeof(*was));
	free_secret(is, n_is * sizeof(*is));
	return rc;
}

static int64_t expiry(struct auth *a, const struct session *s, int64_t now)
{
	int64_t idle = now + (int64_t)(a->o.conf->sessions.idle_ms / 1000);
	int64_t whole = signed_in_at(a, s) + (int64_t)(a->o.conf->sessions.lifetime_ms / 1000);
	return idle < whole ? idle : whole;
}

static void tell_person(struct auth *a, int64_t user_id)
{
	if (a->o.person)
		a->o.person(a->o.ctx, user_id);
}

int auth_begin_session(struct auth *a, struct ask *ask, struct session *s, struct err *e)
{
	char cookie[BASE64_LEN(32)], line[256];
	struct user u;
	int rc = users_get(a->o.db, s->user_id, &u, e);
	if (rc < 0)
		return rc;
	random_token(cookie, 32);
	sha256(s->cookie_sha256, cookie, strlen(cookie));
	s->created_at = s->last_seen_at = clock_unix();
	s->expires_at = expiry(a, s, s->created_at);
	const char *agent = msg_get(ask->req, "user-agent");
	snprintf(s->agent, sizeof(s->agent), "%s", agent ? agent : "");
	str_copy(s->address, sizeof(s->address), ask->peer);
	rc = add_session(a, s, e);
	if (rc == 0) {
		snprintf(line, sizeof(line),
			SESSION_COOKIE "=%s; Path=/; Max-Age=%lld; Secure; HttpOnly; SameSite=Lax",
			cookie, (long long)(a->o.conf->sessions.lifetime_ms / 1000));
		msg_add(head_of(ask), "set-cookie", line);
		tell_loops(a, s, &u);
		tell_person(a, u.id);
	}
	wipe(cookie, sizeof(cookie));
	wipe(line, sizeof(line));
	return rc;
}

/* Tell the loops of every session that `match` picks, then let `remove` take them from the store.
 */
static void drop_from_loops(struct auth *a, int64_t user_id,
	bool (*match)(const struct session *, const void *), const void *arg)
{
	struct session *list = NULL;
	size_t n = 0;
	struct err e;
	if (sessions_list(a->o.db, user_id, &list, &n, &e) < 0) {
		log_error("gate/auth", "cannot list sessions", "why", e.text);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (!match(&list[i], arg))
			continue;
		a->o.notify.session_drop(a->o.notify.ctx, list[i].cookie_sha256);
		tell_person(a, list[i].user_id);
	}
	free_secret(list, n * sizeof(*list));
}

static bool is_family(const struct session *s, const void *id)
{
	int64_t base = *(const int64_t *)id;
	return s->id == base || s->parent == base;
}

static bool is_on_host(const struct session *s, const void *host)
{
	return strcmp(s->host, host) == 0;
}

static bool is_any(const struct session *s, const void *arg)
{
	(void)s;
	(void)arg;
	return true;
}

static void say_failed(int rc, const struct err *e)
{
	if (rc < 0)
		log_error("gate/auth", "cannot end sessions", "why", e->text);
}

/* Remember the ended family; the copy of the id is what on_again() removes. */
static void refuse_ended(struct auth *a, int64_t id)
{
	struct session *list = NULL;
	size_t n = 0;
	if (sessions_list(a->o.db, 0, &list, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (!is_family(&list[i], &id))
			continue;
		int64_t *copy = xcalloc(1, sizeof(*copy));
		*copy = list[i].id;
		free(map_put_n(a->ended, list[i].cookie_sha256, 32, copy));
	}
	free_secret(list, n * sizeof(*list));
	timer_arm(&a->again, AGAIN_MS);
}

static void on_again(struct timer *t)
{
	struct auth *a = container_of(t, struct auth, again);
	size_t pos = 0;
	bool all = true;
	for (const int64_t *id; (id = map_next(a->ended, &pos, NULL));) {
		int rc = sessions_remove(a->o.db, *id, NULL);
		all &= rc >= 0 || rc == -ENOENT; /* its base session took it along */
	}
	if (!all) {
		timer_arm(&a->again, AGAIN_MS);
		return;
	}
	map_free(a->ended, free);
	a->ended = map_new();
	log_info("gate/auth", "sessions that had ended are out of the database");
}

int auth_end_session(struct auth *a, int64_t id, struct err *e)
{
	drop_from_loops(a, 0, is_family, &id);
	int rc = sessions_remove(a->o.db, id, e);
	say_failed(rc, e);
	if (rc < 0 && rc != -ENOENT)
		refuse_ended(a, id);
	return rc;
}

void auth_host_removed(struct auth *a, const char *host)
{
	struct err e;
	drop_from_loops(a, 0, is_on_host, host);
	say_failed(sessions_remove_host(a->o.db, host, &e), &e);
}

void auth_end_user(struct auth *a, int64_t user_id)
{
	struct err e;
	drop_from_loops(a, user_id, is_any, NULL);
	say_failed(sessions_remove_user(a->o.db, user_id, 0, &e), &e);
}

static bool is_other(const struct session *s, const void *id)
{
	return !is_family(s, id);
}

void auth_end_others(struct auth *a, int64_t user_id, int64_t keep)
{
	struct err e;
	drop_from_loops(a, user_id, is_other, &keep);
	say_failed(sessions_remove_user(a->o.db, user_id, keep, &e), &e);
}

/* Disabling takes the sessions out of the store: the loops are told by what was there before. */
int auth_update_user(struct auth *a, const struct user *u, struct err *e)
{
	struct session *list = NULL;
	struct user was;
	size_t n = 0;
	int rc = users_get(a->o.db, u->id, &was, e);
	if (rc == 0)
		rc = sessions_list(a->o.db, u->id, &list, &n, e);
	if (rc >= 0)
		rc = users_update(a->o.db, u, e);
	bool less = rc >= 0 && ((was.is_admin && !u->is_admin) || u->disabled);
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		if (less)
			a->o.notify.session_drop(a->o.notify.ctx, list[i].cookie_sha256);
		else
			tell_loops(a, &list[i], u);
	}
	free_secret(list, n * sizeof(*list));
	tell_person(a, u->id);
	if (less)
		rc = sessions_remove_user(a->o.db, u->id, 0, e);
	return rc < 0 ? rc : 0;
}

int auth_remove_user(struct auth *a, int64_t user_id, struct err *e)
{
	struct session *list = NULL;
	size_t n = 0;
	int rc = sessions_list(a->o.db, user_id, &list, &n, e);
	if (rc >= 0)
		rc = users_remove(a->o.db, user_id, e);
	for (size_t i = 0; rc >= 0 && i < n; i++)
		a->o.notify.session_drop(a->o.notify.ctx, list[i].cookie_sha256);
	free_secret(list, n * sizeof(*list));
	return rc < 0 ? rc : 0;
}

int auth_session_of(struct auth *a, const struct ask *ask, struct session *s, struct user *u)
{
	uint8_t hash[32];
	struct err e;
	const char *token = msg_get(ask->req, SESSION_TOKEN_FIELD);
	char *secret = token ? xstrdup(token) : headers_cookie(ask->req, SESSION_COOKIE);
	if (!secret)
		return -EACCES;
	sha256(hash, secret, strlen(secret));
	free_secret_str(secret);
	int rc = map_get_n(a->ended, hash, sizeof(hash)) ? -EACCES : 0;
	if (rc == 0)
		rc = sessions_find(a->o.db, hash, clock_unix(), s, &e);
	if (rc == 0 && strcmp(s->host, ask->host) != 0)
		rc = -EACCES;
	if (rc == 0)
		rc = users_get(a->o.db, s->user_id, u, &e);
	if (rc < 0 || u->disabled)
		return -EACCES;
	/* The loops tell of devices' sessions only; the gateway's own pages are use as well. */
	if (s->last_seen_at + TOUCH_EVERY_S <= clock_unix())
		auth_touched(a, hash);
	return 0;
}

int auth_who(struct auth *a, const struct ask *ask, struct user *out, int64_t *session)
{
	struct session s;
	int rc = auth_session_of(a, ask, &s, out);
	*session = rc == 0 ? s.id : 0;
	wipe(&s, sizeof(s));
	return rc;
}

/* A device's page in use keeps the sign-in behind it alive as well, here and on the loops: one that
 * is over for them alone would be sent from the page to the sign-in and back. */
static void touch_parent(struct auth *a, const struct session *s, const struct user *u)
{
	struct session *list = NULL;
	size_t n = 0;
	struct err e;
	sessions_list(a->o.db, s->user_id, &list, &n, &e);
	for (size_t i = 0; i < n; i++) {
		if (list[i].id != s->parent)
			continue;
		list[i].expires_at = s->expires_at;
		if (sessions_touch(a->o.db, s->parent, clock_unix(), s->expires_at, &e) == 0)
			tell_loops(a, &list[i], u);
	}
	free_secret(list, n * sizeof(*list));
}

void auth_touched(struct auth *a, const uint8_t hash[32])
{
	struct session s;
	struct user u;
	struct err e;
	int64_t now = clock_unix();
	if (map_get_n(a->ended, hash, 32) || sessions_find(a->o.db, hash, now, &s, &e) < 0 ||
		users_get(a->o.db, s.user_id, &u, &e) < 0)
		return;
	if (strcmp(s.agent, TOKEN_AGENT) != 0)
		s.expires_at = expiry(a, &s, now);
	if (sessions_touch(a->o.db, s.id, now, s.expires_at, &e) == 0)
		tell_loops(a, &s, &u);
	if (s.parent)
		touch_parent(a, &s, &u);
}

/* ---- one-time links ---- */

int auth_make_link(struct auth *a, const struct user *u, struct auth_link *out, struct err *e)
{
	char token[BASE64_LEN(32)], origin[300];
	uint8_t hash[32];
	unsigned admins = 0;
	int64_t now = clock_unix();
	struct invite inv = {.kind = u ? INVITE_USER : INVITE_SETUP,
		.user_id = u ? u->id : 0,
		.created_at = now,
		.expires_at = now + (u ? 3 * 86400 : 3600)};
	int rc = u ? 0 : users_count(a->o.db, NULL, &admins, e);
	if (rc == 0 && admins)
		rc = err_set(e, -EEXIST, "there is an administrator already");
	if (rc < 0)
		return rc;
	random_token(token, 32);
	sha256(hash, token, strlen(token));
	rc = invites_add(a->o.db, hash, &inv, e);
	if (rc == 0) {
		auth_origin(a, auth_domain(a), origin);
		snprintf(out->url, sizeof(out->url), "%s/%s?token=%s", origin,
			u ? "invite" : "setup", token);
		out->expires_at = inv.expires_at;
	}
	wipe(token, sizeof(token));
	return rc;
}

int auth_make_token(struct auth *a, const struct user *u, const char *host,
	char out[AUTH_TOKEN_TEXT], struct err *e)
{
	int64_t now = clock_unix();
	struct session s = {.user_id = u->id,
		.created_at = now,
		.last_seen_at = now,
		.expires_at = now + TOKEN_LIFE_S,
		.agent = TOKEN_AGENT};
	str_copy(s.host, sizeof(s.host), host);
	random_token(out, 32);
	sha256(s.cookie_sha256, out, strlen(out));
	int rc = add_session(a, &s, e);
	if (rc == 0)
		tell_loops(a, &s, u);
	return rc;
}

/* ---- the table of pages ---- */

struct page {
	enum ask_kind kind;
	enum method method;
	const char *path;
	void (*fn)(struct auth *a, struct ask *ask);
};

static const struct page pages[] = {
	{ASK_BASE,   METHOD_GET,  "/signin",       auth_signin_page },
	{ASK_BASE,   METHOD_POST, "/signin",       auth_signin_form },
	{ASK_BASE,   METHOD_POST, "/signout",      auth_signout_form},
	{ASK_BASE,   METHOD_GET,  "/setup",        auth_link_page   },
	{ASK_BASE,   METHOD_POST, "/setup",        auth_link_form   },
	{ASK_BASE,   METHOD_GET,  "/invite",       auth_link_page   },
	{ASK_BASE,   METHOD_POST, "/invite",       auth_link_form   },
	{ASK_DEVICE, METHOD_GET,  "/.lanthorn/cb", auth_callback    },
};

int auth_handle(struct auth *a, struct ask *ask)
{
	const char *target = msg_target(ask->req);
	enum method m = msg_method(ask->req) == METHOD_HEAD ? METHOD_GET : msg_method(ask->req);
	size_t n = strcspn(target, "?");
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		const struct page *p = &pages[i];
		if (p->kind == ask->kind && p->method == m && strlen(p->path) == n &&
			memcmp(p->path, target, n) == 0) {
			msg_set(head_of(ask), "cache-control", "no-store");
			p->fn(a, ask);
			return 0;
		}
	}
	return m == METHOD_GET ? auth_page_nothing(a, ask) : -ENOENT;
}

/* ---- life ---- */

static void on_sweep(struct timer *t)
{
	struct auth *a = container_of(t, struct auth, sweep);
	struct err e;
	say_failed(sessions_purge(a->o.db, clock_unix(), &e), &e);
	invites_purge(a->o.db, clock_unix(), &e);
	timer_arm(&a->sweep, SWEEP_MS);
}

static int tell_all(struct auth *a, struct err *e)
{
	struct session *list = NULL;
	size_t n = 0;
	struct user u;
	int rc = sessions_purge(a->o.db, clock_unix(), e);
	if (rc >= 0)
		rc = sessions_list(a->o.db, 0, &list, &n, e);
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		if (users_get(a->o.db, list[i].user_id, &u, NULL) == 0 && !u.disabled)
			tell_loops(a, &list[i], &u);
	}
	free_secret(list, n * sizeof(*list));
	return rc < 0 ? rc : 0;
}

int auth_new(struct auth **out, const struct auth_opts *o, struct err *e)
{
	struct auth *a = xcalloc(1, sizeof(*a));
	a->o = *o;
	a->o.conf = conf_ref(o->conf);
	list_init(&a->works);
	list_init(&a->changes);
	timer_init(&a->sweep, o->loop, on_sweep);
	timer_init(&a->again, o->loop, on_again);
	a->ended = map_new();
	a->codes = codes_new();
	a->by_pair = limit_new(&(struct limit_opts){5, 300000, 4096});
	a->by_addr = limit_new(&(struct limit_opts){20, 900000, 4096});
	a->links_by_addr = limit_new(&(struct limit_opts){20, 900000, 4096});
	a->by_account = limit_new(&(struct limit_opts){50, 900000, 4096});
	int rc = hasher_start(&a->hasher, o->loop, e);
	if (rc == 0)
		rc = tell_all(a, e);
	if (rc < 0) {
		auth_free(a);
		return rc;
	}
	timer_arm(&a->sweep, SWEEP_MS);
	*out = a;
	return 0;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	timer_cancel(&a->sweep);
	timer_cancel(&a->again);
	map_free(a->ended, free);
	hasher_stop(a->hasher);
	auth_drop_works(a);
	auth_drop_changes(a);
	codes_free(a->codes);
	limit_free(a->by_pair);
	limit_free(a->by_addr);
	limit_free(a->links_by_addr);
	limit_free(a->by_account);
	conf_unref(a->o.conf);
	free(a);
}

void auth_set_conf(struct auth *a, const struct conf *conf)
{
	conf_unref(a->o.conf);
	a->o.conf = conf_ref(conf);
}
