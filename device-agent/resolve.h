/* One look-up of a host name. getaddrinfo() blocks for as long as the resolver likes, and a
 * served request must not wait for it; so a forked child asks and writes what it found to a pipe.
 */
#pragma once

#include "base/err.h"
#include "device-agent/loop.h"

#define RESOLVE_MAX 4
#define RESOLVE_DEADLINE_MS 10000

struct resolve;

/* `addrs`: `n` IP literals, lent; n 0 and `e` filled in on failure. */
typedef void (*resolve_done_fn)(void *ctx, char (*addrs)[46], unsigned n, const struct err *e);

/* Calls `done` once, later, unless cancelled. NULL: see `e`. */
struct resolve *resolve_open(
	struct loop *l, const char *name, resolve_done_fn done, void *ctx, struct err *e);
void resolve_cancel(struct resolve *r);
