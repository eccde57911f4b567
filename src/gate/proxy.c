/* See proxy.h. Life: wait for a connection → call → head → bodies → on_done. A request is tried
 * again once, when nothing of it can have been acted upon (RFC 9110 §9.2.2; design decision 3). */
#include "gate/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/compress.h"
#include "gate/headers.h"
#include "gate/pages.h"
#include "gate/pool.h"
#include "gate/rewrite.h"
#include "gate/session.h"
#include "gate/site.h"
#include "http/client.h"

#define HIGH_WATER 65536u

struct proxy {
	struct exchange *x;
	struct pool *pool; /* NULL once it was cut */
	struct pool_want want;
	struct call *call;
	struct msg *req; /* the exchange's, made into what goes to the device */
	struct site *site;
	struct compress_room *room;
	struct compressor *coded; /* of the answer; NULL: it goes as it is */
	struct session_use use;
	struct list node;
	struct timer silence; /* until the final head: the browser's own idle limit waits meanwhile */
	uint64_t moved_ms;
	uint64_t idle_ms, tunnel_idle_ms;
	int64_t away_since;
	char device[64];
	bool has_session;
	bool wants_upgrade;
	bool retried, body_begun;
	bool held_back; /* the device takes no more of the body for now */
	bool tunnel;
	bool has_coded; /* the browser: it asks whether that is still right */
};

static void take(struct proxy *p);

/* ---- failures ---- */

/* The final head is there: from now on the connection's own idle limit counts. */
static void head_came(struct proxy *p, uint64_t idle_ms)
{
	timer_cancel(&p->silence);
	exchange_set_idle(p->x, idle_ms);
}

static void answer_error(struct proxy *p, const struct err *why)
{
	log_info_limited("gate/proxy", "no answer from the device", "device", p->device, "why", why->text);
	if (p->x->responded) {
		exchange_abort(p->x);
		return;
	}
	struct page_error e = {.status = 502, .device = p->device, .why = why->text};
	if (why->code == -ETIME)
		e.status = 504;
	if (why->code == -ETIMEDOUT || why->code == -EBUSY || why->code == -ECANCELED) {
		e.status = 503;
		e.retry_after = PAGE_AGAIN_MIN_S;
	}
	if (why->code == -ETIMEDOUT && p->away_since) {
		e.since = p->away_since;
		e.away_s = (unsigned)(clock_unix() - e.since);
		e.why = NULL;
	}
	head_came(p, p->idle_ms);
	page_error_reply(p->x, &e);
}

/* The device has the request, and is silent, or the browser stopped in the middle of it. */
static void give_up(struct proxy *p)
{
	struct err e;
	bool asked = msg_body(p->req) == BODY_NONE || p->x->request_ended || p->held_back;
	if (!asked) {
		exchange_abort(p->x);
		return;
	}
	if (p->call)
		call_cancel(p->call);
	p->call = NULL;
	err_set(&e, -ETIME, "it has said nothing for %llu seconds",
		(unsigned long long)(p->idle_ms / 1000));
	answer_error(p, &e);
}

/* Nothing moved for long. Whether there is no way to the device, or it has the request, another loop
 * may have to say. */
static void on_silence(struct timer *t)
{
	struct proxy *p = container_of(t, struct proxy, silence);
	uint64_t quiet = loop_now_ms(p->x->conn->loop) - p->moved_ms;
	if (quiet < p->idle_ms) {
		timer_arm(t, p->idle_ms - quiet); /* bytes that move need not touch it */
		return;
	}
	if (p->want.pool)
		pool_expire(&p->want);
	else if (p->call && call_expire(p->call))
		timer_arm(t, p->idle_ms);
	else
		give_up(p);
}

static void something_moved(struct proxy *p)
{
	if (!p->idle_ms || p->x->responded || p->tunnel)
		return;
	p->moved_ms = loop_now_ms(p->x->conn->loop);
	if (!p->silence.at_ms)
		timer_arm(&p->silence, p->idle_ms);
}

/* ---- what the device says ---- */

static struct proxy *of(void *ctx)
{
	return ctx;
}

/* What the browser may see of the device's final head. */
static void adapt_head(struct proxy *p, struct msg *head)
{
	const struct site *s = p->site;
	if (!s) {
		headers_to_browser(head, NULL);
		return;
	}
	struct rewrite self = {.authority = msg_authority(p->x->req),
		.host = s->host,
		.addrs = (const char *const *)s->addrs,
		.n_addrs = s->rewrite ? s->n_addrs : 0,
		.port = s->port};
	headers_to_browser(head, &self);
}

