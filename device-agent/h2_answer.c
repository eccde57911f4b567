/* The answer to one stream: the service's, parsed strictly and made anew, or one of our own. See
 * h2_conn.h. */
#include "device-agent/h2_conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device-agent/conf.h"
#include "http/ws.h"

#define INTERIM_MAX 32u /* 1xx heads of one answer */

/* ---- answers of our own ---- */

void h2_answer_own(struct h2_stream *st, int status, const char *text)
{
	struct msg *head = msg_new_response(status);
	bool bare = st->req && msg_method(st->req) == METHOD_HEAD;
	msg_add(head, "content-type", "text/plain");
	msg_add(head, "cache-control", "no-store");
	msg_set_body(head, BODY_LENGTH, strlen(text));
	h2_stream_leave(st, false);
	st->resp_ended = true;
	if (!bare)
		buf_puts(&st->out, text);
	h2_submit(st, head, bare);
	msg_free(head);
}

void h2_answer_regret(struct h2_stream *st, const char *why)
{
	log_warn_limited("link", "the local service cannot be reached", "service",
		st->h->s.conf->service, "cause", why);
	h2_answer_own(st, 502, LOCAL_REGRET);
}

/* ---- the service's ---- */

static void end_answer(struct h2_stream *st, bool keep)
{
	st->resp_ended = true;
	h2_stream_leave(st, keep && st->req_sent && !st->deaf && st->up.len == st->up_at);
	nghttp2_session_resume_data(st->h->session, st->id);
	h2_kick(st->h);
}

static void open_tunnel(struct h2_stream *st, struct msg *head)
{
	const char *accept = msg_get(head, "sec-websocket-accept");
	if (!h2_stream_wants_tunnel(st) ||
		!ws_is_accepted(msg_get(st->req, "sec-websocket-key"), accept)) {
		h2_stream_reset(st);
		return;
	}
	h2_stream_set_state(st, STREAM_TUNNEL);
	st->kind = BODY_UNTIL_CLOSE;
	st->keep = st->req_sent = false;
	msg_remove(head, "sec-websocket-accept");
	msg_strip_hop_by_hop(head);
	msg_set_status(head, 200);
	h2_submit(st, head, false);
	h2_stream_pump(st);
}

static void take_interim(struct h2_stream *st, struct msg *head)
{
	if (msg_status(head) == 101) {
		open_tunnel(st, head);
	} else if (++st->interim > INTERIM_MAX) {
		h2_stream_reset(st);
	} else {
		msg_strip_hop_by_hop(head);
		h2_submit(st, head, false);
	}
}

static void take_final(struct h2_stream *st, const struct h1_head *h)
{
	struct msg *head = h->msg;
	int status = msg_status(head);
	st->kind = msg_body(head);
	st->left = msg_body_length(head);
	st->keep = st->keep && h->keep_alive && st->kind != BODY_UNTIL_CLOSE &&
		   !msg_signs_in_connection(head, "www-authenticate");
	if (st->kind == BODY_CHUNKED)
		h1_chunks_init(&st->chunks);
	/* To a CONNECT any success would say that the WebSocket is open (RFC 8441 §5). */
	if (h2_stream_wants_tunnel(st) && status >= 200 && status < 300)
		msg_set_status(head, 502);
	if (h2_stream_wants_tunnel(st))
		h2_stream_go_deaf(st); /* what came for the tunnel */
	bool end = st->kind == BODY_NONE || (st->kind == BODY_LENGTH && st->left == 0);
	h2_stream_set_state(st, STREAM_BODY);
	msg_strip_hop_by_hop(head);
	h2_submit(st, head, end);
	st->resp_ended = end;
}

/* Returns the bytes used; 0: the head is not whole, or the stream was reset. */
static size_t take_head(struct h2_stream *st, const uint8_t *p, size_t n)
{
	static const struct h1_limits limits = {
		.head_max = H2_HEAD_MAX, .url_max = SIZE_MAX, .fields_max = H2_FIELDS_MAX};
	struct h1_head h;
	int rc = h1_parse_response(&h, p, n, &limits, msg_method(st->req), NULL);
	if (rc < 0)
		h2_stream_reset(st);
	if (rc <= 0)
		return 0;
	if (msg_status(h.msg) < 200)
		take_interim(st, h.msg);
	else
		take_final(st, &h);
	msg_free(h.msg);
	return (size_t)rc;
}

