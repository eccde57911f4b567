/* People: who may sign in, which devices they may reach, and the one-time links that let them in.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api.h"
#include "admin/control_in.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/auth.h"
#include "store/conf.h"
#include "store/db.h"
#include "store/invites.h"
#include "store/sessions.h"

static json_t *grants_json(struct api_call *q, const struct user *u)
{
	struct user_grant *list = NULL;
	size_t n = 0;
	json_t *a = json_array();
	if (users_grants(q->c->db, u->id, &list, &n, NULL) == 0) {
		for (size_t i = 0; i < n; i++)
			json_array_append_new(a, json_string(list[i].device));
	}
	free(list);
	return a;
}

/* Sign-ins and tokens; what a sign-in has opened on devices' hosts is a part of it. */
static unsigned count_sessions(struct api_call *q, const struct user *u, int64_t *seen)
{
	struct session *list = NULL;
	size_t n = 0;
	unsigned count = 0;
	sessions_list(q->c->db, u->id, &list, &n, NULL);
	for (size_t i = 0; i < n; i++) {
		count += !list[i].parent && list[i].expires_at > q->now.unix_s;
		if (list[i].last_seen_at > *seen)
			*seen = list[i].last_seen_at;
	}
	free_secret(list, n * sizeof(*list));
	return count;
}

static json_t *user_json(struct api_call *q, const struct user *u)
{
	int64_t seen = 0, invite = invites_open_until(q->c->db, u->id, q->now.unix_s);
	unsigned sessions = count_sessions(q, u, &seen);
	return json_pack("{s:s,s:s,s:b,s:b,s:b,s:I,s:o,s:i,s:o,s:o}", "name", u->name, "display",
		u->display, "admin", u->is_admin, "disabled", u->disabled, "has_password",
		u->has_password, "created", (json_int_t)u->created_at, "devices", grants_json(q, u),
		"sessions", (int)sessions, "last_seen", api_moment(seen), "invite_expires",
		api_moment(invite));
}

static void get_users(struct api_call *q)
{
	struct user *list = NULL;
	size_t n = 0;
	struct err e = {0};
	int rc = users_list(q->c->db, &list, &n, &e);
	if (rc < 0) {
		api_fail_err(q, rc, &e);
		return;
	}
	json_t *a = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, user_json(q, &list[i]));
	free(list);
	api_reply(q, 200, json_pack("{s:o}", "users", a));
}

/* Wipes `link`. */
static void reply_link(struct api_call *q, int status, const struct user *u, struct auth_link *link)
{
	if (u)
		control_tell_person(q->c, u->id);
	api_audit(q, u ? "user.invite" : "setup", u ? u->name : "first admin", "ok");
	json_t *o =
		json_pack("{s:s,s:I}", "link", link->url, "expires", (json_int_t)link->expires_at);
	if (u)
		json_object_set_new(o, "user", user_json(q, u));
	wipe(link, sizeof(*link));
	api_reply(q, status, o);
}

static void make_link(struct api_call *q, const struct user *u)
{
	struct auth_link link;
	struct err e = {0};
	int rc = auth_make_link(q->c->auth, u, &link, &e);
	if (rc == -EEXIST)
		api_fail(q, 409, "taken", e.text, "Run: lanthornctl users invite NAME");
	else if (rc < 0)
		api_fail_err(q, rc, &e);
	else
		reply_link(q, 201, u, &link);
}

static void post_setup(struct api_call *q)
{
	make_link(q, NULL);
}

/* Both or none: a person without a link cannot be added once more. */
static int add_with_link(struct control *c, struct user *u, struct auth_link *link, struct err *e)
{
	int rc = db_begin(c->db, e);
	if (rc < 0)
		return rc;
	rc = users_add(c->db, u, e);
	if (rc == 0)
		rc = auth_make_link(c->auth, u, link, e);
	return db_settle(c->db, rc, e);
}

