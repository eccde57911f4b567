/* What the framing library calls of the HTTP/2 client: frames that came, and went. See
 * h2_client.h. It has refused fields of a connection, upper-case names, pseudo-fields that are
 * missing, doubled or late, 101, and a body that disagrees with Content-Length. */
#include "http/h2_client.h"

#include <errno.h>
#include <stdlib.h>

#define INTERIM_MAX 32u /* 1xx heads in one call */
/* Above this much in paused calls, the others wait, too. */
#define KEPT_MAX (4u << 20)

/* ---- windows ---- */

void h2_client_keep(struct h2_client *c, size_t n)
{
	c->kept += n;
	if (c->kept > KEPT_MAX)
		c->owed += n;
	else
		nghttp2_session_consume_connection(h2_wire_session(&c->w), n);
}

void h2_client_release(struct h2_client *c, size_t n)
{
	c->kept -= n;
	if (!c->owed || c->kept > KEPT_MAX)
		return;
	nghttp2_session_consume_connection(h2_wire_session(&c->w), c->owed);
	c->owed = 0;
	turn_kick(&c->w.turn);
}

/* ---- what came ---- */

static struct h2_call *call_of(struct h2_client *c, int32_t id)
{
	struct h2_flow *f = nghttp2_session_get_stream_user_data(h2_wire_session(&c->w), id);
	return f ? container_of(f, struct h2_call, f) : NULL;
}

static int take_budget(struct h2_client *c, enum h2_cost kind, size_t n)
{
	return h2_budget_take(&c->w.budget, kind, n, h2_wire_now(&c->w)) ? 0 : h2_wire_calm(&c->w);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_client *c = user;
	(void)session, (void)frame;
	h2_head_begin_response(&c->head);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	struct h2_client *c = user;
	struct h2_field f = {(const char *)name, (const char *)value, name_len, value_len};
	(void)session, (void)frame, (void)flags;
	h2_head_field(&c->head, &c->limits, &f);
	return take_budget(c, H2_COST_HEAD, name_len + value_len);
}

/* What HTTP forbids in a field: the library would leave it out and go on. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
	void *user)
{
	struct h2_client *c = user;
	(void)session, (void)frame, (void)name, (void)value, (void)flags;
	c->head.status = 400;
	return take_budget(c, H2_COST_HEAD, name_len + value_len);
}

static void refuse_head(struct h2_call *k, int status)
{
	bool large = status == 431;
	h2_call_fail(k, NGHTTP2_PROTOCOL_ERROR, large ? -ENOBUFS : -EPROTO,
		large ? "the answer's head is too large" : "the answer's head is not HTTP/2");
}

/* What the answer to the upgrade would have been over HTTP/1.1 (RFC 8441 §5). */
static void become_tunnel(struct h2_call *k, struct msg *m)
{
	msg_set_status(m, 101);
	msg_set_body(m, BODY_NONE, 0);
	msg_remove(m, "content-length");
	msg_set(m, "connection", "upgrade");
	msg_set(m, "upgrade", "websocket");
	msg_set(m, "sec-websocket-accept", k->accept);
	k->tunnel = k->head_done = true;
}

static void final_head(struct h2_call *k, const struct msg *m)
{
	k->head_done = true;
	k->resp_counted = msg_body(m) != BODY_CHUNKED;
	k->resp_left = msg_body_length(m);
}

static void take_response(struct h2_call *k, bool ended)
{
	struct h2_head *h = &k->c->head;
	struct msg *m = h2_head_response(h, k->method, ended);
	int status = m ? msg_status(m) : 0;
	k->head_bytes += h->bytes;
	if (!m) {
		refuse_head(k, h->status);
		return;
	}
	if (status < 200 && (status == 101 || ++k->interim > INTERIM_MAX)) {
		h2_call_fail(k, NGHTTP2_PROTOCOL_ERROR, -EPROTO,
			"the origin sends 1xx without end, or unasked");
	} else {
		if (k->accept[0] && status >= 200 && status < 300)
			become_tunnel(k, m);
		else if (status >= 200)
			final_head(k, m);
		if (k->cb->on_head)
			k->cb->on_head(&k->base, m, k->ctx);
	}
	msg_free(m);
}

static void end_of_answer(struct h2_call *k)
{
	if (k->resp_counted && k->resp_left) /* the library does not count after a CONNECT */
		h2_call_fail(k, NGHTTP2_PROTOCOL_ERROR, -EPROTO,
			"the answer's body is shorter than announced");
	k->f.wire_done = true;
	h2_flow_mark(&k->f);
}

static void take_head(struct h2_client *c, const nghttp2_frame *frame)
{
	struct h2_call *k = call_of(c, frame->hd.stream_id);
	bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (k && !k->over && !k->why) {
		h2_flow_touch(&k->f);
		if (!k->head_done) {
			take_response(k, ended);
		} else if (!k->trailers && !k->tunnel) {
			k->head_bytes += c->head.bytes;
			k->trailers = h2_head_trailers(&c->head);
			if (!k->trailers)
				refuse_head(k, 400);
		}
	}
	if (k && ended)
		end_of_answer(k);
	h2_head_done(&c->head);
}

