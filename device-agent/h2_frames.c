/* What nghttp2 calls back, and heads on their way to the gateway. See h2_conn.h. */
#include "device-agent/h2_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/h2_nva.h"

#define FRAME_MAX 16375u /* with its head one TLS record */
#define URL_MAX 16384u
#define CONTINUATIONS_MAX 64u
/* In effect none: the resets are those of all browsers together, each of which the gateway limits,
 * and the link is everybody's. */
#define RESETS_MAX (1u << 30)

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* ---- in ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	int32_t id = frame->hd.stream_id;
	h2_head_begin(&h->head);
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		nghttp2_session_set_stream_user_data(session, id, h2_stream_new(h, id));
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	static const struct http_limits limits = {
		.head_max = H2_HEAD_MAX, .url_max = URL_MAX, .fields_max = H2_FIELDS_MAX};
	struct h2 *h = user;
	struct h2_field f = {(const char *)name, (const char *)value, name_len, value_len};
	(void)session, (void)frame, (void)flags;
	h2_head_field(&h->head, &limits, &f);
	return 0;
}

/* What HTTP forbids in a field: the library would leave it out and go on. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
	void *user)
{
	struct h2 *h = user;
	(void)session, (void)frame, (void)name, (void)name_len;
	(void)value, (void)value_len, (void)flags;
	h->head.status = 400;
	return 0;
}

/* The scheme is the browser's, which says nothing of the local service: either will do. */
static const char *scheme_of(const struct h2_head *h)
{
	const char *text =
		h->part[H2_SCHEME].there ? (const char *)h->text.data + h->part[H2_SCHEME].at : "";
	return strcmp(text, "http") == 0 ? "http" : "https";
}

static void take_head(struct h2 *h, struct h2_stream *st, bool ended)
{
	struct msg *req = h2_head_request(&h->head, scheme_of(&h->head), ended);
	int status = h->head.status;
	if (req && h->head.expects_continue)
		msg_add(req, "expect", "100-continue"); /* the service says it, and it passes */
	h2_head_done(&h->head);
	if (req)
		h2_stream_begin(st, req, ended);
	else
		h2_answer_own(st, status, "This request is not valid.\r\n");
}

static void take_headers(struct h2 *h, nghttp2_session *session, const nghttp2_frame *frame)
{
	struct h2_stream *st = stream_of(session, frame->hd.stream_id);
	bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (st && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		take_head(h, st, ended);
	h2_head_done(&h->head); /* trailers end here, as everywhere on the way to a device */
	if (st && ended)
		h2_stream_end(st);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	struct h2_stream *st;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		take_headers(h, session, frame);
		break;
	case NGHTTP2_DATA:
		st = stream_of(session, frame->hd.stream_id);
		if (st && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			h2_stream_end(st);
		break;
	case NGHTTP2_GOAWAY:
		h->goodbye = true;
		break;
	}
	return 0;
}

static int on_data_chunk(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct h2_stream *st = stream_of(session, id);
	(void)flags, (void)user;
	nghttp2_session_consume_connection(session, n);
	if (st)
		h2_stream_data(st, p, n);
	else
		nghttp2_session_consume_stream(session, id, n);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct h2_stream *st = stream_of(session, id);
	(void)code, (void)user;
	if (st)
		h2_stream_free(st);
	nghttp2_session_set_stream_user_data(session, id, NULL);
	return 0;
}

/* RFC 9113 §8.1: the rest of a request that has its answer is not wanted. A WebSocket that one end
 * has closed is over. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	/* By the library's own judgement: what was not for us to decide must not go unnoticed. */
	if (frame->hd.type == NGHTTP2_GOAWAY && h->state == H2_OPEN)
		h->goodbye = true;
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
		(frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
		return 0;
	struct h2_stream *st = stream_of(session, frame->hd.stream_id);
	if (st && !st->req_ended)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
	return 0;
}

/* A head that the library finds too large would leave its stream waiting for ever. */
static int on_frame_not_send(
	nghttp2_session *session, const nghttp2_frame *frame, int code, void *user)
{
	(void)code, (void)user;
	if (frame->hd.type == NGHTTP2_HEADERS && stream_of(session, frame->hd.stream_id))
		nghttp2_submit_rst_stream(
			session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
	return 0;
}

/* ---- out ---- */

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t most,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_stream *st = stream_of(session, id);
	(void)source, (void)user;
	if (!st)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	size_t n = h2_stream_waiting(st);
	if (n == 0 && !st->resp_ended)
		return NGHTTP2_ERR_DEFERRED;
	most = most < FRAME_MAX ? most : FRAME_MAX;
	size_t k = n < most ? n : most;
	if (k)
		memcpy(buf, st->out.data + st->out_at, k);
	st->out_at += k;
	h2_stream_drained(st);
	if (k < n || !st->resp_ended)
		return (ssize_t)k;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (st->trailers) {
		struct h2_nva v;
		v.n = 0;
		h2_nva_fields(&v, st->trailers, NULL);
		if (v.n && nghttp2_submit_trailer(session, id, v.at, v.n) == 0)
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	}
	return (ssize_t)k;
}

/* "" where there is none to say. */
static void length_text(char out[24], const struct h2_stream *st, const struct msg *head)
{
	int status = msg_status(head);
	const char *given = msg_get(head, "content-length");
	out[0] = 0;
	if (status < 200 || status == 204 || st->state == STREAM_TUNNEL)
		return;
	if (msg_body(head) == BODY_LENGTH)
		snprintf(out, 24, "%llu", (unsigned long long)msg_body_length(head));
	else if (msg_body(head) == BODY_NONE && given && strlen(given) < 20 &&
		 strspn(given, "0123456789") == strlen(given))
		snprintf(out, 24, "%s", given); /* what a GET would have brought (RFC 9110 §8.6) */
}

void h2_submit(struct h2_stream *st, const struct msg *head, bool end)
{
	static const nghttp2_data_provider body = {.read_callback = on_read};
	nghttp2_session *session = st->h->session;
	struct h2_nva v;
	char status[8], length[24];
	int rc;
	v.n = 0;
	snprintf(status, sizeof(status), "%03u", (unsigned)msg_status(head) % 1000);
	length_text(length, st, head);
	h2_nva_put(&v, ":status", status);
	h2_nva_fields(&v, head, NULL);
	if (length[0])
		h2_nva_put(&v, "content-length", length);
	if (msg_status(head) < 200)
		rc = nghttp2_submit_headers(
			session, NGHTTP2_FLAG_NONE, st->id, NULL, v.at, v.n, NULL);
	else
		rc = nghttp2_submit_response(session, st->id, v.at, v.n, end ? NULL : &body);
	if (rc < 0)
		nghttp2_submit_rst_stream(
			session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_INTERNAL_ERROR);
	h2_kick(st->h);
}

/* ---- birth ---- */

nghttp2_session *h2_session_new(struct h2 *h)
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
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cbs, on_frame_not_send);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_no_closed_streams(opt, 1);
	nghttp2_option_set_max_send_header_block_length(opt, 4 * H2_HEAD_MAX);
	nghttp2_option_set_stream_reset_rate_limit(opt, RESETS_MAX, RESETS_MAX);
	nghttp2_option_set_max_continuations(opt, CONTINUATIONS_MAX);
	if (nghttp2_session_server_new2(&session, cbs, h, opt))
		abort();
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cbs);
	return session;
}
