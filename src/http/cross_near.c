/* See cross.h: the near half, a struct client. Callbacks come from messages and from a deferred call,
 * so never from inside what the owner calls. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "http/cross_int.h"
#include "net/stream.h"

struct cross_client {
	struct client base;
	struct client_opts o;
	struct cross *here, *there;
	struct list calls;
	struct defer closing;
	bool drained, closed;
	char origin[64];
};

static void send_far(struct cross_call *k, struct cross_msg *m)
{
	cross_send(k->near_end, k->far_end, m);
}

/* ---- the client's room ---- */

static void close_soon(struct cross_client *c)
{
	c->base.room = 0;
	loop_defer(c->here->loop, &c->closing);
}

static void call_left(struct cross_client *c)
{
	if (c->drained) {
		if (list_empty(&c->calls))
			close_soon(c);
		return;
	}
	if (c->base.room++ == 0 && c->o.on_room)
		c->o.on_room(c->o.ctx, &c->base);
}

/* ---- the end of a call ---- */

/* To a half that has ended by itself it only gives its memory back. */
static void say_bye(struct cross_call *k)
{
	struct cross_msg *m = cross_msg_new(k, CROSS_BYE, NULL, 0);
	if (k->near.heard_last)
		cross_send_later(k->near_end, k->far_end, m);
	else
		send_far(k, m);
}

/* No callback comes any more; once the far half has said its last word, all is done. */
static void end_near(struct cross_call *k)
{
	struct cross_near *n = &k->near;
	n->over = true;
	cross_queue_drop(&n->held);
	if (!n->said_bye)
		say_bye(k);
	n->said_bye = true;
	if (!n->heard_last)
		return;
	struct cross_client *c = n->client;
	list_remove(&n->node);
	list_remove(&n->sibling);
	defer_cancel(&n->deliver);
	cross_let_go(k);
	if (c)
		call_left(c);
}

static void fail_near(struct cross_call *k, const struct err *why, bool unsent)
{
	struct cross_near *n = &k->near;
	bool tell = !n->over;
	n->over = true;
	if (tell && n->cb->on_fail)
		n->cb->on_fail(&n->call, why, unsent, n->ctx);
	end_near(k);
}

/* ---- what comes from the far half ---- */

static void pay(struct cross_call *k, uint32_t bytes)
{
	struct cross_near *n = &k->near;
	n->owed += bytes;
	if (n->owed < CROSS_CREDIT_MIN)
		return;
	send_far(k, cross_msg_new(k, CROSS_CREDIT, NULL, n->owed));
	n->owed = 0;
}

static void deliver(struct cross_call *k, struct cross_msg *m)
{
	struct cross_near *n = &k->near;
	switch (m->what) {
	case CROSS_HEAD:
		if (n->cb->on_head)
			n->cb->on_head(&n->call, m->head, n->ctx);
		break;
	case CROSS_BODY:
		pay(k, m->n);
		if (n->cb->on_body)
			n->cb->on_body(&n->call, m->data, m->n, n->ctx);
		break;
	default:
		n->over = true;
		if (n->client)
			n->client->base.served++;
		if (n->cb->on_end)
			n->cb->on_end(&n->call, m->head, n->ctx);
		end_near(k);
	}
}

static void on_deliver(struct defer *d)
{
	struct cross_call *k = container_of(d, struct cross_call, near.deliver);
	struct cross_near *n = &k->near;
	atomic_fetch_add_explicit(&k->holders, 1, memory_order_relaxed);
	while (!n->paused && !n->over && n->held.first) {
		struct cross_msg *m = cross_queue_take(&n->held);
		deliver(k, m);
		cross_msg_free(m);
	}
	cross_let_go(k);
}

static void credited(struct cross_call *k, uint32_t bytes)
{
	struct cross_near *n = &k->near;
	n->unpaid -= bytes;
	if (!n->full || n->over || n->unpaid >= STREAM_LOW_WATER)
		return;
	n->full = false;
	if (n->cb->on_writable)
		n->cb->on_writable(&n->call, n->ctx);
}

void cross_near_take(struct cross_msg *m)
{
	struct cross_call *k = m->call;
	struct cross_near *n = &k->near;
	n->heard = true;
	n->heard_last |= m->what == CROSS_END || m->what == CROSS_FAIL;
	if (m->what == CROSS_CREDIT) {
		credited(k, m->n);
	} else if (m->what == CROSS_FAIL) {
		fail_near(k, m->why, m->unsent);
	} else if (n->over) {
		if (n->heard_last)
			end_near(k);
	} else if (n->paused || n->held.first) {
		cross_queue_put(&n->held, m);
		return;
	} else {
		deliver(k, m);
	}
	cross_msg_free(m);
}

/* ---- what the owner calls ---- */

static struct cross_call *of_call(struct call *c)
{
	return container_of(c, struct cross_call, near.call);
}

