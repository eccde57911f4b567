/* See stream.h. The life of a stream and all its callbacks. on_close and on_writable are made from
 * a deferred call, never from inside what the owner called; the memory stays until on_close has
 * returned, so code here may go on after calling out and only has to look at the state again. */
#include "net/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "net/stream_int.h"

#define READS_A_TURN 4

static void set_state(struct stream *s, enum stream_state to)
{
	static const unsigned may_follow[] = {
		[STREAM_OPENING] = 1u << STREAM_OPEN | 1u << STREAM_FLUSHING | 1u << STREAM_CLOSED,
		[STREAM_OPEN] = 1u << STREAM_FLUSHING | 1u << STREAM_CLOSED,
		[STREAM_FLUSHING] = 1u << STREAM_CLOSED,
		[STREAM_CLOSED] = 0,
	};
	assert(may_follow[s->state] & 1u << to);
	s->state = to;
}

/* ---- closing ---- */

static void free_stream(struct stream *s)
{
	static const struct err in_order;
	list_remove(&s->open.node);
	if (s->cb->on_close)
		s->cb->on_close(s, s->why ? s->why : &in_order, s->ctx);
	if (s->ops->done)
		s->ops->done(s);
	buf_done(&s->in);
	free(s->why);
	free(s);
}

static void on_poll_closed(uv_handle_t *h)
{
	free_stream(container_of((uv_poll_t *)h, struct stream, poll));
}

static void finish(struct stream *s)
{
	timer_cancel(&s->timer);
	if (s->dialer)
		dialer_abandon(s->dialer);
	if (s->has_poll)
		uv_close((uv_handle_t *)&s->poll, on_poll_closed);
	if (s->fd >= 0)
		close(s->fd);
	if (!s->has_poll)
		free_stream(s);
}

static void close_now(struct stream *s)
{
	set_state(s, STREAM_CLOSED);
	wire_drop(s);
	stream_later(s);
}

void stream_fail(struct stream *s, int code, const char *fmt, ...)
{
	if (s->state == STREAM_CLOSED)
		return;
	if (code) {
		va_list ap;
		va_start(ap, fmt);
		s->why = xcalloc(1, sizeof(*s->why));
		s->why->code = code;
		vsnprintf(s->why->text, sizeof(s->why->text), fmt, ap);
		va_end(ap);
	}
	close_now(s);
}

void stream_close(struct stream *s)
{
	if (s->state != STREAM_CLOSED)
		close_now(s);
}

static void on_loop_free(struct loop_open *o)
{
	struct stream *s = container_of(o, struct stream, open);
	stream_fail(s, -ECANCELED, "the program ends");
}

void stream_check_end(struct stream *s)
{
	if (s->state == STREAM_CLOSED)
		return;
	bool over = s->eof && (!s->in.len || s->state == STREAM_FLUSHING);
	if (s->end_queued && !s->end_sent && !wire_queued(s)) {
		s->end_sent = true;
		if (!over)
			shutdown(s->fd, SHUT_WR);
	}
	if (s->end_sent && over)
		stream_close(s);
}

void stream_shutdown(struct stream *s)
{
	if (s->state == STREAM_CLOSED || s->end_queued)
		return;
	assert(s->fd >= 0 && !(s->state == STREAM_OPENING && s->ops->open));
	if (s->ops->flush)
		s->ops->flush(s);
	if (s->ops->end)
		s->ops->end(s);
	s->end_queued = true;
	wire_flush(s);
	/* Closing in order is left to the next turn, where it may be told. */
	stream_later(s);
}

void stream_close_after_flush(struct stream *s, uint64_t ms)
{
	if (s->state == STREAM_CLOSED || s->state == STREAM_FLUSHING)
		return;
	if (s->fd < 0 || (s->state == STREAM_OPENING && s->ops->open)) {
		stream_close(s);
		return;
	}
	stream_shutdown(s);
	set_state(s, STREAM_FLUSHING);
	s->unwatched = s->half_closed = s->hung_up = false;
	stream_deadline(s, ms);
	wire_watch(s);
}

/* ---- time ---- */

