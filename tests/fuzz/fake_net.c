/* See fake_net.h. */
#include "fake_net.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/xalloc.h"
#include "http/server.h"
#include "net/loop.h"
#include "net/stream.h"

#define KEPT_MAX 65536u
#define OUT_MAX (16u << 20)
#define TURNS_MAX 100000u /* without the clock moving: somebody turns in circles */
#define TIMERS_MAX 64u

struct loop {
	uint64_t now_ms;
	struct timer *timers[TIMERS_MAX];
	size_t n_timers;
	struct list deferred, streams;
	uint8_t scratch[LOOP_SCRATCH];
};

enum life { OPEN, FLUSHING, CLOSED };

struct stream {
	struct list node;
	struct loop *loop;
	const struct stream_cb *cb;
	void *ctx;
	fake_gone_fn on_gone;
	void *gone_ctx;
	struct buf arrived, kept, out, corked_out;
	uint64_t moved, last_ms, idle_ms, deadline_at_ms;
	struct err why;
	enum life life;
	unsigned corked;
	bool paused, new_owner, deliver, above, drained;
	bool fin, reset, eof; /* sent by the peer; told to the owner */
	bool ended;
};

const struct http_limits http_limits_default = {.head_max = 4096,
	.url_max = 1024,
	.fields_max = 50,
	.head_ms = 10000,
	.keepalive_ms = 75000,
	.idle_ms = 60000};

const char *http_date(void)
{
	return "Mon, 02 Jan 2006 15:04:05 GMT";
}

/* ---- the loop ---- */

struct loop *fake_loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));
	loop->now_ms = 1000;
	list_init(&loop->deferred);
	list_init(&loop->streams);
	return loop;
}

void fake_loop_free(struct loop *loop)
{
	assert(list_empty(&loop->streams));
	assert(!loop->n_timers);
	assert(list_empty(&loop->deferred));
	free(loop);
}

uint64_t loop_now_ms(struct loop *loop)
{
	return loop->now_ms;
}

void *loop_scratch(struct loop *loop)
{
	return loop->scratch;
}

void timer_init(struct timer *t, struct loop *loop, timer_fn fn)
{
	*t = (struct timer){.loop = loop, .fn = fn};
}

void timer_cancel(struct timer *t)
{
	struct loop *loop = t->loop;
	if (!t->at_ms)
		return;
	t->at_ms = 0;
	loop->n_timers--;
	memmove(&loop->timers[t->slot], &loop->timers[t->slot + 1],
		(loop->n_timers - t->slot) * sizeof(loop->timers[0]));
	for (size_t i = t->slot; i < loop->n_timers; i++)
		loop->timers[i]->slot = i;
}

void timer_arm(struct timer *t, uint64_t ms)
{
	struct loop *loop = t->loop;
	timer_cancel(t);
	assert(loop->n_timers < TIMERS_MAX);
	t->at_ms = loop->now_ms + ms;
	t->slot = loop->n_timers;
	loop->timers[loop->n_timers++] = t;
}

void defer_init(struct defer *d, void (*run)(struct defer *d))
{
	list_init(&d->node);
	d->run = run;
}

void loop_defer(struct loop *loop, struct defer *d)
{
	if (list_empty(&d->node))
		list_push_back(&loop->deferred, &d->node);
}

void defer_cancel(struct defer *d)
{
	list_remove(&d->node);
}

static bool run_deferred(struct loop *loop)
{
	if (list_empty(&loop->deferred))
		return false;
	struct defer *d = container_of(loop->deferred.next, struct defer, node);
	list_remove(&d->node);
	d->run(d);
	return true;
}

/* The one that is due first; among equals, the one that was armed first. */
static struct timer *first_timer(struct loop *loop)
{
	struct timer *best = NULL;
	for (size_t i = 0; i < loop->n_timers; i++)
		if (!best || loop->timers[i]->at_ms < best->at_ms)
			best = loop->timers[i];
	return best;
}

/* ---- streams: what the owner calls ---- */

