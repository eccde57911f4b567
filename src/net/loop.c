/* See loop.h and loop_int.h. Jobs from other threads wait in a list under a mutex and run at one place
 * of the turn, right after the poll; a loop that is at work finds them there by itself, so that a
 * uv_async wakes only one that sleeps. All timers share one uv_timer through a binary heap. Deferred
 * calls run right before the poll and after the jobs, so that none of them waits for an event. */
#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

#include "base/xalloc.h"
#include "net/loop_int.h"

#define DEFER_BATCHES 6u /* in one turn: a request from its head to the device takes four */

struct signal_watch {
	struct signal_watch *next;
	uv_signal_t handle;
	loop_signal_fn fn;
	void *ctx;
};

/* A timer in the heap. Its time stands here, too: looking for a place touches no timer. */
struct due {
	uint64_t at_ms;
	struct timer *timer;
};

struct loop {
	uv_loop_t uv;
	uv_async_t wake;
	uv_timer_t clock;
	uv_prepare_t before_poll;
	uv_check_t after_poll;
	uv_idle_t no_wait; /* active: the poll does not block */

	pthread_mutex_t lock; /* of the five below */
	struct job *jobs, **jobs_end;
	bool stopping; /* for good: takes no jobs */
	bool stop_due; /* this run is to end */
	atomic_bool asleep; /* in the poll, or about to be, and not woken; set under the lock */

	struct due *heap;
	size_t n_timers, heap_size;
	uint64_t clock_at_ms; /* for when `clock` is set; 0: not */
	bool firing;

	struct list deferred;
	struct list batch_end; /* in `deferred` while a batch runs */
	struct list open;
	struct signal_watch *signals;
	void *shared;
	void (*shared_done)(void *shared);
	void *scratch;
};

/* ---- jobs ---- */

void loop_at_work(struct loop *loop)
{
	if (atomic_load_explicit(&loop->asleep, memory_order_relaxed)) /* others read the line, too */
		atomic_store_explicit(&loop->asleep, false, memory_order_relaxed);
}

/* Under the lock: once it is free, loop_free() may go on. */
static void wake_up(struct loop *loop)
{
	if (!atomic_load_explicit(&loop->asleep, memory_order_relaxed))
		return;
	loop_at_work(loop);
	uv_async_send(&loop->wake);
}

static struct job *take_jobs(struct loop *loop, bool *stop)
{
	pthread_mutex_lock(&loop->lock);
	loop_at_work(loop);
	struct job *jobs = loop->jobs;
	loop->jobs = NULL;
	loop->jobs_end = &loop->jobs;
	*stop = loop->stop_due;
	loop->stop_due = false;
	pthread_mutex_unlock(&loop->lock);
	return jobs;
}

static void on_wake(uv_async_t *h)
{
	(void)h;
}

static void run_jobs(struct loop *loop)
{
	bool stop;
	struct job *job = take_jobs(loop, &stop);
	while (job) {
		struct job *next = job->next;
		job->run(job);
		job = next;
	}
	if (stop)
		uv_stop(&loop->uv);
}

static void cancel_job(struct job *job)
{
	if (job->cancel)
		job->cancel(job);
}

static void cancel_jobs(struct loop *loop)
{
	bool stop;
	struct job *job = take_jobs(loop, &stop);
	while (job) {
		struct job *next = job->next;
		cancel_job(job);
		job = next;
	}
}

int loop_post(struct loop *loop, struct job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&loop->lock);
	bool refused = loop->stopping;
	if (!refused) {
		*loop->jobs_end = job;
		loop->jobs_end = &job->next;
		wake_up(loop);
	}
	pthread_mutex_unlock(&loop->lock);
	if (!refused)
		return 0;
	cancel_job(job);
	return -ECANCELED;
}

void loop_stop(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->stopping = loop->stop_due = true;
	wake_up(loop);
	pthread_mutex_unlock(&loop->lock);
}

/* ---- timers ---- */

static void heap_put(struct loop *loop, size_t slot, struct due due)
{
	loop->heap[slot] = due;
	due.timer->slot = slot;
}

static void sift_up(struct loop *loop, size_t slot)
{
	struct due due = loop->heap[slot];
	while (slot > 0) {
		size_t up = (slot - 1) / 2;
		if (loop->heap[up].at_ms <= due.at_ms)
			break;
		heap_put(loop, slot, loop->heap[up]);
		slot = up;
	}
	heap_put(loop, slot, due);
}

