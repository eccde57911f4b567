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
#define POOL_WAIT_MS 10000u   /* and for how long, on all loops to which one is sent */

struct pool_opts {
	struct loop *loop;
	/* Somebody waits and nothing is idle: get another connection if you can. */
	void (*on_need)(void *ctx);
	/* Nobody waits, or no longer. */
	void (*on_spare)(void *ctx);
	/* A connection of one request at a time has room again. True: somebody else needs it, close it. */
	bool (*on_free)(void *ctx);
	/* One is to be held for long (true): may it be? Or is no longer (false). Beside hold_max. */
	bool (*on_hold)(void *ctx, bool held);
	/* The number of connections changed, or what leads elsewhere came or went. */
	void (*on_count)(void *ctx, unsigned n);
	/* Of which kinds requests could not be served here just now, as bits of pool_kind(); told when it
	 * changes. */
	void (*on_full)(void *ctx, unsigned kinds);
	/* A connection of this loop's own gets its first request. */
	void (*on_first_use)(void *ctx);
	/* One closed whose other end broke HTTP/2's rules; before on_count. */
	void (*on_broken)(void *ctx);
	void *ctx;
	/* Most connections that wants with `hold` may have at once; 0: no such limit. */
	unsigned hold_max;
	uint64_t idle_close_ms; /* close a used connection idle for so long; 0: keep */
	bool close_unused;	/* and those that no request has used, too */
	bool dials; /* what pool_drop_used() closed is replaced by on_need, not by the other end */
};

struct pool *pool_new(const struct pool_opts *o);
/* Waiting requests are told -ECANCELED; connections close; nothing more is called. Takes `p`. */
void pool_free(struct pool *p);
/* Add an open stream as a connection, whose wire version its ALPN says. Takes `s`. */
void pool_add(struct pool *p, struct stream *s);
/* Add what leads to the same origin on another loop: taken where no connection here has room, and not
 * counted. `make` is called at once; what it made is the pool's, and lent until it is drained. */
struct client *pool_add_far(
	struct pool *p, struct client *(*make)(void *arg, const struct client_opts *o), void *arg);
/* The other loop has nothing for requests of these kinds: send it none, until it says otherwise. */
void pool_far_full(struct pool *p, const struct client *far, unsigned kinds);
/* No further calls on the connections that are here now, or only on those that take many; each closes
 * when its own have ended. */
enum pool_which { POOL_ALL, POOL_MANY };
void pool_drain(struct pool *p, enum pool_which which);
/* Connections, without what leads to other loops / those with room. */
unsigned pool_count(const struct pool *p);
unsigned pool_idle(const struct pool *p);
/* Of them those that pool_drop_idle could close. */
unsigned pool_spares(const struct pool *p);
/* Neither a connection nor another loop's: who asks has to wait. */
bool pool_is_empty(const struct pool *p);
unsigned pool_waiting(const struct pool *p);
/* Of them those with `hold`. */
unsigned pool_waiting_hold(const struct pool *p);
/* Something changed elsewhere: see who can be served, then on_need or on_spare, when this turn ends. */
void pool_look(struct pool *p);
/* Close the oldest idle connection that has served a request, so that the other end may replace it by
 * a fresh one: one for each that waits, not more while the replacement is under way. */
void pool_drop_used(struct pool *p);
/* Close the connection of one request at a time that is idle longest, for somebody else's sake, if it has
 * been for `least_ms`. Returns how long it has to be idle still, 0 when it was closed or there is none. */
uint64_t pool_drop_idle(struct pool *p, uint64_t least_ms);
/* Fail everybody who waits (a dial failed, say). */
void pool_fail_waiting(struct pool *p, const struct err *why);

/* A request that wants a connection; embed it. */
struct pool_want {
	struct list node;
	struct timer deadline;
	struct pool *pool;
	bool waits; /* the pool's own */
	bool fresh; /* no HTTP/1.1 connection that a request has used (decision 3) */
	bool hold;  /* will keep it for long (upgrade): the last spare is not for these */
	bool here;  /* a connection of this loop's own */
	bool guest; /* it came from another loop */
	uint64_t since_ms; /* loop_now_ms() since when it waits elsewhere; 0: it did not */
	/* `c` to start a call on at once, or NULL and why: -ETIMEDOUT, -EBUSY (too many wait),
	 * -ECANCELED, or what the dial said. Never from inside pool_take. */
	void (*fn)(struct pool_want *w, struct client *c, const struct err *why);
};
void pool_want_init(struct pool_want *w);
/* What it needs of a connection, as one bit of four. */
unsigned pool_kind(const struct pool_want *w);
/* `fresh` and `hold` as this request needs them. */
void pool_want_for(struct pool_want *w, const struct msg *req);
/* `w` must live until `fn` or pool_cancel. */
void pool_take(struct pool *p, struct pool_want *w);
/* It has waited long enough: `fn` is called at once, with -ETIMEDOUT. Only while it waits (`pool`). */
void pool_expire(struct pool_want *w);
/* Idempotent; no call follows. */
void pool_cancel(struct pool_want *w);
