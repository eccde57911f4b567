/* When to ask for a certificate and when to leave the CA alone. Pure: every time is an argument,
 * Unix seconds unless the name says otherwise. Shared by gate (when is a renewal due) and steward
 * (may this order be placed now). Promises: a restart moves nothing, a dead CA is asked at most a
 * few times and then daily, and no clock jump in either direction makes a storm of orders. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Before this moment no clock can be right: this code did not exist. */
#define SCHEDULE_EPOCH INT64_C(1767225600) /* 2026-01-01 */
#define SCHEDULE_AHEAD_MAX_S (INT64_C(5) * 365 * 86400)
#define SCHEDULE_WAIT_MAX_S (8 * 86400)    /* longest wait that a CA can impose */
#define SCHEDULE_FORCE_GAP_S 60            /* even a person waits this long between two tries */

/* Is the clock believable? `floor`: the latest moment known to have passed (such as the not-before
 * of a certificate at hand), 0 when none; years after it is as wrong as before it, since a gateway
 * that runs gets new certificates. 0, or -ERANGE with a sentence: then do nothing at all. */
int schedule_clock_check(int64_t now, int64_t floor, struct err *e);

/* Compares wall time with monotonic time, to notice a jump. Start with all zeros. */
struct schedule_clock {
	int64_t wall;
	uint64_t mono_ms;
	uint64_t hold_until_ms; /* monotonic */
};
/* Call at every look at the schedule. True: the clock jumped by more than an hour less than ten
 * minutes ago; place nothing now, it may jump back (time servers answer late after a power cut). */
bool schedule_clock_unsettled(struct schedule_clock *c, int64_t now, uint64_t mono_ms);

/* When to renew: with a third of the lifetime left (half when it is below ten days), earlier by a
 * jitter of at most a thirtieth of the lifetime that depends on `name` alone. */
int64_t schedule_renew_at(const char *name, int64_t not_before, int64_t not_after);

enum schedule_outcome {
	SCHEDULE_OK,      /* the CA issued */
	SCHEDULE_FAILED,  /* anything else but … */
	SCHEDULE_LIMITED, /* … the CA's rate limit: an hour at least */
};

/* What is remembered of one set of names; store every field. All zeros: never tried. */
struct schedule_backoff {
	unsigned failures; /* since the last success */
	unsigned issued;   /* successes close to one another: guards against an order loop */
	int64_t last_at;   /* the last try's end */
	int64_t next_at;   /* no try before; 0: any time */
};

/* Record how a try ended. `retry_after_s`: what the CA asked for, 0 when nothing; a minimum. `name`
 * seeds the jitter (up to a tenth of the wait). */
void schedule_record(struct schedule_backoff *b, const char *name, enum schedule_outcome outcome,
	int64_t now, int64_t retry_after_s);
/* When the next try is allowed, as seen from `now`: a clock that went back since the last try does
 * not stretch the wait. `forced`: a person asks; only SCHEDULE_FORCE_GAP_S counts. Returns `now` or
 * a later moment; place an order when it equals `now`. Moves `b` when the clock went back. */
int64_t schedule_next(struct schedule_backoff *b, int64_t now, bool forced);
