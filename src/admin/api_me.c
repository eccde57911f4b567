/* What everybody who is signed in may ask: who they are, which devices are open to them, their own
 * sessions and password. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/api.h"
#include "admin/control_in.h"
#include "base/xalloc.h"
#include "gate/auth.h"
#include "store/conf.h"

static void get_me(struct api_call *q)
{
	const struct conf *f = q->c->conf;
	const struct user *u = &q->user;
	api_reply(q, 200,
		json_pack("{s:s,s:s,s:b,s:s,s:s,s:o,s:s,s:o}", "name", u->name, "display",
			u->display[0] ? u->display : u->name, "admin", u->is_admin, "title",
			f->title, "domain", f->domain, "url", api_url_json(q, f->domain), "version",
			PACKAGE_VERSION, "session", api_moment(q->session)));
}

static void get_launcher(struct api_call *q)
{
	api_reply(q, 200, json_pack("{s:o}", "tiles", api_tiles_json(q)));
}

/* The Unix socket is nobody's. */
static bool is_person(struct api_call *q)
{
	if (!q->local)
		return true;
	api_fail(q, 409, "refused", "nobody in particular asks on this socket",
		"Name the person: see `lanthornctl users`");
	return false;
}

static void get_sessions(struct api_call *q)
{
	if (is_person(q))
		api_reply(q, 200, api_sessions_json(q, q->user.id));
}

static void delete_session(struct api_call *q)
{
	if (is_person(q))
		api_end_session(q, q->user.id, 0);
}

static void post_sign_out(struct api_call *q)
{
	if (!is_person(q))
		return;
	auth_end_others(q->c->auth, q->user.id, q->session);
	api_audit(q, "sign-out", "other sessions", "ok");
	api_reply(q, 200, json_object());
}

/* ---- password ---- */

/* The call is over when the hash is made; the ask is not. */
static void on_changed(void *ctx, const struct auth_changed *r)
{
	struct ask *a = ctx;
	const char *code = r->rc == -EACCES   ? "wrong_password"
			   : r->rc == -EAGAIN ? "too_many_tries"
			   : r->rc == -EINVAL ? "invalid"
					      : "internal";
	int status = r->rc == -EACCES   ? 403
		     : r->rc == -EAGAIN ? 429
		     : r->rc == -EINVAL ? 422
		     : r->rc == -ENOSPC ? 507
					: 503;
	char seconds[16];
	if (r->rc == 0) {
		api_reply_ask(a, 200, json_object());
		return;
	}
	if (r->wait_s) {
		snprintf(seconds, sizeof(seconds), "%u", r->wait_s);
		a->resp = msg_new_response(status);
		msg_set(a->resp, "retry-after", seconds);
	}
	api_reply_ask(a, status,
		json_pack("{s:{s:s,s:s,s:n}}", "error", "code", code, "message", r->e->text,
			"remedy"));
}

static void post_password(struct api_call *q)
{
	struct ask *a = q->ask;
	if (!is_person(q))
		return;
	q->ask = NULL;
	auth_change_password(q->c->auth, &(struct auth_change){.user = &q->user,
						 .session = q->session,
						 .peer = a->peer,
						 .old = api_text(q, "old"),
						 .fresh = api_text(q, "new"),
						 .fn = on_changed,
						 .ctx = a});
}

/* A browser's stream is begun on the loop, before anything is asked here. */
static void get_events(struct api_call *q)
{
	api_fail(q, 406, "stream", "a stream of events is for the gateway's own pages",
		"Ask for what you need instead");
}

static const struct api_field password_fields[] = {
	{.name = "old", .type = JSON_STRING, .required = true, .help = "the present one"},
	{.name = "new",
		.type = JSON_STRING,
		.required = true,
		.help = "8 to 256 characters, not the name"},
	{0}
};

const struct api_route api_me_routes[] = {
	{METHOD_GET, "me", get_me, API_USER, "Who is signed in", NULL, &api_shape_me},
	{METHOD_GET, "launcher", get_launcher, API_USER, "The devices open to whoever asks", NULL,
		&api_shape_launcher},
	{METHOD_GET, "events", get_events, API_USER, "What has changed, as server-sent events",
		NULL, &api_shape_event},
	{METHOD_GET, "me/sessions", get_sessions, API_USER, "Where one is signed in", NULL,
		&api_shape_sessions},
	{METHOD_DELETE, "me/sessions/{id}", delete_session, API_USER,
		"End one of one's sessions", NULL, &api_shape_nothing},
	{METHOD_POST, "me/sign-out", post_sign_out, API_USER,
		"End all of one's sessions but this one", NULL, &api_shape_nothing},
	{METHOD_POST, "me/password", post_password, API_USER,
		"Change one's password; all other sessions end", password_fields,
		&api_shape_nothing},
	{0}
};
