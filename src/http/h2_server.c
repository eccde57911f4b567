/* The HTTP/2 server: the connection, its requests as they come, its end. See h2_conn.h.
 *
 * A stream that was reset, by whom ever, is over for its handler at once, not when the frame has
 * gone out: a client that stops reading cannot keep a device busy. */
#include "http/h2_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "net/stream.h"

#define LINGER_MS 5000u
#define BYE_MS 1000u    /* for a client to answer, before the GOAWAY that counts */
#define REST_MS 1000u   /* without a stream: a page that is read, not one that loads */
#define PARTING_MS 200u /* for the client to read why, when it is not heard any more */

static void set_state(struct h2_conn *c, enum h2_conn_state to)
{
	static const unsigned from[] = {
		[H2_OPEN] = 0,
		[H2_DRAINING] = 1u << H2_OPEN,
		[H2_CLOSING] = 1u << H2_OPEN | 1u << H2_DRAINING,
	};
	assert(from[to] & 1u << c->state);
	c->state = to;
	c->w.closing = to == H2_CLOSING;
}

static uint64_t now_ms(const struct h2_conn *c)
{
	return loop_now_ms(c->info.loop);
}

/* ---- waiting ---- */

void h2_conn_arm(struct h2_conn *c)
{
	const uint64_t due[] = {
		c->head_due_ms, c->idle_due_ms, c->rest_due_ms, c->drain_due_ms, c->bye_due_ms};
	uint64_t first = 0, now = now_ms(c);
	for (unsigned i = 0; i < sizeof(due) / sizeof(*due); i++) {
		if (due[i] && (!first || due[i] < first))
			first = due[i];
	}
	/* One that comes early arms itself anew: most deadlines only ever move away. */
	if (first && (!c->deadline.at_ms || c->deadline.at_ms > first))
		timer_arm(&c->deadline, first > now ? first - now : 0);
}

static void rest_later(struct h2_conn *c)
{
	c->rest_due_ms = now_ms(c) + REST_MS;
	h2_conn_arm(c);
}

static void wait_for_request(struct h2_conn *c)
{
	c->idle_due_ms = now_ms(c) + c->o.limits->keepalive_ms;
	rest_later(c);
}

/* ---- the end of a stream ---- */

static void over(struct h2_stream *st, int status)
{
	struct h2_conn *c = st->c;
	const struct handler *h = st->x.handler;
	list_remove(&st->node);
	timer_cancel(&st->idle);
	if (st->f.in.len)
		nghttp2_session_consume_connection(h2_wire_session(&c->w), st->f.in.len);
	if (status == 0) {
		h2_budget_earn(&c->w.budget, 2);
		h2_budget_give(&c->w.budget, H2_COST_HEAD, st->head_bytes);
	}
	if (h && h->on_done)
		h->on_done(&st->x, status);
	msg_free(st->x.req);
	msg_free(st->req_trailers);
	h2_flow_done(&st->f);
	free(st);
	if (list_empty(&c->streams) && c->state != H2_CLOSING)
		wait_for_request(c);
}

static void over_all(struct h2_conn *c, int status)
{
	while (!list_empty(&c->streams))
		over(container_of(c->streams.next, struct h2_stream, node), status);
}

void h2_reset(struct h2_stream *st, uint32_t code, int why)
{
	struct h2_conn *c = st->c;
	if (st->f.gone)
		return;
	nghttp2_submit_rst_stream(h2_wire_session(&c->w), NGHTTP2_FLAG_NONE, st->f.id, code);
	nghttp2_session_set_stream_user_data(h2_wire_session(&c->w), st->f.id, NULL);
	st->f.gone = true;
	st->why = why;
	h2_flow_mark(&st->f);
}

/* ---- settling ---- */

static void deliver(struct h2_stream *st)
{
	const struct handler *h = st->x.handler;
	if (st->f.in.len && !st->f.paused && !st->f.gone) {
		size_t n = st->f.in.len;
		struct buf in = st->f.in;
		st->f.in = BUF_INIT(H2_STREAM_WINDOW);
		nghttp2_session_consume(h2_wire_session(&st->c->w), st->f.id, n);
		h2_flow_touch(&st->f);
		if (h->on_body)
			h->on_body(&st->x, in.data, n);
		buf_done(&in);
	}
	if (st->f.wire_done && !st->f.in.len && !st->f.paused && !st->f.gone &&
		!st->x.request_ended && (st->tunnel || !st->f.out_ended)) {
		st->x.request_ended = true;
		if (h->on_end)
			h->on_end(&st->x, st->req_trailers);
	}
}

