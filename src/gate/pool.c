/* See pool.h. Newest idle connection first: it is the likeliest to be alive. What leads to another
 * loop comes last. Handing out happens in a deferred call, so that pool_take never calls back. */
#include "gate/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "net/stream.h"

#define HEAD_MAX (64u * 1024)
#define FIELDS_MAX 200u
#define GUESTS_MAX 16u /* calls under way on another loop, when more would wait there */
#define HOLD_SPARE 2u /* calls that upgrades and event streams leave to requests */

#define KIND_FRESH (1u << 1) /* of pool_kind() */

struct member {
	struct list node; /* in pool->idle or pool->busy */
	struct pool *pool;
	struct client *client;
	struct timer idle_close; /* may come early: see on_idle_close() */
	uint64_t idle_since;
	bool idle; /* has room */
	bool held; /* by an upgrade or event stream; where calls do not wait, that does not matter */
	bool far;
	bool used; /* a request was given to it */
	bool dropped; /* for who waits */
	unsigned full; /* of a far one: kinds that it has nothing for, as told */
};

struct pool {
	struct pool_opts o;
	struct list idle, busy, waiting;
	struct list refused; /* too many waited; to be told on the next turn */
	unsigned n, n_far, n_idle, n_waiting, n_held; /* n: the far ones, too */
	unsigned full, full_told; /* kinds that nothing here suited */
	unsigned n_dropped; /* used ones closed for who waits, and not yet replaced */
	struct defer turn;
	bool closing;
	bool drop_next; /* who waits for a new one found none idle to close */
};

static void on_turn(struct defer *d);

struct pool *pool_new(const struct pool_opts *o)
{
	struct pool *p = xcalloc(1, sizeof(*p));
	p->o = *o;
	list_init(&p->idle);
	list_init(&p->busy);
	list_init(&p->waiting);
	list_init(&p->refused);
	defer_init(&p->turn, on_turn);
	return p;
}

static void soon(struct pool *p)
{
	if (!p->closing)
		loop_defer(p->o.loop, &p->turn);
}

static void want_end(struct pool_want *w)
{
	struct pool *p = w->pool;
	if (!p)
		return;
	timer_cancel(&w->deadline);
	list_remove(&w->node);
	if (w->waits && --p->n_waiting == 0) {
		p->n_dropped = 0;
		p->drop_next = false;
	}
	w->pool = NULL;
}

static void want_fail(struct pool_want *w, const struct err *why)
{
	want_end(w);
	w->fn(w, NULL, why);
}

void pool_fail_waiting(struct pool *p, const struct err *why)
{
	soon(p);
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
	p->o.on_spare = NULL;
	p->o.on_free = NULL;
	p->o.on_hold = NULL;
	p->o.on_count = NULL;
	p->o.on_full = NULL;
	p->o.on_first_use = NULL;
	p->o.on_broken = NULL;
	while (!list_empty(&p->refused))
		want_fail(container_of(p->refused.next, struct pool_want, node), &e);
	while (!list_empty(&p->waiting))
		want_fail(container_of(p->waiting.next, struct pool_want, node), &e);
	defer_cancel(&p->turn);
	p->closing = true;
	p->n++; /* held while the lists are walked */
	list_each_safe(at, &p->idle) client_close(container_of(at, struct member, node)->client);
	list_each_safe(at, &p->busy) client_close(container_of(at, struct member, node)->client);
	p->n--;
	pool_gone(p);
}

unsigned pool_count(const struct pool *p)
{
	return p->n - p->n_far;
}

unsigned pool_waiting_hold(const struct pool *p)
{
	unsigned n = 0;
	list_each(at, &p->waiting) n += container_of(at, struct pool_want, node)->hold;
	return n;
}

bool pool_is_empty(const struct pool *p)
{
	return p->n == 0;
}

unsigned pool_idle(const struct pool *p)
{
	return p->n_idle;
}

unsigned pool_waiting(const struct pool *p)
{
	return p->n_waiting;
}

void pool_look(struct pool *p)
{
	soon(p);
}

static bool take_hold(struct pool *p)
{
	if (p->o.on_hold && !p->o.on_hold(p->o.ctx, true))
		return false;
	p->n_held++;
	return true;
}

