/* What the framing library calls of the HTTP/2 server: frames that came, and went. See h2_conn.h.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "http/h2_conn.h"
#include "net/stream.h"

#define RESET_FREE_MAX 1000u

static uint64_t now_ms(const struct h2_conn *c)
{
	return loop_now_ms(c->info.loop);
}

static void on_idle(struct timer *t)
{
	struct h2_stream *st = container_of(t, struct h2_stream, idle);
	uint64_t quiet = now_ms(st->c) - st->f.moved_ms;
	if (!st->idle_ms)
		return;
	if (quiet < st->idle_ms) {
		timer_arm(t, st->idle_ms - quiet);
		return;
	}
	h2_reset(st, NGHTTP2_CANCEL, -ETIMEDOUT);
	/* The library has forgotten it, but its handler has not said the end (see settle). */
	st->why = st->why ? st->why : -ETIMEDOUT;
	h2_flow_mark(&st->f);
}

static struct h2_stream *stream_new(struct h2_conn *c, int32_t id)
{
	struct h2_stream *st = xcalloc(1, sizeof(*st));
	st->c = c;
	st->x = (struct exchange){.ops = &h2_exchange_ops, .conn = &c->info};
	h2_flow_init(&st->f, &c->w, id);
	st->f.paused = true;
	st->idle_ms = c->o.limits->idle_ms;
	list_push_back(&c->streams, &st->node);
	timer_init(&st->idle, c->info.loop, on_idle);
	c->idle_due_ms = 0;
	return st;
}

static struct h2_stream *stream_of(struct h2_conn *c, int32_t id)
{
	struct h2_flow *f = nghttp2_session_get_stream_user_data(h2_wire_session(&c->w), id);
	return f ? container_of(f, struct h2_stream, f) : NULL;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_conn *c = user;
	h2_head_begin(&c->head);
	c->head_due_ms = now_ms(c) + c->o.limits->head_ms;
	h2_conn_arm(c);
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		struct h2_stream *st = stream_new(c, frame->hd.stream_id);
		nghttp2_session_set_stream_user_data(session, st->f.id, &st->f);
	}
	return 0;
}

static int take_field_bytes(struct h2_conn *c, size_t n)
{
	return h2_budget_take(&c->w.budget, H2_COST_HEAD, n, now_ms(c)) ? 0 : h2_wire_calm(&c->w);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	struct h2_conn *c = user;
	struct h2_field f = {(const char *)name, (const char *)value, name_len, value_len};
	(void)session, (void)frame, (void)flags;
	h2_head_field(&c->head, c->o.limits, &f);
	return take_field_bytes(c, name_len + value_len);
}

/* What HTTP forbids in a field: the library would leave it out and go on. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
	void *user)
{
	struct h2_conn *c = user;
	(void)session, (void)frame, (void)name, (void)value, (void)flags;
	c->head.status = 400;
	return take_field_bytes(c, name_len + value_len);
}

/* Its on_frame_recv never comes. The stream is reset; the connection waits for no head. */
static int on_invalid_frame(
	nghttp2_session *session, const nghttp2_frame *frame, int code, void *user)
{
	struct h2_conn *c = user;
	(void)session, (void)code;
	if (frame->hd.type == NGHTTP2_HEADERS)
		c->head_due_ms = 0;
	return 0;
}

/* The library counts streams; what is done for some that were reset goes on. */
static bool has_room(const struct h2_conn *c)
{
	unsigned n = linger_count(c->info.linger);
	if (!n)
		return true;
	list_each(at, &c->streams) n += !container_of(at, struct h2_stream, node)->f.gone;
	return n <= H2_STREAMS_MAX;
}

static void begin_exchange(struct h2_stream *st, bool ended)
{
	struct h2_conn *c = st->c;
	const char *scheme = c->info.tls ? "https" : "http";
	struct msg *req = h2_head_request(&c->head, scheme, ended);
	int status = c->head.status;
	st->x.expects_continue = c->head.expects_continue && !ended;
	st->head_bytes = c->head.bytes;
	st->f.wire_done = ended;
	st->req_counted = req && msg_body(req) == BODY_LENGTH;
	st->req_left = st->req_counted ? msg_body_length(req) : 0;
	h2_head_done(&c->head);
	timer_arm(&st->idle, st->idle_ms ? st->idle_ms : 1000);
	if (req) {
		st->x.req = req;
		c->o.on_request(c->o.ctx, &st->x);
		assert(st->x.handler);
		return;
	}
	st->x.req = msg_new_request("GET", scheme, "", "/");
	struct msg *head = msg_new_response(status);
	if (status == 431) /* see h1_conn_write_error */
		msg_add(head, "clear-site-data", "\"cookies\"");
	exchange_reply(&st->x, status, head, "text/plain", "This request is not valid.\n");
	msg_free(head);
}

