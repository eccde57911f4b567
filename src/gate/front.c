/* See front.h. */
#include "gate/front.h"

#include <string.h>

#include "base/buf.h"
#include "gate/assets.h"
#include "gate/events.h"
#include "gate/html.h"
#include "http/exchange.h"

#define TO_MAX 512u
#define EVENTS_PATH "/api/v1/events" /* without a session it is the API that says why not */

/* Addresses of the one page; "/" at the end: with whatever follows. */
static const char *const pages[] = {"/", "/account", "/add", "/certificates", "/devices",
	"/devices/", "/logs", "/people", "/people/", "/settings", "/status", NULL};

static bool is_page(const char *target)
{
	size_t n = strcspn(target, "?");
	for (const char *const *p = pages; *p; p++) {
		size_t len = strlen(*p);
		if (len > 1 && (*p)[len - 1] == '/' ? n > len && memcmp(*p, target, len) == 0
						    : n == len && memcmp(*p, target, n) == 0)
			return true;
	}
	return false;
}

static void send_page(struct exchange *x)
{
	struct msg *head = msg_new_response(200);
	msg_add(head, "content-security-policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
		"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
		"frame-ancestors 'none'");
	msg_add(head, "cross-origin-opener-policy", "same-origin");
	msg_add(head, "referrer-policy", "same-origin");
	msg_add(head, "strict-transport-security", "max-age=15552000");
	assets_reply(x, assets_find(assets_bundle, "/index.html"), head);
	msg_free(head);
}

static void send_to_sign_in(struct exchange *x)
{
	struct buf url = BUF_INIT(4 * TO_MAX);
	const char *target = msg_target(x->req);
	struct msg *head = msg_new_response(303);
	buf_puts(&url, "/signin");
	if (target[1] && strlen(target) <= TO_MAX) {
		buf_puts(&url, "?to=");
		html_url_escape(&url, target);
	}
	msg_add(head, "cache-control", "no-store");
	msg_add(head, "location", buf_str(&url));
	exchange_reply(x, 303, head, NULL, "");
	msg_free(head);
	buf_done(&url);
}

bool front_answer(struct event_table *events, struct exchange *x, struct session *s)
{
	const char *target = msg_target(x->req);
	enum method m = msg_method(x->req);
	if (m != METHOD_GET && m != METHOD_HEAD)
		return false;
	const struct asset *a = assets_find(assets_bundle, target);
	bool stream = strncmp(target, EVENTS_PATH, strlen(EVENTS_PATH)) == 0 &&
		      strchr("?", target[strlen(EVENTS_PATH)]);
	if (stream && s && m == METHOD_GET)
		event_open(events, x, s);
	else if (is_page(target) && s)
		send_page(x);
	else if (is_page(target))
		send_to_sign_in(x);
	else if (a && strcmp(a->name, "index.html") != 0)
		assets_reply(x, a, NULL);
	else
		return false;
	return true;
}
