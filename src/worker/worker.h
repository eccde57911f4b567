/* What runs on one loop: listeners, connections, the loop's copies of snapshot and sessions, links
 * and upstreams. Made and used on its loop's thread, but for what says otherwise. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "http/server.h"

struct ask_desk;
struct cross;
struct conf;
struct event_news;
struct link_count;
struct link_quota;
struct loop;
struct snapshot;
struct snapshot_slot;
struct session_row;
struct tls_choice;
struct tls_hello;
struct tls_server;
struct worker;

struct worker_opts {
	struct loop *loop;
	unsigned share; /* of how many workers this is one: each may have its part of the connections */
	struct snapshot_slot *slot;
	struct tls_server *tls;  /* ref'd */
	struct link_quota *quota; /* of all workers; kept until worker_free() */
	const struct conf *conf; /* ref'd */
	/* Told to the control thread; called on the loop. */
	void (*on_links)(void *links_ctx, const char *device, const struct link_count *now);
	void *links_ctx;
	bool asks; /* connects to devices without an agent of which nothing is heard; one alone does */
	void (*on_health)(void *ctx, const char *device, const char *why);
	void (*on_touched)(void *ctx, const uint8_t hash[32]);
	void *ctx;
};

struct worker *worker_new(const struct worker_opts *o);
/* A tls_choose_fn for what its listeners accept: choose(), but who claims to be a device too often is
 * turned away. `ctx` is a struct snapshot_slot. */
int conns_choose(void *ctx, const struct tls_hello *hello, struct tls_choice *out);
/* Its end of the ways to other loops. The caller frees it, after the loop. */
struct cross *worker_cross(struct worker *w);
/* All workers, this one among them; they tell each other of links. Before their loops run. */
void worker_set_peers(struct worker *w, struct worker *const *all, unsigned n);
/* Where questions go; kept. Before the first listener. (The control thread that owns the desk tells
 * its workers of sessions while it starts, so they come first.) */
void worker_set_desk(struct worker *w, const struct ask_desk *desk);
/* Accept TLS (browsers, links, agents), plain HTTP (redirects) or the API's Unix socket from a
 * listening descriptor. Takes `fd`. */
int worker_listen_tls(struct worker *w, int fd, struct err *e);
int worker_listen_plain(struct worker *w, int fd, struct err *e);
int worker_listen_api(struct worker *w, int fd, struct err *e);
/* The loop must have stopped. */
void worker_free(struct worker *w);

/* ---- carried to the worker's loop by loop_post; any thread ---- */
void worker_post_snapshot(struct worker *w, struct snapshot *s); /* takes `s` */
void worker_post_session_put(struct worker *w, const struct session_row *row);
void worker_post_session_drop(struct worker *w, const uint8_t hash[32]);
void worker_post_news(struct worker *w, struct event_news *news); /* takes `news` */
void worker_post_device_cut(struct worker *w, const char *device);
/* Close listeners, let exchanges finish, close all at the latest after `ms`, then call `done` on the
 * worker's loop. */
void worker_post_drain(struct worker *w, uint64_t ms, void (*done)(void *ctx), void *ctx);
