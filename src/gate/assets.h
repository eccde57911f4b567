/* The files of the pages, embedded at build time (src/ui, src/tools/embed.c). They are the same for
 * everybody and hold no secret; served from memory on the loop that asked, never copied whole. */
#pragma once

#include <stddef.h>

struct exchange;
struct msg;

struct asset {
	const char *name, *type; /* name NULL ends a table */
	const char *hash;	 /* of the bytes */
	const unsigned char *data;
	size_t len; /* a NUL follows that does not count */
	const unsigned char *gz; /* NULL: not worth it */
	size_t gz_len;
};

/* Generated. */
extern const struct asset assets_bundle[];

/* The file of a table that this path ("/app.js?x") names, or NULL. */
const struct asset *assets_find(const struct asset *table, const char *path);
/* Answer a GET or HEAD with it: ETag, 304 where the browser has it already, gzip where that is accepted.
 * It is to be asked for anew each time (no-cache). `extra`: more fields, lent; may be NULL. */
void assets_reply(struct exchange *x, const struct asset *a, const struct msg *extra);
