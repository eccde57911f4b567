/* The answering half of the HTTP/2 server: what a handler calls. Nothing here calls a handler. */
#include "http/h2_conn.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "http/h2_nva.h"
#include "http/h2_priority.h"
#include "http/ws.h"
#include "net/stream.h"

#define HALF_OPEN_MS 30000u

static struct h2_stream *of(struct exchange *x)
{
	return container_of(x, struct h2_stream, x);
}

bool h2_is_whole(const struct h2_stream *st)
{
	return st->f.sent_end && st->f.out_ended;
}

/* ---- heads ---- */

/* "" when there is none to say. */
static void length_text(char out[24], const struct h2_stream *st, const struct msg *head, bool end)
{
	int status = msg_status(head);
	bool counted = msg_body(head) == BODY_LENGTH;
	const char *given = msg_get(head, "content-length");
	out[0] = 0;
	if (status < 200 || status == 204)
		return;
	if (counted && (msg_body_length(head) || status != 304))
		str_u64(out, msg_body_length(head));
	else if (st->bodyless && given && strlen(given) < 20 &&
		 strspn(given, "0123456789") == strlen(given))
		str_copy(out, 24, given);
	else if (end && !st->bodyless)
		str_copy(out, 24, "0");
}

/* To a CONNECT any success would say that the WebSocket is open (RFC 8441 §5). */
static int status_of(const struct h2_stream *st, const struct msg *head)
{
	int status = msg_status(head);
	if (st->tunnel)
		return 200;
	return msg_upgrade(st->x.req) && status >= 200 && status < 300 ? 502 : status;
}

static void put_head(struct h2_nva *v, char text[32], const struct h2_stream *st,
	const struct msg *head, bool end)
{
	const char *server = st->c->o.server_name;
	int status = status_of(st, head);
	v->n = 0;
	str_u64(text, (unsigned)status);
	h2_nva_put(v, ":status", text);
	if (status >= 200) {
		if (!msg_get(head, "date"))
			h2_nva_put(v, "date", http_date());
		if (server && !msg_get(head, "server"))
			h2_nva_put(v, "server", server);
	}
	h2_nva_fields(v, head, st->tunnel ? "sec-websocket-accept" : NULL);
	if (!st->tunnel)
		length_text(text + 8, st, head, end);
	if (!st->tunnel && text[8])
		h2_nva_put(v, "content-length", text + 8);
}

/* ---- what a handler calls ---- */

static bool is_bodyless(const struct h2_stream *st, int status)
{
	return status == 204 || status == 304 || msg_method(st->x.req) == METHOD_HEAD;
}

static void submit(struct h2_stream *st, const struct msg *head, bool end)
{
	struct h2_conn *c = st->c;
	struct h2_nva v;
	char text[32];
	put_head(&v, text, st, head, end);
	int rc = msg_status(head) < 200 && !st->tunnel
			 ? nghttp2_submit_headers(
				   h2_wire_session(&c->w), NGHTTP2_FLAG_NONE, st->f.id, NULL, v.at, v.n, NULL)
			 : nghttp2_submit_response(h2_wire_session(&c->w), st->f.id, v.at, v.n,
				   end || st->bodyless ? NULL : &h2_flow_body);
	if (rc < 0)
		h2_reset(st, NGHTTP2_INTERNAL_ERROR, -ECANCELED);
	turn_kick(&c->w.turn);
}

/* The device knows best what is urgent (RFC 9218 §5); a later PRIORITY_UPDATE still counts. */
static void take_priority(struct h2_stream *st, const struct msg *head)
{
	struct h2_priority p;
	if (!h2_priority_of(&p, st->x.req, head))
		return;
	nghttp2_extpri to = {.urgency = (uint32_t)p.urgency, .inc = p.incremental};
	nghttp2_session_change_extpri_stream_priority(h2_wire_session(&st->c->w), st->f.id, &to, 0);
}

