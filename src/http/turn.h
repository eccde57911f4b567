/* Inside http/: one turn of a connection, server or client. What is written in a turn is
 * gathered by corking; at its end the owner settles what follows from it, so that nothing is told from
 * inside what the handler or caller calls. A turn is a stream or timer callback; when an owner is
 * called in between, the kick makes one, before the loop polls again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "net/loop.h"

struct stream;

struct turn {
	struct stream *s;
	struct defer kick;
	void (*settle)(struct turn *t);
	bool inside, corked;
};

void turn_init(struct turn *t, struct stream *s, void (*settle)(struct turn *t));
/* Before the memory goes. */
void turn_done(struct turn *t);
/* Around every callback. */
void turn_enter(struct turn *t);
void turn_leave(struct turn *t);
/* Settle soon, when no turn is under way that will. */
void turn_kick(struct turn *t);
/* Gather, until the turn ends. Send what is gathered, and gather no more. Idempotent. */
void turn_cork(struct turn *t);
void turn_uncork(struct turn *t);
/* The same, and nothing comes after it: what is gathered goes with the end of the stream. */
void turn_end(struct turn *t);

/* Before and after each write to the stream. `queued` is what the write returned; much is not held
 * back for the end of the turn. Returns what is queued then. */
void turn_begin_output(struct turn *t);
size_t turn_end_output(struct turn *t, size_t queued);
