/* One stream: its life, and its request to the local service over HTTP/1.1. See h2_conn.h. */
#include "device-agent/h2_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "device-agent/conf.h"
#include "http/h1_text.h"

#define HALF_OPEN_MS 30000u

static void on_local(struct watch *w, short revents);

void h2_stream_set_state(struct h2_stream *st, enum h2_stream_state to)
{
	static const unsigned from[] = {
		[STREAM_NEW] = 0,
		[STREAM_CONNECTING] = 1u << STREAM_NEW | 1u << STREAM_HEAD,
		[STREAM_HEAD] = 1u << STREAM_NEW | 1u << STREAM_CONNECTING,
		[STREAM_BODY] = 1u << STREAM_HEAD,
		[STREAM_TUNNEL] = 1u << STREAM_HEAD,
		[STREAM_ENDED] = 1u << STREAM_NEW | 1u << STREAM_CONNECTING | 1u << STREAM_HEAD |
				 1u << STREAM_BODY | 1u << STREAM_TUNNEL,
	};
	assert(from[to] & 1u << st->state);
	st->state = to;
}

size_t h2_stream_waiting(const struct h2_stream *st)
{
	return st->out.len - st->out_at;
}

static bool is_chunked(const struct h2_stream *st)
{
	return st->state != STREAM_TUNNEL && msg_body(st->req) == BODY_CHUNKED;
}

bool h2_stream_wants_tunnel(const struct h2_stream *st)
{
	return msg_upgrade(st->req) != NULL;
}

void h2_stream_arm(struct h2_stream *st)
{
	bool up = st->up.len > st->up_at || st->in.len > st->in_at;
	bool reads = st->state != STREAM_CONNECTING && h2_stream_waiting(st) < H2_OUT_HIGH;
	if (st->state == STREAM_HEAD && h2_stream_wants_tunnel(st) && st->up.len == st->up_at)
		up = false; /* it is for the tunnel, which is not open yet */
	st->local.events = (short)(reads ? POLLIN : 0);
	if (up || st->state == STREAM_CONNECTING)
		st->local.events |= POLLOUT;
}

/* ---- the local connection's end ---- */

static void close_local(struct h2_stream *st)
{
	loop_remove(&st->local);
	if (st->local.fd >= 0)
		close(st->local.fd);
	st->local.fd = -1;
}

/* A service that reads gets a wider window, as long as not too many have one. */
static void widen(struct h2_stream *st)
{
	struct h2 *h = st->h;
	if (st->wide || st->deaf || st->taken < H2_WIDE || h->n_wide == H2_WIDE_MOST)
		return;
	if (nghttp2_session_set_local_window_size(
		    h->session, NGHTTP2_FLAG_NONE, st->id, H2_WIDE) != 0)
		return;
	st->wide = true;
	st->in.cap = H2_WIDE;
	h->n_wide++;
}

static void consume(struct h2_stream *st, size_t n)
{
	if (!n)
		return;
	nghttp2_session_consume_stream(st->h->session, st->id, n);
	st->taken += n;
	if (st->in.len == 0)
		widen(st);
	h2_kick(st->h);
}

void h2_stream_go_deaf(struct h2_stream *st)
{
	consume(st, st->in.len - st->in_at);
	buf_done(&st->in);
	buf_done(&st->up);
	st->in_at = st->up_at = 0;
	st->deaf = true;
}

void h2_stream_leave(struct h2_stream *st, bool keep)
{
	if (keep) {
		loop_remove(&st->local);
		local_pool_give(&st->h->pool, st->local.fd, &st->service);
		st->local.fd = -1;
	}
	close_local(st);
	h2_stream_go_deaf(st);
	h2_stream_set_state(st, STREAM_ENDED);
}

void h2_stream_reset(struct h2_stream *st)
{
	h2_stream_leave(st, false);
	nghttp2_submit_rst_stream(
		st->h->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_INTERNAL_ERROR);
	h2_kick(st->h);
}

struct h2_stream *h2_stream_new(struct h2 *h, int32_t id)
{
	struct h2_stream *st = xcalloc(1, sizeof(*st));
	st->h = h;
	st->id = id;
	st->up = BUF_INIT(2 * H2_HEAD_MAX);
	st->in = BUF_INIT(H2_WINDOW);
	st->head = BUF_INIT(H2_HEAD_MAX + H2_PIECE);
	st->out = BUF_INIT(H2_OUT_MOST + H2_HEAD_MAX);
	st->local = (struct watch){.fd = -1, .on_event = on_local};
	list_push_back(&h->streams, &st->node);
	h->n_streams++;
	return st;
}