struct stream *fake_stream(struct loop *loop, fake_gone_fn on_gone, void *ctx)
{
	static const struct stream_cb nobody;
	struct stream *s = xcalloc(1, sizeof(*s));
	s->loop = loop;
	s->cb = &nobody;
	s->on_gone = on_gone;
	s->gone_ctx = ctx;
	s->last_ms = loop->now_ms;
	buf_init(&s->arrived, OUT_MAX);
	buf_init(&s->kept, KEPT_MAX);
	buf_init(&s->out, OUT_MAX);
	buf_init(&s->corked_out, OUT_MAX);
	list_push_back(&loop->streams, &s->node);
	return s;
}

void stream_set_cb(struct stream *s, const struct stream_cb *cb, void *ctx)
{
	s->cb = cb;
	s->ctx = ctx;
	s->new_owner = true;
}

size_t stream_queued(const struct stream *s)
{
	return s->life == CLOSED ? 0 : s->out.len + s->corked_out.len;
}

static void uncork(struct stream *s)
{
	if (s->corked_out.len && buf_append(&s->out, s->corked_out.data, s->corked_out.len) < 0)
		abort();
	s->corked_out.len = 0;
}

size_t stream_write(struct stream *s, const void *p, size_t n)
{
	if (s->life != OPEN || s->ended)
		return 0;
	if (n && buf_append(s->corked ? &s->corked_out : &s->out, p, n) < 0)
		abort(); /* a writer that never looks at the queue */
	size_t queued = stream_queued(s);
	if (queued > STREAM_HIGH_WATER)
		s->above = true;
	return queued;
}

void stream_cork(struct stream *s)
{
	s->corked++;
}

void stream_uncork(struct stream *s)
{
	assert(s->corked);
	if (--s->corked == 0)
		uncork(s);
}

void stream_pause(struct stream *s)
{
	s->paused = true;
}

void stream_resume(struct stream *s)
{
	if (s->life == CLOSED || !(s->paused || s->new_owner))
		return;
	s->paused = s->new_owner = false;
	s->deliver = true;
}

void stream_shutdown(struct stream *s)
{
	uncork(s);
	s->ended = true;
}

static void fail(struct stream *s, int code, const char *text)
{
	if (s->life == CLOSED)
		return;
	if (code)
		err_set(&s->why, code, "%s", text);
	s->life = CLOSED;
}

void stream_close(struct stream *s)
{
	fail(s, 0, NULL);
}

void stream_close_after_flush(struct stream *s, uint64_t ms)
{
	if (s->life != OPEN)
		return;
	stream_shutdown(s);
	s->life = FLUSHING;
	s->deadline_at_ms = s->loop->now_ms + ms;
}

/* A peer that vanished is a matter of TCP. */
void stream_dead_peer_timeout(struct stream *s, uint64_t ms)
{
	(void)s, (void)ms;
}

void stream_idle_timeout(struct stream *s, uint64_t ms)
{
	s->idle_ms = ms;
	s->last_ms = s->loop->now_ms;
}

struct loop *stream_loop(const struct stream *s)
{
	return s->loop;
}

const char *stream_peer_addr(const struct stream *s)
{
	(void)s;
	return "192.168.1.7";
}

uint16_t stream_peer_port(const struct stream *s)
{
	(void)s;
	return 50000;
}

const struct tls_info *stream_tls(const struct stream *s)
{
	(void)s;
	return NULL;
}

uint64_t stream_bytes_moved(const struct stream *s)
{
	return s->moved;
}

/* ---- the peer ---- */

void fake_send(struct stream *s, const uint8_t *p, size_t n)
{
	if (s->fin || s->reset)
		return;
	if (buf_append(&s->arrived, p, n) < 0)
		abort();
}

void fake_fin(struct stream *s)
{
	s->fin = true;
}

void fake_reset(struct stream *s)
{
	s->reset = true;
}

static void moved(struct stream *s, size_t n)
{
	s->moved += n;
	s->last_ms = s->loop->now_ms;
}

void fake_read(struct stream *s, size_t n, struct buf *out)
{
	if (s->life == CLOSED || !s->out.len || !n)
		return;
	if (n > s->out.len)
		n = s->out.len;
	if (buf_append(out, s->out.data, n) < 0)
		abort();
	buf_consume(&s->out, n);
	moved(s, n);
	if (s->above && stream_queued(s) < STREAM_LOW_WATER)
		s->drained = true;
}

bool fake_ended(const struct stream *s)
{
	return s->ended && !s->out.len;
}

/* ---- turning ---- */

