/* The HTTP/2 client's calls: what a caller does, and how it hears of the answer. See h2_client.h.
 *
 * A caller is told from two places: from the frames as they come, and when the turn ends; never
 * from inside what it called. */
#include "http/h2_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "http/h2_nva.h"
#include "net/stream.h"

#define HALF_OPEN_MS 30000u /* for the rest of a tunnel whose other half has ended */

static struct h2_call *of(struct call *b)
{
	return container_of(b, struct h2_call, base);
}

/* ---- the end ---- */

static void reset(struct h2_call *k, uint32_t code)
{
	struct h2_wire *w = k->f.w;
	if (k->f.gone)
		return;
	nghttp2_submit_rst_stream(h2_wire_session(w), NGHTTP2_FLAG_NONE, k->f.id, code);
	nghttp2_session_set_stream_user_data(h2_wire_session(w), k->f.id, NULL);
	k->f.gone = true;
}

static void leave(struct h2_call *k)
{
	list_remove(&k->node);
	timer_cancel(&k->idle);
	h2_client_release(k->c, k->f.in.len);
	h2_flow_done(&k->f);
	msg_free(k->trailers);
	free(k);
}

void h2_call_fail(struct h2_call *k, uint32_t code, int why, const char *text)
{
	if (!k->why) {
		k->code = why;
		k->why = text;
	}
	reset(k, code);
	h2_flow_mark(&k->f);
}

static void tell_fail(struct h2_call *k, const struct err *e)
{
	bool unsent =
		k->refused || !k->head_sent || stream_bytes_moved(k->c->w.s) == k->moved_before;
	k->over = true;
	if (k->cb->on_fail)
		k->cb->on_fail(&k->base, e, unsent && !k->head_done, k->ctx);
}

void h2_calls_fail(struct h2_client *c, const struct err *why)
{
	while (!list_empty(&c->calls)) {
		struct h2_call *k = container_of(c->calls.next, struct h2_call, node);
		struct err e = *why;
		if (k->why)
			err_set(&e, k->code, "%s", k->why);
		if (!k->over)
			tell_fail(k, &e);
		leave(k);
	}
}

/* ---- settling ---- */

static void deliver(struct h2_call *k)
{
	size_t n = k->f.in.len;
	if (!n || k->f.paused)
		return;
	struct buf in = k->f.in;
	k->f.in = BUF_INIT(H2_STREAM_WINDOW);
	h2_client_release(k->c, n);
	if (!k->f.gone)
		nghttp2_session_consume_stream(h2_wire_session(&k->c->w), k->f.id, n);
	h2_flow_touch(&k->f);
	if (k->cb->on_body)
		k->cb->on_body(&k->base, in.data, n, k->ctx);
	buf_done(&in);
}

/* The answer paid for what it cost. */
static void repay(struct h2_call *k)
{
	h2_budget_earn(&k->f.w->budget, 2);
	h2_budget_give(&k->f.w->budget, H2_COST_HEAD, k->head_bytes);
}

static void finish(struct h2_call *k)
{
	k->over = true;
	k->c->base.served++;
	repay(k);
	if (k->cb->on_end)
		k->cb->on_end(&k->base, k->trailers, k->ctx);
	if (!k->tunnel) {
		/* The rest of a request that has its answer is not wanted. */
		if (!k->f.sent_end)
			reset(k, NGHTTP2_CANCEL);
		return;
	}
	if (!k->f.out_ended)
		h2_flow_end(&k->f, NULL);
	k->idle_ms = HALF_OPEN_MS;
	timer_arm(&k->idle, HALF_OPEN_MS);
}

static bool is_settled(const struct h2_call *k)
{
	return k->over || k->c->state == H2C_CLOSING;
}

void h2_call_settle(struct h2_flow *f)
{
	struct h2_call *k = container_of(f, struct h2_call, f);
	if (!k->over && k->why) {
		struct err e;
		err_set(&e, k->code, "%s", k->why);
		tell_fail(k, &e);
	}
	if (!k->over)
		deliver(k);
	if (!is_settled(k) && f->wire_done && !f->in.len && !f->paused && !k->why)
		finish(k);
	if (!is_settled(k) && f->over_high && h2_flow_queued(f) < STREAM_LOW_WATER) {
		f->over_high = false;
		if (k->cb->on_writable)
			k->cb->on_writable(&k->base, k->ctx);
	}
	if (k->over && k->c->state != H2C_CLOSING && (f->gone || !k->tunnel || f->sent_end))
		leave(k);
}

static void on_idle(struct timer *t)
{
	struct h2_call *k = container_of(t, struct h2_call, idle);
	uint64_t quiet = h2_wire_now(k->f.w) - k->f.moved_ms;
	if (quiet < k->idle_ms)
		timer_arm(t, k->idle_ms - quiet);
	else
		h2_call_fail(k, NGHTTP2_CANCEL, -ETIMEDOUT, "nothing moved for too long");
}

/* ---- the request ---- */

static const char *method_of(const struct h2_call *k, const struct msg *req)
{
	return k->accept[0] ? "CONNECT" : msg_method_text(req);
}

