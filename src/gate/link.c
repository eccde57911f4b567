/* See link.h. An agent dials a fresh spare whenever one turns busy, so asking for "more" means
 * freeing one that was used. */
#include "gate/link.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/pool.h"
#include "gate/proxy.h"
#include "net/stream.h"

#define DEAD_PEER_MS 30000u
#define USED_IDLE_MS 30000u
#define HOLD_MAX 14u /* an agent has 16 at most: two are left for requests (decision 3) */

struct device_links {
	struct link_table *table;
	struct pool *pool;
	struct list exchanges;
	uint64_t away_since; /* loop time; 0: has a link */
	bool was_here;
	char name[64];
	char peer[46];
};

struct link_table {
	struct loop *loop;
	struct map *devices;
	link_count_fn fn;
	void *ctx;
};

struct link_table *link_table_new(struct loop *loop, link_count_fn fn, void *ctx)
{
	struct link_table *t = xcalloc(1, sizeof(*t));
	t->loop = loop;
	t->fn = fn;
	t->ctx = ctx;
	t->devices = map_new();
	return t;
}

static void free_links(void *p)
{
	struct device_links *d = p;
	proxy_cut_all(&d->exchanges);
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

static void on_count(void *ctx, unsigned n)
{
	struct device_links *d = ctx;
	if (n == 0)
		d->away_since = loop_now_ms(d->table->loop);
	else
		d->away_since = 0;
	d->table->fn(d->table->ctx, d->name, n, n ? d->peer : "");
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
	d->away_since = loop_now_ms(t->loop);
	struct pool_opts o = {.loop = t->loop,
		.on_need = on_need,
		.on_count = on_count,
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

void link_add(struct link_table *t, const char *device, struct stream *s)
{
	struct device_links *d = links_of(t, device);
	if (pool_count(d->pool) >= LINKS_PER_DEVICE_MAX) {
		log_warn_limited("gate/link", "too many links, closed", "device", device, "peer",
			stream_peer_addr(s));
		refuse(s);
		return;
	}
	/* Two places at once is what a stolen key looks like; a device that moved looks so for a moment. */
	if (pool_count(d->pool) && strcmp(d->peer, stream_peer_addr(s)) != 0)
		log_warn_limited("gate/link", "one device links from two addresses", "device", device, "first",
			d->peer, "second", stream_peer_addr(s));
	str_copy(d->peer, sizeof(d->peer), stream_peer_addr(s));
	d->was_here = true;
	stream_dead_peer_timeout(s, DEAD_PEER_MS);
	pool_add(d->pool, s);
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
	if (!d)
		return;
	free_links(d);
	t->fn(t->ctx, device, 0, "");
}

uint64_t link_away_ms(struct link_table *t, const char *device)
{
	struct device_links *d = map_get(t->devices, device);
	if (!d || !d->away_since)
		return 0;
	return loop_now_ms(t->loop) - d->away_since + 1;
}

bool link_was_here(struct link_table *t, const char *device)
{
	const struct device_links *d = map_get(t->devices, device);
	return d && d->was_here;
}
