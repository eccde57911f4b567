/* Calls across loops: an exchange lives on the *near* loop, the connection that can answer it on the
 * *far* one. Near, this is a struct client like any other; far, a call like any other. Between them
 * goes a pipe of messages: what one turn of a loop has for another goes in one loop_post(), and bodies
 * in each direction are bounded by credits, so that back-pressure reaches from end to end.
 *
 * A struct cross is one loop's end of all such pipes. Made and used on its loop's thread, but for
 * what says otherwise; ends know each other by address, so they are all made before the loops run and
 * freed after they have stopped. */
#pragma once

#include "base/err.h"
#include "http/client.h"

struct cross;
struct cross_call;
struct loop;

/* Calls under way over one struct client; the far loop has limits of its own. */
#define CROSS_CALLS_MAX 256u

/* Who finds the connections on the far loop. */
struct cross_host {
	/* A call to an origin is wanted. Leads to cross_begin() or cross_refuse(), once, unless
	 * on_gone comes before. */
	void (*on_call)(void *ctx, struct cross_call *k);
	/* It has waited long enough: cross_refuse() it with -ETIMEDOUT. Neither was called. */
	void (*on_expire)(void *ctx, struct cross_call *k);
	/* It is wanted no more, and neither was called. `k` is gone when this returns. */
	void (*on_gone)(void *ctx, struct cross_call *k);
	void *ctx;
};

struct cross *cross_new(struct loop *loop, const struct cross_host *host);
/* Nothing goes out any more. Any thread, once its loop has stopped; for all ends, before anything is freed. */
void cross_stop(struct cross *c);
/* After what its loop held open is closed. NULL is fine. */
void cross_free(struct cross *c);

/* ---- near ---- */

struct cross_way {
	struct cross *here, *there;
	const char *origin; /* what on_call is told, copied; at most 63 bytes */
};
/* A client that stands for what the far loop can reach. client_drain() it when that is gone there. */
struct client *cross_client_new(const struct cross_way *way, const struct client_opts *o);

/* ---- far ---- */

const char *cross_origin(const struct cross_call *k);
const struct msg *cross_request(const struct cross_call *k);
/* How many loops it has come across before. */
unsigned cross_hops(const struct cross_call *k);
/* loop_now_ms() when it was sent to the first of them. */
uint64_t cross_since_ms(const struct cross_call *k);
/* For the host's own use, until it has called cross_begin() or cross_refuse(). */
void cross_set_user(struct cross_call *k, void *user);
void *cross_user(const struct cross_call *k);
/* Start the call on `c`. False when it takes none: look for another. */
bool cross_begin(struct cross_call *k, struct client *c);
/* The caller gets on_fail with `why`, lent; nothing of the request was seen. */
void cross_refuse(struct cross_call *k, const struct err *why);
