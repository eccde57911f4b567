/* What the control thread tells the loops, without knowing what a worker is. All may be called from
 * the control thread only; each is carried to every loop in order. */
#pragma once

#include <stdint.h>

struct event_news;
struct session_row;
struct snapshot;

struct notify {
	void *ctx;
	/* A newer snapshot is in the slot: drop what is no longer routed. Takes `s`. */
	void (*snapshot)(void *ctx, struct snapshot *s);
	void (*session_put)(void *ctx, const struct session_row *row);
	void (*session_drop)(void *ctx, const uint8_t hash[32]);
	/* The device was removed: end its links and its exchanges now, forget its link tickets. */
	void (*device_cut)(void *ctx, const char *device);
	/* Something changed that pages show. Takes `news` (heap). */
	void (*news)(void *ctx, struct event_news *news);
};
