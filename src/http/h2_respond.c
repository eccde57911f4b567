/* The answering half of the HTTP/2 server: what a handler calls, and how bodies go out. Nothing
 * here calls a handler. A body waits in the stream's own buffer until the client's windows let it
 * go. */
#include "http/h2_conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http/msg_build.h"
#include "http/ws.h"
#include "net/stream.h"

#define FIELDS_MAX 256u
#define EARN_BYTES 2048u /* of body: a client with small windows answers each with a frame */
#define HALF_OPEN_MS 30000u
#define FRAME_MAX 16375u /* with its head one TLS record */

static struct h2_stream *of(struct exchange *x)
{
	return container_of(x, struct h2_stream, x);
}

size_t h2_queued(const struct h2_stream *st)
{
	return st->out.len - st->out_at;
}

bool h2_is_whole(const struct h2_stream *st)
{
	return st->sent_end && st->resp_ended;
}

/* ---- heads ---- */

struct nva {
	unsigned n;
	nghttp2_nv at[FIELDS_MAX];
};

static void put(struct nva *v, const char *name, size_t name_len, const char *value, size_t len)
{
	if (v->n == FIELDS_MAX)
		return;
	v->at[v->n++] = (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name,
		.namelen = name_len,
		.value = (uint8_t *)(uintptr_t)value,
		.valuelen = len,
		.flags = NGHTTP2_NV_FLAG_NONE,
	};
}

static void puts_(struct nva *v, const char *name, const char *value)
{
	put(v, name, strlen(name), value, strlen(value));
}

static void put_fields(struct nva *v, const struct msg *m, bool tunnel)
{
	for (unsigned i = 0, n = msg_count(m); i < n; i++) {
		struct msg_piece f = msg_piece(m, i);
		if (msg_is_framing(&f) || (tunnel && !strcmp(f.name, "sec-websocket-accept")))
			continue;
		put(v, f.name, f.name_len, f.value, f.value_len);
	}
}

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
		snprintf(out, 24, "%llu", (unsigned long long)msg_body_length(head));
	else if (st->bodyless && given && strlen(given) < 20 &&
		 strspn(given, "0123456789") == strlen(given))
		snprintf(out, 24, "%s", given);
	else if (end && !st->bodyless)
		snprintf(out, 24, "0");
}

/* To a CONNECT any success would say that the WebSocket is open (RFC 8441 §5). */
static int status_of(const struct h2_stream *st, const struct msg *head)
{
	int status = msg_status(head);
	if (st->tunnel)
		return 200;
	return msg_upgrade(st->x.req) && status >= 200 && status < 300 ? 502 : status;
}

static void put_head(
	struct nva *v, char text[32], const struct h2_stream *st, const struct msg *head, bool end)
{
	const char *server = st->c->o.server_name;
	int status = status_of(st, head);
	v->n = 0;
	snprintf(text, 8, "%03u", (unsigned)status % 1000);
	puts_(v, ":status", text);
	if (status >= 200) {
		if (!msg_get(head, "date"))
			puts_(v, "date", http_date());
		if (server && !msg_get(head, "server"))
			puts_(v, "server", server);
	}
	put_fields(v, head, st->tunnel);
	if (!st->tunnel)
		length_text(text + 8, st, head, end);
	if (!st->tunnel && text[8])
		puts_(v, "content-length", text + 8);
}

/* ---- bodies, as the library asks for them ---- */

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t most,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_stream *st = nghttp2_session_get_stream_user_data(session, id);
	(void)buf, (void)source, (void)user;
	if (!st)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	size_t n = h2_queued(st);
	if (!n && !st->resp_ended)
		return NGHTTP2_ERR_DEFERRED;
	/* The library goes from stream to stream without asking how much waits for the socket. */
	if (stream_queued(st->c->s) > STREAM_HIGH_WATER)
		return NGHTTP2_ERR_PAUSE;
	most = most < FRAME_MAX ? most : FRAME_MAX;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n > most)
		return (ssize_t)most;
	if (!st->resp_ended)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (st->trailers) {
		struct nva v = {0};
		put_fields(&v, st->trailers, false);
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, v.at, v.n);
	}
	return (ssize_t)n;
}

/* What has gone makes room, also where more comes before all has gone. */
static void take_out(struct h2_stream *st, size_t n)
{
	st->out_at += n;
	if (st->out_at < st->out.len / 2)
		return;
	buf_consume(&st->out, st->out_at);
	st->out_at = 0;
}