static void arm(struct stream *s)
{
	uint64_t at = s->deadline_at_ms ? s->deadline_at_ms : UINT64_MAX;
	if (s->idle_ms && s->last_ms + s->idle_ms < at)
		at = s->last_ms + s->idle_ms;
	/* A timer that comes too early looks again: bytes that move need not touch it. */
	if (at == UINT64_MAX || (s->timer.at_ms && s->timer.at_ms <= at))
		return;
	uint64_t now = loop_now_ms(s->loop);
	timer_arm(&s->timer, at > now ? at - now : 0);
}

static void on_timer(struct timer *t)
{
	struct stream *s = container_of(t, struct stream, timer);
	uint64_t now = loop_now_ms(s->loop);
	if (s->state == STREAM_CLOSED)
		return;
	if (s->deadline_at_ms && now >= s->deadline_at_ms) {
		if (s->state == STREAM_FLUSHING && !wire_queued(s))
			stream_close(s);
		else
			stream_fail(s, -ETIMEDOUT, "not %s in time",
				s->state == STREAM_FLUSHING ? "read by the peer" : "open");
	} else if (s->idle_ms && now >= s->last_ms + s->idle_ms) {
		stream_fail(
			s, -ETIMEDOUT, "no byte moved for %llu ms", (unsigned long long)s->idle_ms);
	} else {
		arm(s);
	}
}

void stream_deadline(struct stream *s, uint64_t ms)
{
	s->deadline_at_ms = loop_now_ms(s->loop) + ms;
	arm(s);
}

void stream_idle_timeout(struct stream *s, uint64_t ms)
{
	if (s->state == STREAM_CLOSED)
		return;
	s->idle_ms = ms;
	s->last_ms = loop_now_ms(s->loop);
	arm(s);
}

void stream_dead_peer_timeout(struct stream *s, uint64_t ms)
{
	if (s->fd < 0 || s->state == STREAM_CLOSED || !s->port)
		return;
	int on = 1, user_ms = ms > INT32_MAX ? INT32_MAX : (int)ms;
	int step = user_ms / 3000, count = 3;
	if (step < 1)
		step = 1;
	setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &step, sizeof(step));
	setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPINTVL, &step, sizeof(step));
	setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms));
}

/* ---- input ---- */

static bool wants_input(const struct stream *s)
{
	return s->state == STREAM_OPEN && !s->paused && !s->eof;
}

static bool has_pending(const struct stream *s)
{
	return s->ops->pending && s->ops->pending(s);
}

static size_t call_on_data(struct stream *s, const uint8_t *p, size_t n)
{
	size_t used = s->cb->on_data ? s->cb->on_data(s, p, n, s->ctx) : n;
	assert(used <= n);
	if (!used && n >= STREAM_CHUNK && s->state == STREAM_OPEN && !s->paused)
		stream_fail(s, -EMSGSIZE, "the peer sent more than can be kept");
	return used;
}

static void deliver_kept(struct stream *s)
{
	size_t used = call_on_data(s, s->in.data, s->in.len);
	buf_consume(&s->in, used);
	if (!s->in.len)
		buf_done(&s->in);
}

static void deliver(struct stream *s, const uint8_t *p, size_t n)
{
	size_t used = call_on_data(s, p, n);
	if (used < n && buf_append(&s->in, p + used, n - used) < 0)
		stream_fail(s, -ENOMEM, "no memory for input");
}

/* One read and its callback. False: no more now. */
static bool read_once(struct stream *s)
{
	size_t kept = s->in.len, room = STREAM_CHUNK;
	uint8_t *p = s->sh->data;
	if (kept) {
		room = STREAM_CHUNK - kept;
		if (!room)
			return false; /* it was resumed just now: what is kept comes first */
		if (room > STREAM_RECORD)
			room = STREAM_RECORD;
		if (buf_reserve(&s->in, room) < 0) {
			stream_fail(s, -ENOMEM, "no memory for input");
			return false;
		}
		p = s->in.data + kept;
	}
	ssize_t n = s->ops->read(s, p, room);
	if (n < 0)
		return false;
	if (n == 0) {
		s->eof = true;
		if (s->cb->on_eof)
			s->cb->on_eof(s, s->ctx);
		stream_check_end(s);
		return false;
	}
	if (kept) {
		s->in.len += (size_t)n;
		deliver_kept(s);
	} else {
		deliver(s, p, (size_t)n);
	}
	return (size_t)n == room || has_pending(s);
}

