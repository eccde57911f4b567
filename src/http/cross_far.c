/* See cross.h: the far half, which asks the host for a connection and speaks to the near half of what
 * the call does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "http/cross_int.h"
#include "net/stream.h"

static void send_near(struct cross_call *k, struct cross_msg *m)
{
	k->far.said = true;
	cross_send(k->far_end, k->near_end, m);
}

static void say_fail(struct cross_call *k, const struct err *why, bool unsent)
{
	struct cross_msg *m = cross_msg_new(k, CROSS_FAIL, NULL, 0);
	m->why = xcalloc(1, sizeof(*m->why));
	*m->why = *why;
	m->unsent = unsent;
	k->far.said_last = true;
	send_near(k, m);
}

/* ---- what the call says ---- */

static void on_head(struct call *call, struct msg *head, void *ctx)
{
	struct cross_call *k = ctx;
	struct cross_msg *m = cross_msg_new(k, CROSS_HEAD, NULL, 0);
	(void)call;
	m->head = msg_copy(head);
	send_near(k, m);
}

static void on_body(struct call *call, const uint8_t *p, size_t n, void *ctx)
{
	struct cross_call *k = ctx;
	send_near(k, cross_msg_new(k, CROSS_BODY, p, n));
	k->far.unpaid += n;
	if (k->far.unpaid <= STREAM_HIGH_WATER)
		return;
	k->far.stopped = true;
	call_pause(call);
}

static void on_end(struct call *call, const struct msg *trailers, void *ctx)
{
	struct cross_call *k = ctx;
	struct cross_msg *m = cross_msg_new(k, CROSS_END, NULL, 0);
	(void)call;
	m->head = trailers ? msg_copy(trailers) : NULL;
	k->far.call = NULL;
	k->far.said_last = true;
	send_near(k, m);
}

static void pay(struct cross_call *k, uint32_t least)
{
	struct cross_far *f = &k->far;
	if (f->owed < least || !f->owed)
		return;
	send_near(k, cross_msg_new(k, CROSS_CREDIT, NULL, f->owed));
	f->owed = 0;
}

static void on_writable(struct call *call, void *ctx)
{
	struct cross_call *k = ctx;
	(void)call;
	k->far.full = false;
	pay(k, 1);
}

static void on_fail(struct call *call, const struct err *why, bool unsent, void *ctx)
{
	struct cross_call *k = ctx;
	(void)call;
	k->far.call = NULL;
	say_fail(k, why, unsent);
}

static const struct call_cb call_cb = {
	.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
	.on_writable = on_writable,
	.on_fail = on_fail,
};

/* ---- what the near half says ---- */

static void pass_on(struct cross_call *k, struct cross_msg *m)
{
	struct cross_far *f = &k->far;
	if (m->what == CROSS_END) {
		call_end(f->call, m->head);
		return;
	}
	f->owed += m->n;
	f->full |= call_write(f->call, m->data, m->n) > STREAM_HIGH_WATER;
	if (!f->full)
		pay(k, CROSS_CREDIT_MIN);
}

static void credited(struct cross_call *k, uint32_t bytes)
{
	struct cross_far *f = &k->far;
	f->unpaid -= bytes;
	if (!f->stopped || !f->call || f->unpaid >= STREAM_LOW_WATER)
		return;
	f->stopped = false;
	call_resume(f->call);
}

static void goodbye(struct cross_call *k)
{
	struct cross_far *f = &k->far;
	struct cross_host *h = &k->far_end->host;
	if (f->call)
		call_cancel(f->call);
	else if (f->waits)
		h->on_gone(h->ctx, k);
	f->call = NULL;
	f->waits = false;
	if (!f->said_last) {
		struct err e;
		err_set(&e, -ECANCELED, "the call was given up");
		say_fail(k, &e, false);
	}
	list_remove(&f->node);
	cross_queue_drop(&f->held);
	cross_let_go(k);
}

/* What was said meanwhile is on its way, and tells the near half that the call has begun. */
static void expire(struct cross_call *k)
{
	struct cross_far *f = &k->far;
	struct cross_host *h = &k->far_end->host;
	struct err e;
	if (f->waits) {
		h->on_expire(h->ctx, k);
		return;
	}
	if (!f->call || f->said || call_expire(f->call))
		return;
	call_cancel(f->call);
	f->call = NULL;
	err_set(&e, -ETIME, "the origin says nothing");
	say_fail(k, &e, false);
}

static void begin(struct cross_call *k)
{
	struct cross_host *h = &k->far_end->host;
	list_push_back(&k->far_end->far, &k->far.node);
	k->far.waits = true;
	h->on_call(h->ctx, k);
}

void cross_far_take(struct cross_msg *m)
{
	struct cross_call *k = m->call;
	switch (m->what) {
	case CROSS_CALL:
		begin(k);
		break;
	case CROSS_BYE:
		goodbye(k);
		break;
	case CROSS_EXPIRE:
		expire(k);
		break;
	case CROSS_CREDIT:
		credited(k, m->n);
		break;
	default:
		if (k->far.waits) {
			cross_queue_put(&k->far.held, m);
			return;
		}
		if (k->far.call)
			pass_on(k, m);
	}
	cross_msg_free(m);
}

/* ---- what the host calls ---- */

const char *cross_origin(const struct cross_call *k)
{
	return k->origin;
}

const struct msg *cross_request(const struct cross_call *k)
{
	return k->req;
}

unsigned cross_hops(const struct cross_call *k)
{
	return k->hops;
}

uint64_t cross_since_ms(const struct cross_call *k)
{
	return k->since_ms;
}

void cross_set_user(struct cross_call *k, void *user)
{
	k->far.user = user;
}

void *cross_user(const struct cross_call *k)
{
	return k->far.user;
}

bool cross_begin(struct cross_call *k, struct client *c)
{
	struct cross_far *f = &k->far;
	f->call = client_start(c, k->req, &call_cb, k);
	if (!f->call)
		return false;
	cross_near_follow(f->call, k);
	f->waits = false;
	for (struct cross_msg *m; (m = cross_queue_take(&f->held));) {
		pass_on(k, m);
		cross_msg_free(m);
	}
	return true;
}

void cross_refuse(struct cross_call *k, const struct err *why)
{
	k->far.waits = false;
	cross_queue_drop(&k->far.held);
	say_fail(k, why, true);
}
