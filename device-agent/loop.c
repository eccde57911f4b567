/* See loop.h. The array for poll() is built anew each time: with at most LOOP_MAX entries that
 * costs less than keeping it true. */
#include "device-agent/loop.h"

#include <errno.h>

#include "base/clock.h"

void loop_init(struct loop *l)
{
	list_init(&l->watches);
	l->n = 0;
	l->now_ms = clock_mono_ms();
}

bool loop_add(struct loop *l, struct watch *w)
{
	if (l->n == LOOP_MAX)
		return false;
	w->loop = l;
	w->slot = LOOP_MAX;
	list_push_back(&l->watches, &w->node);
	l->n++;
	return true;
}

void loop_remove(struct watch *w)
{
	struct loop *l = w->loop;
	if (!l)
		return;
	if (w->slot < LOOP_MAX)
		l->slots[w->slot] = NULL; /* the step under way must not call it */
	list_remove(&w->node);
	l->n--;
	w->loop = NULL;
}

void watch_after(struct watch *w, uint64_t ms)
{
	w->due_ms = clock_mono_ms() + ms;
}

static int prepare(struct loop *l, unsigned *n)
{
	uint64_t first = UINT64_MAX;
	*n = 0;
	list_each(pos, &l->watches)
	{
		struct watch *w = container_of(pos, struct watch, node);
		w->slot = *n;
		l->slots[*n] = w;
		l->fds[*n] = (struct pollfd){.fd = w->events ? w->fd : -1, .events = w->events};
		++*n;
		if (w->due_ms && w->due_ms < first)
			first = w->due_ms;
	}
	if (first == UINT64_MAX)
		return -1;
	uint64_t now = clock_mono_ms();
	if (first <= now)
		return 0;
	return first - now > 3600000 ? 3600000 : (int)(first - now);
}

static void dispatch(struct loop *l, unsigned i)
{
	struct watch *w = l->slots[i];
	if (!w)
		return;
	w->slot = LOOP_MAX;
	if (w->due_ms && w->due_ms <= l->now_ms) {
		w->due_ms = 0; /* first: a peer that never pauses must not put it off */
		w->on_event(w, 0);
	} else if (l->fds[i].revents) {
		w->on_event(w, l->fds[i].revents);
	}
}

int loop_step(struct loop *l)
{
	unsigned n;
	int wait_ms = prepare(l, &n);
	int rc = poll(l->fds, n, wait_ms);
	if (rc < 0 && errno != EINTR)
		return -errno;
	if (rc < 0) {
		for (unsigned i = 0; i < n; i++)
			l->fds[i].revents = 0;
	}
	l->now_ms = clock_mono_ms();
	for (unsigned i = 0; i < n; i++)
		dispatch(l, i);
	return 0;
}