/* RFC 9113 §8.1: who has answered before the request ended may say so by a reset, as often as the
 * requests want it; and one of a stream that is gone costs no more than any frame. */
static int take_reset(struct h2_client *c, const nghttp2_frame *frame)
{
	struct h2_call *k = call_of(c, frame->hd.stream_id);
	if (!k || (k->f.wire_done && frame->rst_stream.error_code == NGHTTP2_NO_ERROR))
		return 0;
	k->reset_by_peer = true;
	return take_budget(c, H2_COST_RESET, 1);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_client *c = user;
	struct h2_call *k;
	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		take_head(c, frame);
		return 0;
	case NGHTTP2_DATA:
		k = call_of(c, frame->hd.stream_id);
		if (k && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			end_of_answer(k);
		return 0;
	case NGHTTP2_RST_STREAM:
		return take_reset(c, frame);
	case NGHTTP2_SETTINGS:
		c->ready |= !(frame->hd.flags & NGHTTP2_FLAG_ACK);
		return 0;
	case NGHTTP2_GOAWAY:
		if (c->state == H2C_OPEN)
			h2_client_set_state(c, H2C_DRAINING);
		return 0;
	default:
		return 0;
	}
}

static int on_data_chunk(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct h2_client *c = user;
	struct h2_call *k = call_of(c, id);
	(void)flags;
	if (!k || k->over || k->why) {
		nghttp2_session_consume(session, id, n);
		return 0;
	}
	h2_flow_touch(&k->f);
	h2_wire_earn(&c->w, n);
	if (k->resp_counted && n > k->resp_left) {
		nghttp2_session_consume_connection(session, n);
		h2_call_fail(k, NGHTTP2_PROTOCOL_ERROR, -EPROTO,
			"the answer's body is longer than announced");
		return 0;
	}
	k->resp_left -= k->resp_counted ? n : 0;
	if (k->f.paused || k->f.in.len) {
		if (buf_append(&k->f.in, p, n) == 0) {
			h2_client_keep(c, n);
			return 0;
		}
		nghttp2_session_consume_connection(session, n);
		h2_call_fail(
			k, NGHTTP2_FLOW_CONTROL_ERROR, -EPROTO, "the answer overflows its window");
		return 0;
	}
	nghttp2_session_consume(session, id, n);
	if (k->cb->on_body)
		k->cb->on_body(&k->base, p, n, k->ctx);
	return 0;
}

/* ---- what ended, what went ---- */

static void explain(struct h2_call *k, uint32_t code)
{
	if (code == NGHTTP2_REFUSED_STREAM) {
		k->refused = true;
		h2_call_fail(k, code, -ECONNRESET, "its agent refused the request");
	} else if (k->reset_by_peer) {
		/* The connection lives, and its agent has tried again itself what may be: not a case
		 * for another try. */
		h2_call_fail(k, code, -EPROTO, "its agent gave the request up");
	} else {
		h2_call_fail(k, code, -EPROTO, "the answer broke the rules of HTTP/2");
	}
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct h2_client *c = user;
	struct h2_call *k = call_of(c, id);
	(void)session;
	c->open--;
	if (!k)
		return 0;
	k->f.gone = true;
	if (!k->over && !k->f.wire_done)
		explain(k, code);
	h2_flow_mark(&k->f);
	return 0;
}

/* Even streams are pushes that came before our SETTINGS did. */
static bool is_peer_fault(int32_t id, uint32_t code)
{
	return !(id & 1) || code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR ||
	       code == NGHTTP2_STREAM_CLOSED || code == NGHTTP2_FRAME_SIZE_ERROR;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_client *c = user;
	struct h2_call *k;
	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		k = call_of(c, frame->hd.stream_id);
		if (!k)
			return 0;
		k->head_sent = true;
		if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
			k->f.sent_end = true;
			if (k->over)
				h2_flow_mark(&k->f);
		}
		return 0;
	case NGHTTP2_RST_STREAM:
		/* The code is left for the end of the turn: here it would only stop the pump. */
		if (is_peer_fault(frame->hd.stream_id, frame->rst_stream.error_code) &&
			!h2_budget_take(&c->w.budget, H2_COST_RESET, 1, h2_wire_now(&c->w)))
			c->w.code = NGHTTP2_ENHANCE_YOUR_CALM;
		return 0;
	case NGHTTP2_GOAWAY: /* the library has found a fault */
		if (frame->goaway.error_code && !c->w.code)
			c->w.code = frame->goaway.error_code;
		return 0;
	default:
		return 0;
	}
}

nghttp2_session *h2_client_session(struct h2_client *c)
{
	nghttp2_session_callbacks *cbs;
	nghttp2_option *opt;
	nghttp2_session *session;
	if (nghttp2_session_callbacks_new(&cbs) || nghttp2_option_new(&opt))
		abort();
	nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cbs, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cbs, on_frame_send);
	h2_wire_callbacks(cbs);
	h2_wire_options(opt);
	if (nghttp2_session_client_new2(&session, cbs, c, opt))
		abort();
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cbs);
	return session;
}
