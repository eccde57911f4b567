/* The connections to one origin on one loop: idle ones, and requests that wait for one. Links and
 * dialled upstreams both feed it, so taking, waiting, giving up and closing are written once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "http/client.h"
#include "net/loop.h"

struct pool;
struct stream;

#define POOL_WAIT_MAX 64u     /* requests that may wait */
#define POOL_WAIT_MS 10000u   /* and for how long */

struct pool_opts {
	struct loop *loop;
	/* Somebody waits and nothing is idle: get another connection if you can. */
	void (*on_need)(void *ctx);
	/* The number of connections changed. */
	void (*on_count)(void *ctx, unsigned n);
	void *ctx;
	/* Most connections that wants with `hold` may have at once; 0: no such limit. */
	unsigned hold_max;
	uint64_t idle_close_ms; /* close a used connection idle for so long; 0: keep */
	bool close_unused;	/* and those that no request has used, too */
};

struct pool *pool_new(const struct pool_opts *o);
/* Waiting requests are told -ECANCELED; connections close; nothing more is called. Takes `p`. */
void pool_free(struct pool *p);
/* Add an open stream as an HTTP/1.1 connection. Takes `s`. */
void pool_add(struct pool *p, struct stream *s);
unsigned pool_count(const struct pool *p);
unsigned pool_idle(const struct pool *p);
unsigned pool_waiting(const struct pool *p);
/* Close the oldest idle connection that has served a request, so that the other end may replace it by
 * a fresh one: one for each that waits, not more while the replacement is under way. */
void pool_drop_used(struct pool *p);
/* Fail everybody who waits (a dial failed, say). */
void pool_fail_waiting(struct pool *p, const struct err *why);

/* A request that wants a connection; embed it. */
struct pool_want {
	struct list node;
	struct timer deadline;
	struct pool *pool;
	bool waits; /* the pool's own */
	bool fresh; /* only a connection that no request has used (decision 3) */
	bool hold;  /* will keep it for long (upgrade): the last spare is not for these */
	/* `c` to start a call on at once, or NULL and why: -ETIMEDOUT, -EBUSY (too many wait),
	 * -ECANCELED, or what the dial said. Never from inside pool_take. */
	void (*fn)(struct pool_want *w, struct client *c, const struct err *why);
};
void pool_want_init(struct pool_want *w);
/* `w` must live until `fn` or pool_cancel. */
void pool_take(struct pool *p, struct pool_want *w);
/* Idempotent; no call follows. */
void pool_cancel(struct pool_want *w);