static int open_tunnel(struct h2_stream *st, const struct msg *head)
{
	const struct msg *req = st->x.req;
	if (!msg_upgrade(req) || !ws_is_accepted(msg_get(req, "sec-websocket-key"),
					 msg_get(head, "sec-websocket-accept")))
		return -EINVAL;
	st->tunnel = st->x.responded = true;
	submit(st, head, false);
	return 0;
}

static int respond(struct exchange *x, const struct msg *head, bool end)
{
	struct h2_stream *st = of(x);
	int status = msg_status(head);
	if (st->f.gone)
		return 0;
	if (x->responded)
		return -EINVAL;
	if (status == 101)
		return open_tunnel(st, head);
	if (status == 100)
		x->expects_continue = false;
	if (status >= 200) {
		st->bodyless = is_bodyless(st, status);
		st->counted = !st->bodyless && msg_body(head) == BODY_LENGTH;
		st->resp_left = st->counted ? msg_body_length(head) : 0;
		st->f.out_ended = end;
		x->responded = true;
		take_priority(st, head);
	}
	submit(st, head, end);
	if (end && st->resp_left)
		h2_reset(st, NGHTTP2_INTERNAL_ERROR, -ECANCELED);
	return 0;
}

static size_t write_body(struct exchange *x, const void *p, size_t n)
{
	struct h2_stream *st = of(x);
	if (st->f.gone || !x->responded || st->f.out_ended || st->bodyless || !n)
		return h2_flow_queued(&st->f);
	bool much = st->counted && n > st->resp_left;
	if (much || h2_flow_write(&st->f, p, n) < 0) {
		h2_reset(st, NGHTTP2_INTERNAL_ERROR, -ECANCELED);
		return 0;
	}
	st->resp_left -= st->counted ? n : 0;
	return h2_flow_queued(&st->f);
}

static void set_idle(struct exchange *x, uint64_t ms)
{
	struct h2_stream *st = of(x);
	uint64_t usual = st->c->o.limits->idle_ms;
	st->idle_ms = ms;
	h2_flow_touch(&st->f);
	uint64_t due = st->f.moved_ms + ms;
	if (!ms)
		timer_cancel(&st->idle);
	else if (!st->idle.at_ms || st->idle.at_ms > due) /* one that comes early arms itself anew */
		timer_arm(&st->idle, ms);
	/* Silence is no sign then: TCP has to tell that the client vanished. */
	if (x->responded && usual && (!ms || ms > usual))
		stream_dead_peer_timeout(st->c->w.s, usual);
}

static void end_response(struct exchange *x, const struct msg *trailers)
{
	struct h2_stream *st = of(x);
	if (st->f.out_ended)
		return;
	if (!st->f.gone && (!x->responded || st->resp_left)) {
		h2_reset(st, NGHTTP2_INTERNAL_ERROR, -ECANCELED);
		return;
	}
	st->f.out_ended = true;
	h2_flow_mark(&st->f);
	if (st->f.gone || st->bodyless)
		return;
	h2_flow_end(&st->f, trailers);
	if (st->tunnel)
		set_idle(x, HALF_OPEN_MS);
}

static void abort_exchange(struct exchange *x)
{
	h2_reset(of(x), NGHTTP2_INTERNAL_ERROR, -ECANCELED);
}

static void pause_exchange(struct exchange *x)
{
	of(x)->f.paused = true;
}

static void resume_exchange(struct exchange *x)
{
	struct h2_stream *st = of(x);
	if (!st->f.paused || st->f.gone)
		return;
	st->f.paused = false;
	if (st->f.in.len || st->f.wire_done)
		h2_flow_mark(&st->f);
}

const struct exchange_ops h2_exchange_ops = {
	.respond = respond,
	.write = write_body,
	.end = end_response,
	.abort = abort_exchange,
	.pause = pause_exchange,
	.resume = resume_exchange,
	.set_idle = set_idle,
};
