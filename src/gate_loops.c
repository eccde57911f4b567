/* See gate_loops.h. */
#include "gate_loops.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "http/cross.h"
#include "net/loop.h"
#include "store/conf.h"
#include "worker/worker.h"

unsigned gate_loops_wanted(const struct conf *c)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (c->workers)
		return c->workers;
	if (cores <= 2)
		return 1;
	return cores < GATE_LOOPS_MAX ? (unsigned)cores : GATE_LOOPS_MAX;
}

static void on_links(void *ctx, const char *device, const struct link_count *now)
{
	struct gate_loop *one = ctx;
	one->all->on_links(one->all->ctx, one->index, device, now);
}

int gate_loops_open(struct gate_loops *l, unsigned n, const struct worker_opts *o, struct err *e)
{
	struct worker *workers[GATE_LOOPS_MAX];
	for (unsigned i = 0; i < n; i++) {
		struct gate_loop *one = &l->at[i];
		struct worker_opts mine = *o;
		one->all = l;
		one->index = i;
		int rc = loop_new(&one->loop, e);
		if (rc < 0)
			return rc;
		mine.loop = one->loop;
		mine.share = n;
		mine.asks = i == 0;
		mine.on_links = on_links;
		mine.links_ctx = one;
		one->worker = workers[i] = worker_new(&mine);
		one->cross = worker_cross(one->worker);
		l->n++;
	}
	for (unsigned i = 0; i < n; i++)
		worker_set_peers(workers[i], workers, n);
	return 0;
}

static void *run(void *ctx)
{
	struct gate_loop *one = ctx;
	char name[16];
	snprintf(name, sizeof(name), "gate-loop-%u", one->index);
	pthread_setname_np(pthread_self(), name);
	loop_run(one->loop);
	return NULL;
}

int gate_loops_start(struct gate_loops *l, struct err *e)
{
	sigset_t all, before;
	int rc = 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
	for (unsigned i = 1; i < l->n && rc == 0; i++) {
		rc = -pthread_create(&l->at[i].thread, NULL, run, &l->at[i]);
		l->at[i].runs = rc == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc < 0 ? err_sys(e, rc, "cannot start a thread") : 0;
}

static void on_drained(void *ctx)
{
	struct gate_loops *l = ctx;
	if (atomic_fetch_sub(&l->undrained, 1) == 1)
		loop_stop(l->at[0].loop);
}

void gate_loops_drain(struct gate_loops *l, uint64_t ms)
{
	atomic_store(&l->undrained, l->n);
	for (unsigned i = 0; i < l->n; i++)
		worker_post_drain(l->at[i].worker, ms, on_drained, l);
}

void gate_loops_join(struct gate_loops *l)
{
	for (unsigned i = 1; i < l->n; i++)
		loop_stop(l->at[i].loop);
	for (unsigned i = 1; i < l->n; i++) {
		if (l->at[i].runs)
			pthread_join(l->at[i].thread, NULL);
		l->at[i].runs = false;
	}
}

void gate_loops_free(struct gate_loops *l)
{
	for (unsigned i = 0; i < l->n; i++)
		cross_stop(l->at[i].cross);
	for (unsigned i = 0; i < l->n; i++)
		worker_free(l->at[i].worker);
	for (unsigned i = 0; i < GATE_LOOPS_MAX; i++)
		loop_free(l->at[i].loop);
	for (unsigned i = 0; i < l->n; i++)
		cross_free(l->at[i].cross);
}
