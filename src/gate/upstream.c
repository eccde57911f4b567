/* See upstream.h. At most UPSTREAM_CONNS_MAX connections to one device: small web servers have few.
 */
#include "gate/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/pool.h"
#include "gate/proxy.h"
#include "gate/snapshot.h"
#include "net/dial.h"
#include "net/tls.h"

#define UPSTREAM_CONNS_MAX 32u
#define HOLD_MAX (UPSTREAM_CONNS_MAX - 2)

struct upstream_table {
	struct upstream_opts o;
	struct map *devices;
};

struct origin {
	struct upstream_table *table;
	struct route *route;
	struct pool *pool;
	struct list exchanges;
	struct list dialling;
	unsigned n_dialling;
};

struct attempt {
	struct list node;
	struct origin *origin; /* NULL: nobody waits for it any more */
};

struct upstream_table *upstream_table_new(const struct upstream_opts *o)
{
	struct upstream_table *t = xcalloc(1, sizeof(*t));
	t->o = *o;
	t->devices = map_new();
	return t;
}

static void attempt_leaves(struct attempt *a)
{
	list_remove(&a->node);
	if (a->origin)
		a->origin->n_dialling--;
	a->origin = NULL;
}

static void free_origin(void *p)
{
	struct origin *o = p;
	while (!list_empty(&o->dialling))
		attempt_leaves(container_of(o->dialling.next, struct attempt, node));
	proxy_cut_all(&o->exchanges);
	pool_free(o->pool);
	route_unref(o->route);
	free(o);
}

void upstream_table_free(struct upstream_table *t)
{
	if (!t)
		return;
	map_free(t->devices, free_origin);
	free(t);
}

static void on_open(struct stream *s, void *ctx)
{
	struct attempt *a = ctx;
	struct origin *o = a->origin;
	attempt_leaves(a);
	if (!o) {
		stream_close(s);
		return;
	}
	free(a);
	pool_add(o->pool, s); /* the stream has a new owner now */
}

static size_t on_data(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	(void)s;
	(void)p;
	(void)n;
	(void)ctx;
	return 0; /* never before on_open */
}

static void on_nothing(struct stream *s, void *ctx)
{
	(void)s;
	(void)ctx;
}

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct attempt *a = ctx;
	struct origin *o = a->origin;
	(void)s;
	attempt_leaves(a);
	free(a);
	if (!o)
		return;
	log_info_limited("gate/upstream", "cannot connect", "device", o->route->device, "why", why->text);
	/* One that is busy may still become free for those who wait; an idle one is not for them.
	 */
	if (o->n_dialling == 0 && pool_count(o->pool) == pool_idle(o->pool))
		pool_fail_waiting(o->pool, why);
}

static const struct stream_cb dial_cb = {.on_open = on_open,
	.on_data = on_data,
	.on_eof = on_nothing,
	.on_writable = on_nothing,
	.on_close = on_close};

static void dial_one(struct origin *o)
{
	struct attempt *a = xcalloc(1, sizeof(*a));
	const struct route *r = o->route;
	a->origin = o;
	list_push_back(&o->dialling, &a->node);
	o->n_dialling++;
	dial(o->table->o.loop,
		&(struct dial_opts){.host = r->up_host,
			.port = r->up_port,
			.tls = r->up_tls,
			.deadline_ms = o->table->o.connect_ms},
		&dial_cb, a);
}

static void on_need(void *ctx)
{
	struct origin *o = ctx;
	while (o->n_dialling < pool_waiting(o->pool)) {
		if (pool_count(o->pool) + o->n_dialling >= UPSTREAM_CONNS_MAX) {
			pool_drop_used(o->pool);
			return;
		}
		dial_one(o);
	}
}

static struct origin *origin_new(struct upstream_table *t, struct route *r)
{
	struct origin *o = xcalloc(1, sizeof(*o));
	o->table = t;
	o->route = route_ref(r);
	list_init(&o->exchanges);
	list_init(&o->dialling);
	struct pool_opts po = {
		.loop = t->o.loop,
		.on_need = on_need,
		.ctx = o,
		.hold_max = HOLD_MAX,
		.idle_close_ms = t->o.idle_ms,
		/* Dialled for one who gave up: a device that went away since would swallow a POST. */
		.close_unused = true};
	o->pool = pool_new(&po);
	return o;
}

static bool same_target(const struct route *a, const struct route *b)
{
	return a == b || (a->up_port == b->up_port && strcmp(a->up_host, b->up_host) == 0 &&
				 tls_client_is_same(a->up_tls, b->up_tls));
}

struct pool *upstream_pool(struct upstream_table *t, struct route *r, struct list **exchanges)
{
	struct origin *o = map_get(t->devices, r->device);
	if (o && !same_target(o->route, r)) {
		free_origin(map_remove(t->devices, r->device));
		o = NULL;
	}
	if (!o) {
		o = origin_new(t, r);
		map_put(t->devices, r->device, o);
	}
	*exchanges = &o->exchanges;
	return o->pool;
}

/* Finds one that is no longer routed as it was, so that the map may change at each. */
static const char *find_stale(struct upstream_table *t, const struct snapshot *snap)
{
	size_t pos = 0;
	for (struct origin *o; (o = map_next(t->devices, &pos, NULL));) {
		const struct route *r = snapshot_route(snap, o->route->host);
		if (!r || r->kind != ROUTE_UPSTREAM || !same_target(o->route, r))
			return o->route->device;
	}
	return NULL;
}

void upstream_follow(struct upstream_table *t, const struct snapshot *snap)
{
	for (const char *device; (device = find_stale(t, snap));)
		upstream_cut(t, device);
}

void upstream_cut(struct upstream_table *t, const char *device)
{
	struct origin *o = map_remove(t->devices, device);
	if (o)
		free_origin(o);
}