/* What the transport itself has to say: answers, and the tickets after a handshake. */
static void let_go(struct stream *s)
{
	if (!s->corked)
		wire_flush(s);
}

/* A turn of opening or reading is over. What the transport has to say waits for the calls that are
 * deferred already, so that it goes in one send() with what the input brought about. */
static void release(struct stream *s)
{
	if (s->ops->park)
		s->ops->park(s);
	if (s->sh->out_owner == s && !s->corked)
		stream_later(s);
}

static void read_turn(struct stream *s)
{
	int reads = 0;
	while (wants_input(s) && reads++ < READS_A_TURN && read_once(s))
		;
	release(s);
	if (wants_input(s) && has_pending(s)) {
		s->do_deliver = true;
		let_go(s);
		stream_later(s);
	}
}

/* The owner is done with us: whatever still comes is only read so that closing does not turn into a
 * reset, which could destroy our last bytes on their way. */
static void discard(struct stream *s)
{
	ssize_t n = recv(s->fd, s->sh->data, STREAM_CHUNK, 0);
	if (n == 0) {
		s->eof = true;
		stream_check_end(s);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		if (s->end_sent)
			stream_close(s);
		else
			stream_fail(s, -errno, "the connection broke: %s", strerror(errno));
	}
}

static void fail_with_socket(struct stream *s, int code)
{
	/* The kernel's word for a reset that follows a FIN is EPIPE. */
	if (!code || code == EPIPE)
		code = ECONNRESET;
	stream_fail(s, -code, "the connection broke: %s", strerror(code));
}

void stream_on_events(struct stream *s, bool failed, int events)
{
	int code = 0;
	if (s->state == STREAM_CLOSED)
		return;
	if (events & UV_WRITABLE)
		wire_send_queue(s);
	stream_check_end(s);
	if (wants_input(s)) {
		if (failed || events & (UV_READABLE | UV_DISCONNECT))
			read_turn(s);
	} else if (s->state == STREAM_FLUSHING && !s->eof) {
		discard(s);
	} else if (events & UV_PRIORITIZED) {
		s->hung_up = true;
		failed = failed || (code = wire_error(s)) > 0;
	} else if (events & UV_DISCONNECT) {
		s->half_closed = true;
	} else if (events & UV_READABLE) {
		s->unwatched = true;
	}
	if (!failed || s->state == STREAM_CLOSED)
		return;
	if (!code)
		code = wire_error(s);
	if (code || !wants_input(s))
		fail_with_socket(s, code);
}

/* ---- what waits for the end of the turn ---- */

void stream_later(struct stream *s)
{
	loop_defer(s->loop, &s->later);
}

static void on_write_error(struct stream *s)
{
	wire_drop(s);
	for (unsigned i = 0; wants_input(s) && i < READS_A_TURN * 4 && read_once(s); i++)
		;
	int code = s->write_error;
	stream_fail(s, code, "cannot send: %s", strerror(-code));
}

static void on_deliver(struct stream *s)
{
	s->do_deliver = false;
	if (s->state != STREAM_OPEN || s->paused) {
		let_go(s);
		return;
	}
	if (s->in.len) {
		deliver_kept(s);
		stream_check_end(s);
	}
	if (wants_input(s) && has_pending(s))
		read_turn(s);
	else
		release(s);
}

static void on_drained(struct stream *s)
{
	s->do_writable = false;
	if (s->state != STREAM_OPEN || !s->above || wire_queued(s) >= STREAM_LOW_WATER)
		return;
	s->above = false;
	if (s->cb->on_writable && !s->end_queued)
		s->cb->on_writable(s, s->ctx);
}

static void on_later(struct defer *d)
{
	struct stream *s = container_of(d, struct stream, later);
	if (s->do_open && s->state == STREAM_OPENING) {
		s->do_open = false;
		stream_opened(s);
	}
	if (!s->do_deliver)
		let_go(s);
	if (s->write_error && s->state != STREAM_CLOSED)
		on_write_error(s);
	if (s->do_deliver)
		on_deliver(s);
	if (s->do_writable)
		on_drained(s);
	stream_check_end(s);
	if (s->state == STREAM_CLOSED) {
		defer_cancel(&s->later);
		finish(s);
	} else {
		wire_watch(s);
	}
}

/* ---- opening ---- */