static void compress(struct proxy *p, struct msg *head)
{
	enum coding c;
	if (p->has_coded && msg_status(head) == 304)
		compress_unchanged(head);
	if (!p->room || !p->site || !p->site->compress ||
		!compress_choose(p->x->req, head, &c))
		return;
	bool bodyless = msg_method(p->x->req) == METHOD_HEAD;
	if (c != CODING_NONE && !bodyless)
		p->coded = compressor_new(c, p->room, p->x);
	if (p->coded || (c != CODING_NONE && bodyless))
		compress_head(head, c);
	compress_vary(head);
}

static void become_tunnel(struct proxy *p, struct msg *head)
{
	char kept[64];
	str_copy(kept, sizeof(kept), msg_get(head, "upgrade"));
	adapt_head(p, head);
	msg_add(head, "connection", "upgrade");
	msg_add(head, "upgrade", kept);
	p->tunnel = true;
	if (exchange_respond(p->x, head, false) < 0) {
		exchange_abort(p->x);
		return;
	}
	head_came(p, p->tunnel_idle_ms);
	exchange_resume(p->x);
}

static void refuse_switch(struct proxy *p)
{
	struct err e;
	err_set(&e, -EPROTO, "the device switched protocols unasked, or without saying to which");
	struct call *k = p->call;
	p->call = NULL;
	call_cancel(k);
	answer_error(p, &e);
}

/* A device that speaks plain HTTP, and sends all who do so to https: they come from there. */
static void refuse_circle(struct proxy *p)
{
	const char *remedy =
		p->site->n_addrs
			? "give its `upstream` in gateway.yaml as https://, with `pin` or `ca`, or switch "
			  "its redirect to https off"
			: "switch its redirect to https off, or have it believe X-Forwarded-Proto";
	struct call *k = p->call;
	log_warn_limited("gate/proxy", "the device leads from https to https", "device", p->device,
		"remedy", remedy);
	p->call = NULL;
	call_cancel(k);
	head_came(p, p->idle_ms);
	page_error_reply(p->x, &(struct page_error){.status = 502,
				       .device = p->device,
				       .title = "The device leads in a circle",
				       .text = "It sends browsers on to https, which is where they come from.",
				       .why = remedy});
}

static bool is_https(const char *url)
{
	return url && strncasecmp(url, "https:", 6) == 0;
}

static void on_head(struct call *k, struct msg *head, void *ctx)
{
	struct proxy *p = of(ctx);
	int status = msg_status(head);
	(void)k;
	if (status == 101) {
		if (p->wants_upgrade && msg_get(head, "upgrade"))
			become_tunnel(p, head);
		else
			refuse_switch(p);
		return;
	}
	if (status < 200) {
		headers_interim(head);
		exchange_respond(p->x, head, false);
		something_moved(p);
		return;
	}
	const char *type = msg_get(head, "content-type");
	bool stream = type && str_starts(type, "text/event-stream"); /* silence is its nature */
	bool secure = p->site && !p->site->tls && is_https(msg_get(head, "location"));
	adapt_head(p, head);
	if (secure && rewrite_leads_back(p->x->req, head)) {
		refuse_circle(p);
		return;
	}
	compress(p, head);
	exchange_respond(p->x, head, false);
	head_came(p, stream ? p->tunnel_idle_ms : p->idle_ms);
}

static void on_resp_body(struct call *k, const uint8_t *b, size_t n, void *ctx)
{
	struct proxy *p = of(ctx);
	size_t queued = p->coded ? compressor_write(p->coded, b, n) : exchange_write(p->x, b, n);
	if (queued > HIGH_WATER)
		call_pause(k);
}

static void on_resp_end(struct call *k, const struct msg *trailers, void *ctx)
{
	struct proxy *p = of(ctx);
	(void)k;
	p->call = NULL;
	struct msg *kept = trailers ? msg_copy(trailers) : NULL;
	if (kept)
		headers_trailers(kept);
	if (p->coded)
		compressor_end(p->coded);
	exchange_end(p->x, kept);
	msg_free(kept);
	if (p->tunnel)
		exchange_resume(p->x); /* what still comes is dropped, so that its end is seen */
}

static void on_call_writable(struct call *k, void *ctx)
{
	struct proxy *p = of(ctx);
	(void)k;
	p->held_back = false;
	something_moved(p);
	exchange_resume(p->x);
}

static bool may_retry(const struct proxy *p, bool unsent)
{
	if (p->retried || p->body_begun || p->x->responded)
		return false;
	return unsent || msg_is_idempotent(p->req);
}