static struct cross_client *of(struct client *c)
{
	return container_of(c, struct cross_client, base);
}

static struct cross_call *call_new(struct cross_client *c, const struct msg *req)
{
	void *p = NULL;
	if (posix_memalign(&p, 64, sizeof(struct cross_call)) != 0)
		abort();
	struct cross_call *k = p;
	memset(k, 0, sizeof(*k));
	atomic_init(&k->holders, 2);
	k->near_end = c->here;
	k->far_end = c->there;
	k->req = msg_copy(req);
	str_copy(k->origin, sizeof(k->origin), c->origin);
	list_init(&k->far.node);
	cross_queue_init(&k->far.held);
	return k;
}

static struct call *start(
	struct client *b, const struct msg *req, const struct call_cb *cb, void *ctx)
{
	struct cross_client *c = of(b);
	if (!b->room)
		return NULL;
	b->room--;
	struct cross_call *k = call_new(c, req);
	struct cross_near *n = &k->near;
	k->since_ms = loop_now_ms(c->here->loop);
	n->call.client = b;
	n->client = c;
	n->cb = cb;
	n->ctx = ctx;
	cross_queue_init(&n->held);
	defer_init(&n->deliver, on_deliver);
	list_push_back(&c->here->near, &n->node);
	list_push_back(&c->calls, &n->sibling);
	send_far(k, cross_msg_new(k, CROSS_CALL, NULL, 0));
	return &n->call;
}

static size_t write_body(struct call *call, const void *p, size_t bytes)
{
	struct cross_call *k = of_call(call);
	struct cross_near *n = &k->near;
	if (n->over || !bytes)
		return n->unpaid;
	send_far(k, cross_msg_new(k, CROSS_BODY, p, bytes));
	n->unpaid += bytes;
	n->full |= n->unpaid > STREAM_HIGH_WATER;
	return n->unpaid;
}

static void end_body(struct call *call, const struct msg *trailers)
{
	struct cross_call *k = of_call(call);
	if (k->near.over)
		return;
	struct cross_msg *m = cross_msg_new(k, CROSS_END, NULL, 0);
	m->head = trailers ? msg_copy(trailers) : NULL;
	send_far(k, m);
}

static void pause_call(struct call *call)
{
	of_call(call)->near.paused = true;
}

static void resume_call(struct call *call)
{
	struct cross_call *k = of_call(call);
	struct cross_near *n = &k->near;
	n->paused = false;
	if (n->held.first && !n->over)
		loop_defer(k->near_end->loop, &n->deliver);
}

static void cancel(struct call *call)
{
	end_near(of_call(call));
}

/* Once anything was heard, the far half's call has begun. */
static bool expire(struct call *call)
{
	struct cross_call *k = of_call(call);
	if (k->near.heard || k->near.over)
		return false;
	send_far(k, cross_msg_new(k, CROSS_EXPIRE, NULL, 0));
	return true;
}

static void drain(struct client *b)
{
	struct cross_client *c = of(b);
	c->drained = true;
	b->room = 0;
	if (list_empty(&c->calls))
		close_soon(c);
}

static void close_client(struct client *b)
{
	struct cross_client *c = of(b);
	c->drained = c->closed = true;
	close_soon(c);
}

static const struct client_ops ops = {
	.start = start,
	.write = write_body,
	.end = end_body,
	.pause = pause_call,
	.resume = resume_call,
	.cancel = cancel,
	.expire = expire,
	.drain = drain,
	.close = close_client,
};

void cross_near_follow(struct call *call, const struct cross_call *k)
{
	if (call->client->ops != &ops)
		return;
	of_call(call)->hops = k->hops + 1;
	of_call(call)->since_ms = k->since_ms;
}

/* ---- the client ---- */

static void on_closing(struct defer *d)
{
	struct cross_client *c = container_of(d, struct cross_client, closing);
	struct err why = {0};
	if (c->closed)
		err_set(&why, -ECANCELED, "the way to the device is not wanted any more");
	while (!list_empty(&c->calls)) {
		struct cross_call *k =
			container_of(c->calls.next, struct cross_call, near.sibling);
		list_remove(&k->near.sibling);
		k->near.client = NULL;
		fail_near(k, &why, false);
	}
	if (c->o.on_closed)
		c->o.on_closed(c->o.ctx, &c->base, &why);
	free(c);
}

struct client *cross_client_new(const struct cross_way *way, const struct client_opts *o)
{
	struct cross_client *c = xcalloc(1, sizeof(*c));
	c->base = (struct client){.ops = &ops,
		.room = CROSS_CALLS_MAX,
		.room_most = CROSS_CALLS_MAX,
		.many = true};
	c->o = *o;
	c->here = way->here;
	c->there = way->there;
	str_copy(c->origin, sizeof(c->origin), way->origin);
	list_init(&c->calls);
	defer_init(&c->closing, on_closing);
	return &c->base;
}
