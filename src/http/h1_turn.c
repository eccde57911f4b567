/* See h1_turn.h. */
#include "http/h1_turn.h"

#include "base/list.h"
#include "net/stream.h"

#define GATHER_MAX 16384u /* more than this is not held back for the end of the turn */

static void on_kick(struct timer *timer)
{
	struct h1_turn *t = container_of(timer, struct h1_turn, kick);
	h1_turn_enter(t);
	h1_turn_leave(t);
}

void h1_turn_init(struct h1_turn *t, struct stream *s, void (*settle)(struct h1_turn *t))
{
	*t = (struct h1_turn){.s = s, .settle = settle};
	timer_init(&t->kick, stream_loop(s), on_kick);
}

void h1_turn_done(struct h1_turn *t)
{
	timer_cancel(&t->kick);
}

static void cork(struct h1_turn *t)
{
	if (!t->corked)
		stream_cork(t->s);
	t->corked = true;
}

void h1_turn_uncork(struct h1_turn *t)
{
	if (t->corked)
		stream_uncork(t->s);
	t->corked = false;
}

void h1_turn_enter(struct h1_turn *t)
{
	t->inside = true;
	cork(t);
}

void h1_turn_leave(struct h1_turn *t)
{
	t->settle(t);
	t->inside = false;
	h1_turn_uncork(t);
}

void h1_turn_kick(struct h1_turn *t)
{
	if (!t->inside && !t->kick.at_ms)
		timer_arm(&t->kick, 0);
}

void h1_turn_begin_output(struct h1_turn *t)
{
	cork(t);
	h1_turn_kick(t);
}

size_t h1_turn_end_output(struct h1_turn *t, size_t queued)
{
	if (queued <= GATHER_MAX)
		return queued;
	h1_turn_uncork(t);
	if (t->inside)
		cork(t);
	return stream_write(t->s, "", 0);
}
