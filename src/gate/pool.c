/* See pool.h. Newest idle connection first: it is the likeliest to be alive. Handing out happens on
 * a timer turn of its own, so that pool_take never calls back. */
#include "gate/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "net/stream.h"

#define HEAD_MAX (64u * 1024)
#define FIELDS_MAX 200u

struct member {
	struct list node; /* in pool->idle or pool->busy */
	struct pool *pool;
	struct client *client;
	struct timer idle_close;
	bool idle, held; /* held: by an upgrade or event stream */
};

struct pool {
	struct pool_opts o;
	struct list idle, busy, waiting;
	struct list refused; /* too many waited; to be told on the next turn */
	unsigned n, n_idle, n_waiting, n_held;
	unsigned n_dropped; /* used ones closed for who waits, and not yet replaced */
	struct timer turn;
	bool closing;
};

static void on_turn(struct timer *t);

struct pool *pool_new(const struct pool_opts *o)
{
	struct pool *p = xcalloc(1, sizeof(*p));
	p->o = *o;
	list_init(&p->idle);
	list_init(&p->busy);
	list_init(&p->waiting);
	list_init(&p->refused);
	timer_init(&p->turn, o->loop, on_turn);
	return p;
}

static void want_end(struct pool_want *w)
{
	struct pool *p = w->pool;
	if (!p)
		return;
	timer_cancel(&w->deadline);
	list_remove(&w->node);
	if (w->waits && --p->n_waiting == 0)
		p->n_dropped = 0;
	w->pool = NULL;
}

static void want_fail(struct pool_want *w, const struct err *why)
{
	want_end(w);
	w->fn(w, NULL, why);
}

void pool_fail_waiting(struct pool *p, const struct err *why)
{
	/* Those who come back in from their callback wait for the next round. */
	for (unsigned n = p->n_waiting; n > 0 && !list_empty(&p->waiting); n--)
		want_fail(container_of(p->waiting.next, struct pool_want, node), why);
}

static void pool_gone(struct pool *p)
{
	if (p->closing && p->n == 0)
		free(p);
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	struct err e;
	err_set(&e, -ECANCELED, "the way to this device is being taken down");
	p->o.on_need = NULL;
	p->o.on_count = NULL;
	while (!list_empty(&p->refused))
		want_fail(container_of(p->refused.next, struct pool_want, node), &e);
	while (!list_empty(&p->waiting))
		want_fail(container_of(p->waiting.next, struct pool_want, node), &e);
	timer_cancel(&p->turn);
	p->closing = true;
	p->n++; /* held while the lists are walked */
	list_each_safe(at, &p->idle) client_close(container_of(at, struct member, node)->client);
	list_each_safe(at, &p->busy) client_close(container_of(at, struct member, node)->client);
	p->n--;
	pool_gone(p);
}

unsigned pool_count(const struct pool *p)
{
	return p->n;
}

unsigned pool_idle(const struct pool *p)
{
	return p->n_idle;
}

unsigned pool_waiting(const struct pool *p)
{
	return p->n_waiting;
}

static void soon(struct pool *p)
{
	if (!p->closing)
		timer_arm(&p->turn, 0);
}

static void let_go(struct member *m)
{
	if (m->held)
		m->pool->n_held--;
	m->held = false;
}

static void set_idle(struct member *m, bool idle)
{
	struct pool *p = m->pool;
	list_remove(&m->node);
	if (idle)
		let_go(m);
	if (m->idle != idle)
		p->n_idle = idle ? p->n_idle + 1 : p->n_idle - 1;
	m->idle = idle;
	timer_cancel(&m->idle_close);
	if (idle && p->o.idle_close_ms && (p->o.close_unused || m->client->served > 0))
		timer_arm(&m->idle_close, p->o.idle_close_ms);
	list_push_front(idle ? &p->idle : &p->busy, &m->node);
}

static void on_idle(void *ctx, struct client *c)
{
	struct member *m = ctx;
	(void)c;
	if (m->pool->closing)
		return;
	set_idle(m, true);
	soon(m->pool);
}

