/* See link.h. An agent dials a fresh spare whenever one turns busy, so asking for "more" means
 * freeing one that was used. */
#include "gate/link.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/link_quota.h"
#include "gate/pool.h"
#include "gate/proxy.h"
#include "http/cross.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"

#define DEAD_PEER_MS 30000u
#define USED_IDLE_MS 30000u
#define HOLD_MAX 14u /* an agent has 16 at most: two are left for requests (decision 3) */

struct device_links {
	struct link_table *table;
	struct pool *pool;
	struct list exchanges;
	struct list ways;    /* struct way: other loops that have links of it */
	uint64_t away_since; /* loop time; 0: has a link */
	unsigned n;          /* links here, as told */
	unsigned order, own; /* of the newest that was heard of, on any loop, and of the newest here */
	unsigned full;       /* kinds of requests that they have nothing for, as told while there are some */
	bool was_here;
	bool h2; /* the newest here */
	char name[64];
	char peer[46];
};

struct way {
	struct list node;
	struct cross *there;
	struct client *client; /* the pool's */
};

struct link_table {
	struct link_table_opts o;
	struct map *devices;
	struct cross *here;
};

struct link_table *link_table_new(const struct link_table_opts *o)
{
	struct link_table *t = xcalloc(1, sizeof(*t));
	t->o = *o;
	t->devices = map_new();
	return t;
}

struct link_quota *link_table_quota(struct link_table *t)
{
	return t->o.quota;
}

void link_table_set_cross(struct link_table *t, struct cross *here)
{
	t->here = here;
}

static void free_links(void *p)
{
	struct device_links *d = p;
	proxy_cut_all(&d->exchanges);
	while (!list_empty(&d->ways)) {
		struct way *w = container_of(d->ways.next, struct way, node);
		list_remove(&w->node);
		free(w);
	}
	pool_free(d->pool);
	free(d);
}

void link_table_free(struct link_table *t)
{
	if (!t)
		return;
	map_free(t->devices, free_links);
	free(t);
}

static void on_need(void *ctx)
{
	struct device_links *d = ctx;
	pool_drop_used(d->pool);
}

static void tell_others(struct device_links *d, enum link_news news)
{
	struct link_table_opts *o = &d->table->o;
	if (o->on_news)
		o->on_news(o->ctx, d->name, news, news == LINK_NEWEST ? d->own : 0);
}

static void on_full(void *ctx, unsigned kinds)
{
	struct device_links *d = ctx;
	struct link_table_opts *o = &d->table->o;
	d->full = kinds;
	if (d->n && o->on_full)
		o->on_full(o->ctx, d->name, kinds);
}

static void on_first_use(void *ctx)
{
	struct device_links *d = ctx;
	link_quota_used(d->table->o.quota, d->name);
}

static void on_broken(void *ctx)
{
	struct device_links *d = ctx;
	struct link_table *t = d->table;
	if (link_quota_broken(t->o.quota, d->name, loop_now_ms(t->o.loop)))
		log_warn_limited("gate/link", "a device floods its links, refused for a while", "device",
			d->name, "peer", d->peer, "remedy", LINK_FLOOD_REMEDY);
}

static void on_count(void *ctx, unsigned n)
{
	struct device_links *d = ctx;
	struct link_table_opts *o = &d->table->o;
	unsigned before = d->n;
	d->away_since = pool_is_empty(d->pool) ? loop_now_ms(o->loop) : 0;
	if (n == before)
		return; /* of another loop's */
	d->n = n;
	if (!n != !before)
		tell_others(d, n ? LINK_SOME : LINK_NONE);
	if (!before && d->full)
		on_full(d, d->full);
	o->on_count(o->ctx, d->name,
		&(struct link_count){.n = n, .h2 = n && d->h2, .peer = n ? d->peer : ""});
}

static struct device_links *links_of(struct link_table *t, const char *device)
{
	struct device_links *d = map_get(t->devices, device);
	if (d)
		return d;
	d = xcalloc(1, sizeof(*d));
	d->table = t;
	str_copy(d->name, sizeof(d->name), device);
	list_init(&d->exchanges);
	list_init(&d->ways);
	d->away_since = loop_now_ms(t->o.loop);
	struct pool_opts o = {.loop = t->o.loop,
		.on_need = on_need,
		.on_count = on_count,
		.on_full = on_full,
		.on_first_use = on_first_use,
		.on_broken = on_broken,
		.ctx = d,
		.hold_max = HOLD_MAX,
		.idle_close_ms = USED_IDLE_MS};
	d->pool = pool_new(&o);
	map_put(t->devices, device, d);
	return d;
}

