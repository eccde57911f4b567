/* The gate's loops: the first runs on the main thread, each other on a thread of its own. All share
 * certificates, snapshots and TLS settings, and nothing else; see worker/worker.h. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "gate.h"

struct conf;
struct gate_loops;
struct link_count;
struct loop;
struct worker;
struct worker_opts;

struct gate_loop {
	struct gate_loops *all;
	struct loop *loop;
	struct worker *worker;
	struct cross *cross;
	pthread_t thread;
	bool runs; /* on a thread of its own */
	unsigned index;
};

struct gate_loops {
	unsigned n;
	atomic_uint undrained;
	void (*on_links)(
		void *ctx, unsigned loop, const char *device, const struct link_count *now);
	void *ctx;
	struct gate_loop at[GATE_LOOPS_MAX];
};

/* How many a configuration asks for: one a core, but one alone up to two cores (decision 2). */
unsigned gate_loops_wanted(const struct conf *c);
/* Make `n` loops with a worker each; `o` says what they share. `l` is zeroed but for on_links and ctx,
 * which is called on the loops. On failure gate_loops_close() and gate_loops_free() as ever. */
int gate_loops_open(struct gate_loops *l, unsigned n, const struct worker_opts *o, struct err *e);
/* Run all but the first. */
int gate_loops_start(struct gate_loops *l, struct err *e);
/* Let all finish what is under way, for `ms` at most, then stop the first. Any thread. */
void gate_loops_drain(struct gate_loops *l, uint64_t ms);
/* After the first has stopped: stop the others and wait for their threads. */
void gate_loops_join(struct gate_loops *l);
void gate_loops_free(struct gate_loops *l);
