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
}

static uint64_t now_ms(const struct h2_conn *c)
{
	return loop_now_ms(c->info.loop);
}

/* ---- waiting ---- */

void h2_conn_arm(struct h2_conn *c)
{
	const uint64_t due[] = {c->head_due_ms, c->idle_due_ms, c->drain_due_ms};
	uint64_t first = 0, now = now_ms(c);
	for (unsigned i = 0; i < sizeof(due) / sizeof(*due); i++) {
		if (due[i] && (!first || due[i] < first))
			first = due[i];
	}
	/* One that comes early arms itself anew: most deadlines only ever move away. */
	if (first && (!c->deadline.at_ms || c->deadline.at_ms > first))
		timer_arm(&c->deadline, first > now ? first - now : 0);
}

static void wait_for_request(struct h2_conn *c)
{
	c->idle_due_ms = now_ms(c) + c->o.limits->keepalive_ms;
	h2_conn_arm(c);
}

void h2_touch(struct h2_stream *st)
{
	st->moved_ms = now_ms(st->c);
}

/* ---- the end of a stream ---- */

static void over(struct h2_stream *st, int status)
{
	struct h2_conn *c = st->c;
	const struct handler *h = st->x.handler;
	list_remove(&st->node);
	list_remove(&st->mark);
	timer_cancel(&st->idle);
	if (!st->gone)
		nghttp2_session_set_stream_user_data(c->session, st->id, NULL);
	if (st->in.len)
		nghttp2_session_consume_connection(c->session, st->in.len);
	if (status == 0) {
		h2_budget_give(&c->budget, H2_COST_FRAME, 2);
		h2_budget_give(&c->budget, H2_COST_HEAD, st->head_bytes);
	}
	if (h && h->on_done)
		h->on_done(&st->x, status);
	msg_free(st->x.req);
	msg_free(st->req_trailers);
	msg_free(st->trailers);
	buf_done(&st->in);
	buf_done(&st->out);
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
	if (st->gone)
		return;
	nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, st->id, code);
	nghttp2_session_set_stream_user_data(c->session, st->id, NULL);
	st->gone = true;
	st->why = why;
	h2_mark(st);
}

void h2_mark(struct h2_stream *st)
{
	if (list_empty(&st->mark))
		list_push_back(&st->c->marked, &st->mark);
	turn_kick(&st->c->turn);
}

/* ---- settling ---- */

static void deliver(struct h2_stream *st)
{
	const struct handler *h = st->x.handler;
	if (st->in.len && !st->paused && !st->gone) {
		size_t n = st->in.len;
		struct buf in = st->in;
		st->in = BUF_INIT(H2_STREAM_WINDOW);
		nghttp2_session_consume(st->c->session, st->id, n);
		h2_touch(st);
		if (h->on_body)
			h->on_body(&st->x, in.data, n);
		buf_done(&in);
	}
	if (st->wire_done && !st->in.len && !st->paused && !st->gone && !st->x.request_ended &&
		(st->tunnel || !st->resp_ended)) {
		st->x.request_ended = true;
		if (h->on_end)
			h->on_end(&st->x, st->req_trailers);
	}
}

static void settle(struct h2_stream *st)
{
	const struct handler *h = st->x.handler;
	deliver(st);
	if (st->over_high && !st->gone && !st->resp_ended && h2_queued(st) < STREAM_LOW_WATER) {
		st->over_high = false;
		if (h->on_writable)
			h->on_writable(&st->x);
	}
	/* RFC 9113 §8.1: the rest of a request that has its answer is not wanted. */
	if (st->sent_end && st->resp_ended && !st->wire_done && !st->tunnel)
		h2_reset(st, NGHTTP2_NO_ERROR, 0);
	if (!st->gone)
		return;
	/* HEAD, 204, 304: the answer was whole with its head, but the handler has not said so. */
	if (!st->why && st->bodyless && st->sent_end && !st->resp_ended)
		return;
	over(st, st->why ? st->why : h2_is_whole(st) ? 0 : -ECONNRESET);
}

/* ---- the turn ---- */

/* Close so that the last frames arrive; the client is listened to until it closes, too. */
static void linger(struct h2_conn *c)
{
	set_state(c, H2_CLOSING);
	turn_uncork(&c->turn);
	over_all(c, c->why ? c->why : -ECANCELED);
	timer_cancel(&c->deadline);
	stream_close_after_flush(c->s, stream_queued(c->s) ? c->o.limits->idle_ms : LINGER_MS);
}

/* After a fault of the client: say why, hear no more of it. */
static void part(struct h2_conn *c)
{
	set_state(c, H2_CLOSING);
	turn_uncork(&c->turn);
	over_all(c, c->why ? c->why : -EPROTO);
	stream_pause(c->s);
	stream_shutdown(c->s);
	timer_arm(&c->deadline, PARTING_MS);
}

static void die(struct h2_conn *c, int why)
{
	if (c->state == H2_CLOSING)
		return;
	c->why = why;
	set_state(c, H2_CLOSING);
	stream_close(c->s);
	turn_uncork(&c->turn);
}

/* True when it stopped because enough is queued. */
static bool pump(struct h2_conn *c)
{
	while (stream_queued(c->s) <= STREAM_HIGH_WATER) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(c->session, &p);
		if (n < 0)
			c->code = c->code ? c->code : NGHTTP2_INTERNAL_ERROR;
		if (n <= 0)
			break;
		stream_write(c->s, p, (size_t)n);
	}
	return stream_queued(c->s) > STREAM_HIGH_WATER;
}