/* Whoever had the stream before is gone: its callbacks must not be called any more. */
static void refuse(struct stream *s)
{
	static const struct stream_cb nobody;
	stream_set_cb(s, &nobody, NULL);
	stream_close(s);
}

static bool takes_many(const struct stream *s)
{
	const struct tls_info *t = stream_tls(s);
	return t && strcmp(t->alpn, TLS_ALPN_RHTTP2) == 0;
}

void link_add(struct link_table *t, const char *device, struct stream *s)
{
	struct device_links *d = links_of(t, device);
	if (pool_count(d->pool) >= LINKS_PER_DEVICE_MAX) {
		log_warn_limited("gate/link", "too many links, closed", "device", device, "peer",
			stream_peer_addr(s));
		refuse(s);
		return;
	}
	str_copy(d->peer, sizeof(d->peer), stream_peer_addr(s));
	d->was_here = true;
	stream_dead_peer_timeout(s, DEAD_PEER_MS);
	bool takes_over = d->h2 = takes_many(s);
	pool_drain(d->pool, takes_over ? POOL_ALL : POOL_MANY);
	pool_add(d->pool, s);
	if (!takes_over)
		return;
	d->own = ++d->order;
	tell_others(d, LINK_NEWEST);
}

/* ---- other loops ---- */

static struct way *way_to(const struct device_links *d, const struct cross *there)
{
	list_each(at, &d->ways)
	{
		struct way *w = container_of(at, struct way, node);
		if (w->there == there)
			return w;
	}
	return NULL;
}

static struct client *make_way(void *arg, const struct client_opts *o)
{
	return cross_client_new(arg, o);
}

static void open_way(struct device_links *d, struct cross *there)
{
	struct way *w = xcalloc(1, sizeof(*w));
	w->there = there;
	list_push_back(&d->ways, &w->node);
	struct cross_way way = {.here = d->table->here, .there = there, .origin = d->name};
	d->was_here = true;
	w->client = pool_add_far(d->pool, make_way, &way);
}

static void close_way(struct way *w)
{
	list_remove(&w->node);
	client_drain(w->client);
	free(w);
}

/* The same on both loops: one link stays, and only one. */
static bool is_newer(const struct device_links *d, const struct cross *there, unsigned order)
{
	return order > d->own ||
	       (order == d->own && (uintptr_t)there > (uintptr_t)d->table->here);
}

void link_heard(struct link_table *t, const char *device, struct cross *there, enum link_news news,
	unsigned order)
{
	if (news == LINK_NONE && !map_get(t->devices, device))
		return;
	struct device_links *d = links_of(t, device);
	struct way *w = way_to(d, there);
	if (news == LINK_NONE && w)
		close_way(w);
	if (news != LINK_NONE && !w)
		open_way(d, there);
	d->order = order > d->order ? order : d->order;
	if (news == LINK_NEWEST && is_newer(d, there, order))
		pool_drain(d->pool, POOL_ALL);
}

void link_heard_full(
	struct link_table *t, const char *device, struct cross *there, unsigned kinds)
{
	struct device_links *d = map_get(t->devices, device);
	struct way *w = d ? way_to(d, there) : NULL;
	if (w)
		pool_far_full(d->pool, w->client, kinds);
}

struct pool *link_pool(struct link_table *t, const char *device, struct list **exchanges)
{
	struct device_links *d = links_of(t, device);
	*exchanges = &d->exchanges;
	return d->pool;
}

void link_cut(struct link_table *t, const char *device)
{
	struct device_links *d = map_remove(t->devices, device);
	link_quota_forget(t->o.quota, device);
	if (!d)
		return;
	if (d->n)
		tell_others(d, LINK_NONE);
	free_links(d);
	t->o.on_count(t->o.ctx, device, &(struct link_count){.peer = ""});
}

uint64_t link_away_ms(struct link_table *t, const char *device)
{
	struct device_links *d = map_get(t->devices, device);
	if (!d || !d->away_since)
		return 0;
	return loop_now_ms(t->o.loop) - d->away_since + 1;
}

bool link_was_here(struct link_table *t, const char *device)
{
	const struct device_links *d = map_get(t->devices, device);
	return d && d->was_here;
}
