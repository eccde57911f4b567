/* The HTTP/1.1 server: one connection, one exchange at a time, which lives inside the connection's
 * object. A pipelined request stays in the stream's buffer until the response before it has ended.
 *
 * Handlers may call anything at any time; what that leads to (on_end, on_done, the next request) is
 * done by settle(), when a turn ends (turn.h). */
#include "http/h1_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/xalloc.h"
#include "net/stream.h"

#define DRAIN_MAX 65536u /* of a request body that nobody wanted */
#define DRAIN_MS 5000u
#define LINGER_MS 5000u /* for the client to read the last response and close */

void h1_conn_set_state(struct h1_conn *c, enum h1_conn_state to)
{
	static const unsigned from[] = {
		[H1_HEAD] = 1u << H1_EXCHANGE | 1u << H1_DRAIN,
		[H1_EXCHANGE] = 1u << H1_HEAD,
		[H1_TUNNEL] = 1u << H1_EXCHANGE,
		[H1_DRAIN] = 1u << H1_EXCHANGE,
		[H1_CLOSING] = 1u << H1_HEAD | 1u << H1_EXCHANGE | 1u << H1_TUNNEL | 1u << H1_DRAIN,
	};
	assert(from[to] & 1u << c->state);
	c->state = to;
	c->moves++;
}

/* ---- closing and waiting ---- */

static void set_due(struct h1_conn *c, uint64_t at_ms)
{
	uint64_t now = loop_now_ms(stream_loop(c->s));
	c->due_ms = at_ms;
	if (at_ms && (!c->deadline.at_ms || c->deadline.at_ms > at_ms))
		timer_arm(&c->deadline, at_ms > now ? at_ms - now : 0);
}

static void wait_ms(struct h1_conn *c, uint64_t ms)
{
	uint64_t at = loop_now_ms(stream_loop(c->s)) + ms;
	set_due(c, c->drain_at_ms && c->drain_at_ms < at ? c->drain_at_ms : at);
}

static void hold_input(struct h1_conn *c)
{
	c->held = true;
	stream_pause(c->s);
}

void h1_conn_release(struct h1_conn *c)
{
	if (c->held)
		stream_resume(c->s);
	c->held = false;
}

/* Cut: what is queued is lost. */
void h1_conn_die(struct h1_conn *c, int why)
{
	if (c->state == H1_CLOSING)
		return;
	c->why = why;
	h1_conn_set_state(c, H1_CLOSING);
	stream_close(c->s);
	turn_uncork(&c->turn);
}

/* Close, but so that the last response arrives. */
static void linger(struct h1_conn *c)
{
	if (c->state == H1_CLOSING)
		return;
	h1_conn_set_state(c, H1_CLOSING);
	turn_end(&c->turn);
	stream_close_after_flush(c->s, stream_queued(c->s) ? c->o.limits->idle_ms : LINGER_MS);
}

static void refuse(struct h1_conn *c, int status)
{
	h1_conn_write_error(c, status);
	linger(c);
}

/* ---- the life of an exchange ---- */

static void over(struct h1_conn *c, int status)
{
	const struct handler *h = c->x.handler;
	c->active = false;
	if (h->on_done)
		h->on_done(&c->x, status);
	msg_free(c->x.req);
	c->x.req = NULL;
}

static void next_request(struct h1_conn *c)
{
	if (c->drain_at_ms || c->eof) {
		linger(c);
		return;
	}
	h1_conn_set_state(c, H1_HEAD);
	c->seen = c->tried = 0;
	stream_idle_timeout(c->s, 0);
	wait_ms(c, c->o.limits->keepalive_ms);
	h1_conn_release(c);
}

/* Response and on_done are over; what of the connection? */
static void go_on(struct h1_conn *c)
{
	bool much = c->req_kind == BODY_LENGTH && c->req_left > DRAIN_MAX;
	if (c->state == H1_CLOSING)
		return;
	if (c->state == H1_TUNNEL || !c->keep_alive || (!c->wire_done && much)) {
		linger(c);
	} else if (c->wire_done) {
		next_request(c);
	} else {
		h1_conn_set_state(c, H1_DRAIN);
		c->drained = 0;
		wait_ms(c, DRAIN_MS);
		h1_conn_release(c);
	}
}

