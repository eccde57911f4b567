/* See turn.h. */
#include "http/turn.h"

#include "base/list.h"
#include "net/stream.h"

#define GATHER_MAX 16384u /* more than this is not held back for the end of the turn */

static void on_kick(struct defer *d)
{
	struct turn *t = container_of(d, struct turn, kick);
	turn_enter(t);
	turn_leave(t);
}

void turn_init(struct turn *t, struct stream *s, void (*settle)(struct turn *t))
{
	*t = (struct turn){.s = s, .settle = settle};
	defer_init(&t->kick, on_kick);
}

void turn_done(struct turn *t)
{
	defer_cancel(&t->kick);
}

void turn_cork(struct turn *t)
{
	if (!t->corked)
		stream_cork(t->s);
	t->corked = true;
}

void turn_uncork(struct turn *t)
{
	if (t->corked)
		stream_uncork(t->s);
	t->corked = false;
}

void turn_end(struct turn *t)
{
	stream_shutdown(t->s);
	turn_uncork(t);
}

void turn_enter(struct turn *t)
{
	t->inside = true;
	turn_cork(t);
}

void turn_leave(struct turn *t)
{
	t->settle(t);
	t->inside = false;
	turn_uncork(t);
}

void turn_kick(struct turn *t)
{
	if (!t->inside)
		loop_defer(stream_loop(t->s), &t->kick);
}

void turn_begin_output(struct turn *t)
{
	turn_cork(t);
	turn_kick(t);
}

size_t turn_end_output(struct turn *t, size_t queued)
{
	if (queued <= GATHER_MAX)
		return queued;
	turn_uncork(t);
	if (t->inside)
		turn_cork(t);
	return stream_write(t->s, "", 0);
}
