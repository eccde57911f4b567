/* See h2_wire.h. A body waits in the stream's own buffer until the peer's windows let it go; frames
 * wait in the library until the socket's queue is low. */
#include "http/h2_wire.h"

#include "http/h2_nva.h"
#include "http/msg.h"
#include "net/loop.h"
#include "net/stream.h"

#define EARN_BYTES 2048u /* of body: a peer with small windows answers each with a frame */
#define BREATH_MS 20u
#define FRAME_MAX 16375u /* with its head one TLS record */
/* Enough for all the cookies that a browser keeps for a domain: it must hear the answer that clears
 * them. The budget of field bytes ends sooner. */
#define CONTINUATIONS_MAX 64u
/* Above what any head of ours can be to the library, which reckons 12 bytes more a field. One that it
 * finds too large it does not send, and its stream would wait for ever. */
#define HEAD_BLOCK_MAX (256u << 10)

static void on_breath(struct timer *t)
{
	struct h2_wire *w = container_of(t, struct h2_wire, breath);
	if (!w->closing)
		stream_resume(w->s);
}

void h2_wire_init(
	struct h2_wire *w, struct stream *s, void (*settle)(struct turn *t), uint32_t preface_len)
{
	*w = (struct h2_wire){.s = s};
	list_init(&w->marked);
	turn_init(&w->turn, s, settle);
	timer_init(&w->breath, stream_loop(s), on_breath);
	h2_budget_init(&w->budget, h2_wire_now(w), preface_len);
}

void h2_wire_open(
	struct h2_wire *w, nghttp2_session *session, const nghttp2_settings_entry *iv, size_t n)
{
	w->session = session;
	nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, iv, n);
	nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW);
}

void h2_wire_done(struct h2_wire *w)
{
	turn_done(&w->turn);
	timer_cancel(&w->breath);
	nghttp2_session_del(h2_wire_session(w));
	h2_slot_done(&w->slot);
}

uint64_t h2_wire_now(const struct h2_wire *w)
{
	return loop_now_ms(stream_loop(w->s));
}

static size_t take(struct h2_wire *w, const uint8_t *p, size_t n)
{
	enum h2_admission is;
	size_t all = n;
	n = h2_budget_admit(&w->budget, p, n, h2_wire_now(w), &is);
	if (is == H2_TOO_MUCH) {
		w->code = NGHTTP2_ENHANCE_YOUR_CALM;
		return all;
	}
	ssize_t k = nghttp2_session_mem_recv(h2_wire_session(w), p, n);
	if (k < 0 && !w->code)
		w->code = k == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
						   : NGHTTP2_PROTOCOL_ERROR;
	return n;
}

size_t h2_wire_input(struct h2_wire *w, const uint8_t *p, size_t n)
{
	turn_enter(&w->turn);
	size_t used = take(w, p, n);
	turn_leave(&w->turn);
	if (used == n || w->closing)
		return used;
	stream_pause(w->s);
	timer_arm(&w->breath, BREATH_MS);
	return used;
}

bool h2_wire_pump(struct h2_wire *w)
{
	while (stream_queued(w->s) <= STREAM_HIGH_WATER) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(h2_wire_session(w), &p);
		if (n < 0)
			w->code = w->code ? w->code : NGHTTP2_INTERNAL_ERROR;
		if (n <= 0)
			break;
		stream_write(w->s, p, (size_t)n);
	}
	return stream_queued(w->s) > STREAM_HIGH_WATER;
}

static void settle_all(struct h2_wire *w, void (*settle)(struct h2_flow *f))
{
	while (!list_empty(&w->marked) && !w->closing) {
		struct h2_flow *f = container_of(w->marked.next, struct h2_flow, mark);
		list_remove(&f->mark);
		settle(f);
	}
}

void h2_wire_settle(struct h2_wire *w, void (*settle)(struct h2_flow *f))
{
	bool more = true;
	while (more) {
		settle_all(w, settle);
		if (w->closing)
			return;
		bool full = h2_wire_pump(w);
		if (w->code)
			return;
		if (full) {
			turn_uncork(&w->turn);
			turn_cork(&w->turn);
		}
		more = !list_empty(&w->marked) || (full && stream_queued(w->s) < STREAM_LOW_WATER);
	}
}

