/* Inside http/: the memory of one session of nghttp2 in a place of its own, so that it can rest
 * while nobody asks for anything. A session is opaque and full of pointers into itself, so it is
 * not moved: what the place holds is packed (it is mostly zeros), the pages are given back, and
 * when it is needed the same bytes stand at the same addresses again. 11 KiB become some 1.2.
 *
 * What finds no room here comes from malloc() and stays there. Pure but for memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H2_SLOT_SIZE 65536u /* of addresses; memory is only what was used */
#define H2_SLOT_SMALL 504u  /* blocks up to here are used again once they are released */

struct h2_slot {
	uint8_t *at;              /* NULL: there is no place */
	struct h2_packed *packed; /* NULL: awake */
};

/* False: there was no place to be had, and every h2_slot_alloc() returns NULL. */
bool h2_slot_init(struct h2_slot *s);
/* All blocks go. */
void h2_slot_done(struct h2_slot *s);
/* Aligned for anything; NULL: no room. Its bytes are undefined. Awake only, as the next two. */
void *h2_slot_alloc(struct h2_slot *s, size_t n);
void h2_slot_release(struct h2_slot *s, void *p);
/* How much a block from h2_slot_alloc() takes; 0: `p` is from elsewhere. */
size_t h2_slot_room(const struct h2_slot *s, const void *p);
/* Pack. `scratch`: `n` bytes that may be overwritten. False, and nothing has changed, when it would
 * not be worth it, or there is no memory. */
bool h2_slot_rest(struct h2_slot *s, void *scratch, size_t n);
/* As it was, every byte. Without effect when awake. Ends the process when memory is exhausted, as
 * xcalloc() does. */
void h2_slot_wake(struct h2_slot *s);
