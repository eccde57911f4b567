/* The thin front of struct exchange: every call goes to the server that made the exchange. And what
 * outlives it, counted for its connection, which may end first. */
#include "http/exchange.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

struct linger {
	atomic_uint refs, n;
};

int exchange_respond(struct exchange *x, const struct msg *head, bool end)
{
	return x->ops->respond(x, head, end);
}

size_t exchange_write(struct exchange *x, const void *p, size_t n)
{
	return x->ops->write(x, p, n);
}

void exchange_end(struct exchange *x, const struct msg *trailers)
{
	x->ops->end(x, trailers);
}

void exchange_abort(struct exchange *x)
{
	x->ops->abort(x);
}

void exchange_pause(struct exchange *x)
{
	x->ops->pause(x);
}

void exchange_resume(struct exchange *x)
{
	x->ops->resume(x);
}

void exchange_set_idle(struct exchange *x, uint64_t ms)
{
	x->ops->set_idle(x, ms);
}

static void ignore_body(struct exchange *x, const uint8_t *p, size_t n)
{
	(void)x, (void)p, (void)n;
}

static void ignore_end(struct exchange *x, const struct msg *trailers)
{
	(void)x, (void)trailers;
}

static void ignore(struct exchange *x)
{
	(void)x;
}

static void ignore_done(struct exchange *x, int status)
{
	(void)x, (void)status;
}

static const struct handler nobody = {.on_body = ignore_body,
	.on_end = ignore_end,
	.on_writable = ignore,
	.on_done = ignore_done};

void exchange_reply(
	struct exchange *x, int status, const struct msg *extra, const char *type, const char *body)
{
	struct msg *head = extra ? msg_copy(extra) : msg_new_response(status);
	size_t n = body ? strlen(body) : 0;
	if (!x->handler)
		x->handler = &nobody;
	msg_set_status(head, status);
	msg_set_body(head, BODY_LENGTH, n);
	if (type)
		msg_set(head, "content-type", type);
	if (exchange_respond(x, head, n == 0) == 0 && n) {
		exchange_write(x, body, n);
		exchange_end(x, NULL);
	}
	msg_free(head);
}

void exchange_continue(struct exchange *x)
{
	if (!x->expects_continue || x->responded || x->request_ended)
		return;
	x->expects_continue = false;
	struct msg *head = msg_new_response(100);
	exchange_respond(x, head, false);
	msg_free(head);
}

struct linger *linger_new(void)
{
	struct linger *l = xcalloc(1, sizeof(*l));
	atomic_init(&l->refs, 1);
	return l;
}

void linger_unref(struct linger *l)
{
	if (l && atomic_fetch_sub(&l->refs, 1) == 1)
		free(l);
}

unsigned linger_count(const struct linger *l)
{
	return atomic_load(&l->n);
}

struct linger *exchange_linger(const struct exchange *x)
{
	struct linger *l = x->conn->linger;
	if (!l)
		return NULL;
	atomic_fetch_add(&l->refs, 1);
	atomic_fetch_add(&l->n, 1);
	return l;
}

void linger_done(struct linger *l)
{
	if (!l)
		return;
	atomic_fetch_sub(&l->n, 1);
	linger_unref(l);
}