static void put_head(
	struct h2_nva *v, char length[24], const struct h2_call *k, const struct msg *req)
{
	v->n = 0;
	h2_nva_put(v, ":method", method_of(k, req));
	h2_nva_put(v, ":scheme", "https");
	h2_nva_put(v, ":authority", msg_authority(req));
	h2_nva_put(v, ":path", msg_target(req));
	if (k->accept[0])
		h2_nva_put(v, ":protocol", "websocket");
	h2_nva_fields(v, req, k->accept[0] ? "sec-websocket-key" : NULL);
	if (msg_has_token(req, "te", "trailers"))
		h2_nva_put(v, "te", "trailers");
	if (msg_body(req) != BODY_LENGTH)
		return;
	str_u64(length, msg_body_length(req));
	h2_nva_put(v, "content-length", length);
}

static int submit(struct h2_call *k, const struct msg *req)
{
	struct h2_nva v;
	char length[24];
	put_head(&v, length, k, req);
	int32_t id = nghttp2_submit_request(
		h2_wire_session(&k->c->w), NULL, v.at, v.n, k->f.out_ended ? NULL : &h2_flow_body, &k->f);
	if (id < 0)
		return -EAGAIN; /* a connection has only so many streams */
	k->f.id = id;
	return 0;
}

/* RFC 8441 §3: only when the peer said that it may be asked. */
static const char *upgrade_fault(struct h2_call *k, const struct msg *req, const char *to)
{
	if (!str_eq_nocase(to, "websocket"))
		return "HTTP/2 upgrades to WebSocket only";
	if (ws_accept(k->accept, msg_get(req, "sec-websocket-key")) < 0)
		return "the upgrade has no valid Sec-WebSocket-Key";
	if (!nghttp2_session_get_remote_settings(
		    h2_wire_session(&k->c->w), NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL))
		return "its agent does not take WebSockets over HTTP/2 (RFC 8441)";
	return NULL;
}

static struct h2_call *call_new(
	struct h2_client *c, const struct msg *req, const struct call_cb *cb, void *ctx)
{
	struct h2_call *k = xcalloc(1, sizeof(*k));
	k->base.client = &c->base;
	k->c = c;
	k->cb = cb;
	k->ctx = ctx;
	k->method = msg_method(req);
	k->req_counted = msg_body(req) == BODY_LENGTH;
	k->req_left = k->req_counted ? msg_body_length(req) : 0;
	k->moved_before = stream_bytes_moved(c->w.s);
	k->idle_ms = c->o.idle_ms;
	h2_flow_init(&k->f, &c->w, -1);
	timer_init(&k->idle, stream_loop(c->w.s), on_idle);
	list_push_back(&c->calls, &k->node);
	return k;
}

struct call *h2_call_start(
	struct client *b, const struct msg *req, const struct call_cb *cb, void *ctx)
{
	struct h2_client *c = container_of(b, struct h2_client, base);
	if (!c->base.room || msg_method(req) == METHOD_CONNECT)
		return NULL;
	struct h2_call *k = call_new(c, req, cb, ctx);
	const char *to = msg_upgrade(req), *fault = to ? upgrade_fault(k, req, to) : NULL;
	bool has_body = k->req_left || (msg_body(req) != BODY_NONE && !k->req_counted);
	k->f.out_ended = !to && !has_body;
	if (fault) {
		k->f.gone = true;
		h2_call_fail(k, NGHTTP2_CANCEL, -EPROTO, fault);
		return &k->base;
	}
	if (submit(k, req) < 0) {
		k->f.gone = true;
		leave(k);
		client_drain(&c->base);
		return NULL;
	}
	c->open++;
	h2_client_count_room(c);
	if (k->idle_ms)
		timer_arm(&k->idle, k->idle_ms);
	turn_kick(&c->w.turn);
	return &k->base;
}

static bool takes_body(const struct h2_call *k)
{
	return !k->f.gone && !k->f.out_ended && (k->tunnel || !k->accept[0]);
}

size_t h2_call_write(struct call *b, const void *p, size_t n)
{
	struct h2_call *k = of(b);
	if (!takes_body(k) || !n)
		return h2_flow_queued(&k->f);
	if (k->req_counted && n > k->req_left) {
		h2_call_fail(
			k, NGHTTP2_CANCEL, -EPROTO, "the request's body is longer than announced");
		return 0;
	}
	if (h2_flow_write(&k->f, p, n) < 0) {
		h2_call_fail(k, NGHTTP2_CANCEL, -ENOBUFS, "too much of the body waits");
		return 0;
	}
	k->req_left -= k->req_counted ? n : 0;
	if (k->req_counted && !k->req_left)
		h2_flow_end(&k->f, NULL);
	return h2_flow_queued(&k->f);
}

void h2_call_end(struct call *b, const struct msg *trailers)
{
	struct h2_call *k = of(b);
	if (!takes_body(k))
		return;
	if (k->req_left)
		h2_call_fail(
			k, NGHTTP2_CANCEL, -EPROTO, "the request's body is shorter than announced");
	else
		h2_flow_end(&k->f, trailers);
}

void h2_call_pause(struct call *b)
{
	of(b)->f.paused = true;
}

void h2_call_resume(struct call *b)
{
	struct h2_call *k = of(b);
	if (!k->f.paused)
		return;
	k->f.paused = false;
	if (k->f.in.len || k->f.wire_done)
		h2_flow_mark(&k->f);
}

void h2_call_cancel(struct call *b)
{
	struct h2_call *k = of(b);
	k->over = true;
	k->tunnel = false;
	reset(k, NGHTTP2_CANCEL);
	h2_flow_mark(&k->f);
}
