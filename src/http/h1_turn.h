/* Inside http/: one turn of an HTTP/1.1 connection, server or client. What is written in a turn is
 * gathered by corking; at its end the owner settles what follows from it, so that nothing is told from
 * inside what the handler or caller calls. A turn is a stream or timer callback; when an owner is
 * called in between, the kick makes one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "net/loop.h"

struct stream;

struct h1_turn {
	struct stream *s;
	struct timer kick;
	void (*settle)(struct h1_turn *t);
	bool inside, corked;
};

void h1_turn_init(struct h1_turn *t, struct stream *s, void (*settle)(struct h1_turn *t));
/* Before the memory goes. */
void h1_turn_done(struct h1_turn *t);
/* Around every callback. */
void h1_turn_enter(struct h1_turn *t);
void h1_turn_leave(struct h1_turn *t);
/* Settle soon, when no turn is under way that will. */
void h1_turn_kick(struct h1_turn *t);
/* Send what is gathered, and gather no more. Idempotent. */
void h1_turn_uncork(struct h1_turn *t);

/* Before and after each write to the stream. `queued` is what the write returned; much is not held
 * back for the end of the turn. Returns what is queued then. */
void h1_turn_begin_output(struct h1_turn *t);
size_t h1_turn_end_output(struct h1_turn *t, size_t queued);