static void shared_free(void *shared)
{
	struct stream_shared *sh = shared;
	if (sh->coding)
		sh->coding_free(sh->coding);
	free(sh);
}

static struct stream_shared *shared_of(struct loop *loop)
{
	struct stream_shared *sh = loop_shared(loop);
	if (!sh) {
		sh = xcalloc(1, sizeof(*sh));
		loop_set_shared(loop, sh, shared_free);
	}
	return sh;
}

void stream_init(struct stream *s, struct loop *loop, const struct stream_ops *ops,
	const struct stream_cb *cb, void *ctx)
{
	s->ops = ops;
	s->cb = cb;
	s->ctx = ctx;
	s->loop = loop;
	s->sh = shared_of(loop);
	s->fd = -1;
	s->last_ms = loop_now_ms(loop);
	buf_init(&s->in, STREAM_CHUNK);
	buf_init(&s->out, STREAM_OUT_MAX);
	defer_init(&s->later, on_later);
	timer_init(&s->timer, loop, on_timer);
	s->open.close = on_loop_free;
	loop_add_open(loop, &s->open);
}

void stream_attach(struct stream *s, int fd)
{
	int on = 1;
	s->fd = fd;
	s->port = stream_peer_of(fd, s->addr);
	if (s->port)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	int rc = uv_poll_init(loop_uv(s->loop), &s->poll, fd);
	if (rc < 0) {
		stream_fail(s, rc, "cannot watch a socket: %s", uv_strerror(rc));
		return;
	}
	s->has_poll = true;
	wire_watch(s);
}

void stream_opened(struct stream *s)
{
	set_state(s, STREAM_OPEN);
	s->deadline_at_ms = 0;
	if (s->cb->on_open)
		s->cb->on_open(s, s->ctx);
	if (has_pending(s))
		read_turn(s);
	wire_watch(s);
}

void stream_advance(struct stream *s)
{
	if (s->state != STREAM_OPENING || !s->ops->open)
		return;
	int rc = s->ops->open(s);
	if (rc > 0)
		stream_opened(s);
	release(s);
}

/* ---- what owners call ---- */

void stream_set_cb(struct stream *s, const struct stream_cb *cb, void *ctx)
{
	s->cb = cb;
	s->ctx = ctx;
	s->new_owner = true;
}

static bool may_write(const struct stream *s)
{
	/* A connected plain socket takes bytes before on_open was told; nothing else does. */
	assert(s->state != STREAM_OPENING || (s->fd >= 0 && !s->ops->open));
	return s->state < STREAM_FLUSHING && !s->end_queued && !s->write_error;
}

size_t stream_write(struct stream *s, const void *p, size_t n)
{
	if (s->state == STREAM_CLOSED || !may_write(s))
		return 0;
	if (n) {
		s->ops->write(s, p, n);
		if (!s->corked)
			wire_flush(s);
	}
	size_t queued = s->state == STREAM_CLOSED ? 0 : wire_queued(s);
	if (queued > STREAM_HIGH_WATER)
		s->above = true;
	return queued;
}

size_t stream_queued(const struct stream *s)
{
	return s->state == STREAM_CLOSED ? 0 : wire_queued(s);
}

void stream_cork(struct stream *s)
{
	s->corked++;
}

void stream_uncork(struct stream *s)
{
	assert(s->corked);
	if (--s->corked || s->state == STREAM_CLOSED)
		return;
	if (s->ops->flush)
		s->ops->flush(s);
	wire_flush(s);
}

void stream_pause(struct stream *s)
{
	s->paused = true;
}

void stream_resume(struct stream *s)
{
	if (s->state == STREAM_CLOSED || !(s->paused || s->new_owner))
		return;
	s->paused = s->new_owner = false;
	s->unwatched = s->half_closed = s->hung_up = false;
	s->do_deliver = true;
	stream_later(s);
	wire_watch(s);
}

struct loop *stream_loop(const struct stream *s)
{
	return s->loop;
}

const char *stream_peer_addr(const struct stream *s)
{
	return s->addr;
}

uint16_t stream_peer_port(const struct stream *s)
{
	return s->port;
}

const struct tls_info *stream_tls(const struct stream *s)
{
	return s->tls;
}

uint64_t stream_bytes_moved(const struct stream *s)
{
	return s->moved;
}