static void settle(struct h2_flow *f)
{
	struct h2_stream *st = container_of(f, struct h2_stream, f);
	const struct handler *h = st->x.handler;
	deliver(st);
	if (st->f.over_high && !st->f.gone && !st->f.out_ended &&
		h2_flow_queued(&st->f) < STREAM_LOW_WATER) {
		st->f.over_high = false;
		if (h->on_writable)
			h->on_writable(&st->x);
	}
	/* RFC 9113 §8.1: the rest of a request that has its answer is not wanted. Where only the word that it
	 * has ended is still to come, it will: there are clients that lose an answer over a reset. */
	bool has_rest = !st->f.wire_done && !(st->req_counted && !st->req_left);
	if (st->f.sent_end && st->f.out_ended && has_rest && !st->tunnel)
		h2_reset(st, NGHTTP2_NO_ERROR, 0);
	if (!st->f.gone)
		return;
	/* HEAD, 204, 304: the answer was whole with its head, but the handler has not said so. */
	if (!st->why && st->bodyless && st->f.sent_end && !st->f.out_ended)
		return;
	over(st, st->why ? st->why : h2_is_whole(st) ? 0 : -ECONNRESET);
}

/* ---- the turn ---- */

/* Close so that the last frames arrive; the client is listened to until it closes, too. */
static void linger(struct h2_conn *c)
{
	set_state(c, H2_CLOSING);
	turn_end(&c->w.turn);
	over_all(c, c->why ? c->why : -ECANCELED);
	timer_cancel(&c->deadline);
	stream_close_after_flush(c->w.s, stream_queued(c->w.s) ? c->o.limits->idle_ms : LINGER_MS);
}

/* After a fault of the client: say why, hear no more of it. */
static void part(struct h2_conn *c)
{
	set_state(c, H2_CLOSING);
	turn_uncork(&c->w.turn);
	over_all(c, c->why ? c->why : -EPROTO);
	stream_pause(c->w.s);
	stream_shutdown(c->w.s);
	timer_arm(&c->deadline, PARTING_MS);
}

static void die(struct h2_conn *c, int why)
{
	if (c->state == H2_CLOSING)
		return;
	c->why = why;
	set_state(c, H2_CLOSING);
	stream_close(c->w.s);
	turn_uncork(&c->w.turn);
}

static void fail(struct h2_conn *c)
{
	nghttp2_session_terminate_session(h2_wire_session(&c->w), c->w.code);
	h2_wire_pump(&c->w);
	part(c);
}

static void on_settle(struct turn *t)
{
	struct h2_conn *c = container_of(t, struct h2_conn, w.turn);
	h2_wire_settle(&c->w, settle);
	if (c->state == H2_CLOSING)
		return;
	if (c->w.code)
		fail(c);
	else if (!nghttp2_session_want_read(h2_wire_session(&c->w)) &&
		 !nghttp2_session_want_write(h2_wire_session(&c->w)))
		linger(c);
}

/* ---- the stream calls ---- */

static size_t on_data(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct h2_conn *c = ctx;
	(void)s;
	if (c->state == H2_CLOSING)
		return n;
	if (h2_wire_rests(&c->w))
		rest_later(c);
	return h2_wire_input(&c->w, p, n);
}

static void on_eof(struct stream *s, void *ctx)
{
	struct h2_conn *c = ctx;
	(void)s;
	die(c, -ECONNRESET);
}

static void on_writable(struct stream *s, void *ctx)
{
	struct h2_conn *c = ctx;
	(void)s;
	if (c->state == H2_CLOSING)
		return;
	turn_enter(&c->w.turn);
	turn_leave(&c->w.turn);
}

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct h2_conn *c = ctx;
	(void)s;
	if (c->state != H2_CLOSING)
		set_state(c, H2_CLOSING);
	over_all(c, c->why ? c->why : why->code == -ETIMEDOUT ? -ETIMEDOUT : -ECONNRESET);
	timer_cancel(&c->deadline);
	h2_head_done(&c->head);
	h2_wire_done(&c->w);
	linger_unref(c->info.linger);
	if (c->o.on_closed)
		c->o.on_closed(c->o.ctx, &c->base);
	free(c);
}

