/* The HTTP/1.1 client: one connection, one call at a time, which lives inside the connection's
 * object. Whatever goes wrong closes the stream, and on_fail comes from its on_close: so never from
 * inside what the caller called, and once. on_end comes from settle(), as in h1_server.c. */
#include "http/client.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/xalloc.h"
#include "http/h1_parse.h"
#include "http/turn.h"
#include "http/h1_write.h"
#include "net/loop.h"
#include "net/stream.h"

#define HEAD_MAX 65535u /* what a stream keeps for us, less one */
#define FIELDS_MAX 200u
#define INTERIM_MAX 32u /* 1xx heads in one call */
#define FLUSH_MS 2000u  /* for the close_notify of a connection that we are done with */

enum state {
	C_IDLE,
	C_HEAD, /* a call waits for its final head */
	C_BODY,
	C_TUNNEL,
	C_CLOSING, /* only on_close may follow */
};

struct h1_client {
	struct client base;
	struct call call;
	struct stream *s;
	struct client_opts o;
	const struct call_cb *cb;
	void *ctx;
	struct turn turn;
	struct h1_chunks chunks;
	uint64_t req_left, resp_left, moved_before;
	size_t seen, tried; /* as in the server */
	unsigned moves, interim;
	enum state state;
	enum method method;
	enum body_kind req_kind, resp_kind;
	int why;
	const char *why_text;
	bool active; /* the call lives */
	bool upgrades, req_ended, resp_ended;
	bool paused, held, keep, extra; /* extra: bytes follow the response */
};

static void set_state(struct h1_client *c, enum state to)
{
	static const unsigned from[] = {
		[C_IDLE] = 1u << C_BODY,
		[C_HEAD] = 1u << C_IDLE,
		[C_BODY] = 1u << C_HEAD,
		[C_TUNNEL] = 1u << C_HEAD,
		[C_CLOSING] = 1u << C_IDLE | 1u << C_HEAD | 1u << C_BODY | 1u << C_TUNNEL,
	};
	assert(from[to] & 1u << c->state);
	c->state = to;
	c->base.room = to == C_IDLE;
	c->moves++;
}

static void release_input(struct h1_client *c)
{
	if (c->held)
		stream_resume(c->s);
	c->held = false;
}

/* ---- the end of a call, of a connection ---- */

static void fail(struct h1_client *c, int why, const char *text)
{
	if (c->state == C_CLOSING)
		return;
	c->why = why;
	c->why_text = text;
	set_state(c, C_CLOSING);
	stream_close(c->s); /* first, so that nothing gathered goes out */
	turn_uncork(&c->turn);
}

static void close_gently(struct h1_client *c)
{
	if (c->state == C_CLOSING)
		return;
	set_state(c, C_CLOSING);
	turn_end(&c->turn);
	stream_close_after_flush(c->s, FLUSH_MS);
}

static void go_idle(struct h1_client *c)
{
	set_state(c, C_IDLE);
	c->seen = c->tried = 0;
	stream_idle_timeout(c->s, 0);
	release_input(c);
	if (c->o.on_room)
		c->o.on_room(c->o.ctx, &c->base);
}

static void settle(struct h1_client *c)
{
	if (!c->active || !c->resp_ended || c->paused || c->state == C_CLOSING)
		return;
	bool keep = c->keep && c->req_ended && !c->extra && c->state != C_TUNNEL;
	c->active = false;
	c->base.served++;
	if (c->cb->on_end)
		c->cb->on_end(&c->call, c->chunks.trailers, c->ctx);
	h1_chunks_done(&c->chunks);
	if (c->state == C_CLOSING)
		return;
	if (keep)
		go_idle(c);
	else
		close_gently(c);
}

static void on_settle(struct turn *t)
{
	settle(container_of(t, struct h1_client, turn));
}

/* ---- the request ---- */

static struct h1_client *of(struct client *b)
{
	return container_of(b, struct h1_client, base);
}

static struct call *start(
	struct client *b, const struct msg *req, const struct call_cb *cb, void *ctx)
{
	struct h1_client *c = of(b);
	if (c->state != C_IDLE || msg_method(req) == METHOD_CONNECT)
		return NULL;
	c->cb = cb;
	c->ctx = ctx;
	c->method = msg_method(req);
	c->upgrades = msg_upgrade(req) != NULL;
	c->req_kind = msg_body(req);
	c->req_left = msg_body_length(req);
	c->req_ended = c->req_kind == BODY_NONE || (c->req_kind == BODY_LENGTH && !c->req_left);
	c->keep = !msg_signs_in_connection(req, "authorization");
	c->active = true;
	c->resp_ended = c->paused = c->extra = false;
	c->interim = 0;
	c->moved_before = stream_bytes_moved(c->s);
	set_state(c, C_HEAD);
	stream_idle_timeout(c->s, c->o.idle_ms);
	turn_begin_output(&c->turn);
	h1_write_request(c->s, req);
	return &c->call;
}

static struct h1_client *of_call(struct call *k)
{
	return container_of(k, struct h1_client, call);
}