static void let_go(struct member *m)
{
	struct pool *p = m->pool;
	if (!m->held)
		return;
	m->held = false;
	p->n_held--;
	if (p->o.on_hold)
		p->o.on_hold(p->o.ctx, false);
}

static bool closes_idle(const struct member *m)
{
	const struct pool_opts *o = &m->pool->o;
	return o->idle_close_ms && !m->client->many && (o->close_unused || m->client->served > 0);
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
	if (idle)
		m->idle_since = loop_now_ms(p->o.loop);
	if (idle && closes_idle(m) && !m->idle_close.at_ms)
		timer_arm(&m->idle_close, p->o.idle_close_ms);
	struct list *to = idle ? &p->idle : &p->busy;
	if (m->far)
		list_push_back(to, &m->node);
	else
		list_push_front(to, &m->node);
}

/* Close one that is idle. It may take a moment, in which it is no spare any more. */
static void retire(struct member *m)
{
	set_idle(m, false);
	client_close(m->client);
}

static void drop_used(struct member *m)
{
	m->pool->drop_next = false;
	m->pool->n_dropped++;
	m->dropped = true;
	retire(m);
}

static void on_room(void *ctx, struct client *c)
{
	struct member *m = ctx;
	(void)c;
	if (m->pool->closing)
		return;
	set_idle(m, true);
	if (m->pool->o.on_free && !m->client->many && m->client->room && m->pool->o.on_free(m->pool->o.ctx))
		retire(m);
	else if (m->pool->drop_next && !m->client->many && m->client->served && m->client->room)
		drop_used(m);
	soon(m->pool);
}

static void say_count(struct pool *p)
{
	if (p->o.on_count)
		p->o.on_count(p->o.ctx, pool_count(p));
}

static void on_closed(void *ctx, struct client *c, const struct err *why)
{
	struct member *m = ctx;
	struct pool *p = m->pool;
	if (c->many && !m->far && why->code == -EPROTO && p->o.on_broken)
		p->o.on_broken(p->o.ctx);
	if (m->idle)
		p->n_idle--;
	let_go(m);
	list_remove(&m->node);
	timer_cancel(&m->idle_close);
	p->n--;
	p->n_far -= m->far;
	if (m->dropped && p->o.dials && p->n_dropped)
		p->n_dropped--;
	free(m);
	if (p->closing) {
		pool_gone(p);
		return;
	}
	soon(p);
	say_count(p);
}

/* It stays armed while requests come and go, which is cheaper than following each. */
static void on_idle_close(struct timer *t)
{
	struct member *m = container_of(t, struct member, idle_close);
	const struct pool_opts *o = &m->pool->o;
	if (!m->idle || !closes_idle(m))
		return;
	uint64_t quiet = loop_now_ms(o->loop) - m->idle_since;
	if (quiet < o->idle_close_ms)
		timer_arm(t, o->idle_close_ms - quiet);
	else
		retire(m);
}

static struct client *on_stream(void *arg, const struct client_opts *o)
{
	return client_new(arg, o);
}

static struct client *add(struct pool *p, struct client *(*make)(void *, const struct client_opts *), void *arg,
	bool far)
{
	struct member *m = xcalloc(1, sizeof(*m));
	m->pool = p;
	m->far = far;
	list_init(&m->node);
	timer_init(&m->idle_close, p->o.loop, on_idle_close);
	struct client_opts o = {.head_max = HEAD_MAX,
		.fields_max = FIELDS_MAX,
		.on_room = on_room,
		.on_closed = on_closed,
		.ctx = m};
	m->client = make(arg, &o);
	p->n++;
	p->n_far += far;
	set_idle(m, m->client->room > 0);
	soon(p);
	say_count(p);
	return m->client;
}

void pool_add(struct pool *p, struct stream *s)
{
	if (p->n_dropped && !p->o.dials)
		p->n_dropped--;
	add(p, on_stream, s, false);
}

struct client *pool_add_far(
	struct pool *p, struct client *(*make)(void *arg, const struct client_opts *o), void *arg)
{
	return add(p, make, arg, true);
}

