/* Whether devices without an agent can be reached: what connecting to them came to, on one loop.
 * Where nothing else tells, it connects to them itself now and then. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;
struct health;
struct loop;
struct snapshot;

/* It changed. `why`: what connecting to it failed with; NULL: it can be reached. */
typedef void (*health_fn)(void *ctx, const char *device, const char *why);

#define HEALTH_EVERY_MS 30000u /* a fifth more or less, and fewer where there are many devices */
#define HEALTH_GAP_MS 50u      /* between two checks, whatever their number */

struct health_opts {
	struct loop *loop;
	uint64_t connect_ms;
	uint64_t every_ms; /* HEALTH_EVERY_MS; 0: never ask, another loop does */
	/* Is a connection to it open? Then it is not asked. */
	bool (*is_live)(void *live_ctx, const char *device);
	void *live_ctx;
	health_fn fn;
	void *ctx;
};

struct health *health_new(const struct health_opts *o);
void health_free(struct health *h);
/* Connecting to it failed (`why`), or did not (NULL). */
void health_note(struct health *h, const char *device, const struct err *why);
/* A newer snapshot counts: who is found elsewhere now is asked anew. Takes no reference. */
void health_follow(struct health *h, const struct snapshot *s);
