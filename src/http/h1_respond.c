/* The answering half of the HTTP/1.1 server: what a handler calls. Nothing here calls a handler. */
#include "http/h1_conn.h"

#include <errno.h>
#include <string.h>

#include "base/list.h"
#include "net/stream.h"

#define HALF_OPEN_MS 30000u /* a tunnel that we have ended, and silent */

/* ---- the response ---- */

static struct h1_conn *of(struct exchange *x)
{
	return container_of(x, struct h1_conn, x);
}

static enum h1_frame frame_of(const struct h1_conn *c, const struct msg *head, bool end)
{
	int status = msg_status(head);
	if (status < 200 || status == 204 || status == 304 || msg_method(c->x.req) == METHOD_HEAD)
		return H1_FRAME_NONE;
	if (end || msg_body(head) == BODY_LENGTH)
		return H1_FRAME_LENGTH;
	return c->http10 ? H1_FRAME_CLOSE : H1_FRAME_CHUNKED;
}

static void write_head(struct h1_conn *c, const struct msg *head)
{
	turn_begin_output(&c->turn);
	h1_write_response(c->s, head,
		&(struct h1_response_form){.frame = c->frame,
			.length = c->resp_left,
			.http10 = c->http10,
			.keep_alive = c->keep_alive,
			.server_name = c->o.server_name});
}

static int switch_protocol(struct h1_conn *c, const struct msg *head)
{
	if (c->http10 || !msg_upgrade(c->x.req))
		return -EINVAL;
	c->x.responded = true;
	c->x.request_ended = false; /* a tunnel ends anew */
	write_head(c, head);
	h1_conn_set_state(c, H1_TUNNEL);
	h1_conn_release(c);
	return 0;
}

static int respond(struct exchange *x, const struct msg *head, bool end)
{
	struct h1_conn *c = of(x);
	int status = msg_status(head);
	if (c->state == H1_CLOSING)
		return 0;
	if (x->responded)
		return -EINVAL;
	if (status == 101)
		return switch_protocol(c, head);
	c->frame = frame_of(c, head, end);
	c->resp_left = msg_body(head) == BODY_LENGTH ? msg_body_length(head) : 0;
	if (status < 200) {
		if (status == 100)
			x->expects_continue = false;
		if (!c->http10)
			write_head(c, head);
		return 0;
	}
	/* A client that still waits for its 100 may send its body now, or never. */
	if (c->frame == H1_FRAME_CLOSE || c->drain_at_ms || x->expects_continue)
		c->keep_alive = false;
	x->responded = true;
	write_head(c, head);
	if (end && c->frame == H1_FRAME_LENGTH && c->resp_left)
		h1_conn_die(c, -ECANCELED);
	c->resp_ended = end;
	return 0;
}

static size_t write_counted(struct h1_conn *c, const void *p, size_t n)
{
	if (n > c->resp_left) {
		h1_conn_die(c, -ECANCELED);
		return 0;
	}
	c->resp_left -= n;
	return stream_write(c->s, p, n);
}

static size_t write_body(struct exchange *x, const void *p, size_t n)
{
	struct h1_conn *c = of(x);
	size_t queued = 0;
	if (c->state == H1_CLOSING || !x->responded || c->resp_ended)
		return 0;
	turn_begin_output(&c->turn);
	if (c->state == H1_TUNNEL)
		return turn_end_output(&c->turn, stream_write(c->s, p, n));
	switch (c->frame) {
	case H1_FRAME_NONE:
		queued = stream_queued(c->s);
		break;
	case H1_FRAME_LENGTH:
		queued = write_counted(c, p, n);
		break;
	case H1_FRAME_CHUNKED:
		queued = h1_write_chunk(c->s, p, n);
		break;
	case H1_FRAME_CLOSE:
		queued = stream_write(c->s, p, n);
		break;
	}
	return turn_end_output(&c->turn, queued);
}

static void end_response(struct exchange *x, const struct msg *trailers)
{
	struct h1_conn *c = of(x);
	if (c->state == H1_CLOSING || c->resp_ended)
		return;
	if (!x->responded || (c->frame == H1_FRAME_LENGTH && c->resp_left)) {
		h1_conn_die(c, -ECANCELED);
		return;
	}
	c->resp_ended = true;
	turn_begin_output(&c->turn);
	if (c->state == H1_TUNNEL) {
		turn_uncork(&c->turn);
		stream_shutdown(c->s);
		stream_idle_timeout(c->s, HALF_OPEN_MS);
	} else if (c->frame == H1_FRAME_CHUNKED) {
		h1_write_last_chunk(c->s, trailers);
	}
}

static void abort_exchange(struct exchange *x)
{
	struct h1_conn *c = of(x);
	/* What has come goes out first: a page that breaks off tells more than none. Where the end of
	 * the connection is that of the answer, it must not look whole. */
	if (c->state == H1_EXCHANGE && x->responded && c->frame != H1_FRAME_CLOSE)
		turn_uncork(&c->turn);
	h1_conn_die(c, -ECANCELED);
}

static void pause_exchange(struct exchange *x)
{
	of(x)->paused = true;
}

static void resume_exchange(struct exchange *x)
{
	struct h1_conn *c = of(x);
	if (!c->paused || c->state == H1_CLOSING)
		return;
	c->paused = false;
	if (c->state == H1_TUNNEL || !c->wire_done)
		h1_conn_release(c);
	turn_kick(&c->turn);
}

static void set_idle(struct exchange *x, uint64_t ms)
{
	struct h1_conn *c = of(x);
	if (c->state == H1_EXCHANGE && c->eof && (!ms || ms > H1_GONE_MS))
		ms = H1_GONE_MS;
	if (c->state != H1_EXCHANGE && c->state != H1_TUNNEL)
		return;
	stream_idle_timeout(c->s, ms);
	uint64_t usual = c->o.limits->idle_ms;
	if (x->responded && usual && (!ms || ms > usual))
		stream_dead_peer_timeout(c->s, usual);
}

const struct exchange_ops h1_exchange_ops = {
	.respond = respond,
	.write = write_body,
	.end = end_response,
	.abort = abort_exchange,
	.pause = pause_exchange,
	.resume = resume_exchange,
	.set_idle = set_idle,
};

/* An answer of our own. */
void h1_conn_write_error(struct h1_conn *c, int status)
{
	struct msg *m = msg_new_response(status);
	const char *text = h1_reason(status);
	bool to_head = c->active && msg_method(c->x.req) == METHOD_HEAD;
	c->keep_alive = false;
	c->frame = H1_FRAME_LENGTH;
	c->resp_left = strlen(text) + 1;
	msg_add(m, "content-type", "text/plain");
	/* What makes a browser's head too large is cookies. Any host of a domain can set them for
	 * all of it, and without this would shut a person out for as long as they last. */
	if (status == 431)
		msg_add(m, "clear-site-data", "\"cookies\"");
	write_head(c, m);
	if (!to_head) {
		stream_write(c->s, text, strlen(text));
		stream_write(c->s, "\n", 1);
	}
	msg_free(m);
}
