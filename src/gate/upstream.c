/* See upstream.h. At most SHARE_MOST connections to one device from all loops together, because small web
 * servers have few, and fewer where it refuses more. A loop that has to wait tells the others, which
 * close what they do not use, or have above their fair part while it has less, and tell it when there is
 * room. */
#include "gate/upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/health.h"
#include "gate/pool.h"
#include "gate/proxy.h"
#include "gate/share.h"
#include "gate/site.h"
#include "gate/snapshot.h"
#include "net/dial.h"
#include "net/tls.h"

#define SPARE_MS 100u /* idle for so long, a connection is given up for another loop */
#define AGAIN_MS 500u /* after a dial failed, while others have connections */
#define CLOSED_MS 10u /* the device may not have noticed yet that we closed the last one */
#define CLOSED_TRIES 3u /* each four times later */
#define REAP_MS 1000u

struct upstream_table {
	struct upstream_opts o;
	struct map *devices;
	struct health *health;
	struct list retired; /* origins that only end what is under way */
	struct timer reap;
};

struct origin {
	struct list node; /* of the retired */
	struct upstream_table *table;
	struct route *route;
	struct pool *pool;
	struct list exchanges;
	struct list dialling;
	struct timer spare; /* armed: another loop lacks a connection, and ours are not idle for long */
	struct timer again; /* armed: a dial failed for want of room, perhaps */
	unsigned n_dialling;
	unsigned early; /* dials that failed in a row since we closed the last connection */
	bool rests; /* until `again` */
	bool grows; /* the device may take more than it did */
	struct share_part part;
};

struct attempt {
	struct list node;
	struct origin *origin; /* NULL: nobody waits for it any more */
	unsigned answers; /* share_answers() when this began */
};

/* One that is on its way out says nothing of where the device is now. */
static void tell(const struct origin *o, const struct err *why)
{
	if (map_get(o->table->devices, o->route->device) == o)
		health_note(o->table->health, o->route->device, why);
}

static bool is_live(void *ctx, const char *device)
{
	const struct upstream_table *t = ctx;
	const struct origin *o = map_get(t->devices, device);
	return o && pool_count(o->pool) > 0;
}

static unsigned own_connections(const struct origin *o)
{
	return pool_count(o->pool) + o->n_dialling;
}

static void tell_others(const struct origin *o)
{
	const struct upstream_opts *opts = &o->table->o;
	if (opts->on_news)
		opts->on_news(opts->news_ctx, o->route->device);
}

/* Requests that would take a connection. */
static unsigned takers(const struct origin *o)
{
	unsigned n = pool_waiting(o->pool);
	return share_may_hold(o->part.all) ? n : n - pool_waiting_hold(o->pool);
}

/* And for which none is being dialled. */
static unsigned waiting(const struct origin *o)
{
	unsigned n = takers(o);
	return n > o->n_dialling ? n - o->n_dialling : 0;
}

/* Under load each loop lacks some and has one idle at moments: closing those would only make all dial. */
static void on_spare(void *ctx)
{
	struct origin *o = ctx;
	if (share_wants(&o->part, 0))
		tell_others(o);
	while (pool_spares(o->pool) && share_give(&o->part))
		pool_drop_idle(o->pool, 0);
	if (o->spare.at_ms || share_is_enough(o->part.all))
		return;
	uint64_t ms = pool_drop_idle(o->pool, SPARE_MS);
	if (ms)
		timer_arm(&o->spare, ms);
}

static void on_spare_still(struct timer *t)
{
	struct origin *o = container_of(t, struct origin, spare);
	if (!takers(o))
		on_spare(o);
}

static void recount(struct origin *o)
{
	o->part.waits = takers(o);
	if (share_has(&o->part, own_connections(o)))
		tell_others(o);
}

static void on_count(void *ctx, unsigned n)
{
	(void)n;
	recount(ctx);
}

static bool on_free(void *ctx)
{
	struct origin *o = ctx;
	share_answered(&o->part);
	return share_give(&o->part);
}

static bool on_hold(void *ctx, bool held)
{
	struct origin *o = ctx;
	if (held)
		return share_hold(&o->part);
	if (share_let_go(&o->part))
		tell_others(o);
	return true;
}

/* Whoever calls this has something else to count in its place, or recounts. */
static void attempt_leaves(struct attempt *a)
{
	if (a->origin) {
		a->origin->n_dialling--;
		share_dials(&a->origin->part, false);
	}
	list_remove(&a->node);
	a->origin = NULL;
}

