/* One exchange carried to a device and back: bodies stream both ways with back-pressure, upgrades
 * become tunnels, a failure becomes a page that says what to do. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "http/exchange.h"

struct compress_room;
struct pool;
struct session;
struct site;

struct proxy_opts {
	struct pool *pool;	 /* lent until the exchange is over */
	struct session *session; /* who asks; NULL on a public route. Ending it ends the exchange */
	struct site *site;	 /* kept; NULL: nothing of the answer is adapted to it */
	struct compress_room *room; /* the loop's; NULL: nothing is compressed */
	const char *user;	 /* for the device; NULL: nobody */
	const char *host;	 /* authority as the browser sees it */
	const char *device;	 /* for messages and logs; copied */
	int64_t away_since;	 /* the device went then, Unix time; 0: it is here, or unknown */
	uint64_t idle_ms;	 /* no byte moves: a page for the browser, or its end; 0: never */
	uint64_t tunnel_idle_ms; /* the same in tunnels and event streams */
	struct list *all;	 /* ring of the device's exchanges, for proxy_cut_all() */
};

/* Become the handler of `x`. */
void proxy_exchange(struct exchange *x, const struct proxy_opts *o);
/* Abort every exchange of the ring and let go of its pool; the ring is empty afterwards. */
void proxy_cut_all(struct list *all);
