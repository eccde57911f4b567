/* Shared by worker.c (life, posts) and conns.c (connections). */
#pragma once

#include <stdbool.h>

#include "base/list.h"
#include "gate/router.h"
#include "http/server.h"
#include "net/loop.h"
#include "worker/worker.h"

#define WORKER_LISTENERS_MAX 64
#define WORKER_PEERS_MAX 15

enum door { DOOR_TLS, DOOR_PLAIN, DOOR_API };

struct door_ctx {
	struct worker *worker;
	struct listener *listener;
	enum door door;
};

struct worker {
	struct worker_opts o;
	struct router router;
	struct cross *cross;
	struct worker *others[WORKER_PEERS_MAX];
	unsigned n_others;
	struct http_limits limits;
	struct door_ctx doors[WORKER_LISTENERS_MAX];
	unsigned n_doors;
	struct list conns;
	unsigned n_conns, conns_max;
	unsigned conns_peak; /* since memory was last given back */
	struct map *peers;   /* address (IPv6: its /64) → struct peer */
	bool full_said;
	struct timer sweep, drain;
	void (*drained)(void *ctx);
	void *drained_ctx;
};

struct peer {
	unsigned n; /* connections that are not links */
	bool full_said;
	char key[46];
};

/* An accepted descriptor; an accept_fn, `ctx` is a struct door_ctx. */
void conns_accept(void *ctx, int fd);
/* Ask every connection to finish; those that idle close now. */
void conns_drain(struct worker *w, uint64_t ms);
/* The worker goes; connections that are still open free themselves when their loop does. */
void conns_orphan(struct worker *w);
/* conns.c tells that the last one went. */
void worker_conns_empty(struct worker *w);
