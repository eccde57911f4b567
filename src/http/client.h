/* Asking: one vtable for every way to reach an origin (dialled to a LAN address, accepted as a device
 * link, on another loop). A *client* is one connection, or what stands for many; a *call* is one
 * request on it. Same loop, same rules as exchange.h: callbacks never come from inside a call that we make, and the
 * end comes exactly once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "http/msg.h"

struct stream;
struct client;
struct call;

struct call_cb {
	/* 1xx heads any number of times, then the final one. `head` is lent, hop-by-hop fields are
	 * still there. A 101 makes the call a tunnel. */
	void (*on_head)(struct call *c, struct msg *head, void *ctx);
	void (*on_body)(struct call *c, const uint8_t *p, size_t n, void *ctx);
	/* The response is complete, truly: an early end of a counted or chunked body is on_fail.
	 * Last. `trailers` may be NULL. Of a tunnel: the origin sends no more; what was written still
	 * goes out, then the connection closes. */
	void (*on_end)(struct call *c, const struct msg *trailers, void *ctx);
	void (*on_writable)(struct call *c, void *ctx);
	/* Instead of on_end, last. `why->code`: -ECONNRESET (connection died), -EPROTO (the answer
	 * broke HTTP's rules), -ETIMEDOUT, -ECANCELED, -ENOBUFS (head too large), -ETIME (see
	 * call_expire()). `unsent`: nothing of the
	 * request can have been seen by the origin, or the connection was dead on arrival. */
	void (*on_fail)(struct call *c, const struct err *why, bool unsent, void *ctx);
};

struct client_ops {
	struct call *(*start)(struct client *c, const struct msg *req, const struct call_cb *cb,
		void *ctx);
	size_t (*write)(struct call *k, const void *p, size_t n);
	void (*end)(struct call *k, const struct msg *trailers);
	void (*pause)(struct call *k);
	void (*resume)(struct call *k);
	void (*cancel)(struct call *k);
	bool (*expire)(struct call *k); /* NULL: always false */
	void (*drain)(struct client *c);
	void (*close)(struct client *c);
};

/* Embedded by value in each implementation. */
struct client {
	const struct client_ops *ops;
	unsigned served; /* calls finished so far */
	unsigned room;	 /* calls that it can take now; 0 also when it closes */
	unsigned room_most; /* when no call is under way, as far as is known */
	bool many;	 /* calls do not wait for one another: HTTP/2, another loop */
};

struct client_opts {
	size_t head_max;     /* of a response (64 KiB) */
	unsigned fields_max; /* (200) */
	uint64_t idle_ms;    /* in a call, no byte moves either way; 0: never */
	/* It can take a call again: there was no room. */
	void (*on_room)(void *ctx, struct client *c);
	/* Gone; `c` is freed when this returns. Comes after any on_end / on_fail. `unasked` bytes from
	 * an idle origin close it too. */
	void (*on_closed)(void *ctx, struct client *c, const struct err *why);
	void *ctx;
};
struct call {
	struct client *client;
};

/* Start a request. `req` is lent; its body follows by call_write/call_end when msg_body() says there
 * is one. A call starts reading at once; NULL when the client is busy or closed. */
struct call *client_start(struct client *c, const struct msg *req, const struct call_cb *cb,
	void *ctx);
size_t call_write(struct call *k, const void *p, size_t n);
void call_end(struct call *k, const struct msg *trailers);
void call_pause(struct call *k);
void call_resume(struct call *k);
/* Give up. No callback follows (not even on_fail); the connection is closed unless it can be kept. */
void call_cancel(struct call *k);
/* Nothing has come for too long. False: it has a connection, so the origin is silent; cancel it. True:
 * whether it has one is known elsewhere, and unless an answer crosses this word, on_fail says soon what
 * it was: -ETIMEDOUT when there was none, else -ETIME. */
bool call_expire(struct call *k);
/* No further calls; close once those under way have ended. Idempotent. */
void client_drain(struct client *c);
/* Close the connection; a call under way gets on_fail. */
void client_close(struct client *c);

/* ---- over an open stream, which each of these takes ---- */

/* The wire version is what ALPN says: reversed HTTP/2, else HTTP/1.1. */
struct client *client_new(struct stream *s, const struct client_opts *o);

/* HTTP/1.1. A connection whose response ended before its request did, that spoke NTLM or Negotiate,
 * or whose answer says close, is never idle again (decision 3). */
struct client *h1_client_new(struct stream *s, const struct client_opts *o);
/* HTTP/2. A request to upgrade to WebSocket becomes an extended CONNECT (RFC 8441); its acceptance is
 * told as the 101 that it stands for. There is no room before the peer's SETTINGS have come. */
struct client *h2_client_new(struct stream *s, const struct client_opts *o);