/* The owner is lent a copy of just that size, so that reading on, or later, is found out. */
static void deliver(struct stream *s)
{
	size_t n = s->kept.len, used = n;
	uint8_t *lent = xcalloc(1, n);
	memcpy(lent, s->kept.data, n);
	s->deliver = false;
	if (s->cb->on_data)
		used = s->cb->on_data(s, lent, n, s->ctx);
	free(lent);
	assert(used <= n);
	if (!used && n == KEPT_MAX && s->life == OPEN && !s->paused)
		fail(s, -EMSGSIZE, "the peer sent more than can be kept");
	buf_consume(&s->kept, used);
}

static bool read_some(struct stream *s)
{
	size_t n = KEPT_MAX - s->kept.len;
	if (n > s->arrived.len)
		n = s->arrived.len;
	if (n) {
		if (buf_append(&s->kept, s->arrived.data, n) < 0)
			abort();
		buf_consume(&s->arrived, n);
		moved(s, n);
		deliver(s);
		return true;
	}
	if (s->arrived.len || !s->fin || s->eof)
		return false;
	s->eof = true;
	if (s->cb->on_eof)
		s->cb->on_eof(s, s->ctx);
	return true;
}

static void finish(struct stream *s)
{
	list_remove(&s->node);
	if (s->cb->on_close)
		s->cb->on_close(s, &s->why, s->ctx);
	if (s->on_gone)
		s->on_gone(s->gone_ctx);
	buf_done(&s->arrived);
	buf_done(&s->kept);
	buf_done(&s->out);
	buf_done(&s->corked_out);
	free(s);
}

static void look_at_end(struct stream *s)
{
	if (s->life == FLUSHING && s->fin)
		s->eof = true;
	if (s->life != CLOSED && fake_ended(s) && s->eof && (!s->kept.len || s->life == FLUSHING))
		fail(s, 0, NULL);
	/* A reset overtakes nothing that had arrived and is wanted. */
	bool wanted = s->life == OPEN && !s->paused && s->arrived.len;
	if (s->reset && !wanted)
		fail(s, -ECONNRESET, "the connection broke");
}

/* One thing that this stream has to tell; false: none. */
static bool turn(struct stream *s)
{
	look_at_end(s);
	if (s->life == CLOSED) {
		finish(s);
		return true;
	}
	if (s->life != OPEN)
		return false;
	if (s->drained) {
		s->drained = s->above = false;
		if (s->cb->on_writable && !s->ended)
			s->cb->on_writable(s, s->ctx);
		return true;
	}
	if (s->paused)
		return false;
	if (s->deliver && s->kept.len) {
		deliver(s);
		return true;
	}
	return read_some(s);
}

static bool turn_streams(struct loop *loop)
{
	list_each_safe(at, &loop->streams)
	{
		if (turn(container_of(at, struct stream, node)))
			return true;
	}
	return false;
}

static bool fire(struct loop *loop)
{
	struct timer *t = first_timer(loop);
	if (!t || t->at_ms > loop->now_ms)
		return false;
	timer_cancel(t);
	t->fn(t);
	return true;
}

void fake_settle(struct loop *loop)
{
	for (unsigned i = 0; run_deferred(loop) || turn_streams(loop) || fire(loop); i++)
		assert(i < TURNS_MAX);
}

static uint64_t due_at(const struct stream *s)
{
	uint64_t at = s->deadline_at_ms ? s->deadline_at_ms : UINT64_MAX;
	if (s->idle_ms && s->last_ms + s->idle_ms < at)
		at = s->last_ms + s->idle_ms;
	return at;
}

static void look_at_clock(struct stream *s)
{
	bool read = s->life == FLUSHING && !stream_queued(s);
	if (due_at(s) <= s->loop->now_ms)
		fail(s, read ? 0 : -ETIMEDOUT, "no byte moved");
}

bool fake_wait(struct loop *loop)
{
	struct timer *t = first_timer(loop);
	uint64_t at = t ? t->at_ms : UINT64_MAX;
	list_each(n, &loop->streams)
	{
		uint64_t due = due_at(container_of(n, struct stream, node));
		at = due < at ? due : at;
	}
	if (at == UINT64_MAX)
		return false;
	if (at > loop->now_ms)
		loop->now_ms = at;
	list_each_safe(n, &loop->streams) look_at_clock(container_of(n, struct stream, node));
	fake_settle(loop);
	return true;
}