static bool set_full(struct list *members, const struct client *far, unsigned kinds)
{
	list_each(at, members)
	{
		struct member *m = container_of(at, struct member, node);
		if (m->client != far)
			continue;
		m->full = kinds;
		return true;
	}
	return false;
}

void pool_far_full(struct pool *p, const struct client *far, unsigned kinds)
{
	if (!set_full(&p->idle, far, kinds))
		set_full(&p->busy, far, kinds);
	soon(p);
}

static void drain_list(struct list *members, enum pool_which which)
{
	struct list *next;
	for (struct list *at = members->next; at != members; at = next) {
		struct member *m = container_of(at, struct member, node);
		next = at->next;
		if (m->far || (which == POOL_MANY && !m->client->many))
			continue;
		if (m->idle)
			set_idle(m, false);
		client_drain(m->client);
	}
}

void pool_drain(struct pool *p, enum pool_which which)
{
	drain_list(&p->busy, which);
	drain_list(&p->idle, which);
}

/* One that the origin has closed stays in the list until it is gone. */
unsigned pool_spares(const struct pool *p)
{
	unsigned n = 0;
	list_each(at, &p->idle)
	{
		const struct client *c = container_of(at, struct member, node)->client;
		n += c->room && !c->many;
	}
	return n;
}

/* As far as is known: a loop tells when its last one was given away for long. */
static bool other_loop_has_spare(const struct pool *p)
{
	list_each(at, &p->idle)
	{
		const struct member *m = container_of(at, struct member, node);
		if (m->far && m->client->room && !(m->full & KIND_FRESH))
			return true;
	}
	return false;
}

static bool may_hold_one(const struct pool *p)
{
	if (p->o.hold_max && p->n_held >= p->o.hold_max)
		return false;
	return p->n < 2 || pool_spares(p) > 1 || other_loop_has_spare(p);
}

/* Who has no connection here may wait over there for one in use: the other loop tells that it has room
 * only when nobody of its own waits, which may be never. */
static bool may_queue_there(const struct pool *p, const struct member *m, const struct pool_want *w)
{
	const struct client *c = m->client;
	return !w->guest && !w->hold && !pool_count(p) && c->room_most - c->room < GUESTS_MAX;
}

static bool suits(const struct pool *p, const struct member *m, const struct pool_want *w)
{
	const struct client *c = m->client;
	if (!c->room || (m->far && w->here))
		return false;
	if (m->far && m->full & pool_kind(w) && !may_queue_there(p, m, w))
		return false;
	if (c->many)
		return !w->hold || c->room > c->room_most / 4 || c->room > HOLD_SPARE;
	return (!w->fresh || c->served == 0) && (!w->hold || may_hold_one(p));
}

static struct member *pick(struct pool *p, const struct pool_want *w)
{
	list_each(at, &p->idle)
	{
		struct member *m = container_of(at, struct member, node);
		if (suits(p, m, w))
			return m;
	}
	return NULL;
}

static void note_use(struct pool *p, struct member *m)
{
	if (!m->used && !m->far && p->o.on_first_use)
		p->o.on_first_use(p->o.ctx);
	m->used = true;
}

static void hand_out(struct pool *p, struct pool_want *w, struct member *m)
{
	bool many = m->client->many;
	if (m->far)
		p->full |= pool_kind(w);
	note_use(p, m);
	want_end(w);
	if (!many) {
		set_idle(m, false);
		m->held = w->hold;
		if (w->hold && !pool_spares(p))
			p->full |= KIND_FRESH;
	}
	w->fn(w, m->client, NULL);
	if (many && !m->client->room)
		set_idle(m, false);
}

/* One at a time: the callback may change everything. */
static bool hand_out_one(struct pool *p)
{
	list_each(at, &p->waiting)
	{
		struct pool_want *w = container_of(at, struct pool_want, node);
		struct member *m = pick(p, w);
		if (!m || (w->hold && !m->client->many && !take_hold(p)))
			continue;
		hand_out(p, w, m);
		return true;
	}
	return false;
}

