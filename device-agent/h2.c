/* See h2.h: the connection. Bytes between TLS and nghttp2, its deadlines and its end. */
#include "device-agent/h2_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "device-agent/conf.h"
#include "device-agent/tls.h"

#define ALPN "\xd5\x87\xc9\xa5" /* reversed HTTP/2, draft-thomson-ptth-potato-02 */
#define OUT_MOST (1u << 20)     /* more than any head makes; what is gathered is H2_PIECE */

static void set_state(struct h2 *h, enum h2_state to)
{
	assert(to > h->state); /* forward only, some are left out */
	h->state = to;
}

void h2_kick(struct h2 *h)
{
	h->flush.due_ms = h->s.loop->now_ms; /* in this turn still, when it comes behind us there */
}

void h2_die(struct h2 *h, int code, const char *why)
{
	if (!h->over && why)
		err_set(&h->why, code, "%s", why);
	h->over = true;
	h2_kick(h);
}

/* ---- the end ---- */

static void drop_streams(struct h2 *h)
{
	while (!list_empty(&h->streams))
		h2_stream_free(container_of(h->streams.next, struct h2_stream, node));
}

void h2_close(struct h2 *h)
{
	if (!h)
		return;
	drop_streams(h);
	if (h->state != H2_LINGERING)
		tls_close(h->tls);
	nghttp2_session_del(h->session);
	local_pool_done(&h->pool);
	h2_head_done(&h->head);
	buf_done(&h->out);
	loop_remove(&h->wire);
	loop_remove(&h->flush);
	tls_free(h->tls);
	close(h->wire.fd);
	free(h);
}

static void finish(struct h2 *h)
{
	h->s.on_event(h->s.ctx, H2_EVENT_CLOSED, &h->why);
}

/* All is said. The gateway is listened to until it closes, too, so that no reset overtakes what we
 * sent last. */
static void linger(struct h2 *h)
{
	set_state(h, H2_LINGERING);
	drop_streams(h);
	tls_close(h->tls);
	shutdown(h->wire.fd, SHUT_WR);
	h->wire.events = POLLIN;
	watch_after(&h->wire, H2_LINGER_MS);
}

/* Throw away what comes. True: nothing more will. */
static bool drain(struct h2 *h)
{
	ssize_t n = 1;
	for (int round = 0; n > 0 && round < 32; round++)
		n = recv(h->wire.fd, h->piece, sizeof(h->piece), 0);
	return n == 0 || (n < 0 && !local_would_block());
}

/* ---- out ---- */

/* One record's worth of frames, so that small ones share it. */
static void gather(struct h2 *h)
{
	const uint8_t *p;
	while (h->out.len < H2_PIECE) {
		ssize_t n = nghttp2_session_mem_send(h->session, &p);
		if (n < 0 || (n > 0 && buf_append(&h->out, p, (size_t)n) < 0))
			h2_die(h, -EPROTO, "the frames for the gateway went wrong");
		if (n <= 0)
			return;
	}
}

static void send_frames(struct h2 *h)
{
	h->wants = 0;
	while (!h->over) {
		if (h->out_at == h->out.len) {
			h->out_at = h->out.len = 0;
			gather(h);
		}
		size_t n = h->out.len - h->out_at;
		if (n == 0 || h->over)
			break;
		long k = tls_write(h->tls, h->out.data + h->out_at, n, &h->why);
		if (k == TLS_WANT_READ || k == TLS_WANT_WRITE) {
			h->wants = k == TLS_WANT_READ ? POLLIN : POLLOUT;
			break;
		}
		if (k < 0) {
			h2_die(h, 0, NULL);
			break;
		}
		h->out_at += (size_t)k;
	}
	if (h->out.len == 0)
		buf_done(&h->out);
}

static bool is_done(struct h2 *h)
{
	if (h->out.len)
		return false;
	if (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session))
		return true;
	return h->state == H2_GOING && h->n_streams == 0;
}

static void tell(struct h2 *h)
{
	if (h->served && !h->told_used) {
		h->told_used = true;
		h->s.on_event(h->s.ctx, H2_EVENT_USED, NULL);
	}
	if (h->goodbye && !h->told_leaving) {
		h->told_leaving = true;
		if (h->state == H2_OPEN)
			set_state(h, H2_GOING);
		h->s.on_event(h->s.ctx, H2_EVENT_LEAVING, NULL);
	}
}

