/* Devices without an agent: pools of connections dialled to a LAN address, plain or TLS that is
 * pinned or verified by a CA of its own; never unverified. One table a loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct loop;
struct pool;
struct route;
struct snapshot;
struct upstream_table;

struct upstream_opts {
	struct loop *loop;
	uint64_t connect_ms;
	uint64_t idle_ms;
	bool asks; /* connects to those of which nothing is heard; one loop alone does */
	/* Whether a device can be reached, when that changed; see health_fn. May be NULL. */
	void (*on_health)(void *ctx, const char *device, const char *why);
	void *ctx;
	/* To be carried to upstream_heard() on every other loop. NULL: there is none. */
	void (*on_news)(void *news_ctx, const char *device);
	void *news_ctx;
};

struct upstream_table *upstream_table_new(const struct upstream_opts *o);
void upstream_table_free(struct upstream_table *t);
/* The pool of this route and the ring of its exchanges, made on first use. A route to another address
 * gets a new one, and what is under way ends where it is; one that trusts another key gets a new one, and
 * the old one is cut. Valid until the next snapshot or upstream_cut. */
struct pool *upstream_pool(struct upstream_table *t, struct route *r, struct list **exchanges);
/* A newer snapshot counts: cut what it does not route or trusts otherwise, retire what it routes
 * elsewhere. */
void upstream_follow(struct upstream_table *t, const struct snapshot *snap);
/* Another loop waits for a connection to the device, or has one less. */
void upstream_heard(struct upstream_table *t, const char *device);
/* The device is no longer routed. */
void upstream_cut(struct upstream_table *t, const char *device);