/* Most get a connection at once: only who has to wait needs a deadline. */
static void set_deadlines(struct pool *p)
{
	uint64_t now = loop_now_ms(p->o.loop);
	for (struct list *at = p->waiting.prev; at != &p->waiting; at = at->prev) {
		struct pool_want *w = container_of(at, struct pool_want, node);
		if (w->deadline.at_ms)
			return;
		uint64_t waited = w->since_ms && w->since_ms < now ? now - w->since_ms : 0;
		timer_arm(&w->deadline, waited < POOL_WAIT_MS ? POOL_WAIT_MS - waited : 0);
	}
}

static bool has_own_for(struct pool *p, unsigned kind)
{
	struct pool_want w = {.fresh = kind & 1, .hold = kind & 2, .here = true};
	return pick(p, &w) != NULL;
}

/* Other loops are told before what was just handed over gets there, so that they do not send it back;
 * and that there is something again only when nobody here needs it. */
static void say_full(struct pool *p)
{
	unsigned wanted = 0;
	list_each(at, &p->waiting) wanted |= pool_kind(container_of(at, struct pool_want, node));
	p->full |= wanted;
	for (unsigned kind = 0; kind < 4; kind++)
		if (p->full & ~wanted & 1u << kind && has_own_for(p, kind))
			p->full &= ~(1u << kind);
	if (p->full == p->full_told)
		return;
	p->full_told = p->full;
	if (p->o.on_full)
		p->o.on_full(p->o.ctx, p->full);
}

static void on_turn(struct defer *d)
{
	struct pool *p = container_of(d, struct pool, turn);
	/* The callback cannot free the pool: pools end only from a turn of the loop's own. */
	while (hand_out_one(p))
		;
	set_deadlines(p);
	say_full(p);
	if (p->n_waiting && p->o.on_need)
		p->o.on_need(p->o.ctx);
	else if (!p->n_waiting && p->o.on_spare)
		p->o.on_spare(p->o.ctx);
}

void pool_drop_used(struct pool *p)
{
	if (p->n_dropped >= p->n_waiting)
		return;
	for (struct list *at = p->idle.prev; at != &p->idle; at = at->prev) {
		struct member *m = container_of(at, struct member, node);
		if (m->client->served == 0 || !m->client->room || m->client->many)
			continue;
		drop_used(m);
		return;
	}
	/* Under load none is ever idle: the next that would be. */
	list_each(at, &p->waiting) p->drop_next |= container_of(at, struct pool_want, node)->fresh;
}

uint64_t pool_drop_idle(struct pool *p, uint64_t least_ms)
{
	for (struct list *at = p->idle.prev; at != &p->idle; at = at->prev) {
		struct member *m = container_of(at, struct member, node);
		if (!m->client->room || m->client->many)
			continue;
		uint64_t quiet = loop_now_ms(p->o.loop) - m->idle_since;
		if (quiet < least_ms)
			return least_ms - quiet;
		retire(m);
		return 0;
	}
	return 0;
}

void pool_expire(struct pool_want *w)
{
	struct err e;
	soon(w->pool);
	err_set(&e, -ETIMEDOUT, "no connection to the device became free");
	want_fail(w, &e);
}

static void on_deadline(struct timer *t)
{
	pool_expire(container_of(t, struct pool_want, deadline));
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
	w->since_ms = 0;
}

unsigned pool_kind(const struct pool_want *w)
{
	return 1u << ((unsigned)w->fresh | (unsigned)w->hold << 1);
}

void pool_want_for(struct pool_want *w, const struct msg *req)
{
	const char *accept = msg_get(req, "accept");
	w->fresh = !msg_is_idempotent(req);
	w->hold = msg_upgrade(req) || (accept && str_starts(accept, "text/event-stream"));
}

void pool_take(struct pool *p, struct pool_want *w)
{
	bool full = p->n_waiting >= POOL_WAIT_MAX;
	w->pool = p;
	w->waits = !full;
	timer_init(&w->deadline, p->o.loop, full ? on_refused : on_deadline);
	if (full)
		timer_arm(&w->deadline, 0);
	list_push_back(full ? &p->refused : &p->waiting, &w->node);
	p->n_waiting += !full;
	soon(p);
}

void pool_cancel(struct pool_want *w)
{
	if (w->pool)
		soon(w->pool);
	want_end(w);
}