static void settle_all(struct h2_conn *c)
{
	while (!list_empty(&c->marked) && c->state != H2_CLOSING) {
		struct h2_stream *st = container_of(c->marked.next, struct h2_stream, mark);
		list_remove(&st->mark);
		settle(st);
	}
}

static void fail(struct h2_conn *c)
{
	nghttp2_session_terminate_session(c->session, c->code);
	pump(c);
	part(c);
}

static void on_settle(struct turn *t)
{
	struct h2_conn *c = container_of(t, struct h2_conn, turn);
	bool more = true;
	while (more && c->state != H2_CLOSING) {
		settle_all(c);
		if (c->state == H2_CLOSING)
			return;
		bool full = pump(c);
		if (c->code) {
			fail(c);
			return;
		}
		if (full) {
			turn_uncork(t);
			turn_cork(t);
		}
		more = !list_empty(&c->marked) || (full && stream_queued(c->s) < STREAM_LOW_WATER);
	}
	if (c->state != H2_CLOSING && !nghttp2_session_want_read(c->session) &&
		!nghttp2_session_want_write(c->session))
		linger(c);
}

/* ---- the stream calls ---- */

static size_t on_data(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct h2_conn *c = ctx;
	(void)s;
	if (c->state == H2_CLOSING)
		return n;
	turn_enter(&c->turn);
	if (!h2_budget_input(&c->budget, p, n, now_ms(c))) {
		c->code = NGHTTP2_ENHANCE_YOUR_CALM;
	} else {
		ssize_t k = nghttp2_session_mem_recv(c->session, p, n);
		if (k < 0 && !c->code)
			c->code = k == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
							   : NGHTTP2_PROTOCOL_ERROR;
	}
	turn_leave(&c->turn);
	return n;
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
	turn_enter(&c->turn);
	turn_leave(&c->turn);
}

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct h2_conn *c = ctx;
	(void)s;
	if (c->state != H2_CLOSING)
		set_state(c, H2_CLOSING);
	over_all(c, c->why ? c->why : why->code == -ETIMEDOUT ? -ETIMEDOUT : -ECONNRESET);
	turn_done(&c->turn);
	timer_cancel(&c->deadline);
	h2_head_done(&c->head);
	nghttp2_session_del(c->session);
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

static void say_goodbye(struct h2_conn *c)
{
	int32_t last = nghttp2_session_get_last_proc_stream_id(c->session);
	nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
}

static void on_deadline(struct timer *t)
{
	struct h2_conn *c = container_of(t, struct h2_conn, deadline);
	uint64_t now = now_ms(c);
	if (c->state == H2_CLOSING) {
		stream_close(c->s);
		return;
	}
	turn_enter(&c->turn);
	if (c->drain_due_ms && c->drain_due_ms <= now) {
		die(c, -ECANCELED);
	} else if (c->head_due_ms && c->head_due_ms <= now) {
		c->code = NGHTTP2_ENHANCE_YOUR_CALM;
	} else if (c->idle_due_ms && c->idle_due_ms <= now &&
		   stream_queued(c->s) > STREAM_HIGH_WATER) {
		die(c, -ETIMEDOUT); /* it does not read: a goodbye would not even be sent */
	} else if (c->idle_due_ms && c->idle_due_ms <= now) {
		say_goodbye(c);
		c->idle_due_ms = 0;
	}
	if (c->state != H2_CLOSING)
		h2_conn_arm(c);
	turn_leave(&c->turn);
}

static void drain(struct http_conn *base, uint64_t ms)
{
	struct h2_conn *c = container_of(base, struct h2_conn, base);
	if (c->state != H2_OPEN)
		return;
	set_state(c, H2_DRAINING);
	c->drain_due_ms = now_ms(c) + (ms ? ms : 1);
	h2_conn_arm(c);
	say_goodbye(c);
	turn_kick(&c->turn);
}

static void close_now(struct http_conn *base)
{
	die(container_of(base, struct h2_conn, base), -ECANCELED);
}

static const struct http_conn_ops ops = {.drain = drain, .close = close_now};

/* ---- birth ---- */

static void submit_settings(struct h2_conn *c)
{
	const nghttp2_settings_entry iv[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,  H2_STREAMS_MAX                 },
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,     H2_STREAM_WINDOW               },
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,    (uint32_t)c->o.limits->head_max},
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1                              },
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES,   1                              },
	};
	nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, iv, sizeof(iv) / sizeof(*iv));
	nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW);
}

struct http_conn *h2_serve(struct stream *s, const struct http_server_opts *o)
{
	struct h2_conn *c = xcalloc(1, sizeof(*c));
	c->base.ops = &ops;
	c->s = s;
	c->o = *o;
	http_conn_info(&c->info, s, o);
	list_init(&c->streams);
	list_init(&c->marked);
	h2_head_done(&c->head);
	h2_budget_init(&c->budget, now_ms(c));
	turn_init(&c->turn, s, on_settle);
	timer_init(&c->deadline, c->info.loop, on_deadline);
	c->session = h2_session_new(c);
	submit_settings(c);
	stream_set_cb(s, &stream_cb, c);
	stream_resume(s);
	wait_for_request(c);
	turn_kick(&c->turn);
	return &c->base;
}
