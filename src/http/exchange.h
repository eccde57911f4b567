/* One exchange: a request and its response on some server connection, whatever its wire version
 * (decision 7). A server (h1_server, later h2_server) makes exchanges; a *handler* answers them.
 *
 * Rules. All on the connection's loop. A body streams: nothing is buffered whole. on_done comes
 * exactly once and last, whatever happened, and never from inside a call that the handler makes; the
 * exchange is gone when it returns. Until then every function here may be called; after the
 * connection died they do nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/msg.h"

struct exchange;
struct linger;
struct loop;
struct tls_info;

struct handler {
	/* A piece of the request body (after a 101: of what the client sends), lent. */
	void (*on_body)(struct exchange *x, const uint8_t *p, size_t n);
	/* The request is complete (after a 101: the client sends no more). `trailers` is lent and
	 * may be NULL. */
	void (*on_end)(struct exchange *x, const struct msg *trailers);
	/* What was queued has gone out far enough to write again. */
	void (*on_writable)(struct exchange *x);
	/* Over. 0: the response was handed to the transport whole; else -ECONNRESET (client gone),
	 * -ETIMEDOUT (no byte moved), -EPROTO (the body broke the rules), -ECANCELED
	 * (exchange_abort, or the server stops). */
	void (*on_done)(struct exchange *x, int status);
};

struct exchange_ops {
	int (*respond)(struct exchange *x, const struct msg *head, bool end);
	size_t (*write)(struct exchange *x, const void *p, size_t n);
	void (*end)(struct exchange *x, const struct msg *trailers);
	void (*abort)(struct exchange *x);
	void (*pause)(struct exchange *x);
	void (*resume)(struct exchange *x);
	void (*set_idle)(struct exchange *x, uint64_t ms);
};

/* What a handler may know of the connection. */
struct conn_info {
	struct loop *loop;
	const char *peer_addr; /* "192.168.1.7" or "local" */
	uint16_t peer_port;
	const struct tls_info *tls; /* NULL on a Unix socket or plain TCP */
	void *server_ctx;	    /* of http_server_opts */
	struct linger *linger; /* NULL: no request can begin before the one before it is over */
};

/* Embedded by value in the server's own object. */
struct exchange {
	const struct exchange_ops *ops;
	const struct handler *handler;
	void *ctx; /* the handler's */
	const struct conn_info *conn;
	struct msg *req;	/* the server's; the handler may change it; lives until on_done */
	bool expects_continue;	/* Expect: 100-continue */
	bool request_ended;	/* on_end has been or will not be called again */
	bool responded;		/* a final head was sent */
};

/* Send a head (lent). 1xx may come any number of times before the final one; 101 turns the exchange
 * into a tunnel: exchange_write and on_body then carry raw bytes. `end`: no body follows. Framing is
 * the server's affair: msg_body() of `head` says what is known (BODY_LENGTH with Content-Length kept, or
 * BODY_CHUNKED for "unknown"). HEAD, 204 and 304 never get a body: writes are swallowed.
 * 0, or -EINVAL when a final head went out already. */
int exchange_respond(struct exchange *x, const struct msg *head, bool end);
/* Queue body bytes (copied). Returns what is queued; above 64 KiB wait for on_writable. */
size_t exchange_write(struct exchange *x, const void *p, size_t n);
/* The response is complete. `trailers` (lent) may be NULL. */
void exchange_end(struct exchange *x, const struct msg *trailers);
/* Give up: the client sees a broken transfer (h1: the connection is cut), never a complete answer.
 * Idempotent. */
void exchange_abort(struct exchange *x);
/* No on_body / on_end until resumed. An exchange starts PAUSED: the handler resumes when it wants
 * the body. What a handler never read is dropped by the server after the response. */
void exchange_pause(struct exchange *x);
void exchange_resume(struct exchange *x);
/* Abort with -ETIMEDOUT when no byte moves either way for `ms`; 0: never (tunnels). After the final
 * head, where that is longer than the server's own limit, the server finds clients that have
 * vanished by other means (h1: keep-alive), so that silence costs nothing for ever. */
void exchange_set_idle(struct exchange *x, uint64_t ms);

/* For on_done of a handler whose work goes on behind it: until linger_done() the connection counts it
 * among the requests that it may have at once, so that who gives up cannot ask for more than who
 * waits. May be NULL. */
struct linger *exchange_linger(const struct exchange *x);
/* NULL is fine. Any thread. */
void linger_done(struct linger *l);
/* A server's connection has one, and lets go of it when it ends. */
struct linger *linger_new(void);
void linger_unref(struct linger *l);
unsigned linger_count(const struct linger *l);

/* A whole small answer in one call: status, content type (NULL: none), body. Adds Content-Length.
 * Enough alone in on_request: nothing more is told of an exchange that has no handler yet. More
 * fields may be given by `extra` (lent, may be NULL). */
void exchange_reply(struct exchange *x, int status, const struct msg *extra, const char *type,
	const char *body);
/* For a handler that reads the body itself: send 100 Continue when the client waits for one. */
void exchange_continue(struct exchange *x);