/* Chunks are taken off. Returns the bytes used, 0 once the stream was reset. */
static size_t take_body(struct h2_stream *st, const uint8_t *p, size_t n)
{
	const uint8_t *body = p;
	size_t len = n;
	long used = (long)n;
	if (st->kind == BODY_LENGTH) {
		len = st->left < n ? (size_t)st->left : n;
		used = (long)len;
		st->left -= len;
		st->resp_ended = st->left == 0;
	} else if (st->kind == BODY_CHUNKED) {
		used = h1_chunks_feed(&st->chunks, p, n, &body, &len, &st->resp_ended);
	}
	if (used < 0 || buf_append(&st->out, body, len) < 0) {
		h2_stream_reset(st);
		return 0;
	}
	return (size_t)used;
}

static void take_trailers(struct h2_stream *st)
{
	st->trailers = st->chunks.trailers;
	st->chunks.trailers = NULL;
	if (st->trailers)
		msg_strip_hop_by_hop(st->trailers);
}

/* Use as much as can be. Returns what is left over, a head that is not whole. */
static size_t take(struct h2_stream *st, const uint8_t *p, size_t n)
{
	size_t at = 0;
	while (at < n && st->state != STREAM_ENDED && !st->resp_ended) {
		size_t k = st->state == STREAM_HEAD ? take_head(st, p + at, n - at)
						    : take_body(st, p + at, n - at);
		at += k;
		if (k == 0)
			break;
	}
	if (st->state == STREAM_ENDED)
		return 0;
	if (st->resp_ended) {
		take_trailers(st);
		end_answer(st, st->keep && at == n);
		return 0;
	}
	if (h2_stream_waiting(st)) {
		nghttp2_session_resume_data(st->h->session, st->id);
		h2_kick(st->h);
	}
	return n - at;
}

/* Bytes of the service; what of a head is not whole yet waits. */
static void feed(struct h2_stream *st, const uint8_t *p, size_t n)
{
	if (st->state != STREAM_HEAD || !st->head.len) {
		size_t left = take(st, p, n);
		if (left && buf_append(&st->head, p + n - left, left) < 0)
			h2_stream_reset(st);
		return;
	}
	if (buf_append(&st->head, p, n) < 0) {
		h2_stream_reset(st);
		return;
	}
	if (!memchr(p, '\n', n) && st->head.len <= H2_HEAD_MAX)
		return;
	struct buf all = st->head;
	st->head = BUF_INIT(all.cap);
	size_t left = take(st, all.data, all.len);
	if (left && buf_append(&st->head, all.data + all.len - left, left) < 0)
		h2_stream_reset(st);
	buf_done(&all);
}

/* The service has closed (`cleanly`: by a FIN). */
static void on_lost(struct h2_stream *st, bool cleanly)
{
	bool nothing = st->state == STREAM_HEAD && !st->head.len && !st->interim;
	if (nothing && h2_stream_retry(st))
		return;
	if (cleanly && st->kind == BODY_UNTIL_CLOSE && st->state >= STREAM_BODY)
		end_answer(st, false);
	else
		h2_stream_reset(st);
}

void h2_answer_read(struct h2_stream *st)
{
	uint8_t *piece = st->h->piece;
	while (st->state != STREAM_ENDED && h2_stream_waiting(st) < H2_OUT_HIGH) {
		ssize_t n = recv(st->local.fd, piece, H2_PIECE, 0);
		if (n < 0 && local_would_block())
			break;
		if (n <= 0) {
			on_lost(st, n == 0);
			return;
		}
		feed(st, piece, (size_t)n);
		if ((size_t)n < H2_PIECE)
			break; /* most likely all */
	}
	if (st->state != STREAM_ENDED)
		h2_stream_arm(st);
}