static void sift_down(struct loop *loop, size_t slot)
{
	struct due due = loop->heap[slot];
	for (;;) {
		size_t child = 2 * slot + 1;
		if (child >= loop->n_timers)
			break;
		if (child + 1 < loop->n_timers &&
			loop->heap[child + 1].at_ms < loop->heap[child].at_ms)
			child++;
		if (due.at_ms <= loop->heap[child].at_ms)
			break;
		heap_put(loop, slot, loop->heap[child]);
		slot = child;
	}
	heap_put(loop, slot, due);
}

/* What stands at `slot` is new there. */
static void settle(struct loop *loop, size_t slot)
{
	if (slot && loop->heap[slot].at_ms < loop->heap[(slot - 1) / 2].at_ms)
		sift_up(loop, slot);
	else
		sift_down(loop, slot);
}

static void on_clock(uv_timer_t *h);

/* The uv timer is moved only when it would come too late; coming early is cheap. */
static void set_clock(struct loop *loop)
{
	if (!loop->n_timers)
		return;
	uint64_t at = loop->heap[0].at_ms;
	if (loop->clock_at_ms && loop->clock_at_ms <= at)
		return;
	uint64_t now = uv_now(&loop->uv);
	loop->clock_at_ms = at;
	uv_timer_start(&loop->clock, on_clock, at > now ? at - now : 0, 0);
}

static void on_clock(uv_timer_t *h)
{
	struct loop *loop = container_of(h, struct loop, clock);
	uint64_t now = uv_now(&loop->uv);
	loop->clock_at_ms = 0;
	loop->firing = true;
	while (loop->n_timers && loop->heap[0].at_ms <= now) {
		struct timer *t = loop->heap[0].timer;
		timer_cancel(t);
		t->fn(t);
	}
	loop->firing = false;
	set_clock(loop);
}

void timer_init(struct timer *t, struct loop *loop, timer_fn fn)
{
	*t = (struct timer){.loop = loop, .fn = fn};
}

static void make_room(struct loop *loop)
{
	if (loop->n_timers < loop->heap_size)
		return;
	loop->heap_size = loop->heap_size ? loop->heap_size * 2 : 64;
	loop->heap = xrealloc(loop->heap, loop->heap_size, sizeof(*loop->heap));
}

void timer_arm(struct timer *t, uint64_t ms)
{
	struct loop *loop = t->loop;
	/* From a timer's callback "at once" means the next turn, or two of them could starve
	 * everything else. */
	uint64_t at = uv_now(&loop->uv) + (loop->firing && !ms ? 1 : ms);
	if (at < ms)
		at = UINT64_MAX;
	if (!t->at_ms) {
		make_room(loop);
		t->slot = loop->n_timers++;
	}
	t->at_ms = at ? at : 1;
	heap_put(loop, t->slot, (struct due){t->at_ms, t});
	settle(loop, t->slot);
	if (!loop->firing)
		set_clock(loop);
}

void timer_cancel(struct timer *t)
{
	if (!t->at_ms)
		return;
	struct loop *loop = t->loop;
	struct due last = loop->heap[--loop->n_timers];
	if (last.timer != t) {
		heap_put(loop, t->slot, last);
		settle(loop, t->slot);
	}
	t->at_ms = 0;
}

/* ---- deferred calls ---- */

void defer_init(struct defer *d, void (*run)(struct defer *d))
{
	list_init(&d->node);
	d->run = run;
}

void loop_defer(struct loop *loop, struct defer *d)
{
	if (list_empty(&d->node))
		list_push_back(&loop->deferred, &d->node);
}

void defer_cancel(struct defer *d)
{
	list_remove(&d->node);
}

static void on_no_wait(uv_idle_t *h)
{
	(void)h;
}

static void run_batch(struct loop *loop)
{
	list_push_back(&loop->deferred, &loop->batch_end);
	while (loop->deferred.next != &loop->batch_end) {
		struct defer *d = container_of(loop->deferred.next, struct defer, node);
		list_remove(&d->node);
		d->run(d);
	}
	list_remove(&loop->batch_end);
}

/* What the calls defer in their turn comes in the next batch; after some, others have to be heard. */
static void run_deferred(struct loop *loop)
{
	for (unsigned i = 0; i < DEFER_BATCHES && !list_empty(&loop->deferred); i++)
		run_batch(loop);
}

/* Whether the poll may block. What is posted from here on wakes it. */
static bool may_sleep(struct loop *loop)
{
	if (!list_empty(&loop->deferred))
		return false;
	pthread_mutex_lock(&loop->lock);
	bool idle = !loop->jobs && !loop->stop_due;
	atomic_store_explicit(&loop->asleep, idle, memory_order_relaxed);
	pthread_mutex_unlock(&loop->lock);
	return idle;
}

