/* Inside http/: the HTTP/2 connection of the server (RFC 9113), shared by the half that reads
 * requests (h2_server.c) and the half that answers them (h2_respond.c).
 *
 * Frames are made and taken apart by nghttp2, which calls back from two places only: on_data() and
 * pump() of h2_server.c. Handlers may call anything at any time; that queues frames or marks a
 * stream, and the end of the turn settles the streams marked and pumps. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/list.h"
#include "http/h2_budget.h"
#include "http/h2_head.h"
#include "http/http_conn.h"
#include "http/turn.h"
#include "net/loop.h"

#define H2_STREAMS_MAX 100u
#define H2_STREAM_WINDOW (256 * 1024)
#define H2_CONN_WINDOW (1024 * 1024)

enum h2_conn_state {
	H2_OPEN,
	H2_DRAINING, /* GOAWAY was announced; what is under way goes on */
	H2_CLOSING,  /* only on_close may follow */
};

struct h2_conn {
	struct http_conn base;
	struct stream *s;
	nghttp2_session *session;
	struct http_server_opts o;
	struct conn_info info;
	struct h2_budget budget;
	struct h2_head head;
	struct list streams; /* whose on_done is still due */
	struct list marked;  /* of them, to settle */
	struct turn turn;
	struct timer deadline;
	uint64_t head_due_ms;  /* 0: no header block is half there */
	uint64_t idle_due_ms;  /* 0: there are streams */
	uint64_t drain_due_ms; /* 0: not draining */
	uint64_t moved;        /* of body bytes, not yet turned into budget */
	int why;               /* of our own closing */
	uint32_t code;         /* of our GOAWAY */
	enum h2_conn_state state;
};

struct h2_stream {
	struct exchange x;
	struct h2_conn *c;
	struct list node, mark;
	struct timer idle;
	struct buf in;  /* came while the handler was paused */
	struct buf out; /* waits for the client's windows */
	size_t out_at;  /* of `out`: gone already */
	struct msg *req_trailers, *trailers;
	uint64_t resp_left; /* when counted */
	uint64_t idle_ms, moved_ms;
	size_t head_bytes;
	int32_t id;
	int why; /* of our own reset */
	bool counted, bodyless, tunnel;
	bool paused;
	bool wire_done;  /* the request is complete */
	bool resp_ended; /* by the handler */
	bool sent_end;   /* our END_STREAM is on its way */
	bool gone;       /* the library has forgotten it */
	bool over_high;  /* writers wait for on_writable */
};

extern const struct exchange_ops h2_exchange_ops;

/* Settle `st` when this turn ends. Idempotent. */
void h2_mark(struct h2_stream *st);
/* Reset with an RFC 9113 §7 code; on_done gets `why`. Idempotent. */
void h2_reset(struct h2_stream *st, uint32_t code, int why);
/* Something moved. */
void h2_touch(struct h2_stream *st);
/* The whole response is on its way, and the handler said so. */
bool h2_is_whole(const struct h2_stream *st);
size_t h2_queued(const struct h2_stream *st);
/* Have the deadline that is next. */
void h2_conn_arm(struct h2_conn *c);
/* Body bytes moved, either way: they pay for the frames that they need. */
void h2_earn(struct h2_conn *c, size_t n);
/* The library's end of a new connection. */
nghttp2_session *h2_session_new(struct h2_conn *c);
/* The callbacks of the library that send bodies. */
void h2_respond_callbacks(nghttp2_session_callbacks *cbs);