static void on_closed(void *ctx, struct client *c, const struct err *why)
{
	struct member *m = ctx;
	struct pool *p = m->pool;
	(void)c;
	(void)why;
	if (m->idle)
		p->n_idle--;
	let_go(m);
	list_remove(&m->node);
	timer_cancel(&m->idle_close);
	free(m);
	p->n--;
	if (p->closing) {
		pool_gone(p);
		return;
	}
	soon(p);
	if (p->o.on_count)
		p->o.on_count(p->o.ctx, p->n);
}

/* Close one that is idle. It may take a moment, in which it is no spare any more. */
static void retire(struct member *m)
{
	set_idle(m, false);
	client_close(m->client);
}

static void on_idle_close(struct timer *t)
{
	retire(container_of(t, struct member, idle_close));
}

void pool_add(struct pool *p, struct stream *s)
{
	struct member *m = xcalloc(1, sizeof(*m));
	m->pool = p;
	list_init(&m->node);
	timer_init(&m->idle_close, p->o.loop, on_idle_close);
	struct h1_client_opts o = {.head_max = HEAD_MAX,
		.fields_max = FIELDS_MAX,
		.on_idle = on_idle,
		.on_closed = on_closed,
		.ctx = m};
	m->client = h1_client_new(s, &o);
	p->n++;
	if (p->n_dropped)
		p->n_dropped--;
	set_idle(m, true);
	soon(p);
	if (p->o.on_count)
		p->o.on_count(p->o.ctx, p->n);
}

/* One that the origin has closed stays in the list until it is gone. */
static unsigned count_spares(const struct pool *p)
{
	unsigned n = 0;
	list_each(at, &p->idle) n += !container_of(at, struct member, node)->client->busy;
	return n;
}

static struct member *pick(struct pool *p, const struct pool_want *w)
{
	if (w->hold && p->o.hold_max && p->n_held >= p->o.hold_max)
		return NULL;
	if (w->hold && p->n > 1 && count_spares(p) < 2)
		return NULL;
	list_each(at, &p->idle)
	{
		struct member *m = container_of(at, struct member, node);
		if (!m->client->busy && (!w->fresh || m->client->served == 0))
			return m;
	}
	return NULL;
}

/* One a turn: the callback may change everything. */
static bool hand_out_one(struct pool *p)
{
	list_each(at, &p->waiting)
	{
		struct pool_want *w = container_of(at, struct pool_want, node);
		struct member *m = pick(p, w);
		if (!m)
			continue;
		want_end(w);
		set_idle(m, false);
		m->held = w->hold;
		p->n_held += w->hold;
		w->fn(w, m->client, NULL);
		return true;
	}
	return false;
}

static void on_turn(struct timer *t)
{
	struct pool *p = container_of(t, struct pool, turn);
	if (hand_out_one(p)) {
		/* The callback cannot free the pool: pools end only from a turn of the loop's own.
		 */
		soon(p);
		return;
	}
	if (p->n_waiting && p->o.on_need)
		p->o.on_need(p->o.ctx);
}

void pool_drop_used(struct pool *p)
{
	if (p->n_dropped >= p->n_waiting)
		return;
	for (struct list *at = p->idle.prev; at != &p->idle; at = at->prev) {
		struct member *m = container_of(at, struct member, node);
		if (m->client->served == 0 || m->client->busy)
			continue;
		p->n_dropped++;
		retire(m);
		return;
	}
}

static void on_deadline(struct timer *t)
{
	struct pool_want *w = container_of(t, struct pool_want, deadline);
	struct err e;
	err_set(&e, -ETIMEDOUT, "no connection to the device became free");
	want_fail(w, &e);
}

static void on_refused(struct timer *t)
{
	struct pool_want *w = container_of(t, struct pool_want, deadline);
	struct err e;
	err_set(&e, -EBUSY, "too many requests wait for this device");
	want_fail(w, &e);
}

void pool_want_init(struct pool_want *w)
{
	list_init(&w->node);
	w->pool = NULL;
}

void pool_take(struct pool *p, struct pool_want *w)
{
	bool full = p->n_waiting >= POOL_WAIT_MAX;
	w->pool = p;
	w->waits = !full;
	timer_init(&w->deadline, p->o.loop, full ? on_refused : on_deadline);
	timer_arm(&w->deadline, full ? 0 : POOL_WAIT_MS);
	list_push_back(full ? &p->refused : &p->waiting, &w->node);
	p->n_waiting += !full;
	soon(p);
}

void pool_cancel(struct pool_want *w)
{
	want_end(w);
}