static void settle(struct h1_conn *c)
{
	struct exchange *x = &c->x;
	if (!c->active || c->state == H1_CLOSING)
		return;
	bool tunnel = c->state == H1_TUNNEL;
	bool req_ended = tunnel ? c->eof : c->wire_done;
	if (req_ended && !c->paused && !x->request_ended && (tunnel || !c->resp_ended)) {
		x->request_ended = true;
		if (x->handler->on_end)
			x->handler->on_end(x, c->chunks.trailers);
	}
	if (c->state == H1_CLOSING || !c->resp_ended)
		return;
	if (c->state == H1_TUNNEL && !x->request_ended)
		return;
	over(c, 0);
	go_on(c);
}

static void on_settle(struct turn *t)
{
	settle(container_of(t, struct h1_conn, turn));
}

static void begin_exchange(struct h1_conn *c, const struct h1_head *h)
{
	struct msg *m = h->msg;
	h1_chunks_done(&c->chunks);
	c->x = (struct exchange){.ops = &h1_exchange_ops,
		.conn = &c->info,
		.req = m,
		.expects_continue = h->expects_continue};
	c->req_kind = msg_body(m);
	c->req_left = msg_body_length(m);
	c->wire_done = c->req_kind == BODY_NONE || (c->req_kind == BODY_LENGTH && !c->req_left);
	if (c->req_kind == BODY_CHUNKED)
		h1_chunks_init(&c->chunks);
	c->http10 = h->minor == 0;
	c->keep_alive = h->keep_alive;
	c->active = c->paused = true;
	c->resp_ended = false;
	h1_conn_set_state(c, H1_EXCHANGE);
	set_due(c, c->drain_at_ms);
	stream_idle_timeout(c->s, c->o.limits->idle_ms);
	c->o.on_request(c->o.ctx, &c->x);
	assert(c->x.handler);
}

/* ---- input ---- */

static size_t take_head(struct h1_conn *c, const uint8_t *p, size_t n)
{
	const struct http_limits *l = c->o.limits;
	/* A slow head is parsed again only when a line became whole or much came. */
	if (n <= c->seen || (!memchr(p + c->seen, '\n', n - c->seen) && n < 2 * c->tried)) {
		c->seen = n;
		return 0;
	}
	struct h1_head h;
	int rc = h1_parse_request(&h, p, n,
		&(struct h1_limits){.head_max = l->head_max,
			.url_max = l->url_max,
			.fields_max = l->fields_max},
		c->info.tls ? "https" : "http", NULL);
	if (rc < 0) {
		c->http10 = false;
		refuse(c, h.status);
		return n;
	}
	if (rc == 0) {
		if (!c->seen)
			wait_ms(c, l->head_ms);
		c->seen = c->tried = n;
		return 0;
	}
	c->seen = c->tried = 0;
	begin_exchange(c, &h);
	return (size_t)rc;
}

static void bad_body(struct h1_conn *c)
{
	if (c->state == H1_EXCHANGE && !c->x.responded) {
		c->x.responded = true;
		h1_conn_write_error(c, 400);
		over(c, -EPROTO);
		linger(c);
	} else if (c->state == H1_DRAIN) {
		linger(c);
	} else {
		h1_conn_die(c, -EPROTO);
	}
}

/* Up to one slice of the request's body. */
static size_t take_body(struct h1_conn *c, const uint8_t *p, size_t n)
{
	const uint8_t *body = p;
	size_t len = n, used;
	if (c->req_kind == BODY_LENGTH) {
		len = used = c->req_left < n ? (size_t)c->req_left : n;
		c->req_left -= used;
		c->wire_done = !c->req_left;
	} else {
		long k = h1_chunks_feed(&c->chunks, p, n, &body, &len, &c->wire_done);
		if (k < 0) {
			bad_body(c);
			return n;
		}
		used = (size_t)k;
	}
	c->x.expects_continue = false;
	if (c->state == H1_EXCHANGE && len && c->x.handler->on_body)
		c->x.handler->on_body(&c->x, body, len);
	return used;
}

static size_t drain_body(struct h1_conn *c, const uint8_t *p, size_t n)
{
	size_t used = take_body(c, p, n);
	c->drained += used;
	if (c->state != H1_DRAIN)
		return used;
	if (c->wire_done)
		next_request(c);
	else if (c->drained > DRAIN_MAX)
		linger(c);
	return used;
}

static size_t take(struct h1_conn *c, const uint8_t *p, size_t n)
{
	switch (c->state) {
	case H1_HEAD:
		return take_head(c, p, n);
	case H1_EXCHANGE:
		return c->paused || c->wire_done ? 0 : take_body(c, p, n);
	case H1_TUNNEL:
		if (c->paused)
			return 0;
		if (c->x.handler->on_body)
			c->x.handler->on_body(&c->x, p, n);
		return n;
	case H1_DRAIN:
		return drain_body(c, p, n);
	case H1_CLOSING:
		break;
	}
	return n;
}

