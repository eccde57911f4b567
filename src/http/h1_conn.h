/* Inside http/: the HTTP/1.1 connection, shared by the half that reads requests (h1_server.c) and
 * the half that answers them (h1_respond.c). */
#pragma once

#include "http/h1_parse.h"
#include "http/turn.h"
#include "http/h1_write.h"
#include "http/http_conn.h"
#include "net/loop.h"

/* After a FIN the client may have left, or have half-closed and read on: this long without a byte
 * tells that it left. */
#define H1_GONE_MS 5000u

enum h1_conn_state {
	H1_HEAD,     /* between requests, or a head is not whole */
	H1_EXCHANGE, /* `active` */
	H1_TUNNEL,   /* after a 101 */
	H1_DRAIN,    /* the response has ended before its request */
	H1_CLOSING,  /* only on_close may follow */
};

struct h1_conn {
	struct http_conn base;
	struct exchange x;
	struct stream *s;
	struct http_server_opts o;
	struct conn_info info;
	struct turn turn;
	struct timer deadline;
	uint64_t due_ms;      /* of `deadline`, which may come early; 0: none */
	uint64_t drain_at_ms; /* 0: not draining */
	struct h1_chunks chunks;
	uint64_t req_left, resp_left;
	size_t seen, tried; /* bytes of a partial head: looked at, given to the parser */
	size_t drained;
	unsigned moves; /* state changes */
	int why;        /* of our own closing */
	enum h1_conn_state state;
	enum body_kind req_kind;
	enum h1_frame frame;
	bool active;    /* the exchange lives */
	bool paused;    /* by the handler */
	bool held;      /* the stream is, because input waits */
	bool wire_done; /* the request's body is complete */
	bool resp_ended;
	bool http10, keep_alive, eof;
};

extern const struct exchange_ops h1_exchange_ops;

void h1_conn_set_state(struct h1_conn *c, enum h1_conn_state to);
/* Let held input come again. */
void h1_conn_release(struct h1_conn *c);
/* Cut: what is queued is lost; on_done gets `why` when the stream has closed. */
void h1_conn_die(struct h1_conn *c, int why);
/* Queue a whole answer of our own. */
void h1_conn_write_error(struct h1_conn *c, int status);