void h2_stream_free(struct h2_stream *st)
{
	close_local(st);
	list_remove(&st->node);
	st->h->n_streams--;
	st->h->n_wide -= st->wide;
	msg_free(st->req);
	msg_free(st->trailers);
	h1_chunks_done(&st->chunks);
	buf_done(&st->up);
	buf_done(&st->in);
	buf_done(&st->head);
	buf_done(&st->out);
	h2_kick(st->h);
	free(st);
}

/* ---- the request ---- */

static void to_buf(void *to, const char *p, size_t n)
{
	buf_append(to, p, n); /* its cap is above what a head can be */
}

static void print_request(struct h2_stream *st)
{
	struct h1_out o;
	o.write = to_buf;
	o.to = &st->up;
	o.n = 0;
	st->up.len = st->up_at = 0;
	h1_text_request(&o, st->req);
}

/* RFC 9110 §9.2.2: a connection that has served before may die at any time, so only what can be
 * sent twice goes there. */
static bool may_repeat(const struct h2_stream *st)
{
	enum body_kind body = msg_body(st->req);
	return msg_is_idempotent(st->req) &&
	       (body == BODY_NONE || (body == BODY_LENGTH && msg_body_length(st->req) == 0));
}

static void open_local(struct h2_stream *st, bool fresh)
{
	int fd = fresh ? -1 : local_pool_take(&st->h->pool, &st->service);
	st->reused = fd >= 0;
	st->local.fd = st->reused ? fd : local_connect(&st->service);
	h2_stream_set_state(st, st->reused ? STREAM_HEAD : STREAM_CONNECTING);
	st->local.due_ms = 0;
	if (st->local.fd < 0) {
		h2_answer_regret(st, "refused");
		return;
	}
	if (!st->reused)
		watch_after(&st->local, LOCAL_CONNECT_MS);
	if (!loop_add(st->h->s.loop, &st->local)) {
		h2_stream_reset(st);
		return;
	}
	/* What the streams say in one turn goes out at its end. */
	loop_remove(&st->h->flush);
	loop_add(st->h->s.loop, &st->h->flush);
	print_request(st);
	if (st->reused)
		h2_stream_pump(st);
	else
		h2_stream_arm(st);
}

bool h2_stream_retry(struct h2_stream *st)
{
	if (!st->reused || !may_repeat(st))
		return false;
	close_local(st);
	st->deaf = false;
	open_local(st, true);
	return true;
}

void h2_stream_begin(struct h2_stream *st, struct msg *req, bool ended)
{
	enum body_kind body = msg_body(req);
	st->req = req;
	st->h->served++;
	st->keep = !msg_signs_in_connection(req, "authorization");
	st->req_ended = ended;
	st->req_sent = body == BODY_NONE || (body == BODY_LENGTH && msg_body_length(req) == 0);
	st->service = st->h->s.conf->service_addr;
	open_local(st, !may_repeat(st));
}

/* Returns what the service took, or -1 where it has to wait or takes no more. */
static ssize_t send_local(struct h2_stream *st, const uint8_t *p, size_t n)
{
	ssize_t k = send(st->local.fd, p, n, MSG_NOSIGNAL);
	if (k < 0 && !local_would_block())
		h2_stream_go_deaf(st); /* its answer may still wait to be read */
	return k;
}

/* True where something was sent. */
static bool send_text(struct h2_stream *st)
{
	ssize_t k = send_local(st, st->up.data + st->up_at, st->up.len - st->up_at);
	if (k <= 0)
		return false;
	st->up_at += (size_t)k;
	if (st->up_at == st->up.len) {
		buf_done(&st->up);
		st->up_at = 0;
	}
	return true;
}

static void took_in(struct h2_stream *st, size_t n)
{
	st->in_at += n;
	if (st->in_at == st->in.len) {
		buf_done(&st->in);
		st->in_at = 0;
	}
	consume(st, n);
}

static bool send_raw(struct h2_stream *st)
{
	ssize_t k = send_local(st, st->in.data + st->in_at, st->in.len - st->in_at);
	if (k > 0)
		took_in(st, (size_t)k);
	return k > 0;
}

