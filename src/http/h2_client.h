/* Inside http/: the HTTP/2 client's connection, shared by what goes with its life (h2_client.c),
 * its calls (h2_call.c) and what the framing library tells (h2_client_frames.c). See h2_wire.h.
 *
 * A call is over for its caller with on_end, on_fail or call_cancel(). It leaves at the end of that
 * turn; only a tunnel stays until what was written into it has gone out. */
#pragma once

#include "http/client.h"
#include "http/h2_head.h"
#include "http/h2_wire.h"
#include "http/ws.h"
#include "net/loop.h"

enum h2_client_state {
	H2C_OPEN,
	H2C_DRAINING, /* no further calls; those under way go on */
	H2C_CLOSING,  /* only on_close may follow */
};

struct h2_client {
	struct client base;
	struct h2_wire w;
	struct client_opts o;
	struct http_limits limits;
	struct h2_head head;
	struct list calls;
	struct timer deadline;
	uint64_t heard_ms, asked_ms; /* bytes came; PING or SETTINGS were sent, 0: answered */
	size_t kept;                 /* by paused calls */
	size_t owed;                 /* of `kept`: the connection's window has not got it back */
	unsigned open;               /* streams that count for the peer */
	struct err why;              /* of our own closing */
	enum h2_client_state state;
	bool ready;   /* the peer's SETTINGS are here */
	bool starved; /* there was no room */
};

struct h2_call {
	struct call base;
	struct h2_flow f;
	struct h2_client *c;
	const struct call_cb *cb;
	void *ctx;
	struct list node;
	struct timer idle;
	struct msg *trailers; /* theirs */
	const char *why;      /* it failed */
	uint64_t req_left, resp_left;
	uint64_t moved_before; /* on the wire */
	uint64_t idle_ms;
	size_t head_bytes;
	int code; /* of `why` */
	unsigned interim;
	enum method method;
	char accept[WS_ACCEPT_SIZE]; /* what the upgrade is to be answered with; "": it is none */
	bool req_counted, resp_counted;
	bool head_sent, head_done;
	bool tunnel;
	bool over;
	bool reset_by_peer, refused;
};

/* ---- h2_call.c ---- */

/* Of client_ops. */
struct call *h2_call_start(
	struct client *b, const struct msg *req, const struct call_cb *cb, void *ctx);
size_t h2_call_write(struct call *b, const void *p, size_t n);
void h2_call_end(struct call *b, const struct msg *trailers);
void h2_call_pause(struct call *b);
void h2_call_resume(struct call *b);
void h2_call_cancel(struct call *b);

/* `f` of a call was marked. */
void h2_call_settle(struct h2_flow *f);
/* It ends with this, when the turn does; the stream is reset. `why` is a literal. Only the first
 * counts. */
void h2_call_fail(struct h2_call *k, uint32_t reset, int code, const char *why);
/* All end now. */
void h2_calls_fail(struct h2_client *c, const struct err *why);

/* ---- h2_client_frames.c ---- */

/* The library's end of a new connection. */
nghttp2_session *h2_client_session(struct h2_client *c);
/* Bytes of body wait for a paused call; wait no more. */
void h2_client_keep(struct h2_client *c, size_t n);
void h2_client_release(struct h2_client *c, size_t n);

/* ---- h2_client.c ---- */

void h2_client_set_state(struct h2_client *c, enum h2_client_state to);
void h2_client_count_room(struct h2_client *c);
