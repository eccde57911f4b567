/* One event loop and its thread: timers, posted jobs, deferred calls. The only thing another thread
 * may do with a loop is loop_post() and loop_stop(). Hides libuv from the layers above. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct loop;
struct uv_loop_s;

int loop_new(struct loop **out, struct err *e);
/* Closes what is still open; the loop must not be running. */
void loop_free(struct loop *loop);
/* Runs until loop_stop(). The calling thread owns the loop from here on. May be called again for what
 * there is besides jobs. */
void loop_run(struct loop *loop);
/* Any thread. Idempotent. */
void loop_stop(struct loop *loop);
/* For net/ alone. */
struct uv_loop_s *loop_uv(struct loop *loop);
/* Milliseconds, monotonic, cached once a turn. */
uint64_t loop_now_ms(struct loop *loop);

/* A job: embed it, get back by container_of. `run` is called once on the loop's thread, or
 * `cancel` (may be NULL) once when the loop stops first. Either must free it. */
struct job {
	struct job *next;
	void (*run)(struct job *job);
	void (*cancel)(struct job *job);
};

/* Run `job` on `loop`, in order of posting, after the poll of this turn or the next, before deferred
 * calls. Any thread. Takes `job`.
 * -ECANCELED once the loop is stopping; `cancel` has then been called. */
int loop_post(struct loop *loop, struct job *job);

/* A timer: embed it. One-shot; arm again in the callback to repeat. Owned by the loop's thread. */
struct timer;
typedef void (*timer_fn)(struct timer *t);
struct timer {
	struct loop *loop;
	timer_fn fn;
	uint64_t at_ms; /* loop_now_ms() clock; 0: not armed */
	size_t slot;	/* in the loop's heap */
};

/* No allocation until armed. */
void timer_init(struct timer *t, struct loop *loop, timer_fn fn);
/* (Re)arm to fire once, `ms` from now. Moving a deadline is O(log n). */
void timer_arm(struct timer *t, uint64_t ms);
/* Idempotent. Must be called before the memory goes. */
void timer_cancel(struct timer *t);

/* A call that is made once, on the loop, soon after the present callback has returned: when the poll's
 * callbacks are through, without a poll of its own. Embed it. Owned by the loop's thread. */
struct defer {
	struct list node;
	void (*run)(struct defer *d);
};
void defer_init(struct defer *d, void (*run)(struct defer *d));
/* No effect while it waits already. */
void loop_defer(struct loop *loop, struct defer *d);
/* Idempotent. Must be called before the memory goes. */
void defer_cancel(struct defer *d);

/* A place of LOOP_SCRATCH bytes for what somebody makes and copies out before the present callback
 * returns: others on this loop use the same. Lives as long as the loop. */
#define LOOP_SCRATCH 20480u
void *loop_scratch(struct loop *loop);

/* Signals, on the thread that runs the loop: `fn` is called on the loop. One handler a signal. */
typedef void (*loop_signal_fn)(void *ctx, int signum);
int loop_on_signal(struct loop *loop, int signum, loop_signal_fn fn, void *ctx, struct err *e);
