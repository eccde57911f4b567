/* Device links on one loop: every connection that a device's agent dialled and that passed the
 * checks, gathered per device in a pool (design decision 3), and the ways to those that other loops
 * have. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct cross;
struct link_quota;
struct link_table;
struct loop;
struct pool;
struct stream;

#define LINKS_PER_DEVICE_MAX 64u
#define LINK_FLOOD_REMEDY                                                                          \
	"look on the device why; if you do not trust it: lanthornctl devices remove NAME"

/* What a loop tells the others of a device's links on it. */
enum link_news {
	LINK_NONE,   /* the last one is gone */
	LINK_SOME,   /* one came where none was */
	LINK_NEWEST, /* one came that takes over: reversed HTTP/2 */
};

/* A device's links on one loop, for people. */
struct link_count {
	unsigned n;
	bool h2;	  /* the newest is reversed HTTP/2 */
	const char *peer; /* the newest's address; "" when there is none */
};

struct link_table_opts {
	struct loop *loop;
	struct link_quota *quota; /* of all tables; kept until link_table_free() */
	/* `now` is lent. */
	void (*on_count)(void *ctx, const char *device, const struct link_count *now);
	/* To be carried to link_heard() on every other loop, with `order`. NULL: there is none. */
	void (*on_news)(void *ctx, const char *device, enum link_news news, unsigned order);
	/* To be carried to link_heard_full() in the same way: see pool_opts. */
	void (*on_full)(void *ctx, const char *device, unsigned kinds);
	void *ctx;
};

struct link_table *link_table_new(const struct link_table_opts *o);
void link_table_free(struct link_table *t);
/* How many links each device may still open, as it was given. */
struct link_quota *link_table_quota(struct link_table *t);
/* This loop's end of the ways to the others, which serves their calls, too: see link_host(). */
void link_table_set_cross(struct link_table *t, struct cross *here);
/* A checked link of `device`. Takes `s`. Above LINKS_PER_DEVICE_MAX it is closed. The newest reversed
 * HTTP/2 link takes over: older ones get no more calls, and close when theirs have ended. */
void link_add(struct link_table *t, const char *device, struct stream *s);
/* What the loop that `there` belongs to told of its links. Of two that came at once on two loops and
 * crossed each other's news, `order` says to both loops which one is the newest. */
void link_heard(struct link_table *t, const char *device, struct cross *there, enum link_news news,
	unsigned order);
void link_heard_full(
	struct link_table *t, const char *device, struct cross *there, unsigned kinds);
/* The pool of a device, made on first use, and the ring of its exchanges. Valid until link_cut. */
struct pool *link_pool(struct link_table *t, const char *device, struct list **exchanges);
/* The device was removed: cut its exchanges and links now. */
void link_cut(struct link_table *t, const char *device);
/* How long the device has had no link on any loop; 0 while it has one. */
uint64_t link_away_ms(struct link_table *t, const char *device);
/* It had a link since the table was made, so that link_away_ms is the whole of its absence. */
bool link_was_here(struct link_table *t, const char *device);

/* ---- calls from other loops: a cross_host, `ctx` is the table ---- */
struct cross_call;
void link_on_call(void *ctx, struct cross_call *k);
void link_on_expire(void *ctx, struct cross_call *k);
void link_on_gone(void *ctx, struct cross_call *k);