static void free_origin(void *p)
{
	struct origin *o = p;
	while (!list_empty(&o->dialling))
		attempt_leaves(container_of(o->dialling.next, struct attempt, node));
	proxy_cut_all(&o->exchanges);
	pool_free(o->pool);
	if (share_leave(&o->part))
		tell_others(o);
	route_unref(o->route);
	list_remove(&o->node);
	timer_cancel(&o->spare);
	timer_cancel(&o->again);
	free(o);
}

static void on_reap(struct timer *timer)
{
	struct upstream_table *t = container_of(timer, struct upstream_table, reap);
	list_each_safe(at, &t->retired)
	{
		struct origin *o = container_of(at, struct origin, node);
		if (list_empty(&o->exchanges))
			free_origin(o);
	}
	if (!list_empty(&t->retired))
		timer_arm(&t->reap, REAP_MS);
}

struct upstream_table *upstream_table_new(const struct upstream_opts *o)
{
	struct upstream_table *t = xcalloc(1, sizeof(*t));
	t->o = *o;
	t->devices = map_new();
	list_init(&t->retired);
	timer_init(&t->reap, o->loop, on_reap);
	t->health = health_new(&(struct health_opts){.loop = o->loop,
		.connect_ms = o->connect_ms,
		.every_ms = o->asks ? HEALTH_EVERY_MS : 0,
		.is_live = is_live,
		.live_ctx = t,
		.fn = o->on_health,
		.ctx = o->ctx});
	return t;
}

static void free_retired(struct upstream_table *t, const char *device)
{
	list_each_safe(at, &t->retired)
	{
		struct origin *o = container_of(at, struct origin, node);
		if (!device || strcmp(o->route->device, device) == 0)
			free_origin(o);
	}
}

void upstream_table_free(struct upstream_table *t)
{
	if (!t)
		return;
	t->o.on_news = NULL; /* the others may be gone */
	map_free(t->devices, free_origin);
	free_retired(t, NULL);
	timer_cancel(&t->reap);
	health_free(t->health);
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
	tell(o, NULL);
	o->early = 0;
	share_opened(&o->part);
	if (o->grows && share_more(&o->part))
		tell_others(o);
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

/* So it may end where a device takes no more connections than it has. One that says nothing at all, and
 * answered nobody meanwhile, is away. */
static bool may_be_full(const struct err *why, bool answered)
{
	return why->code == -ECONNREFUSED || why->code == -ECONNRESET ||
	       (why->code == -ETIMEDOUT && answered);
}

/* It may have room once it has noticed that we closed what it had. False: it had time enough. */
static bool try_soon(struct origin *o)
{
	if (!takers(o) || o->early == CLOSED_TRIES) {
		o->early = 0;
		return false;
	}
	o->rests = true;
	timer_arm(&o->again, CLOSED_MS << 2 * o->early++);
	return true;
}

/* One that is busy may still become free for those who wait. One that is held will not, and an idle one
 * is not for them. */
static void not_reached(struct origin *o, const struct err *why)
{
	if (pool_count(o->pool) == pool_idle(o->pool) + o->part.held)
		pool_fail_waiting(o->pool, why);
	else if (!o->again.at_ms)
		timer_arm(&o->again, AGAIN_MS);
}

/* `full`: that may be why. `was_less`: the device was known to take few. */
static void not_connected(struct origin *o, const struct err *why, bool full, bool was_less)
{
	bool one_comes_free = full && share_refused(&o->part);
	o->grows = false;
	if (o->n_dialling)
		return;
	if (one_comes_free) {
		pool_look(o->pool); /* so that others hear of it, and it is tried again */
		return;
	}
	if (full && was_less && try_soon(o))
		return;
	if (!full || !share_is_held(o->part.all))
		tell(o, why);
	not_reached(o, why);
}

static void on_again(struct timer *t)
{
	struct origin *o = container_of(t, struct origin, again);
	o->grows = !o->rests;
	o->rests = false;
	if (o->grows && share_more(&o->part))
		tell_others(o);
	pool_look(o->pool);
}

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct attempt *a = ctx;
	struct origin *o = a->origin;
	unsigned answers = a->answers;
	(void)s;
	attempt_leaves(a);
	free(a);
	if (!o)
		return;
	bool full = may_be_full(why, share_answers(o->part.all) != answers);
	bool was_less = share_is_less(o->part.all);
	recount(o);
	log_info_limited("gate/upstream", "cannot connect", "device", o->route->device, "why", why->text);
	not_connected(o, why, full, was_less);
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
	a->answers = share_answers(o->part.all);
	list_push_back(&o->dialling, &a->node);
	o->n_dialling++;
	share_dials(&o->part, true);
	dial(o->table->o.loop,
		&(struct dial_opts){.host = r->site->addrs[0],
			.more = (const char *const *)r->site->addrs + 1,
			.n_more = r->site->n_addrs - 1,
			.port = r->site->port,
			.tls = r->up_tls,
			.deadline_ms = o->table->o.connect_ms},
		&dial_cb, a);
}