static void on_fail(struct call *k, const struct err *why, bool unsent, void *ctx)
{
	struct proxy *p = of(ctx);
	(void)k;
	p->call = NULL;
	if (why->code == -ECONNRESET && may_retry(p, unsent)) {
		p->retried = true;
		exchange_pause(p->x); /* its body is for the next connection */
		take(p);
		return;
	}
	if (why->code == -ETIME)
		give_up(p);
	else
		answer_error(p, why);
}

static const struct call_cb call_cb = {
	.on_head = on_head,
	.on_body = on_resp_body,
	.on_end = on_resp_end,
	.on_writable = on_call_writable,
	.on_fail = on_fail,
};

/* ---- the connection ---- */

static void on_client(struct pool_want *w, struct client *c, const struct err *why)
{
	struct proxy *p = container_of(w, struct proxy, want);
	if (!c) {
		answer_error(p, why);
		return;
	}
	p->call = client_start(c, p->req, &call_cb, p);
	if (!p->call) {
		take(p); /* it died between the idle list and here */
		return;
	}
	if (msg_body(p->req) == BODY_NONE)
		return;
	if (p->x->request_ended) /* it was empty, and told to the first connection */
		call_end(p->call, NULL);
	else
		exchange_resume(p->x);
}

static void take(struct proxy *p)
{
	pool_want_init(&p->want);
	pool_want_for(&p->want, p->req);
	p->want.fn = on_client;
	pool_take(p->pool, &p->want);
}

/* ---- what the browser sends ---- */

static void on_req_body(struct exchange *x, const uint8_t *b, size_t n)
{
	struct proxy *p = x->ctx;
	p->body_begun = true;
	something_moved(p);
	if (p->call && call_write(p->call, b, n) > HIGH_WATER) {
		p->held_back = true;
		exchange_pause(x);
	}
}

static void on_req_end(struct exchange *x, const struct msg *trailers)
{
	struct proxy *p = x->ctx;
	/* Trailers stay here: a device that takes them for fields could be told who is signed in.
	 */
	(void)trailers;
	if (p->call && (p->tunnel || msg_body(p->req) != BODY_NONE))
		call_end(p->call, NULL);
}

static void on_writable(struct exchange *x)
{
	struct proxy *p = x->ctx;
	if (p->call)
		call_resume(p->call);
}

static void on_done(struct exchange *x, int status)
{
	struct proxy *p = x->ctx;
	(void)status;
	pool_cancel(&p->want);
	timer_cancel(&p->silence);
	if (p->call)
		call_cancel(p->call);
	if (p->has_session)
		session_use_end(&p->use);
	list_remove(&p->node);
	compressor_free(p->coded);
	site_unref(p->site);
	free(p);
}

static const struct handler proxy_handler = {
	.on_body = on_req_body,
	.on_end = on_req_end,
	.on_writable = on_writable,
	.on_done = on_done,
};

static void on_revoked(struct session_use *u)
{
	struct proxy *p = container_of(u, struct proxy, use);
	p->has_session = false;
	exchange_abort(p->x);
}

void proxy_exchange(struct exchange *x, const struct proxy_opts *o)
{
	struct proxy *p = xcalloc(1, sizeof(*p));
	/* Only WebSockets: a tunnel of h2c would carry requests past every check of ours. */
	const char *upgrade = msg_upgrade(x->req);
	if (upgrade && !str_eq_nocase(upgrade, "websocket"))
		upgrade = NULL;
	p->x = x;
	p->pool = o->pool;
	p->room = o->room;
	p->site = o->site ? site_ref(o->site) : NULL;
	p->idle_ms = o->idle_ms;
	p->tunnel_idle_ms = o->tunnel_idle_ms;
	p->away_since = o->away_since;
	timer_init(&p->silence, x->conn->loop, on_silence);
	p->wants_upgrade = upgrade != NULL;
	p->req = x->req;
	str_copy(p->device, sizeof(p->device), o->device);
	p->has_coded = headers_to_device(p->req,
		&(struct headers_ctx){
			.peer_addr = x->conn->peer_addr, .user = o->user, .host = o->host},
		upgrade);
	x->handler = &proxy_handler;
	x->ctx = p;
	list_push_back(o->all, &p->node);
	if (o->session) {
		p->has_session = true;
		p->use.on_revoked = on_revoked;
		session_use_begin(o->session, &p->use);
	}
	exchange_set_idle(x, 0);
	something_moved(p);
	take(p);
}

static void cut(struct proxy *p)
{
	pool_cancel(&p->want);
	if (p->call)
		call_cancel(p->call);
	p->call = NULL;
	p->pool = NULL;
	exchange_abort(p->x);
}

void proxy_cut_all(struct list *all)
{
	while (!list_empty(all)) {
		struct proxy *p = container_of(all->next, struct proxy, node);
		list_remove(&p->node);
		cut(p);
	}
}
