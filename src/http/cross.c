/* See cross.h: the ends, and how messages get from one to another. */
#include "http/cross_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define FAREWELL_MS 20u

/* What goes to one other end when this turn is over. */
struct outbox {
	struct list node;
	struct cross *to;
	struct cross_queue queue;
};

/* What went, one job. */
struct batch {
	struct job job;
	struct cross *to;
	struct cross_queue queue;
};

/* ---- messages ---- */

struct cross_msg *cross_msg_new(struct cross_call *k, enum cross_what what, const void *p, size_t n)
{
	struct cross_msg *m = xrealloc(NULL, sizeof(*m) + (p ? n : 0), 1);
	*m = (struct cross_msg){.call = k, .what = what, .n = (uint32_t)n};
	if (p)
		memcpy(m->data, p, n);
	return m;
}

void cross_msg_free(struct cross_msg *m)
{
	if (!m)
		return;
	msg_free(m->head);
	free(m->why);
	free(m);
}

void cross_queue_init(struct cross_queue *q)
{
	q->first = NULL;
	q->end = &q->first;
}

void cross_queue_put(struct cross_queue *q, struct cross_msg *m)
{
	m->next = NULL;
	*q->end = m;
	q->end = &m->next;
}

struct cross_msg *cross_queue_take(struct cross_queue *q)
{
	struct cross_msg *m = q->first;
	if (!m)
		return NULL;
	q->first = m->next;
	if (!q->first)
		q->end = &q->first;
	return m;
}

void cross_queue_drop(struct cross_queue *q)
{
	for (struct cross_msg *m; (m = cross_queue_take(q));)
		cross_msg_free(m);
}

/* ---- from end to end ---- */

static bool is_for_far(const struct cross_msg *m, const struct cross *at)
{
	return m->call->far_end == at;
}

static void run_batch(struct job *job)
{
	struct batch *b = container_of(job, struct batch, job);
	for (struct cross_msg *m; (m = cross_queue_take(&b->queue));) {
		if (is_for_far(m, b->to))
			cross_far_take(m);
		else
			cross_near_take(m);
	}
	free(b);
}

/* It will never arrive. This may be any thread, so no half is touched; but a far half that has not
 * heard of its call never will, and so nobody else lets go of it there. */
static void lose(struct cross_msg *m)
{
	struct cross_call *unheard = m->what == CROSS_CALL ? m->call : NULL;
	cross_msg_free(m);
	if (unheard)
		cross_let_go(unheard);
}

static void lose_all(struct cross_queue *q)
{
	for (struct cross_msg *m; (m = cross_queue_take(q));)
		lose(m);
}

static void lose_batch(struct job *job)
{
	struct batch *b = container_of(job, struct batch, job);
	lose_all(&b->queue);
	free(b);
}

static void post(struct outbox *o)
{
	struct batch *b = xcalloc(1, sizeof(*b));
	b->job = (struct job){.run = run_batch, .cancel = lose_batch};
	b->to = o->to;
	b->queue.first = o->queue.first;
	b->queue.end = o->queue.end;
	cross_queue_init(&o->queue);
	loop_post(b->to->loop, &b->job);
}

static void on_flush(struct defer *d)
{
	struct cross *c = container_of(d, struct cross, flush);
	list_each(at, &c->outboxes)
	{
		struct outbox *o = container_of(at, struct outbox, node);
		if (o->queue.first)
			post(o);
	}
}

static struct outbox *outbox_to(struct cross *c, struct cross *to)
{
	list_each(at, &c->outboxes)
	{
		struct outbox *o = container_of(at, struct outbox, node);
		if (o->to == to)
			return o;
	}
	struct outbox *o = xcalloc(1, sizeof(*o));
	o->to = to;
	cross_queue_init(&o->queue);
	list_push_back(&c->outboxes, &o->node);
	return o;
}

void cross_send(struct cross *from, struct cross *to, struct cross_msg *m)
{
	if (from->stopped) {
		lose(m);
		return;
	}
	cross_queue_put(&outbox_to(from, to)->queue, m);
	loop_defer(from->loop, &from->flush);
}

static void on_farewell(struct timer *t)
{
	on_flush(&container_of(t, struct cross, farewell)->flush);
}

void cross_send_later(struct cross *from, struct cross *to, struct cross_msg *m)
{
	if (from->stopped) {
		cross_msg_free(m);
		return;
	}
	cross_queue_put(&outbox_to(from, to)->queue, m);
	if (!from->farewell.at_ms)
		timer_arm(&from->farewell, FAREWELL_MS);
}

/* ---- life ---- */

void cross_let_go(struct cross_call *k)
{
	if (atomic_fetch_sub_explicit(&k->holders, 1, memory_order_acq_rel) != 1)
		return;
	msg_free(k->req);
	free(k);
}

struct cross *cross_new(struct loop *loop, const struct cross_host *host)
{
	struct cross *c = xcalloc(1, sizeof(*c));
	c->loop = loop;
	c->host = *host;
	list_init(&c->near);
	list_init(&c->far);
	list_init(&c->outboxes);
	defer_init(&c->flush, on_flush);
	timer_init(&c->farewell, loop, on_farewell);
	return c;
}

void cross_stop(struct cross *c)
{
	c->stopped = true;
	defer_cancel(&c->flush);
	timer_cancel(&c->farewell); /* the loops that it is for may go first */
}

static void free_halves(struct cross *c)
{
	while (!list_empty(&c->near)) {
		struct cross_call *k = container_of(c->near.next, struct cross_call, near.node);
		list_remove(&k->near.node);
		defer_cancel(&k->near.deliver);
		cross_queue_drop(&k->near.held);
		cross_let_go(k);
	}
	while (!list_empty(&c->far)) {
		struct cross_call *k = container_of(c->far.next, struct cross_call, far.node);
		list_remove(&k->far.node);
		cross_queue_drop(&k->far.held);
		cross_let_go(k);
	}
}

void cross_free(struct cross *c)
{
	if (!c)
		return;
	free_halves(c);
	while (!list_empty(&c->outboxes)) {
		struct outbox *o = container_of(c->outboxes.next, struct outbox, node);
		list_remove(&o->node);
		lose_all(&o->queue);
		free(o);
	}
	free(c);
}