static void take_head(struct h2_conn *c, const nghttp2_frame *frame)
{
	struct h2_stream *st = stream_of(c, frame->hd.stream_id);
	bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	c->head_due_ms = 0;
	if (st && frame->headers.cat == NGHTTP2_HCAT_REQUEST && !has_room(c)) {
		h2_reset(st, NGHTTP2_REFUSED_STREAM, -ECANCELED); /* RFC 9113 §5.1.2 */
	} else if (st && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		begin_exchange(st, ended);
	} else if (st && !st->req_trailers) {
		st->req_trailers = h2_head_trailers(&c->head);
		st->f.wire_done = ended;
		if (!st->req_trailers)
			h2_reset(st, NGHTTP2_PROTOCOL_ERROR, -EPROTO);
		h2_flow_mark(&st->f);
	}
	h2_head_done(&c->head);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_conn *c = user;
	struct h2_stream *st;
	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		take_head(c, frame);
		return 0;
	case NGHTTP2_DATA:
		st = stream_of(c, frame->hd.stream_id);
		if (st && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
			st->f.wire_done = true;
			h2_flow_mark(&st->f);
		}
		return 0;
	case NGHTTP2_RST_STREAM:
		return h2_budget_take(&c->w.budget, H2_COST_RESET, 1, now_ms(c))
			       ? 0
			       : h2_wire_calm(&c->w);
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK && c->bye_due_ms)
			h2_say_goodbye(c);
		return 0;
	default:
		return 0;
	}
}

static int on_data_chunk(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct h2_conn *c = user;
	struct h2_stream *st = stream_of(c, id);
	(void)flags;
	if (!st || st->f.gone || st->f.sent_end) {
		nghttp2_session_consume(session, id, n);
		return 0;
	}
	h2_flow_touch(&st->f);
	h2_wire_earn(&c->w, n);
	st->x.expects_continue = false;
	st->req_left -= n < st->req_left ? n : st->req_left;
	if (st->f.paused || st->f.in.len) {
		if (buf_append(&st->f.in, p, n) < 0)
			h2_reset(st, NGHTTP2_FLOW_CONTROL_ERROR, -EPROTO);
		return 0;
	}
	nghttp2_session_consume(session, id, n);
	if (st->x.handler->on_body)
		st->x.handler->on_body(&st->x, p, n);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct h2_stream *st = stream_of(user, id);
	(void)session;
	if (!st)
		return 0;
	st->f.gone = true;
	if (code != NGHTTP2_NO_ERROR && !h2_is_whole(st))
		st->why = -ECONNRESET;
	h2_flow_mark(&st->f);
	return 0;
}

static bool is_client_fault(uint32_t code)
{
	return code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR ||
	       code == NGHTTP2_STREAM_CLOSED || code == NGHTTP2_FRAME_SIZE_ERROR ||
	       code == NGHTTP2_REFUSED_STREAM;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_conn *c = user;
	struct h2_stream *st;
	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
			return 0;
		st = stream_of(c, frame->hd.stream_id);
		if (st) {
			st->f.sent_end = true;
			h2_flow_mark(&st->f);
		}
		return 0;
	case NGHTTP2_RST_STREAM:
		if (is_client_fault(frame->rst_stream.error_code) &&
			!h2_budget_take(&c->w.budget, H2_COST_RESET, 1, now_ms(c)))
			c->w.code = NGHTTP2_ENHANCE_YOUR_CALM;
		return 0;
	default:
		return 0;
	}
}

nghttp2_session *h2_session_new(struct h2_conn *c)
{
	nghttp2_session_callbacks *cbs;
	nghttp2_option *opt;
	nghttp2_session *session;
	nghttp2_mem mem;
	if (nghttp2_session_callbacks_new(&cbs) || nghttp2_option_new(&opt))
		abort();
	nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cbs, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame_recv);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cbs, on_invalid_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cbs, on_frame_send);
	h2_wire_callbacks(cbs);
	h2_wire_options(opt);
	nghttp2_option_set_stream_reset_rate_limit(opt, RESET_FREE_MAX, 33);
	nghttp2_option_set_builtin_recv_extension_type(opt, NGHTTP2_PRIORITY_UPDATE);
	h2_wire_mem(&c->w, &mem);
	if (nghttp2_session_server_new3(&session, cbs, c, opt, &mem))
		abort();
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cbs);
	return session;
}
