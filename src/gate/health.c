/* See health.h. All entries stand in one line: who was heard of goes to its end, and the first is
 * asked when it is due. */
#include "gate/health.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/site.h"
#include "gate/snapshot.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/tls.h"

#define FIRST_MS 500u
#define IN_FLIGHT_MAX 8u

enum health_state { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };

struct entry {
	struct list node;
	struct route *route;
	struct check *check; /* under way, or NULL */
	uint64_t due_ms;
	enum health_state state;
	char *why; /* NULL unless HEALTH_DOWN */
};

struct check {
	struct list node;
	struct health *h;    /* NULL: it is gone */
	struct entry *entry; /* NULL: nobody wants to know any more */
	bool opened;
};

struct health {
	struct health_opts o;
	struct map *devices;
	struct list line, checks;
	struct timer next;
	unsigned n_checks;
	uint32_t dice;
};

static void arm(struct health *h)
{
	uint64_t now = loop_now_ms(h->o.loop);
	if (!h->o.every_ms || list_empty(&h->line) || h->n_checks >= IN_FLIGHT_MAX)
		return;
	const struct entry *first = container_of(h->line.next, struct entry, node);
	uint64_t wait = first->due_ms > now ? first->due_ms - now : 0;
	timer_arm(&h->next, wait > HEALTH_GAP_MS ? wait : HEALTH_GAP_MS);
}

/* To the end of the line; due after `ms`, a fifth more or less. */
static void queue(struct health *h, struct entry *e, uint64_t ms)
{
	h->dice = h->dice * 1103515245u + 12345u;
	uint64_t fifth = ms / 5;
	e->due_ms = loop_now_ms(h->o.loop) + ms - fifth;
	e->due_ms += fifth ? (h->dice >> 8) % (2 * fifth) : 0;
	list_remove(&e->node);
	list_push_back(&h->line, &e->node);
}

static void heard(struct health *h, struct entry *e, const struct err *why)
{
	enum health_state now = why ? HEALTH_DOWN : HEALTH_UP;
	bool same = e->state == now && (!why || strcmp(e->why, why->text) == 0);
	if (!same) {
		e->state = now;
		free(e->why);
		e->why = why ? xstrdup(why->text) : NULL;
	}
	queue(h, e, h->o.every_ms);
	if (!same && h->o.fn)
		h->o.fn(h->o.ctx, e->route->device, e->why);
}

void health_note(struct health *h, const char *device, const struct err *why)
{
	struct entry *e = map_get(h->devices, device);
	if (e)
		heard(h, e, why);
}

/* ---- asking ---- */

static void on_open(struct stream *s, void *ctx)
{
	struct check *k = ctx;
	k->opened = true;
	if (k->entry)
		heard(k->h, k->entry, NULL);
	stream_close(s);
}

static size_t on_data(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	(void)s, (void)p, (void)ctx;
	return n;
}

static void on_nothing(struct stream *s, void *ctx)
{
	(void)s, (void)ctx;
}

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct check *k = ctx;
	struct health *h = k->h;
	(void)s;
	if (k->entry) {
		k->entry->check = NULL;
		if (!k->opened)
			heard(h, k->entry, why);
	}
	list_remove(&k->node);
	free(k);
	if (!h)
		return;
	h->n_checks--;
	arm(h);
}

static const struct stream_cb check_cb = {.on_open = on_open,
	.on_data = on_data,
	.on_eof = on_nothing,
	.on_writable = on_nothing,
	.on_close = on_close};

static void check(struct health *h, struct entry *e)
{
	const struct site *site = e->route->site;
	struct check *k = xcalloc(1, sizeof(*k));
	k->h = h;
	k->entry = e;
	e->check = k;
	list_push_back(&h->checks, &k->node);
	h->n_checks++;
	dial(h->o.loop,
		&(struct dial_opts){.host = site->addrs[0],
			.port = site->port,
			.tls = e->route->up_tls,
			.deadline_ms = h->o.connect_ms,
			.more = (const char *const *)site->addrs + 1,
			.n_more = site->n_addrs - 1},
		&check_cb, k);
}

static void on_next(struct timer *t)
{
	struct health *h = container_of(t, struct health, next);
	struct entry *e = container_of(h->line.next, struct entry, node);
	if (list_empty(&h->line))
		return;
	if (e->due_ms <= loop_now_ms(h->o.loop)) {
		queue(h, e, h->o.every_ms);
		if (h->o.is_live(h->o.live_ctx, e->route->device))
			heard(h, e, NULL);
		else if (!e->check)
			check(h, e);
	}
	arm(h);
}

/* ---- who there is ---- */

static void forget_check(struct entry *e)
{
	if (e->check)
		e->check->entry = NULL;
	e->check = NULL;
}

static void free_entry(void *p)
{
	struct entry *e = p;
	forget_check(e);
	list_remove(&e->node);
	route_unref(e->route);
	free(e->why);
	free(e);
}

struct health *health_new(const struct health_opts *o)
{
	struct health *h = xcalloc(1, sizeof(*h));
	h->o = *o;
	h->devices = map_new();
	h->dice = (uint32_t)loop_now_ms(o->loop);
	list_init(&h->line);
	list_init(&h->checks);
	timer_init(&h->next, o->loop, on_next);
	return h;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	timer_cancel(&h->next);
	map_free(h->devices, free_entry);
	while (!list_empty(&h->checks)) {
		struct check *k = container_of(h->checks.next, struct check, node);
		list_remove(&k->node);
		k->h = NULL;
	}
	free(h);
}

static bool is_same_target(const struct route *a, const struct route *b)
{
	return a == b ||
	       (site_is_same_place(a->site, b->site) && tls_client_is_same(a->up_tls, b->up_tls));
}

static void meet(struct health *h, struct route *r)
{
	struct entry *e = map_get(h->devices, r->device);
	if (e && is_same_target(e->route, r))
		return;
	if (e)
		free_entry(map_remove(h->devices, r->device));
	e = xcalloc(1, sizeof(*e));
	list_init(&e->node);
	e->route = route_ref(r);
	map_put(h->devices, r->device, e);
	queue(h, e, FIRST_MS);
}

static struct entry *find_gone(struct health *h, const struct snapshot *s)
{
	size_t pos = 0;
	for (struct entry *e; (e = map_next(h->devices, &pos, NULL));) {
		const struct route *r = snapshot_route(s, e->route->host);
		if (!r || r->kind != ROUTE_UPSTREAM)
			return e;
	}
	return NULL;
}

void health_follow(struct health *h, const struct snapshot *s)
{
	size_t pos = 0;
	for (struct entry *e; (e = find_gone(h, s));)
		free_entry(map_remove(h->devices, e->route->device));
	for (struct route *r; (r = snapshot_next_route(s, &pos));) {
		if (r->kind == ROUTE_UPSTREAM)
			meet(h, r);
	}
	arm(h);
}
