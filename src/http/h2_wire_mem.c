/* What a server's session of nghttp2 allocates. It keeps 16 KiB all its life to make frames in,
 * although what is in them is dead as soon as h2_wire_pump() has copied it out; all of a loop make
 * theirs in one place. The rest is in a slot of the session's own, so that it can be put to rest
 * (h2_slot.h). Large blocks that it takes later (a header block of several frames) come and go, so
 * they are malloc()'s. A client's session is not for this: its preface waits there from its birth
 * on, and links do not idle. */
#include <stdlib.h>
#include <string.h>

#include "http/h2_wire.h"
#include "net/loop.h"
#include "net/stream.h"

#define FRAME_BLOCK_MIN 16384u

static void *scratch_of(const struct h2_wire *w)
{
	return loop_scratch(stream_loop(w->s));
}

static void *on_malloc(size_t n, void *user)
{
	struct h2_wire *w = user;
	bool born = w->session;
	void *p = NULL;
	if (!born && !w->shares && n >= FRAME_BLOCK_MIN && n <= LOOP_SCRATCH) {
		w->shares = true;
		return scratch_of(w);
	}
	if (!born || n <= H2_SLOT_SMALL)
		p = h2_slot_alloc(&w->slot, n);
	return p ? p : malloc(n);
}

static void on_free(void *p, void *user)
{
	struct h2_wire *w = user;
	if (w->shares && p == scratch_of(w))
		w->shares = false;
	else if (p && h2_slot_room(&w->slot, p))
		h2_slot_release(&w->slot, p);
	else
		free(p);
}

static void *on_calloc(size_t n, size_t size, void *user)
{
	size_t all;
	if (__builtin_mul_overflow(n, size, &all))
		return NULL;
	void *p = on_malloc(all, user);
	if (p)
		memset(p, 0, all);
	return p;
}

static void *on_realloc(void *p, size_t n, void *user)
{
	struct h2_wire *w = user;
	if (!p)
		return on_malloc(n, user);
	size_t room = w->shares && p == scratch_of(w) ? LOOP_SCRATCH : h2_slot_room(&w->slot, p);
	if (!room)
		return realloc(p, n);
	void *own = on_malloc(n, user);
	if (!own)
		return NULL;
	memcpy(own, p, n < room ? n : room);
	on_free(p, user);
	return own;
}

void h2_wire_mem(struct h2_wire *w, nghttp2_mem *mem)
{
	h2_slot_init(&w->slot);
	*mem = (nghttp2_mem){.mem_user_data = w,
		.malloc = on_malloc,
		.free = on_free,
		.calloc = on_calloc,
		.realloc = on_realloc};
}

void h2_wire_rest(struct h2_wire *w)
{
	h2_slot_rest(&w->slot, scratch_of(w), LOOP_SCRATCH);
}