static void post_user(struct api_call *q)
{
	struct user u = {.is_admin = api_bool(q, "admin", false), .created_at = q->now.unix_s};
	const char *display = api_text(q, "display");
	struct err e = {0};
	if (str_copy(u.name, sizeof(u.name), api_text(q, "name")) < 0 ||
		!users_name_is_valid(u.name)) {
		api_fail(q, 422, "invalid",
			"a name has 1 to 32 of a-z, 0-9, dot, hyphen, underscore",
			"Say for example: ada");
		return;
	}
	if (display && str_copy(u.display, sizeof(u.display), display) < 0) {
		api_fail(q, 422, "invalid", "the display name is longer than 64 bytes", NULL);
		return;
	}
	struct auth_link link;
	int rc = add_with_link(q->c, &u, &link, &e);
	if (rc < 0) {
		api_fail_err(q, rc, &e);
		return;
	}
	api_audit(q, "user.create", u.name, "ok");
	reply_link(q, 201, &u, &link);
}

bool api_find_user(struct api_call *q, struct user *u)
{
	struct err e = {0};
	int rc = users_find(q->c->db, q->param[0], u, &e);
	if (rc == -ENOENT)
		api_fail(q, 404, "unknown", "there is nobody of this name",
			"See `lanthornctl users`");
	else if (rc < 0)
		api_fail_err(q, rc, &e);
	return rc == 0;
}

static void post_invite(struct api_call *q)
{
	struct user u;
	if (api_find_user(q, &u))
		make_link(q, &u);
}

static void refuse(struct api_call *q, int rc, const struct err *e)
{
	if (rc == -EPERM)
		api_fail(q, 409, "last_admin", e->text, "Make somebody else an admin first");
	else
		api_fail_err(q, rc, e);
}

static void delete_user(struct api_call *q)
{
	struct user u;
	struct err e = {0};
	if (!api_find_user(q, &u))
		return;
	control_tell_person(q->c, u.id);
	int rc = auth_remove_user(q->c->auth, u.id, &e);
	api_audit(q, "user.remove", u.name, rc == 0 ? "ok" : e.text);
	if (rc < 0)
		refuse(q, rc, &e);
	else
		api_reply(q, 200, json_object());
}

static void patch_user(struct api_call *q)
{
	const char *display = api_text(q, "display");
	struct user u;
	struct err e = {0};
	if (!api_find_user(q, &u))
		return;
	if (display && str_copy(u.display, sizeof(u.display), display) < 0) {
		api_fail(q, 422, "invalid", "the display name is longer than 64 bytes", NULL);
		return;
	}
	u.is_admin = api_bool(q, "admin", u.is_admin);
	u.disabled = api_bool(q, "disabled", u.disabled);
	int rc = auth_update_user(q->c->auth, &u, &e);
	api_audit(q, "user.update", u.name, rc == 0 ? "ok" : e.text);
	if (rc < 0)
		refuse(q, rc, &e);
	else
		api_reply(q, 200, user_json(q, &u));
}

static bool device_exists(struct api_call *q)
{
	struct device d;
	if (conf_device_find(q->c->conf, q->param[1]) ||
		devices_find(q->c->db, q->param[1], &d, NULL) == 0)
		return true;
	api_fail(q, 404, "unknown", "there is no device of this name", "See `lanthornctl devices`");
	return false;
}

static void put_grant(struct api_call *q)
{
	struct user u;
	struct err e = {0};
	if (!api_find_user(q, &u) || !device_exists(q))
		return;
	int rc = users_grant(q->c->db, u.id, q->param[1], &e);
	if (rc < 0) {
		api_fail_err(q, rc, &e);
		return;
	}
	control_tell_person(q->c, u.id);
	api_audit(q, "user.grant", q->param[1], u.name);
	api_reply(q, 200, user_json(q, &u));
}

static void delete_grant(struct api_call *q)
{
	struct user u;
	struct err e = {0};
	if (!api_find_user(q, &u))
		return;
	int rc = users_revoke(q->c->db, u.id, q->param[1], &e);
	if (rc < 0) {
		api_fail_err(q, rc, &e);
		return;
	}
	control_tell_person(q->c, u.id);
	if (!u.is_admin)
		auth_end_user(q->c->auth, u.id); /* what is open on that host ends with it */
	api_audit(q, "user.revoke", q->param[1], u.name);
	api_reply(q, 200, user_json(q, &u));
}

