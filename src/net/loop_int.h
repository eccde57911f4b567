/* What the modules of net/ may ask of a loop beyond loop.h: objects that loop_free() has to close,
 * and a place for what streams share. */
#pragma once

#include "net/loop.h"

/* Something open on the loop. `close` is called by loop_free(), perhaps more than once, and must
 * lead, within some turns, to the node being removed from the list. */
struct loop_open {
	struct list node;
	void (*close)(struct loop_open *o);
};
void loop_add_open(struct loop *loop, struct loop_open *o);

/* What the poll calls says so: jobs that come from here on are found in this turn, and need wake nobody.
 * Only spares the waking; who says nothing loses nothing. */
void loop_at_work(struct loop *loop);

/* One object that streams of this loop share; `done` frees it when the loop goes. */
void *loop_shared(const struct loop *loop);
void loop_set_shared(struct loop *loop, void *shared, void (*done)(void *shared));
