/* See router.h. The order of the checks is the security of the house: nothing is asked of a device
 * or of the control thread before host, certificate and guard agreed. */
#include "gate/router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/ask.h"
#include "gate/front.h"
#include "gate/guard.h"
#include "gate/headers.h"
#include "gate/html.h"
#include "gate/link.h"
#include "gate/pages.h"
#include "gate/proxy.h"
#include "gate/session.h"
#include "gate/snapshot.h"
#include "gate/upstream.h"
#include "net/crypto.h"
#include "net/tls.h"

#define SCHEME "https://"
#define OWN_PREFIX "/.lanthorn/"
#define STATE_COOKIE_S "300"
#define TOUCH_EVERY_S 300
#define TARGET_MAX 2048u
#define AWAY_AT_ONCE_MS 10000u

/* Only hosts that are well formed are in a snapshot. */
const struct route *router_route_of(const struct snapshot *snap, const char *authority)
{
	return snapshot_route_n(snap, authority, strcspn(authority, ":"));
}

static void refuse(struct exchange *x, int status, const char *device, const char *why)
{
	page_error_reply(x, &(struct page_error){.status = status, .device = device, .why = why});
}

static void own_origin(const struct router *r, const char *host, char *out, size_t size)
{
	str_join(out, size, SCHEME, host);
	size_t n = strlen(out);
	str_copy(out + n, size - n, snapshot_port_suffix(r->snap));
}

/* ---- sign-in ---- */

/* 302 to the base name's sign-in, tied to this browser by a cookie whose hash goes along. */
static void send_to_sign_in(const struct router *r, struct exchange *x, const struct route *route)
{
	char secret[BASE64_LEN(32)], state[BASE64_LEN(32)], cookie[256];
	uint8_t hash[32];
	struct buf url = BUF_INIT(16384);
	const char *target = msg_target(x->req);
	random_token(secret, 32);
	sha256(hash, secret, strlen(secret));
	base64url_encode(state, hash, sizeof(hash));
	snprintf(cookie, sizeof(cookie),
		SESSION_STATE_COOKIE "=%s; Path=/; Max-Age=" STATE_COOKIE_S
				     "; Secure; HttpOnly; SameSite=Lax",
		secret);
	buf_printf(&url, "https://%s%s/signin?host=", snapshot_domain(r->snap),
		snapshot_port_suffix(r->snap));
	html_url_escape(&url, route->host);
	buf_printf(&url, "&state=%s&to=", state);
	html_url_escape(&url, strlen(target) <= TARGET_MAX ? target : "/");
	struct msg *head = msg_new_response(302);
	msg_add(head, "set-cookie", cookie);
	msg_add(head, "cache-control", "no-store");
	msg_add(head, "location", buf_str(&url));
	exchange_reply(x, 302, head, NULL, "");
	msg_free(head);
	buf_done(&url);
	wipe(secret, sizeof(secret));
	wipe(cookie, sizeof(cookie));
}

static struct session *live_session(struct router *r, const char *secret, const char *host)
{
	int64_t now = clock_unix();
	struct session *s = session_table_find(r->sessions, secret, host, now);
	if (s && s->touched_at + TOUCH_EVERY_S <= now) {
		s->touched_at = now;
		r->on_touched(r->ctx, s->row.hash);
	}
	return s;
}

static struct session *session_of(struct router *r, struct exchange *x, const char *host)
{
	char *cookie = headers_cookie(x->req, SESSION_COOKIE);
	if (!cookie)
		return NULL;
	struct session *s = live_session(r, cookie, host);
	free_secret_str(cookie);
	return s;
}

/* ---- the device ---- */

/* When a device that is away was last there, Unix time; 0: it is here, or nobody knows. What the
 * registry remembers counts until it comes for the first time since the start. */
static int64_t last_there(const struct router *r, const struct route *route, uint64_t away_ms)
{
	if (!away_ms || snapshot_dates_unknown(r->snap))
		return 0;
	int64_t at = clock_unix() - (int64_t)(away_ms / 1000);
	if (!link_was_here(r->links, route->device) && route->last_seen < at)
		at = route->last_seen;
	return at;
}

/* Who waits for a device that has just gone sees it soon; for one long gone a page need not ask all
 * the time. */
static void say_away(struct exchange *x, const struct route *route, uint64_t away_ms, int64_t since)
{
	struct page_error e = {.status = 503,
		.device = route->device,
		.away_s = (unsigned)(since ? clock_unix() - since : (int64_t)(away_ms / 1000)),
		.since = since};
	unsigned again = e.away_s / 10;
	e.retry_after = again < PAGE_AGAIN_MIN_S   ? PAGE_AGAIN_MIN_S
			: again > PAGE_AGAIN_MAX_S ? PAGE_AGAIN_MAX_S
						   : again;
	page_error_reply(x, &e);
}