void h2_earn(struct h2_conn *c, size_t n)
{
	c->moved += n;
	h2_budget_give(&c->budget, H2_COST_FRAME, c->moved / EARN_BYTES);
	c->moved %= EARN_BYTES;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
	size_t n, nghttp2_data_source *source, void *user)
{
	struct h2_conn *c = user;
	struct h2_stream *st = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	(void)source;
	if (!st)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	stream_write(c->s, head, 9);
	if (n)
		stream_write(c->s, st->out.data + st->out_at, n);
	take_out(st, n);
	h2_earn(c, n);
	h2_touch(st);
	if (st->over_high && h2_queued(st) < STREAM_LOW_WATER)
		h2_mark(st);
	return 0;
}

void h2_respond_callbacks(nghttp2_session_callbacks *cbs)
{
	nghttp2_session_callbacks_set_send_data_callback(cbs, on_send_data);
}

/* ---- what a handler calls ---- */

static bool is_bodyless(const struct h2_stream *st, int status)
{
	return status == 204 || status == 304 || msg_method(st->x.req) == METHOD_HEAD;
}

static void submit(struct h2_stream *st, const struct msg *head, bool end)
{
	static nghttp2_data_provider body = {.read_callback = on_read};
	struct h2_conn *c = st->c;
	struct nva v;
	char text[32];
	put_head(&v, text, st, head, end);
	int rc = msg_status(head) < 200 && !st->tunnel
			 ? nghttp2_submit_headers(
				   c->session, NGHTTP2_FLAG_NONE, st->id, NULL, v.at, v.n, NULL)
			 : nghttp2_submit_response(c->session, st->id, v.at, v.n,
				   end || st->bodyless ? NULL : &body);
	if (rc < 0)
		h2_reset(st, NGHTTP2_INTERNAL_ERROR, -ECANCELED);
	turn_kick(&c->turn);
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
	if (st->gone)
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
		st->resp_ended = end;
		x->responded = true;
	}
	submit(st, head, end);
	if (end && st->resp_left)
		h2_reset(st, NGHTTP2_INTERNAL_ERROR, -ECANCELED);
	return 0;
}

static size_t write_body(struct exchange *x, const void *p, size_t n)
{
	struct h2_stream *st = of(x);
	if (st->gone || !x->responded || st->resp_ended || st->bodyless || !n)
		return h2_queued(st);
	bool much = st->counted && n > st->resp_left;
	if (much || buf_append(&st->out, p, n) < 0) {
		h2_reset(st, NGHTTP2_INTERNAL_ERROR, -ECANCELED);
		return 0;
	}
	st->resp_left -= st->counted ? n : 0;
	nghttp2_session_resume_data(st->c->session, st->id);
	turn_kick(&st->c->turn);
	size_t queued = h2_queued(st);
	st->over_high |= queued > STREAM_HIGH_WATER;
	return queued;
}

static void set_idle(struct exchange *x, uint64_t ms)
{
	struct h2_stream *st = of(x);
	uint64_t usual = st->c->o.limits->idle_ms;
	st->idle_ms = ms;
	h2_touch(st);
	if (ms)
		timer_arm(&st->idle, ms);
	else
		timer_cancel(&st->idle);
	/* Silence is no sign then: TCP has to tell that the client vanished. */
	if (x->responded && usual && (!ms || ms > usual))
		stream_dead_peer_timeout(st->c->s, usual);
}

static void end_response(struct exchange *x, const struct msg *trailers)
{
	struct h2_stream *st = of(x);
	if (st->resp_ended)
		return;
	if (!st->gone && (!x->responded || st->resp_left)) {
		h2_reset(st, NGHTTP2_INTERNAL_ERROR, -ECANCELED);
		return;
	}
	st->resp_ended = true;
	h2_mark(st);
	if (st->gone || st->bodyless)
		return;
	if (trailers && msg_count(trailers))
		st->trailers = msg_copy(trailers);
	nghttp2_session_resume_data(st->c->session, st->id);
	if (st->tunnel)
		set_idle(x, HALF_OPEN_MS);
}

static void abort_exchange(struct exchange *x)
{
	h2_reset(of(x), NGHTTP2_INTERNAL_ERROR, -ECANCELED);
}

static void pause_exchange(struct exchange *x)
{
	of(x)->paused = true;
}

static void resume_exchange(struct exchange *x)
{
	struct h2_stream *st = of(x);
	if (!st->paused || st->gone)
		return;
	st->paused = false;
	if (st->in.len || st->wire_done)
		h2_mark(st);
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
