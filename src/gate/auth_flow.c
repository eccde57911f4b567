/* The code flow (design, "A login"): a sign-in on the base name becomes a session on a device's
 * host, bound to the browser that asked there, without any token in a cookie of the domain. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/ask.h"
#include "gate/auth_int.h"
#include "gate/codes.h"
#include "gate/headers.h"
#include "gate/html.h"
#include "gate/session_row.h"
#include "net/crypto.h"
#include "store/devices.h"
#include "store/sessions.h"

static int state_read(uint8_t out[32], const char *text)
{
	uint8_t raw[40];
	size_t n = sizeof(raw);
	if (base64_decode(raw, &n, text, strlen(text)) < 0 || n != 32)
		return -1;
	memcpy(out, raw, 32);
	return 0;
}

/* Only a device's host of ours, with a state, or a page of the gateway; anything else ends at "/". */
void auth_target_read(struct auth *a, const struct form *f, struct auth_target *t)
{
	const char *host = form_get(f, "host"), *to = form_get(f, "to");
	memset(t, 0, sizeof(*t));
	strcpy(t->to, "/");
	if (!host[0] && auth_path_is_safe(to))
		str_copy(t->to, sizeof(t->to), to);
	if (!auth_host_is_known(a, host))
		return;
	if (state_read(t->state, form_get(f, "state")) < 0)
		return;
	str_copy(t->host, sizeof(t->host), host);
	if (auth_path_is_safe(to))
		str_copy(t->to, sizeof(t->to), to);
}

static const struct auth_words no_access = {"Not for you yet",
	"You are signed in, but this device has not been opened to you. Whoever looks after this "
	"home can do that.",
	"/"};

void auth_go(struct auth *a, struct ask *ask, const struct session *s, const struct user *u,
	const struct auth_target *t)
{
	char device[64], code[CODE_TEXT_LEN], origin[300];
	struct err e;
	if (!t->host[0]) {
		ask_redirect(ask, 303, t->to[0] ? t->to : "/");
		return;
	}
	if (auth_device_of(a, t->host, device) < 0 ||
		users_may_reach(a->o.db, u->id, device, &e) != 1) {
		auth_audit(a, u->name, "session.create", t->host, "not allowed");
		auth_page_plain(a, ask, 403, &no_access);
		return;
	}
	struct code_grant g = {.base_session = s->id, .user_id = u->id};
	str_copy(g.host, sizeof(g.host), t->host);
	memcpy(g.state, t->state, sizeof(g.state));
	codes_issue(a->codes, &g, clock_unix(), code);
	auth_origin(a, t->host, origin);
	struct buf url = BUF_INIT(16384);
	buf_printf(&url, "%s/.lanthorn/cb?code=%s&to=", origin, code);
	html_url_escape(&url, t->to);
	ask_redirect(ask, 303, buf_str(&url));
	buf_done_secret(&url);
	wipe(code, sizeof(code));
}

static int claim(struct auth *a, struct ask *ask, const struct form *f, struct code_grant *g)
{
	struct code_claim c = {.code = form_get(f, "code"), .host = ask->host, .now = clock_unix()};
	char *cookie = headers_cookie(ask->req, SESSION_STATE_COOKIE);
	if (!cookie)
		return -1;
	sha256(c.state, cookie, strlen(cookie));
	free_secret_str(cookie);
	return codes_redeem(a->codes, &c, g);
}

/* The base session may have ended, or the device been closed to them, since the code was made. */
static bool still_allowed(struct auth *a, const struct code_grant *g)
{
	char device[64];
	struct session *list = NULL;
	size_t n = 0;
	bool alive = false;
	if (sessions_list(a->o.db, g->user_id, &list, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		alive |= list[i].id == g->base_session && list[i].expires_at > clock_unix();
	free_secret(list, n * sizeof(*list));
	return alive && auth_host_is_known(a, g->host) && auth_device_of(a, g->host, device) == 0 &&
	       users_may_reach(a->o.db, g->user_id, device, NULL) == 1;
}

/* A device under a name that another one had: what that one's page left in this browser goes first.
 * Not the cookies: that would reach the whole domain, and end this very sign-in. */
static void clear_what_was_before(struct auth *a, struct ask *ask)
{
	struct device d;
	char device[64];
	if (auth_device_of(a, ask->host, device) < 0 ||
		devices_find(a->o.db, device, &d, NULL) < 0)
		return;
	if (device_has_forerunner(&d, clock_unix()))
		msg_set(ask->resp, "clear-site-data", "\"cache\", \"storage\"");
}

void auth_callback(struct auth *a, struct ask *ask)
{
	static const struct auth_words stale = {"That took a little too long",
		"The sign-in was not finished in time, or it was begun in another window.", "/"};
	struct form f;
	struct code_grant g;
	struct err e;
	int rc = form_parse_query(&f, msg_target(ask->req));
	if (rc == 0)
		rc = claim(a, ask, &f, &g);
	const char *to =
		rc == 0 && auth_path_is_safe(form_get(&f, "to")) ? form_get(&f, "to") : "/";
	auth_clear_cookie(ask, SESSION_STATE_COOKIE);
	if (rc == 0 && still_allowed(a, &g)) {
		struct session s = {.user_id = g.user_id, .parent = g.base_session};
		str_copy(s.host, sizeof(s.host), g.host);
		rc = auth_begin_session(a, ask, &s, &e);
		clear_what_was_before(a, ask);
	} else {
		rc = -1;
	}
	if (rc == 0)
		ask_redirect(ask, 303, to);
	else
		auth_page_plain(a, ask, 403, &stale);
	form_done(&f);
}
