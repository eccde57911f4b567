/* The HTTP/2 client: one connection, its room for calls, its liveness, its end. See h2_client.h.
 *
 * Nothing is asked before the peer's SETTINGS are here: they say how much may be asked at once, and
 * whether WebSockets may. */
#include "http/h2_client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "net/stream.h"

#define HEAD_MAX 65536u
#define FIELDS_MAX 200u
#define QUIET_MS 30000u  /* nothing heard: ask whether somebody is there */
#define ANSWER_MS 10000u /* for SETTINGS, and for PING */
#define FLUSH_MS 2000u   /* for the close_notify of a connection that we are done with */
#define PARTING_MS 200u  /* for the peer to read why, when it is not heard any more */

void h2_client_set_state(struct h2_client *c, enum h2_client_state to)
{
	static const unsigned from[] = {
		[H2C_OPEN] = 0,
		[H2C_DRAINING] = 1u << H2C_OPEN,
		[H2C_CLOSING] = 1u << H2C_OPEN | 1u << H2C_DRAINING,
	};
	assert(from[to] & 1u << c->state);
	c->state = to;
	c->w.closing = to == H2C_CLOSING;
	c->base.room = 0;
}

void h2_client_count_room(struct h2_client *c)
{
	if (c->state != H2C_OPEN || !c->ready)
		return;
	uint32_t most = nghttp2_session_get_remote_settings(
		h2_wire_session(&c->w), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	c->base.room_most = most < H2_STREAMS_MAX ? most : H2_STREAMS_MAX;
	c->base.room = c->open < c->base.room_most ? c->base.room_most - c->open : 0;
	c->starved |= !c->base.room;
}

/* ---- the end ---- */

static void die(struct h2_client *c, int code, const char *text)
{
	if (c->state == H2C_CLOSING)
		return;
	err_set(&c->why, code, "%s", text);
	h2_client_set_state(c, H2C_CLOSING);
	stream_close(c->w.s);
	turn_uncork(&c->w.turn);
}

/* Nothing is under way any more. */
static void close_gently(struct h2_client *c)
{
	nghttp2_submit_goaway(h2_wire_session(&c->w), NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
	h2_wire_pump(&c->w);
	h2_client_set_state(c, H2C_CLOSING);
	turn_end(&c->w.turn);
	timer_cancel(&c->deadline);
	stream_close_after_flush(c->w.s, FLUSH_MS);
}

/* After a fault of the peer: say why, hear no more of it. */
static void part(struct h2_client *c)
{
	bool calm = c->w.code == NGHTTP2_ENHANCE_YOUR_CALM;
	nghttp2_session_terminate_session(h2_wire_session(&c->w), c->w.code);
	h2_wire_pump(&c->w);
	h2_client_set_state(c, H2C_CLOSING);
	turn_uncork(&c->w.turn);
	err_set(&c->why, -EPROTO, "%s",
		calm ? "its link was flooded" : "its link broke the rules of HTTP/2");
	h2_calls_fail(c, &c->why);
	stream_pause(c->w.s);
	stream_shutdown(c->w.s);
	timer_arm(&c->deadline, PARTING_MS);
}

static void on_settle(struct turn *t)
{
	struct h2_client *c = container_of(t, struct h2_client, w.turn);
	h2_wire_settle(&c->w, h2_call_settle);
	if (c->state == H2C_CLOSING)
		return;
	h2_client_count_room(c);
	if (c->w.code) {
		part(c);
	} else if (c->state == H2C_DRAINING && list_empty(&c->calls)) {
		close_gently(c);
	} else if (c->starved && c->base.room) {
		c->starved = false;
		if (c->o.on_room)
			c->o.on_room(c->o.ctx, &c->base);
	}
}

static void drain(struct client *b)
{
	struct h2_client *c = container_of(b, struct h2_client, base);
	if (c->state != H2C_OPEN)
		return;
	h2_client_set_state(c, H2C_DRAINING);
	turn_kick(&c->w.turn);
}

static void close_client(struct client *b)
{
	struct h2_client *c = container_of(b, struct h2_client, base);
	if (list_empty(&c->calls))
		drain(b);
	else
		die(c, -ECANCELED, "the connection is not wanted any more");
}

static const struct client_ops ops = {
	.start = h2_call_start,
	.write = h2_call_write,
	.end = h2_call_end,
	.pause = h2_call_pause,
	.resume = h2_call_resume,
	.cancel = h2_call_cancel,
	.drain = drain,
	.close = close_client,
};

/* ---- liveness ---- */

/* Armed once for each time that it fires, not for each byte. */
static void on_deadline(struct timer *t)
{
	struct h2_client *c = container_of(t, struct h2_client, deadline);
	uint64_t now = h2_wire_now(&c->w), quiet = now - c->heard_ms;
	if (c->state == H2C_CLOSING) {
		stream_close(c->w.s);
		return;
	}
	if (!c->ready) {
		die(c, -ETIMEDOUT, "its agent does not begin to speak HTTP/2");
		return;
	}
	if (c->asked_ms && c->heard_ms < c->asked_ms) {
		die(c, -ECONNRESET, "its link does not answer any more");
		return;
	}
	c->asked_ms = 0;
	if (quiet < QUIET_MS) {
		timer_arm(t, QUIET_MS - quiet);
		return;
	}
	turn_enter(&c->w.turn);
	c->asked_ms = now;
	nghttp2_submit_ping(h2_wire_session(&c->w), NGHTTP2_FLAG_NONE, NULL);
	timer_arm(t, ANSWER_MS);
	turn_leave(&c->w.turn);
}

/* ---- the stream ---- */

static size_t on_data(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct h2_client *c = ctx;
	(void)s;
	if (c->state == H2C_CLOSING)
		return n;
	c->heard_ms = h2_wire_now(&c->w);
	return h2_wire_input(&c->w, p, n);
}

static void on_eof(struct stream *s, void *ctx)
{
	struct h2_client *c = ctx;
	(void)s;
	die(c, -ECONNRESET, "its link was closed");
}

static void on_writable(struct stream *s, void *ctx)
{
	struct h2_client *c = ctx;
	(void)s;
	if (c->state == H2C_CLOSING)
		return;
	turn_enter(&c->w.turn);
	turn_leave(&c->w.turn);
}

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct h2_client *c = ctx;
	struct err e = c->why.code ? c->why : *why;
	(void)s;
	if (c->state != H2C_CLOSING)
		h2_client_set_state(c, H2C_CLOSING);
	if (!list_empty(&c->calls) && !e.code)
		err_set(&e, -ECONNRESET, "its link was closed");
	else if (!c->why.code && e.code && e.code != -ETIMEDOUT)
		e.code = -ECONNRESET;
	h2_calls_fail(c, &e);
	timer_cancel(&c->deadline);
	h2_head_done(&c->head);
	h2_wire_done(&c->w);
	if (c->o.on_closed)
		c->o.on_closed(c->o.ctx, &c->base, &e);
	free(c);
}

static const struct stream_cb stream_cb = {
	.on_data = on_data,
	.on_eof = on_eof,
	.on_writable = on_writable,
	.on_close = on_close,
};

/* ---- birth ---- */

/* Without SETTINGS_NO_RFC7540_PRIORITIES, which would have the library send one upload after the
 * other instead of all by turns. */
static void open_session(struct h2_client *c)
{
	const nghttp2_settings_entry iv[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH,            0                           },
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0                           },
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,    H2_STREAM_WINDOW            },
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,   (uint32_t)c->limits.head_max},
	};
	h2_wire_open(&c->w, h2_client_session(c), iv, sizeof(iv) / sizeof(*iv));
}

struct client *h2_client_new(struct stream *s, const struct client_opts *o)
{
	struct h2_client *c = xcalloc(1, sizeof(*c));
	bool all = !o->head_max || o->head_max > HEAD_MAX;
	c->base.ops = &ops;
	c->base.many = true;
	c->o = *o;
	c->limits.head_max = all ? HEAD_MAX : o->head_max;
	c->limits.fields_max = o->fields_max ? o->fields_max : FIELDS_MAX;
	c->starved = true;
	list_init(&c->calls);
	h2_head_done(&c->head);
	h2_wire_init(&c->w, s, on_settle, 0);
	timer_init(&c->deadline, stream_loop(s), on_deadline);
	open_session(c);
	stream_set_cb(s, &stream_cb, c);
	stream_resume(s);
	c->heard_ms = h2_wire_now(&c->w);
	timer_arm(&c->deadline, ANSWER_MS);
	turn_kick(&c->w.turn);
	return &c->base;
}
