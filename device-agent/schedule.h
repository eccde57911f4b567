/* When to try again and when to renew. Pure: times and randomness come as arguments. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct backoff {
	uint32_t base_ms, cap_ms; /* ceiling of the first wait, and of any */
	unsigned fails;
};

/* The next wait: uniform in [base/10, min(cap, base · 2^fails)] ("full jitter": devices that lost
 * the gateway together do not come back together). Counts a failure. */
uint32_t backoff_next(struct backoff *b, uint32_t random);
void backoff_reset(struct backoff *b);

/* The gateway's time, kept on the monotonic clock. */
struct gwtime {
	int64_t at;         /* Unix seconds, 0: not learnt */
	uint64_t learnt_ms; /* monotonic */
	int64_t floor;      /* never believe less: the last time on record */
};

/* A time below the floor is kept out: the gateway's own clock may be wrong after a power cut.
 * False: ignored. */
bool gwtime_learn(struct gwtime *g, int64_t unix_now, uint64_t mono_ms);
/* Unix seconds, or 0 while unknown. */
int64_t gwtime_now(const struct gwtime *g, uint64_t mono_ms);

/* A third of the lifetime left. */
int64_t renew_at(int64_t not_before, int64_t not_after);
/* Milliseconds until `when`, 0 if it is past; at most `most_ms`. */
uint64_t wait_until(int64_t when, int64_t now, uint64_t most_ms);

/* Random bits for jitter, never blocking: at early boot the clock stands in for the pool. Not for
 * secrets. */
uint32_t jitter_random(void);
