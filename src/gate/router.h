/* From a request to whoever answers it: known host, certificate covers it, guard, sign-in, then the
 * control thread's desk or the device. One router a loop; the worker owns what it points to. */
#pragma once

#include <stdint.h>

#include "gate/compress.h"
#include "http/exchange.h"

struct ask_desk;
struct event_table;
struct link_table;
struct session_table;
struct snapshot;
struct upstream_table;

struct router {
	struct snapshot *snap; /* NULL until the first one came */
	struct session_table *sessions;
	struct link_table *links;
	struct upstream_table *upstreams;
	struct event_table *events;
	const struct ask_desk *desk;
	struct compress_room room;
	uint64_t idle_ms, tunnel_idle_ms;
	/* A session was used; told at most every five minutes each. */
	void (*on_touched)(void *ctx, const uint8_t hash[32]);
	void *ctx;
};

/* Answer a browser's request (an exchange over TLS in the browser role). */
void router_browser(struct router *r, struct exchange *x);
/* Answer what comes on plain port 80: a redirect to https for hosts we know, 421 for others. Sets
 * no cookie, asks nobody. */
void router_plain(struct router *r, struct exchange *x);

/* Pure: where requests for an authority (in lower case, as messages have it) go; NULL: nowhere. A
 * port is not looked at. Lives as long as the snapshot. */
const struct route *router_route_of(const struct snapshot *snap, const char *authority);