static void doubt_client(struct h1_conn *c)
{
	uint64_t ms = c->o.limits->idle_ms;
	stream_idle_timeout(c->s, ms && ms < H1_GONE_MS ? ms : H1_GONE_MS);
}

static size_t on_data(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct h1_conn *c = ctx;
	size_t used = 0;
	(void)s;
	turn_enter(&c->turn);
	while (used < n) {
		unsigned moves = c->moves;
		size_t k = take(c, p + used, n - used);
		used += k;
		settle(c);
		if (!k && moves == c->moves)
			break;
	}
	if (used < n && c->state != H1_HEAD)
		hold_input(c);
	turn_leave(&c->turn);
	return used;
}

static void on_eof(struct stream *s, void *ctx)
{
	struct h1_conn *c = ctx;
	(void)s;
	turn_enter(&c->turn);
	c->eof = true;
	switch (c->state) {
	case H1_HEAD:
	case H1_DRAIN:
		linger(c);
		break;
	case H1_EXCHANGE:
		c->keep_alive = false;
		if (!c->wire_done)
			h1_conn_die(c, -ECONNRESET);
		else
			doubt_client(c);
		break;
	case H1_TUNNEL:
	case H1_CLOSING:
		break;
	}
	turn_leave(&c->turn);
}

static void on_writable(struct stream *s, void *ctx)
{
	struct h1_conn *c = ctx;
	(void)s;
	if (!c->active || c->state == H1_CLOSING || c->resp_ended)
		return;
	turn_enter(&c->turn);
	if (c->x.handler->on_writable)
		c->x.handler->on_writable(&c->x);
	turn_leave(&c->turn);
}

static void on_deadline(struct timer *t)
{
	struct h1_conn *c = container_of(t, struct h1_conn, deadline);
	if (!c->due_ms)
		return;
	if (loop_now_ms(t->loop) < c->due_ms) {
		set_due(c, c->due_ms);
		return;
	}
	turn_enter(&c->turn);
	switch (c->state) {
	case H1_HEAD:
		if (c->seen > 2) /* more than a stray empty line */
			refuse(c, 408);
		else
			linger(c);
		break;
	case H1_EXCHANGE:
	case H1_TUNNEL:
		h1_conn_die(c, -ECANCELED);
		break;
	case H1_DRAIN:
		linger(c);
		break;
	case H1_CLOSING:
		break;
	}
	turn_leave(&c->turn);
}

/* ---- the connection ---- */

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct h1_conn *c = ctx;
	(void)s;
	turn_done(&c->turn);
	timer_cancel(&c->deadline);
	bool gone = c->state == H1_EXCHANGE && c->eof;
	int status = why->code == -ETIMEDOUT && !gone ? -ETIMEDOUT : -ECONNRESET;
	bool whole = c->resp_ended && (c->state != H1_TUNNEL || c->eof);
	if (c->state != H1_CLOSING)
		h1_conn_set_state(c, H1_CLOSING);
	if (c->active)
		over(c, c->why ? c->why : whole ? 0 : status);
	h1_chunks_done(&c->chunks);
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

static void drain(struct http_conn *base, uint64_t ms)
{
	struct h1_conn *c = container_of(base, struct h1_conn, base);
	if (c->state == H1_CLOSING)
		return;
	if (c->state == H1_HEAD && !c->seen) {
		linger(c);
		return;
	}
	uint64_t at = loop_now_ms(stream_loop(c->s)) + (ms ? ms : 1);
	c->drain_at_ms = at;
	if (!c->due_ms || c->due_ms > at)
		set_due(c, at);
}

static void close_now(struct http_conn *base)
{
	h1_conn_die(container_of(base, struct h1_conn, base), -ECANCELED);
}

static const struct http_conn_ops ops = {.drain = drain, .close = close_now};

struct http_conn *h1_serve(struct stream *s, const struct http_server_opts *o)
{
	struct h1_conn *c = xcalloc(1, sizeof(*c));
	struct loop *loop = stream_loop(s);
	c->base.ops = &ops;
	c->s = s;
	c->o = *o;
	http_conn_info(&c->info, s, o);
	h1_chunks_init(&c->chunks);
	turn_init(&c->turn, s, on_settle);
	timer_init(&c->deadline, loop, on_deadline);
	stream_set_cb(s, &stream_cb, c);
	stream_resume(s);
	wait_ms(c, o->limits->keepalive_ms);
	return &c->base;
}
