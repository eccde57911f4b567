/* Calls from other loops: each waits in its device's pool as an exchange of this loop's own would, and
 * goes on from there when another loop has a connection first. See http/cross.h. */
#include <stdlib.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "gate/link.h"
#include "gate/pool.h"
#include "http/cross.h"

#define HOPS_MAX 3u

struct visitor {
	struct pool_want want;
	struct cross_call *call;
	struct pool *pool;
};

static void wait_for_one(struct visitor *v);

static void on_client(struct pool_want *w, struct client *c, const struct err *why)
{
	struct visitor *v = container_of(w, struct visitor, want);
	if (!c) {
		cross_refuse(v->call, why);
	} else if (!cross_begin(v->call, c)) {
		wait_for_one(v); /* it died between the idle list and here */
		return;
	}
	free(v);
}

static void wait_for_one(struct visitor *v)
{
	pool_want_init(&v->want);
	pool_want_for(&v->want, cross_request(v->call));
	v->want.guest = true;
	v->want.since_ms = cross_since_ms(v->call);
	v->want.here = cross_hops(v->call) >= HOPS_MAX;
	v->want.fn = on_client;
	pool_take(v->pool, &v->want);
}

void link_on_call(void *ctx, struct cross_call *k)
{
	struct visitor *v = xcalloc(1, sizeof(*v));
	struct list *unused;
	log_debug("gate/link", "a call came from another loop", "device", cross_origin(k));
	v->call = k;
	v->pool = link_pool(ctx, cross_origin(k), &unused);
	cross_set_user(k, v);
	wait_for_one(v);
}

void link_on_expire(void *ctx, struct cross_call *k)
{
	struct visitor *v = cross_user(k);
	(void)ctx;
	pool_expire(&v->want);
}

void link_on_gone(void *ctx, struct cross_call *k)
{
	struct visitor *v = cross_user(k);
	(void)ctx;
	pool_cancel(&v->want);
	free(v);
}
