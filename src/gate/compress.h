/* Text that a device sends uncompressed is compressed on its way to a browser that takes it. What
 * is compressed, and what never: compress_choose. Not for pages that another site made the browser
 * ask for: who can choose a part of an answer and see its length learns the rest of it (BREACH). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "gate/coder.h"

struct compressor;
struct exchange;
struct msg;

/* How many answers of one loop are compressed at once: about 5 MiB in all. More go as they are. */
#define COMPRESS_MAX 32u
struct compress_room {
	unsigned n;
};

/* May this answer be compressed, as the device gave its head? Then `c` is the coding for this
 * request (RFC 9110 §12.5.3), CODING_NONE where only another would get one: it varies. Pure. */
bool compress_choose(const struct msg *req, const struct msg *resp, enum coding *c);
/* The head of what will be compressed, in place: coding, no length, no ranges, a weak ETag (§8.8.1),
 * from which etag_unmark finds the device's. The answer to HEAD has the same one (§9.3.2). */
void compress_head(struct msg *resp, enum coding c);
/* The head of a 304 to who has a compressed answer: its ETag and Vary (§15.4.5). */
void compress_unchanged(struct msg *resp);
/* Add "accept-encoding" to Vary. */
void compress_vary(struct msg *resp);

/* Of one answer, between device and `x`. NULL when there is no room: it goes as it is, so ask
 * before the head is changed. `room` is lent until compressor_free. */
struct compressor *compressor_new(enum coding c, struct compress_room *room, struct exchange *x);
void compressor_free(struct compressor *z);
/* As exchange_write, coded. What comes slowly waits a few milliseconds for more, then it is sent.
 * When memory is short the exchange is aborted. */
size_t compressor_write(struct compressor *z, const uint8_t *p, size_t n);
/* The last of it; exchange_end is the caller's. */
void compressor_end(struct compressor *z);