static size_t write_body(struct call *k, const void *p, size_t n)
{
	struct h1_client *c = of_call(k);
	if (c->state == C_CLOSING || (c->req_ended && c->state != C_TUNNEL))
		return 0;
	turn_begin_output(&c->turn);
	if (c->state == C_TUNNEL)
		return turn_end_output(&c->turn, stream_write(c->s, p, n));
	if (c->req_kind != BODY_LENGTH)
		return turn_end_output(&c->turn, h1_write_chunk(c->s, p, n));
	if (n > c->req_left) {
		fail(c, -EPROTO, "the request's body is longer than announced");
		return 0;
	}
	c->req_left -= n;
	c->req_ended = !c->req_left;
	return turn_end_output(&c->turn, stream_write(c->s, p, n));
}

static void end_body(struct call *k, const struct msg *trailers)
{
	struct h1_client *c = of_call(k);
	if (c->state == C_CLOSING)
		return;
	if (c->state == C_TUNNEL) {
		turn_uncork(&c->turn);
		stream_shutdown(c->s);
		return;
	}
	if (c->req_ended)
		return;
	if (c->req_kind == BODY_LENGTH) {
		fail(c, -EPROTO, "the request's body is shorter than announced");
		return;
	}
	c->req_ended = true;
	turn_begin_output(&c->turn);
	h1_write_last_chunk(c->s, trailers);
}

static void pause_call(struct call *k)
{
	of_call(k)->paused = true;
}

static void resume_call(struct call *k)
{
	struct h1_client *c = of_call(k);
	if (!c->paused || c->state == C_CLOSING)
		return;
	c->paused = false;
	release_input(c);
	turn_kick(&c->turn);
}

static void cancel(struct call *k)
{
	struct h1_client *c = of_call(k);
	c->active = false;
	fail(c, -ECANCELED, "the call was given up");
}

static void drain(struct client *b)
{
	struct h1_client *c = of(b);
	c->keep = false;
	c->base.room = 0;
	if (c->state == C_IDLE)
		close_gently(c);
}

static void close_client(struct client *b)
{
	struct h1_client *c = of(b);
	if (c->active)
		fail(c, -ECANCELED, "the connection is not wanted any more");
	else
		close_gently(c);
}

static const struct client_ops ops = {
	.start = start,
	.write = write_body,
	.end = end_body,
	.pause = pause_call,
	.resume = resume_call,
	.cancel = cancel,
	.drain = drain,
	.close = close_client,
};

/* ---- the response ---- */

static void on_final_head(struct h1_client *c, const struct h1_head *h)
{
	c->resp_kind = msg_body(h->msg);
	c->resp_left = msg_body_length(h->msg);
	c->keep = c->keep && h->keep_alive && c->resp_kind != BODY_UNTIL_CLOSE &&
		  !msg_signs_in_connection(h->msg, "www-authenticate");
	if (c->resp_kind == BODY_CHUNKED)
		h1_chunks_init(&c->chunks);
	set_state(c, C_BODY);
}

static void on_switch(struct h1_client *c)
{
	set_state(c, C_TUNNEL);
	c->req_ended = false;
}

static int judge_interim(struct h1_client *c, int status)
{
	if (status == 101 && !c->upgrades)
		fail(c, -EPROTO, "the origin switched protocols without being asked");
	else if (++c->interim > INTERIM_MAX)
		fail(c, -EPROTO, "the origin sends 1xx without end");
	return c->state == C_CLOSING ? -EPROTO : 0;
}

static void take_message(struct h1_client *c, struct h1_head *h)
{
	int status = msg_status(h->msg);
	c->seen = c->tried = 0;
	if (status >= 200)
		on_final_head(c, h);
	else if (judge_interim(c, status) < 0)
		goto out;
	else if (status == 101)
		on_switch(c);
	if (c->cb->on_head)
		c->cb->on_head(&c->call, h->msg, c->ctx);
	if (status >= 200 && c->state == C_BODY)
		c->resp_ended =
			c->resp_kind == BODY_NONE || (c->resp_kind == BODY_LENGTH && !c->resp_left);
out:
	msg_free(h->msg);
}

static size_t take_head(struct h1_client *c, const uint8_t *p, size_t n)
{
	if (n <= c->seen || (!memchr(p + c->seen, '\n', n - c->seen) && n < 2 * c->tried)) {
		c->seen = n;
		return 0;
	}
	struct h1_limits l = {
		.head_max = c->o.head_max, .url_max = SIZE_MAX, .fields_max = c->o.fields_max};
	struct h1_head h;
	int rc = h1_parse_response(&h, p, n, &l, c->method, NULL);
	if (rc < 0) {
		bool large = h.status == 431;
		fail(c, large ? -ENOBUFS : -EPROTO,
			large ? "the answer's head is too large"
			      : "the answer's head is not HTTP/1.1");
		return n;
	}
	if (rc == 0) {
		c->seen = c->tried = n;
		return 0;
	}
	take_message(c, &h);
	return (size_t)rc;
}