void h2_wire_earn(struct h2_wire *w, size_t n)
{
	w->moved += n;
	h2_budget_earn(&w->budget, w->moved / EARN_BYTES);
	w->moved %= EARN_BYTES;
}

int h2_wire_calm(struct h2_wire *w)
{
	w->code = NGHTTP2_ENHANCE_YOUR_CALM;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

void h2_wire_options(nghttp2_option *opt)
{
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_no_closed_streams(opt, 1);
	nghttp2_option_set_max_continuations(opt, CONTINUATIONS_MAX);
	nghttp2_option_set_max_send_header_block_length(opt, HEAD_BLOCK_MAX);
}

/* ---- streams ---- */

void h2_flow_init(struct h2_flow *f, struct h2_wire *w, int32_t id)
{
	f->w = w;
	f->id = id;
	f->in = BUF_INIT(H2_STREAM_WINDOW);
	f->out = BUF_INIT(64u << 20);
	list_init(&f->mark);
	h2_flow_touch(f);
}

void h2_flow_done(struct h2_flow *f)
{
	list_remove(&f->mark);
	if (!f->gone)
		nghttp2_session_set_stream_user_data(h2_wire_session(f->w), f->id, NULL);
	msg_free(f->trailers);
	buf_done(&f->in);
	buf_done(&f->out);
}

void h2_flow_mark(struct h2_flow *f)
{
	if (list_empty(&f->mark))
		list_push_back(&f->w->marked, &f->mark);
	turn_kick(&f->w->turn);
}

void h2_flow_touch(struct h2_flow *f)
{
	f->moved_ms = h2_wire_now(f->w);
}

size_t h2_flow_queued(const struct h2_flow *f)
{
	return f->out.len - f->out_at;
}

int h2_flow_write(struct h2_flow *f, const void *p, size_t n)
{
	int rc = buf_append(&f->out, p, n);
	if (rc < 0)
		return rc;
	nghttp2_session_resume_data(h2_wire_session(f->w), f->id);
	turn_kick(&f->w->turn);
	f->over_high |= h2_flow_queued(f) > STREAM_HIGH_WATER;
	return 0;
}

void h2_flow_end(struct h2_flow *f, const struct msg *trailers)
{
	if (trailers && msg_count(trailers))
		f->trailers = msg_copy(trailers);
	f->out_ended = true;
	nghttp2_session_resume_data(h2_wire_session(f->w), f->id);
	turn_kick(&f->w->turn);
}

/* ---- bodies, as the library asks for them ---- */

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t most,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_flow *f = nghttp2_session_get_stream_user_data(session, id);
	(void)buf, (void)source, (void)user;
	if (!f)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	size_t n = h2_flow_queued(f);
	if (!n && !f->out_ended)
		return NGHTTP2_ERR_DEFERRED;
	/* The library goes from stream to stream without asking how much waits for the socket. */
	if (stream_queued(f->w->s) > STREAM_HIGH_WATER)
		return NGHTTP2_ERR_PAUSE;
	most = most < FRAME_MAX ? most : FRAME_MAX;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n > most)
		return (ssize_t)most;
	if (!f->out_ended)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (f->trailers) {
		struct h2_nva v;
		v.n = 0;
		h2_nva_fields(&v, f->trailers, NULL);
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, v.at, v.n);
	}
	return (ssize_t)n;
}

const nghttp2_data_provider h2_flow_body = {.read_callback = on_read};

/* What has gone makes room, also where more comes before all has gone. */
static void take_out(struct h2_flow *f, size_t n)
{
	f->out_at += n;
	if (f->out_at < f->out.len / 2)
		return;
	buf_consume(&f->out, f->out_at);
	f->out_at = 0;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
	size_t n, nghttp2_data_source *source, void *user)
{
	struct h2_flow *f = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	(void)source, (void)user;
	if (!f)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	stream_write(f->w->s, head, 9);
	if (n)
		stream_write(f->w->s, f->out.data + f->out_at, n);
	take_out(f, n);
	h2_wire_earn(f->w, n);
	h2_flow_touch(f);
	if (f->over_high && h2_flow_queued(f) < STREAM_LOW_WATER)
		h2_flow_mark(f);
	return 0;
}

void h2_wire_callbacks(nghttp2_session_callbacks *cbs)
{
	nghttp2_session_callbacks_set_send_data_callback(cbs, on_send_data);
}
