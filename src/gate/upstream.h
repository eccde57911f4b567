/* Devices without an agent: pools of connections dialled to a LAN address, plain or TLS that is
 * pinned or verified by a CA of its own; never unverified. One table a loop. */
#pragma once

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
};

struct upstream_table *upstream_table_new(const struct upstream_opts *o);
void upstream_table_free(struct upstream_table *t);
/* The pool of this route and the ring of its exchanges, made on first use. A route that changed (other
 * address, other pin) gets a new one; the old one is cut. Valid until upstream_cut. */
struct pool *upstream_pool(struct upstream_table *t, struct route *r, struct list **exchanges);
/* A newer snapshot counts: cut what it does not route, or routes elsewhere. */
void upstream_follow(struct upstream_table *t, const struct snapshot *snap);
/* The device is no longer routed. */
void upstream_cut(struct upstream_table *t, const char *device);
