/* Inside h2*.c: the connection, its streams, and who calls whom.
 *
 * Frames are made and taken apart by nghttp2. It calls back from two places only: where bytes are
 * given to it (on_wire) and where frames are taken from it (gather), both in h2.c. So a stream is
 * freed nowhere else, and what h2_stream.c asks of the library only queues.
 *
 * Memory, for each stream at most: H2_WINDOW of what came and waits for the service (of some
 * H2_WIDE), one head or H2_CHUNK on its way to it, one head or H2_OUT_MOST of its answer; 192 KiB in
 * all, for H2_WIDE_MOST streams 384, and nothing of that while it does not wait. For the connection:
 * 16 KiB to read into, 32 KiB of frames, and H2_AHEAD while something comes. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/list.h"
#include "device-agent/h2.h"
#include "device-agent/local.h"
#include "http/h1_parse.h"
#include "http/h2_head.h"

#define H2_WINDOW 65536 /* of a stream: what a service that does not read can hold up */
/* Of the first few whose service is seen to read: else each two records of an upload wait for the
 * gateway to be told. */
#define H2_WIDE (4 * H2_WINDOW)
#define H2_WIDE_MOST 2u
/* Of the connection, whose bytes are taken at once: it is never a stalled stream that uses it up.
 */
#define H2_CONN_WINDOW (2 * H2_WIDE)
#define H2_PIECE 16384u    /* read at a time */
#define H2_AHEAD 65632u    /* and by one system call: four full records, and how TLS aligns them */
#define H2_CHUNK 16384u    /* of a chunked upload */
#define H2_OUT_HIGH 32768u /* of an answer waiting: the service is not read */
#define H2_OUT_MOST (H2_OUT_HIGH + H2_PIECE)
#define H2_HEAD_MAX 65535u /* of an answer, and what the gateway may send of fields */
#define H2_FIELDS_MAX 200u

enum h2_state {
	H2_OPEN,
	H2_GOING,     /* a GOAWAY was sent or came: it ends with its last stream */
	H2_LINGERING, /* all is said; what still comes is thrown away */
};

struct h2 {
	struct h2_settings s;
	nghttp2_session *session;
	struct tls *tls;
	struct watch wire;  /* the gateway's socket; due: to ask whether it lives, to end */
	struct watch flush; /* a timer: the library has frames for us, or it is over */
	struct local_pool pool;
	struct h2_head head; /* the frames of a header block follow one another */
	struct list streams;
	unsigned n_streams;
	uint64_t served, heard_ms;
	struct buf out; /* frames */
	size_t out_at;
	short wants, read_wants; /* what TLS waits for besides our own wish to read */
	unsigned n_wide;         /* streams with H2_WIDE */
	struct err why;
	enum h2_state state;
	bool asked;   /* a PING is out */
	bool goodbye; /* a GOAWAY came, or the library sent one: it is to be replaced */
	bool over;    /* cut at the next turn */
	bool more;    /* of what came some waits in TLS: wire is due at once */
	bool told_used, told_leaving;
	uint8_t piece[H2_PIECE];
};

enum h2_stream_state {
	STREAM_NEW,        /* its head is not whole */
	STREAM_CONNECTING, /* the local service has not accepted yet */
	STREAM_HEAD,       /* the head of its answer is awaited */
	STREAM_BODY,
	STREAM_TUNNEL, /* a WebSocket is open */
	STREAM_ENDED,  /* no local connection any more; what is left is for the gateway */
};

struct h2_stream {
	struct h2 *h;
	struct list node;
	struct watch local; /* due: the service has not accepted, or goes on half closed */
	struct sockaddr_storage service;
	struct msg *req;
	struct buf up; /* text for the service: a head, a framed chunk */
	struct buf in; /* from the gateway, not framed yet */
	struct buf head, out;
	size_t up_at, in_at, out_at;
	struct h1_chunks chunks;
	struct msg *trailers;
	uint64_t left;  /* of an answer with a length */
	uint64_t taken; /* of the request's body */
	int32_t id;
	unsigned interim;
	enum h2_stream_state state;
	enum body_kind kind; /* of the answer's body */
	bool reused;         /* the local connection had served before */
	bool keep;           /* it may serve again */
	bool wide;           /* its window is H2_WIDE */
	bool deaf;           /* it takes no more of the request */
	bool req_ended;      /* the gateway has sent all */
	bool req_sent;       /* and the service has it all */
	bool resp_ended;     /* the answer is whole */
};

/* ---- h2.c ---- */
/* Gather and send frames soon. */
void h2_kick(struct h2 *h);
/* Cut it at the next turn, because of `why`, which is kept if it is the first. */
void h2_die(struct h2 *h, int code, const char *why);

/* ---- h2_frames.c ---- */
/* The library's end of a new connection. */
nghttp2_session *h2_session_new(struct h2 *h);
/* Send a head, 1xx or final; `end`: no body follows. */
void h2_submit(struct h2_stream *st, const struct msg *head, bool end);

/* ---- h2_stream.c ---- */
struct h2_stream *h2_stream_new(struct h2 *h, int32_t id);
/* Lets go of everything; the library must have forgotten it. */
void h2_stream_free(struct h2_stream *st);
/* The request is known: ask the service. Takes `req`. */
void h2_stream_begin(struct h2_stream *st, struct msg *req, bool ended);
/* DATA came, then its end. */
void h2_stream_data(struct h2_stream *st, const uint8_t *p, size_t n);
void h2_stream_end(struct h2_stream *st);
/* What waits for the gateway has become less: read on. */
void h2_stream_drained(struct h2_stream *st);
size_t h2_stream_waiting(const struct h2_stream *st);
void h2_stream_set_state(struct h2_stream *st, enum h2_stream_state to);
/* Does it ask for a WebSocket? */
bool h2_stream_wants_tunnel(const struct h2_stream *st);
/* Move towards the service until it blocks or there is no more. */
void h2_stream_pump(struct h2_stream *st);
/* Have the loop wait for what the stream waits for. */
void h2_stream_arm(struct h2_stream *st);
/* Nobody takes the rest of the request: it is read and dropped. */
void h2_stream_go_deaf(struct h2_stream *st);
/* The local connection is done with; `keep`: for another request. */
void h2_stream_leave(struct h2_stream *st, bool keep);
/* The gateway shall not take what came for a whole answer. */
void h2_stream_reset(struct h2_stream *st);
/* The service has closed before anything of an answer: ask once more where that is safe. False: it
 * is not. */
bool h2_stream_retry(struct h2_stream *st);

/* ---- h2_answer.c ---- */
/* The service may have something to say. */
void h2_answer_read(struct h2_stream *st);
/* Answer by ourselves. */
void h2_answer_own(struct h2_stream *st, int status, const char *text);
/* The same, because the service cannot be reached, and say `why` in the log. */
void h2_answer_regret(struct h2_stream *st, const char *why);
