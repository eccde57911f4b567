/* Inside http/: the HTTP/2 connection of the server (RFC 9113), shared by the half that reads
 * requests (h2_server.c) and the half that answers them (h2_respond.c). See h2_wire.h. */
#pragma once

#include "http/h2_head.h"
#include "http/h2_wire.h"
#include "http/http_conn.h"
#include "net/loop.h"

enum h2_conn_state {
	H2_OPEN,
	H2_DRAINING, /* GOAWAY was announced; what is under way goes on */
	H2_CLOSING,  /* only on_close may follow */
};

struct h2_conn {
	struct http_conn base;
	struct h2_wire w;
	struct http_server_opts o;
	struct conn_info info;
	struct h2_head head;
	struct list streams; /* whose on_done is still due */
	struct timer deadline;
	uint64_t head_due_ms;  /* 0: no header block is half there */
	uint64_t idle_due_ms;  /* 0: there are streams */
	uint64_t rest_due_ms;  /* 0: it rests, or has no reason to */
	uint64_t drain_due_ms; /* 0: not draining */
	uint64_t bye_due_ms;   /* 0: the last GOAWAY is sent, or not due */
	int why;               /* of our own closing */
	enum h2_conn_state state;
};

struct h2_stream {
	struct h2_flow f; /* out_ended: by the handler */
	struct exchange x;
	struct h2_conn *c;
	struct list node;
	struct timer idle;
	struct msg *req_trailers;
	uint64_t resp_left; /* when counted */
	uint64_t req_left;  /* announced and not here yet */
	uint64_t idle_ms;
	size_t head_bytes;
	int why; /* of our own reset */
	bool counted, bodyless, tunnel;
	bool req_counted;
};

extern const struct exchange_ops h2_exchange_ops;

/* Reset with an RFC 9113 §7 code; on_done gets `why`. Idempotent. */
void h2_reset(struct h2_stream *st, uint32_t code, int why);
/* The whole response is on its way, and the handler said so. */
bool h2_is_whole(const struct h2_stream *st);
/* Have the deadline that is next. */
void h2_conn_arm(struct h2_conn *c);
/* From now on requests are not taken any more; the streams that are there go on. */
void h2_say_goodbye(struct h2_conn *c);
/* The library's end of a new connection. */
nghttp2_session *h2_session_new(struct h2_conn *c);