static size_t take_body(struct h1_client *c, const uint8_t *p, size_t n)
{
	const uint8_t *body = p;
	size_t len = n, used = n;
	if (c->resp_kind == BODY_LENGTH) {
		len = used = c->resp_left < n ? (size_t)c->resp_left : n;
		c->resp_left -= used;
		c->resp_ended = !c->resp_left;
	} else if (c->resp_kind == BODY_CHUNKED) {
		long k = h1_chunks_feed(&c->chunks, p, n, &body, &len, &c->resp_ended);
		if (k < 0) {
			fail(c, -EPROTO, "the answer's chunks are malformed");
			return n;
		}
		used = (size_t)k;
	}
	if (len && c->cb->on_body)
		c->cb->on_body(&c->call, body, len, c->ctx);
	return used;
}

static size_t take(struct h1_client *c, const uint8_t *p, size_t n)
{
	if (c->active && c->paused)
		return 0;
	switch (c->state) {
	case C_IDLE:
		fail(c, -EPROTO, "the origin sent bytes that nobody asked for");
		break;
	case C_HEAD:
		return take_head(c, p, n);
	case C_BODY:
		return c->resp_ended ? 0 : take_body(c, p, n);
	case C_TUNNEL:
		if (c->cb->on_body)
			c->cb->on_body(&c->call, p, n, c->ctx);
		break;
	case C_CLOSING:
		break;
	}
	return n;
}

static size_t on_data(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct h1_client *c = ctx;
	size_t used = 0;
	(void)s;
	turn_enter(&c->turn);
	while (used < n) {
		unsigned moves = c->moves;
		size_t k = take(c, p + used, n - used);
		used += k;
		c->extra = c->resp_ended && used < n;
		settle(c);
		if (!k && moves == c->moves)
			break;
	}
	if (used < n && (c->state != C_HEAD || c->paused)) {
		c->held = true;
		stream_pause(s);
	}
	turn_leave(&c->turn);
	return used;
}

static void on_eof(struct stream *s, void *ctx)
{
	struct h1_client *c = ctx;
	(void)s;
	turn_enter(&c->turn);
	switch (c->state) {
	case C_IDLE:
		close_gently(c);
		break;
	case C_HEAD:
		fail(c, -ECONNRESET, "the origin closed the connection without an answer");
		break;
	case C_BODY:
		if (c->resp_kind == BODY_UNTIL_CLOSE)
			c->resp_ended = true;
		else if (!c->resp_ended)
			fail(c, -ECONNRESET, "the origin closed the connection inside its answer");
		c->keep = false;
		break;
	case C_TUNNEL:
		c->resp_ended = true;
		break;
	case C_CLOSING:
		break;
	}
	turn_leave(&c->turn);
}

static void on_writable(struct stream *s, void *ctx)
{
	struct h1_client *c = ctx;
	(void)s;
	if (!c->active || c->state == C_CLOSING || (c->req_ended && c->state != C_TUNNEL))
		return;
	turn_enter(&c->turn);
	if (c->cb->on_writable)
		c->cb->on_writable(&c->call, c->ctx);
	turn_leave(&c->turn);
}

/* ---- the connection ---- */

static void explain(const struct h1_client *c, const struct err *why, struct err *e)
{
	if (c->why) {
		err_set(e, c->why, "%s", c->why_text);
		return;
	}
	*e = *why;
	if (!c->active || e->code == -ETIMEDOUT)
		return;
	if (!e->code)
		err_set(e, -ECONNRESET, "the connection closed inside a call");
	e->code = -ECONNRESET;
}

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct h1_client *c = ctx;
	struct err e;
	turn_done(&c->turn);
	explain(c, why, &e);
	if (c->state != C_CLOSING)
		set_state(c, C_CLOSING);
	bool unsent = stream_bytes_moved(s) == c->moved_before;
	if (c->active) {
		c->active = false;
		if (c->cb->on_fail)
			c->cb->on_fail(&c->call, &e, unsent, c->ctx);
	}
	if (c->o.on_closed)
		c->o.on_closed(c->o.ctx, &c->base, &e);
	h1_chunks_done(&c->chunks);
	free(c);
}

static const struct stream_cb stream_cb = {
	.on_data = on_data,
	.on_eof = on_eof,
	.on_writable = on_writable,
	.on_close = on_close,
};

struct client *h1_client_new(struct stream *s, const struct client_opts *o)
{
	struct h1_client *c = xcalloc(1, sizeof(*c));
	c->base.ops = &ops;
	c->base.room = 1;
	c->call.client = &c->base;
	c->s = s;
	c->o = *o;
	if (!o->head_max || o->head_max > HEAD_MAX)
		c->o.head_max = HEAD_MAX;
	if (!o->fields_max)
		c->o.fields_max = FIELDS_MAX;
	h1_chunks_init(&c->chunks);
	turn_init(&c->turn, s, on_settle);
	stream_set_cb(s, &stream_cb, c);
	stream_resume(s);
	return &c->base;
}
