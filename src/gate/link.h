/* Device links on one loop: every connection that a device's agent dialled and that passed the
 * checks, gathered per device in a pool (design decision 3, reversed HTTP/1.1). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct link_table;
struct loop;
struct pool;
struct stream;

#define LINKS_PER_DEVICE_MAX 64u

/* `links`: how many the device has now; `peer`: address of the newest, "" when none. */
typedef void (*link_count_fn)(void *ctx, const char *device, unsigned links, const char *peer);

struct link_table *link_table_new(struct loop *loop, link_count_fn fn, void *ctx);
void link_table_free(struct link_table *t);
/* A checked link of `device`. Takes `s`. Above LINKS_PER_DEVICE_MAX it is closed. */
void link_add(struct link_table *t, const char *device, struct stream *s);
/* The pool of a device, made on first use, and the ring of its exchanges. Valid until link_cut. */
struct pool *link_pool(struct link_table *t, const char *device, struct list **exchanges);
/* The device was removed: cut its exchanges and links now. */
void link_cut(struct link_table *t, const char *device);
/* How long the device has had no link; 0 while it has one. */
uint64_t link_away_ms(struct link_table *t, const char *device);
/* It had a link since the table was made, so that link_away_ms is the whole of its absence. */
bool link_was_here(struct link_table *t, const char *device);