static void forward(struct router *r, struct exchange *x, struct route *route, struct session *s)
{
	struct list *all;
	struct pool *pool;
	int64_t away_since = 0;
	if (route->kind == ROUTE_LINK) {
		uint64_t away_ms = link_away_ms(r->links, route->device);
		away_since = last_there(r, route, away_ms);
		if (away_ms > AWAY_AT_ONCE_MS) {
			say_away(x, route, away_ms, away_since);
			return;
		}
		pool = link_pool(r->links, route->device, &all);
	} else {
		pool = upstream_pool(r->upstreams, route, &all);
	}
	char host[264];
	str_join(host, sizeof(host), route->host, snapshot_port_suffix(r->snap));
	proxy_exchange(x, &(struct proxy_opts){.pool = pool,
				  .session = s,
				  .site = route->site,
				  .room = &r->room,
				  .user = s ? s->row.user : NULL,
				  .host = host,
				  .device = route->device,
				  .idle_ms = r->idle_ms,
				  .tunnel_idle_ms = r->tunnel_idle_ms,
				  .away_since = away_since,
				  .all = all});
}

/* A service worker of the device that had this name before would answer for the new one, before
 * anything reaches this gateway. But its browser looks for a newer script of it now and then. */
static bool left_worker_asks(const struct msg *req, const struct route *route)
{
	const char *dest = msg_get(req, "sec-fetch-dest");
	return route->has_forerunner && dest && strcmp(dest, "serviceworker") == 0;
}

/* `s`: what a script's token opened, or NULL. */
static void to_device(struct router *r, struct exchange *x, struct route *route, struct session *s)
{
	if (str_starts(msg_target(x->req), OWN_PREFIX)) {
		ask_exchange(x, ASK_DEVICE, route->host, r->desk, NULL);
		return;
	}
	if (!s)
		s = session_of(r, x, route->host);
	if (s || route->public)
		forward(r, x, route, s);
	else if (guard_is_navigation(x->req))
		send_to_sign_in(r, x, route);
	else
		page_error_reply(x, &(struct page_error){.status = 401,
					    .device = route->device,
					    .clear_site = left_worker_asks(x->req, route)});
}

static void to_base(struct router *r, struct exchange *x, struct route *route, struct session *s)
{
	if (!front_answer(r->events, x, s ? s : session_of(r, x, route->host)))
		ask_exchange(x, ASK_BASE, route->host, r->desk, NULL);
}

/* ---- the order of checks ---- */

static struct route *known_route(struct router *r, struct exchange *x)
{
	return r->snap ? (struct route *)router_route_of(r->snap, msg_authority(x->req)) : NULL;
}

static bool is_covered(const struct exchange *x, const char *host)
{
	const struct tls_info *t = x->conn->tls;
	/* What was asked for in the handshake is what the certificate was chosen for. */
	return t && t->cert && ((t->sni && strcmp(t->sni, host) == 0) || tls_cert_covers(t->cert, host));
}

void router_browser(struct router *r, struct exchange *x)
{
	struct route *route = known_route(r, x);
	if (!route || !is_covered(x, route->host)) {
		refuse(x, 421, NULL, NULL);
		return;
	}
	char origin[300];
	const char *why;
	const char *token = msg_get(x->req, SESSION_TOKEN_FIELD);
	struct session *by_token = token ? live_session(r, token, route->host) : NULL;
	if (token && !by_token) {
		refuse(x, 401, NULL, "this token is not valid here");
		return;
	}
	own_origin(r, route->host, origin, sizeof(origin));
	if (guard_check(x->req, route, origin, by_token != NULL, &why) != GUARD_OK) {
		log_info_limited("gate/router", "refused by the guard", "host", route->host, "why",
			why, "peer", x->conn->peer_addr);
		refuse(x, 403, route->device[0] ? route->device : NULL, why);
		return;
	}
	if (route->kind == ROUTE_BASE)
		to_base(r, x, route, by_token);
	else
		to_device(r, x, route, by_token);
}

void router_plain(struct router *r, struct exchange *x)
{
	struct route *route = known_route(r, x);
	const char *target = msg_target(x->req);
	if (!route || target[0] != '/') {
		refuse(x, 421, NULL, NULL);
		return;
	}
	struct buf url = BUF_INIT(65536);
	struct msg *head = msg_new_response(301);
	int rc = buf_printf(
		&url, "https://%s%s%s", route->host, snapshot_port_suffix(r->snap), target);
	if (rc == 0)
		rc = msg_add(head, "location", buf_str(&url));
	exchange_reply(x, rc == 0 ? 301 : 400, head, NULL, "");
	msg_free(head);
	buf_done(&url);
}