static void on_before_poll(uv_prepare_t *h)
{
	struct loop *loop = container_of(h, struct loop, before_poll);
	run_deferred(loop);
	if (may_sleep(loop))
		uv_idle_stop(&loop->no_wait);
	else
		uv_idle_start(&loop->no_wait, on_no_wait);
}

static void on_after_poll(uv_check_t *h)
{
	struct loop *loop = container_of(h, struct loop, after_poll);
	run_jobs(loop);
	run_deferred(loop);
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *h, int signum)
{
	struct signal_watch *w = container_of(h, struct signal_watch, handle);
	w->fn(w->ctx, signum);
}

int loop_on_signal(struct loop *loop, int signum, loop_signal_fn fn, void *ctx, struct err *e)
{
	for (struct signal_watch *w = loop->signals; w; w = w->next) {
		if (w->handle.signum != signum)
			continue;
		w->fn = fn;
		w->ctx = ctx;
		return 0;
	}
	struct signal_watch *w = xcalloc(1, sizeof(*w));
	w->fn = fn;
	w->ctx = ctx;
	w->next = loop->signals;
	int rc = uv_signal_init(&loop->uv, &w->handle);
	if (rc < 0) {
		free(w);
		return err_set(e, rc, "cannot watch signals: %s", uv_strerror(rc));
	}
	loop->signals = w;
	rc = uv_signal_start(&w->handle, on_signal, signum);
	if (rc < 0)
		return err_set(e, rc, "cannot watch signal %d: %s", signum, uv_strerror(rc));
	return 0;
}

/* ---- life ---- */

static int init_handles(struct loop *loop)
{
	int rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
	if (rc < 0)
		return rc;
	uv_timer_init(&loop->uv, &loop->clock);
	uv_prepare_init(&loop->uv, &loop->before_poll);
	uv_check_init(&loop->uv, &loop->after_poll);
	uv_idle_init(&loop->uv, &loop->no_wait);
	uv_prepare_start(&loop->before_poll, on_before_poll);
	uv_check_start(&loop->after_poll, on_after_poll);
	return 0;
}

int loop_new(struct loop **out, struct err *e)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));
	int rc = uv_loop_init(&loop->uv);
	if (rc < 0)
		goto fail;
	rc = init_handles(loop);
	if (rc < 0) {
		uv_loop_close(&loop->uv);
		goto fail;
	}
	pthread_mutex_init(&loop->lock, NULL);
	loop->jobs_end = &loop->jobs;
	list_init(&loop->deferred);
	list_init(&loop->batch_end);
	list_init(&loop->open);
	*out = loop;
	return 0;
fail:
	free(loop);
	return err_set(e, rc, "cannot make an event loop: %s", uv_strerror(rc));
}

void loop_run(struct loop *loop)
{
	uv_update_time(&loop->uv);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	cancel_jobs(loop);
}

static void close_handle(uv_handle_t *h, void *ctx)
{
	(void)ctx;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void free_signals(struct loop *loop)
{
	while (loop->signals) {
		struct signal_watch *w = loop->signals;
		loop->signals = w->next;
		free(w);
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	loop_stop(loop);
	cancel_jobs(loop);
	while (!list_empty(&loop->open) || !list_empty(&loop->deferred)) {
		list_each_safe(pos, &loop->open)
		{
			struct loop_open *o = container_of(pos, struct loop_open, node);
			o->close(o);
		}
		run_deferred(loop);
		uv_run(&loop->uv, UV_RUN_NOWAIT);
	}
	uv_walk(&loop->uv, close_handle, NULL);
	while (uv_loop_close(&loop->uv) == UV_EBUSY)
		uv_run(&loop->uv, UV_RUN_ONCE);
	if (loop->shared)
		loop->shared_done(loop->shared);
	free_signals(loop);
	pthread_mutex_destroy(&loop->lock);
	free(loop->heap);
	free(loop->scratch);
	free(loop);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
	return &loop->uv;
}

void *loop_scratch(struct loop *loop)
{
	if (!loop->scratch)
		loop->scratch = xrealloc(NULL, 1, LOOP_SCRATCH);
	return loop->scratch;
}

uint64_t loop_now_ms(struct loop *loop)
{
	return uv_now(&loop->uv);
}

void loop_add_open(struct loop *loop, struct loop_open *o)
{
	list_push_back(&loop->open, &o->node);
}

void *loop_shared(const struct loop *loop)
{
	return loop->shared;
}

void loop_set_shared(struct loop *loop, void *shared, void (*done)(void *shared))
{
	loop->shared = shared;
	loop->shared_done = done;
}