static void post_sign_out(struct api_call *q)
{
	struct user u;
	if (!api_find_user(q, &u))
		return;
	auth_end_user(q->c->auth, u.id);
	api_audit(q, "user.sign-out", u.name, "ok");
	api_reply(q, 200, json_object());
}

static void post_token(struct api_call *q)
{
	char token[AUTH_TOKEN_TEXT], host[512];
	struct user u;
	struct err e = {0};
	if (!api_find_user(q, &u) || !device_exists(q))
		return;
	if (users_may_reach(q->c->db, u.id, q->param[1], &e) != 1) {
		api_fail(q, 409, "refused", "this device is not open to them",
			"Open it first: lanthornctl users allow NAME DEVICE");
		return;
	}
	snprintf(host, sizeof(host), "%s.%s", q->param[1], q->c->conf->domain);
	int rc = auth_make_token(q->c->auth, &u, host, token, &e);
	if (rc < 0) {
		api_fail_err(q, rc, &e);
		return;
	}
	control_tell_person(q->c, u.id);
	api_audit(q, "user.token", q->param[1], u.name);
	api_reply(q, 201, json_pack("{s:s,s:o,s:s}", "host", host, "url", api_url_json(q, host),
				    "token", token));
	wipe(token, sizeof(token));
}

static const struct api_field change_fields[] = {
	{.name = "display",
		.type = JSON_STRING,
		.required = false,
		.help = "how they are called on pages"},
	{.name = "admin",
		.type = JSON_TRUE,
		.required = false,
		.help = "false: they are signed out"},
	{.name = "disabled",
		.type = JSON_TRUE,
		.required = false,
		.help = "true: they are signed out and cannot sign in"},
	{0}
};

static const struct api_field user_fields[] = {
	{.name = "name",
		.type = JSON_STRING,
		.required = true,
		.help = "what they sign in with: a-z, 0-9, dot, hyphen, underscore"},
	{.name = "display",
		.type = JSON_STRING,
		.required = false,
		.help = "how they are called on pages"},
	{.name = "admin",
		.type = JSON_TRUE,
		.required = false,
		.help = "true: reaches all devices and looks after the gateway"},
	{0}
};

const struct api_route api_users_routes[] = {
	{METHOD_POST, "setup", post_setup, API_LOCAL, "A one-time link for the first admin", NULL,
		&api_shape_link},
	{METHOD_GET, "users", get_users, API_ADMIN, "Everybody who may sign in", NULL,
		&api_shape_users},
	{METHOD_POST, "users", post_user, API_ADMIN, "Add a person; answers with their link",
		user_fields, &api_shape_invite},
	{METHOD_PATCH, "users/{name}", patch_user, API_ADMIN,
		"Change a person's rights or display name", change_fields, &api_shape_user},
	{METHOD_DELETE, "users/{name}", delete_user, API_ADMIN, "Remove a person", NULL,
		&api_shape_nothing},
	{METHOD_POST, "users/{name}/invite", post_invite, API_ADMIN,
		"A new one-time link to set a password", NULL, &api_shape_invite},
	{METHOD_POST, "users/{name}/sign-out", post_sign_out, API_ADMIN,
		"End all of a person's sessions", NULL, &api_shape_nothing},
	{METHOD_PUT, "users/{name}/devices/{device}", put_grant, API_ADMIN,
		"Open a device to a person", NULL, &api_shape_user},
	{METHOD_DELETE, "users/{name}/devices/{device}", delete_grant, API_ADMIN,
		"Close a device to a person; their sessions end", NULL, &api_shape_user},
	{METHOD_POST, "users/{name}/devices/{device}/token", post_token, API_LOCAL,
		"A token with which a script reaches a device as this person, for a year", NULL,
		&api_shape_token},
	{0}
};