static const struct stream_cb stream_cb = {
	.on_data = on_data,
	.on_eof = on_eof,
	.on_writable = on_writable,
	.on_close = on_close,
};

/* ---- deadlines ---- */

void h2_say_goodbye(struct h2_conn *c)
{
	c->bye_due_ms = 0;
	int32_t last = nghttp2_session_get_last_proc_stream_id(h2_wire_session(&c->w));
	nghttp2_submit_goaway(
		h2_wire_session(&c->w), NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
}

/* Nearly always a connection waits: thousands of them should take little. */
static void rest(struct h2_conn *c)
{
	c->rest_due_ms = 0;
	if (c->state == H2_OPEN && list_empty(&c->streams) && !stream_queued(c->w.s))
		h2_wire_rest(&c->w);
	h2_conn_arm(c);
}

static void on_deadline(struct timer *t)
{
	struct h2_conn *c = container_of(t, struct h2_conn, deadline);
	uint64_t now = now_ms(c);
	if (c->state == H2_CLOSING) {
		stream_close(c->w.s);
		return;
	}
	if (c->rest_due_ms && c->rest_due_ms <= now) {
		rest(c);
		return;
	}
	turn_enter(&c->w.turn);
	if (c->drain_due_ms && c->drain_due_ms <= now) {
		die(c, -ECANCELED);
	} else if (c->head_due_ms && c->head_due_ms <= now) {
		c->w.code = NGHTTP2_ENHANCE_YOUR_CALM;
	} else if (c->idle_due_ms && c->idle_due_ms <= now &&
		   stream_queued(c->w.s) > STREAM_HIGH_WATER) {
		die(c, -ETIMEDOUT); /* it does not read: a goodbye would not even be sent */
	} else if (c->idle_due_ms && c->idle_due_ms <= now) {
		h2_say_goodbye(c);
		c->idle_due_ms = 0;
	} else if (c->bye_due_ms && c->bye_due_ms <= now) {
		h2_say_goodbye(c);
	}
	if (c->state != H2_CLOSING)
		h2_conn_arm(c);
	turn_leave(&c->w.turn);
}

/* What the client sent before it knew is taken, too: the first GOAWAY only announces, and the one that
 * counts follows when the client has answered a PING behind it (RFC 9113 §6.8). */
static void drain(struct http_conn *base, uint64_t ms)
{
	struct h2_conn *c = container_of(base, struct h2_conn, base);
	if (c->state != H2_OPEN)
		return;
	set_state(c, H2_DRAINING);
	c->drain_due_ms = now_ms(c) + (ms ? ms : 1);
	c->bye_due_ms = now_ms(c) + BYE_MS;
	h2_conn_arm(c);
	nghttp2_submit_shutdown_notice(h2_wire_session(&c->w));
	nghttp2_submit_ping(h2_wire_session(&c->w), NGHTTP2_FLAG_NONE, NULL);
	turn_kick(&c->w.turn);
}

static void close_now(struct http_conn *base)
{
	die(container_of(base, struct h2_conn, base), -ECANCELED);
}

static const struct http_conn_ops ops = {.drain = drain, .close = close_now};

/* ---- birth ---- */

static void open_session(struct h2_conn *c)
{
	const nghttp2_settings_entry iv[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,  H2_STREAMS_MAX                 },
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,     H2_STREAM_WINDOW               },
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,    (uint32_t)c->o.limits->head_max},
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1                              },
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES,   1                              },
	};
	h2_wire_open(&c->w, h2_session_new(c), iv, sizeof(iv) / sizeof(*iv));
}

struct http_conn *h2_serve(struct stream *s, const struct http_server_opts *o)
{
	struct h2_conn *c = xcalloc(1, sizeof(*c));
	c->base.ops = &ops;
	c->o = *o;
	http_conn_info(&c->info, s, o);
	c->info.linger = linger_new();
	list_init(&c->streams);
	h2_head_done(&c->head);
	h2_wire_init(&c->w, s, on_settle, H2_PREFACE_LEN);
	timer_init(&c->deadline, c->info.loop, on_deadline);
	open_session(c);
	stream_set_cb(s, &stream_cb, c);
	stream_resume(s);
	wait_for_request(c);
	turn_kick(&c->w.turn);
	return &c->base;
}