static void frame_chunk(struct h2_stream *st)
{
	char size[H1_CHUNK_SIZE];
	size_t n = st->in.len - st->in_at;
	n = n < H2_CHUNK ? n : H2_CHUNK;
	buf_append(&st->up, size, h1_text_chunk_size(size, n));
	buf_append(&st->up, st->in.data + st->in_at, n);
	buf_append(&st->up, "\r\n", 2);
	took_in(st, n);
}

/* The gateway has sent all, and the service has it but for this. */
static void finish_request(struct h2_stream *st)
{
	if (st->state == STREAM_TUNNEL) {
		shutdown(st->local.fd, SHUT_WR);
		watch_after(&st->local, HALF_OPEN_MS);
	} else if (is_chunked(st)) {
		struct h1_out o;
		o.write = to_buf;
		o.to = &st->up;
		o.n = 0;
		h1_text_last_chunk(&o, NULL);
	}
	st->req_sent = true;
}

void h2_stream_pump(struct h2_stream *st)
{
	bool moved = true;
	while (moved && !st->deaf && st->state != STREAM_CONNECTING) {
		if (st->up.len > st->up_at)
			moved = send_text(st);
		else if (st->state == STREAM_HEAD && h2_stream_wants_tunnel(st))
			break;
		else if (st->in.len == st->in_at && (!st->req_ended || st->req_sent))
			break;
		else if (st->in.len == st->in_at)
			finish_request(st);
		else if (is_chunked(st))
			frame_chunk(st);
		else
			moved = send_raw(st);
	}
	h2_stream_arm(st);
}

/* What the service has taken of `in` is no part of the window any more. */
static int keep(struct h2_stream *st, const uint8_t *p, size_t n)
{
	if (st->in.len + n > st->in.cap) {
		buf_consume(&st->in, st->in_at);
		st->in_at = 0;
	}
	return buf_append(&st->in, p, n);
}

void h2_stream_data(struct h2_stream *st, const uint8_t *p, size_t n)
{
	if (st->deaf || st->state == STREAM_ENDED) {
		consume(st, n);
		return;
	}
	bool direct =
		st->state != STREAM_CONNECTING && !is_chunked(st) && !h2_stream_wants_tunnel(st);
	direct = (direct || st->state == STREAM_TUNNEL) && !st->up.len && !st->in.len;
	ssize_t k = direct ? send_local(st, p, n) : 0;
	k = k > 0 ? k : 0;
	consume(st, (size_t)k);
	if (st->deaf) {
		consume(st, n);
	} else if ((size_t)k < n && keep(st, p + k, n - (size_t)k) < 0) {
		h2_stream_reset(
			st); /* more than the window: the library has refused that already */
		consume(st, n - (size_t)k);
	} else if (!direct) {
		h2_stream_pump(st);
	} else {
		h2_stream_arm(st);
	}
}

void h2_stream_end(struct h2_stream *st)
{
	st->req_ended = true;
	if (st->state != STREAM_ENDED && !st->deaf)
		h2_stream_pump(st);
}

/* ---- both ways ---- */

void h2_stream_drained(struct h2_stream *st)
{
	if (st->out_at == st->out.len) {
		buf_done(&st->out);
		st->out_at = 0;
	} else if (st->out_at >= H2_PIECE) {
		buf_consume(&st->out, st->out_at);
		st->out_at = 0;
	}
	if (st->state != STREAM_ENDED)
		h2_stream_arm(st);
}

/* Due: it has not accepted in time, or a WebSocket stays half open. */
static void on_due(struct h2_stream *st)
{
	if (st->state == STREAM_CONNECTING)
		h2_answer_regret(st, "no answer");
	else
		h2_stream_reset(st);
}

static void on_local(struct watch *w, short revents)
{
	struct h2_stream *st = container_of(w, struct h2_stream, local);
	if (!revents) {
		on_due(st);
		return;
	}
	if (st->state == STREAM_CONNECTING) {
		if (!local_is_accepted(w->fd)) {
			h2_answer_regret(st, "refused");
			return;
		}
		h2_stream_set_state(st, STREAM_HEAD);
		w->due_ms = 0;
	}
	if (revents & POLLOUT)
		h2_stream_pump(st);
	if (revents & ~POLLOUT)
		h2_answer_read(st);
}
