/* See h2_slot.h. Blocks are cut off one after the other; a small one that is released waits in the
 * list of its size. Lists and counters are at the place's own beginning, so they rest with it. */
#include "http/h2_slot.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#include "base/xalloc.h"

#define UNIT 16u
#define SIZES ((H2_SLOT_SMALL + 8) / UNIT + 1)

/* Small, because it is made anew each time; the window holds all of a usual session. */
#define WINDOW_BITS (-12)
#define MEM_LEVEL 5

struct block {
	uint64_t units; /* with this head */
	uint16_t next;  /* while it is free: offset / 8 of the next one of its size, 0: none */
};

#define BLOCK_HEAD offsetof(struct block, next)

struct place {
	uint32_t used;
	uint16_t free[SIZES]; /* by units; offset / 8 of a block, 0: none */
};

/* So that what follows a block's head is aligned. */
#define FIRST ((sizeof(struct place) + BLOCK_HEAD + UNIT - 1) / UNIT * UNIT - BLOCK_HEAD)

struct h2_packed {
	uint32_t used, len;
	uint8_t data[];
};

_Static_assert(H2_SLOT_SIZE / 8 <= UINT16_MAX, "offsets fit");
_Static_assert(H2_SLOT_SMALL % UNIT == 8 && BLOCK_HEAD == 8, "sizes have no gaps");

static struct place *place_of(const struct h2_slot *s)
{
	return (struct place *)s->at;
}

static struct block *block_at(const struct h2_slot *s, uint16_t offset8)
{
	return (struct block *)(s->at + (size_t)offset8 * 8);
}

bool h2_slot_init(struct h2_slot *s)
{
	*s = (struct h2_slot){0};
	void *at = mmap(NULL, H2_SLOT_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return false;
	/* Many of them side by side look like room for huge pages: those are not given back. */
	madvise(at, H2_SLOT_SIZE, MADV_NOHUGEPAGE);
	s->at = at;
	place_of(s)->used = FIRST;
	return true;
}

/* It may hold fields of requests. */
static void forget_packed(struct h2_slot *s)
{
	if (s->packed)
		free_secret(s->packed, sizeof(*s->packed) + s->packed->len);
	s->packed = NULL;
}

void h2_slot_done(struct h2_slot *s)
{
	forget_packed(s);
	/* Beyond the number of mappings that a process may have only addresses are lost. */
	if (s->at && munmap(s->at, H2_SLOT_SIZE) < 0)
		madvise(s->at, H2_SLOT_SIZE, MADV_DONTNEED);
	s->at = NULL;
}

void *h2_slot_alloc(struct h2_slot *s, size_t n)
{
	if (!s->at || n > H2_SLOT_SIZE)
		return NULL;
	struct place *p = place_of(s);
	size_t units = (n + BLOCK_HEAD + UNIT - 1) / UNIT;
	struct block *b;
	if (units < SIZES && p->free[units]) {
		b = block_at(s, p->free[units]);
		p->free[units] = b->next;
		return &b->next;
	}
	if (units * UNIT > H2_SLOT_SIZE - p->used)
		return NULL;
	b = (struct block *)(s->at + p->used);
	b->units = units;
	p->used += (uint32_t)(units * UNIT);
	return &b->next;
}

static struct block *block_of(const void *p)
{
	return (struct block *)((uint8_t *)(uintptr_t)p - BLOCK_HEAD);
}

void h2_slot_release(struct h2_slot *s, void *p)
{
	struct block *b = block_of(p);
	struct place *at = place_of(s);
	if (b->units >= SIZES)
		return;
	b->next = at->free[b->units];
	at->free[b->units] = (uint16_t)(((uint8_t *)b - s->at) / 8);
}

size_t h2_slot_room(const struct h2_slot *s, const void *p)
{
	uintptr_t at = (uintptr_t)s->at, to = (uintptr_t)p;
	if (!s->at || to < at || to >= at + H2_SLOT_SIZE)
		return 0;
	return (size_t)block_of(p)->units * UNIT - BLOCK_HEAD;
}

/* ---- rest ---- */

static void clear_free(struct h2_slot *s)
{
	const struct place *p = place_of(s);
	for (size_t units = 1; units < SIZES; units++) {
		for (uint16_t at = p->free[units]; at; at = block_at(s, at)->next) {
			uint8_t *b = (uint8_t *)block_at(s, at);
			memset(b + sizeof(uint64_t) + sizeof(uint16_t), 0,
				units * UNIT - sizeof(uint64_t) - sizeof(uint16_t));
		}
	}
}

/* How many bytes of `to` it takes; 0: it does not fit, or there is no memory. */
static size_t pack(const uint8_t *from, size_t n, uint8_t *to, size_t room)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)from,
		.avail_in = (uInt)n,
		.next_out = to,
		.avail_out = (uInt)room};
	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS, MEM_LEVEL,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	int rc = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return rc == Z_STREAM_END ? room - z.avail_out : 0;
}

bool h2_slot_rest(struct h2_slot *s, void *scratch, size_t n)
{
	if (!s->at || s->packed)
		return false;
	uint32_t used = place_of(s)->used;
	clear_free(s);
	size_t len = pack(s->at, used, scratch, n < used / 2 ? n : used / 2);
	if (!len)
		return false;
	s->packed = malloc(sizeof(*s->packed) + len);
	if (!s->packed)
		return false;
	*s->packed = (struct h2_packed){.used = used, .len = (uint32_t)len};
	memcpy(s->packed->data, scratch, len);
	madvise(s->at, H2_SLOT_SIZE, MADV_DONTNEED);
	return true;
}

void h2_slot_wake(struct h2_slot *s)
{
	struct h2_packed *k = s->packed;
	if (!k)
		return;
	z_stream z = {
		.next_in = k->data, .avail_in = k->len, .next_out = s->at, .avail_out = k->used};
	if (inflateInit2(&z, WINDOW_BITS) != Z_OK || inflate(&z, Z_FINISH) != Z_STREAM_END ||
		z.avail_out)
		abort();
	inflateEnd(&z);
	forget_packed(s);
}