static void dial_what_may_be(struct origin *o)
{
	while (!o->rests && waiting(o) && share_reserve(&o->part))
		dial_one(o);
	if (share_sated(&o->part))
		tell_others(o);
}

static void on_need(void *ctx)
{
	struct origin *o = ctx;
	dial_what_may_be(o);
	bool news = share_wants(&o->part, waiting(o));
	dial_what_may_be(o);
	if (news)
		tell_others(o);
	if (waiting(o))
		pool_drop_used(o->pool);
	if (waiting(o) && share_is_less(o->part.all) && !o->again.at_ms)
		timer_arm(&o->again, AGAIN_MS);
	if (!takers(o))
		on_spare(o);
	if (pool_waiting_hold(o->pool) && !share_may_hold(o->part.all) && share_wants_hold(&o->part))
		pool_look(o->pool);
}

void upstream_heard(struct upstream_table *t, const char *device)
{
	struct origin *o = map_get(t->devices, device);
	if (o)
		pool_look(o->pool);
	list_each(at, &t->retired)
	{
		o = container_of(at, struct origin, node);
		if (strcmp(o->route->device, device) == 0)
			pool_look(o->pool);
	}
}

static struct origin *origin_new(struct upstream_table *t, struct route *r)
{
	struct origin *o = xcalloc(1, sizeof(*o));
	o->table = t;
	o->route = route_ref(r);
	o->part.all = site_share(r->site);
	list_init(&o->node);
	list_init(&o->exchanges);
	list_init(&o->dialling);
	timer_init(&o->spare, t->o.loop, on_spare_still);
	timer_init(&o->again, t->o.loop, on_again);
	struct pool_opts po = {
		.loop = t->o.loop,
		.on_need = on_need,
		.on_spare = on_spare,
		.on_free = on_free,
		.on_hold = on_hold,
		.ctx = o,
		.on_count = on_count,
		.dials = true,
		.hold_max = SHARE_HELD_MOST,
		.idle_close_ms = t->o.idle_ms,
		/* Dialled for one who gave up: a device that went away since would swallow a POST. */
		.close_unused = true};
	o->pool = pool_new(&po);
	return o;
}

static bool same_trust(const struct route *a, const struct route *b)
{
	return tls_client_is_same(a->up_tls, b->up_tls);
}

static bool same_target(const struct route *a, const struct route *b)
{
	return a == b || (site_is_same_place(a->site, b->site) && same_trust(a, b));
}

/* The device is routed by `r` from now on (NULL: no longer). What is under way may end where it is,
 * unless nobody is to be there any more, or another key is trusted. */
static void replace_origin(struct upstream_table *t, const char *device, const struct route *r)
{
	struct origin *o = map_get(t->devices, device);
	if (!r || !same_trust(o->route, r)) {
		upstream_cut(t, o->route->device);
		return;
	}
	map_remove(t->devices, device);
	list_push_back(&t->retired, &o->node);
	pool_drain(o->pool, POOL_ALL);
	timer_arm(&t->reap, REAP_MS);
}

struct pool *upstream_pool(struct upstream_table *t, struct route *r, struct list **exchanges)
{
	struct origin *o = map_get(t->devices, r->device);
	if (o && !same_target(o->route, r)) {
		replace_origin(t, r->device, r);
		o = NULL;
	}
	if (!o) {
		o = origin_new(t, r);
		map_put(t->devices, r->device, o);
	}
	*exchanges = &o->exchanges;
	return o->pool;
}

/* Finds one that is no longer routed as it was, so that the map may change at each; `now`: how it is. */
static const char *find_stale(
	struct upstream_table *t, const struct snapshot *snap, const struct route **now)
{
	size_t pos = 0;
	for (struct origin *o; (o = map_next(t->devices, &pos, NULL));) {
		const struct route *r = snapshot_route(snap, o->route->host);
		*now = r && r->kind == ROUTE_UPSTREAM ? r : NULL;
		if (!*now || !same_target(o->route, r))
			return o->route->device;
	}
	return NULL;
}

void upstream_follow(struct upstream_table *t, const struct snapshot *snap)
{
	const struct route *now;
	for (const char *device; (device = find_stale(t, snap, &now));)
		replace_origin(t, device, now);
	health_follow(t->health, snap);
}

void upstream_cut(struct upstream_table *t, const char *device)
{
	free_retired(t, device);
	struct origin *o = map_remove(t->devices, device);
	if (o)
		free_origin(o);
}
