/* What runs on one loop: listeners, connections, the loop's copies of snapshot and sessions, links
 * and upstreams. Made and used on its loop's thread, but for what says otherwise. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "http/server.h"

struct ask_desk;
struct conf;
struct event_news;
struct loop;
struct snapshot;
struct snapshot_slot;
struct session_row;
struct tls_server;
struct worker;

struct worker_opts {
	struct loop *loop;
	struct snapshot_slot *slot;
	struct tls_server *tls;  /* ref'd */
	const struct conf *conf; /* ref'd */
	/* Told to the control thread; called on the loop. */
	void (*on_links)(void *ctx, const char *device, unsigned links, const char *peer);
	void (*on_touched)(void *ctx, const uint8_t hash[32]);
	void *ctx;
};

struct worker *worker_new(const struct worker_opts *o);
/* Where questions go; kept. Before the first listener. (The control thread that owns the desk tells
 * its workers of sessions while it starts, so they come first.) */
void worker_set_desk(struct worker *w, const struct ask_desk *desk);
/* Accept TLS (browsers, links, agents), plain HTTP (redirects) or the API's Unix socket from a
 * listening descriptor. Takes `fd`. */
int worker_listen_tls(struct worker *w, int fd, struct err *e);
int worker_listen_plain(struct worker *w, int fd, struct err *e);
int worker_listen_api(struct worker *w, int fd, struct err *e);
/* Close listeners, let exchanges finish, close all at the latest after `ms`, then call `done`. */
void worker_drain(struct worker *w, uint64_t ms, void (*done)(void *ctx), void *ctx);
/* The loop must have stopped. */
void worker_free(struct worker *w);

/* ---- carried to the worker's loop by loop_post; any thread ---- */
void worker_post_snapshot(struct worker *w, struct snapshot *s); /* takes `s` */
void worker_post_session_put(struct worker *w, const struct session_row *row);
void worker_post_session_drop(struct worker *w, const uint8_t hash[32]);
void worker_post_news(struct worker *w, struct event_news *news); /* takes `news` */
void worker_post_device_cut(struct worker *w, const char *device);