/* The end of a turn. It may be gone then. */
static void on_flush(struct watch *w, short revents)
{
	struct h2 *h = container_of(w, struct h2, flush);
	(void)revents;
	if (h->state == H2_LINGERING)
		return;
	if (!h->over)
		send_frames(h);
	w->due_ms = 0; /* what was queued meanwhile is sent, too */
	h->wire.events = (short)(POLLIN | h->wants | h->read_wants);
	if (h->over) {
		finish(h);
		return;
	}
	tell(h);
	if (is_done(h))
		linger(h);
}

/* ---- in ---- */

static void take(struct h2 *h, size_t n)
{
	h->heard_ms = h->s.loop->now_ms;
	h->asked = false;
	ssize_t k = nghttp2_session_mem_recv(h->session, h->piece, n);
	if (k < 0)
		h2_die(h, -EPROTO, "the gateway does not keep to HTTP/2");
}

static void read_wire(struct h2 *h)
{
	/* Fair to everybody else: after some rounds the loop gets its turn. */
	h->read_wants = 0;
	h->more = false;
	for (int round = 0; round < 8 && !h->over; round++) {
		long n = tls_read(h->tls, h->piece, sizeof(h->piece), &h->why);
		if (n == TLS_WANT_WRITE)
			h->read_wants = POLLOUT;
		if (n == TLS_WANT_READ || n == TLS_WANT_WRITE)
			return;
		if (n > 0)
			take(h, (size_t)n);
		else if (n < 0 || h->state == H2_GOING)
			h2_die(h, 0, NULL);
		else
			h2_die(h, -ECONNRESET, "the gateway closed the link");
	}
	h->more = tls_pending(h->tls);
}

/* What TLS has no poll() tells of, and the clock does. */
static void read_on_wire(struct h2 *h)
{
	bool had_more = h->more;
	read_wire(h);
	if (h->more)
		watch_after(&h->wire, 0);
	else if (had_more)
		h->wire.due_ms = h->heard_ms + H2_QUIET_MS;
}

/* Is the gateway there? Whoever vanished without a word is found so also where nothing waits for an
 * acknowledgement. */
static void on_due(struct h2 *h)
{
	uint64_t now = h->s.loop->now_ms, quiet = now - h->heard_ms;
	if (h->asked) {
		h2_die(h, -ETIMEDOUT, "the gateway does not answer a PING");
		return;
	}
	if (quiet < H2_QUIET_MS) {
		h->wire.due_ms = h->heard_ms + H2_QUIET_MS;
		return;
	}
	nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
	h->asked = true;
	h->wire.due_ms = now + H2_ANSWER_MS;
}

static void on_wire(struct watch *w, short revents)
{
	struct h2 *h = container_of(w, struct h2, wire);
	if (h->state == H2_LINGERING) {
		if (!revents || drain(h))
			finish(h);
		return;
	}
	if (!revents && !h->more)
		on_due(h);
	else
		read_on_wire(h);
	h2_kick(h);
}

/* ---- birth ---- */

static void submit_settings(struct h2 *h)
{
	const nghttp2_settings_entry iv[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,  h->s.conf->connections},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,     H2_WINDOW             },
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,    H2_HEAD_MAX           },
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1                     },
	};
	nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, iv, sizeof(iv) / sizeof(*iv));
	nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW);
}

const char *h2_protocol(void)
{
	return ALPN;
}

struct h2 *h2_open(const struct h2_settings *s)
{
	struct h2 *h = xcalloc(1, sizeof(*h));
	h->s = *s;
	h->tls = s->tls;
	h->out = BUF_INIT(OUT_MOST);
	h->heard_ms = s->loop->now_ms;
	list_init(&h->streams);
	h2_head_done(&h->head);
	local_pool_init(&h->pool, s->loop);
	tls_read_ahead(h->tls, H2_AHEAD);
	h->session = h2_session_new(h);
	submit_settings(h);
	h->wire = (struct watch){.fd = s->fd, .events = POLLIN, .on_event = on_wire};
	watch_after(&h->wire, H2_QUIET_MS);
	h->flush = (struct watch){.fd = -1, .on_event = on_flush};
	h2_kick(h);
	if (loop_add(s->loop, &h->wire) && loop_add(s->loop, &h->flush))
		return h;
	h2_close(h);
	return NULL;
}

void h2_leave(struct h2 *h)
{
	if (h->state != H2_OPEN)
		return;
	set_state(h, H2_GOING);
	nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0);
	h2_kick(h);
}

unsigned h2_streams(const struct h2 *h)
{
	return h->n_streams;
}

uint64_t h2_served(const struct h2 *h)
{
	return h->served;
}
