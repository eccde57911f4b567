/* Serving HTTP on an open stream. One object a connection; it picks the wire version (ALPN) and calls
 * on_request for every exchange. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "http/exchange.h"

struct stream;
struct http_conn;

struct http_limits {
	size_t head_max;	   /* request line and fields, bytes (default 32 KiB): 431 */
	size_t url_max;		   /* target, bytes (8 KiB): 414 */
	unsigned fields_max;	   /* (100): 431 */
	uint64_t head_ms;	   /* from the first byte of a head to its end (10 s): 408 and close */
	uint64_t keepalive_ms;	   /* idle between requests (75 s): close */
	uint64_t idle_ms;	   /* in an exchange, no byte moves (60 s) */
};
extern const struct http_limits http_limits_default;

struct http_server_opts {
	const struct http_limits *limits; /* kept */
	/* A request's head is there. Must set x->handler (and x->ctx) before it returns; may answer
	 * at once. */
	void (*on_request)(void *ctx, struct exchange *x);
	/* The connection is over and all its exchanges are done; last. */
	void (*on_closed)(void *ctx, struct http_conn *c);
	void *ctx;
	const char *server_name; /* Server field, NULL: none */
};

/* Take over `s`, which must be open; takes it. */
struct http_conn *http_serve(struct stream *s, const struct http_server_opts *o);
/* Finish what is under way, then close; at the latest after `ms`. */
void http_conn_drain(struct http_conn *c, uint64_t ms);
/* Now. on_closed follows, not from inside this call. */
void http_conn_close(struct http_conn *c);
/* "Mon, 02 Jan 2006 15:04:05 GMT" of now, cached per second per thread; valid until the next call. */
const char *http_date(void);
