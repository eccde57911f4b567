/* Inside http/: what both ends of HTTP/2 (RFC 9113) share: a connection's frames on their way
 * between the socket and nghttp2, and the bodies of its streams.
 *
 * nghttp2 calls back from two places only, h2_wire_input() and h2_wire_pump(). Whoever uses a
 * stream may call anything at any time; that queues frames or marks the stream, and the end of the
 * turn settles the streams marked and pumps. The user data of a stream is its struct h2_flow, or
 * NULL once nobody wants to hear of it. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/list.h"
#include "http/h2_budget.h"
#include "http/h2_slot.h"
#include "http/turn.h"
#include "net/loop.h"

struct msg;
struct stream;

#define H2_STREAMS_MAX 100u
#define H2_STREAM_WINDOW (256 * 1024)
#define H2_CONN_WINDOW (1024 * 1024)

/* Of a connection. */
struct h2_wire {
	struct stream *s;
	nghttp2_session *session; /* by h2_wire_session() only */
	struct h2_slot slot;      /* what it holds, of a server's */
	struct turn turn;
	struct timer breath; /* armed: data came too fast, and nothing is read */
	struct h2_budget budget;
	struct list marked; /* streams to settle */
	uint64_t moved;     /* of body bytes, not yet turned into budget */
	uint32_t code;      /* of our GOAWAY; the connection is to end */
	bool closing;       /* nothing is settled any more */
	bool shares;        /* the session makes its frames in the loop's scratch */
};

/* Of a stream. */
struct h2_flow {
	struct h2_wire *w;
	struct list mark;
	struct buf in;        /* came while its user was paused */
	struct buf out;       /* waits for the peer's windows */
	size_t out_at;        /* of `out`: gone already */
	struct msg *trailers; /* ours */
	uint64_t moved_ms;
	int32_t id;
	bool paused;
	bool wire_done; /* the peer's half is complete */
	bool out_ended; /* our half is, as far as its user is concerned */
	bool sent_end;  /* our END_STREAM is on its way */
	bool gone;      /* the library has forgotten it */
	bool over_high; /* its user waits until there is room again */
};

/* `preface_len` of the peer: of a client H2_PREFACE_LEN, of a server 0. The session comes from
 * h2_wire_open(). */
void h2_wire_init(
	struct h2_wire *w, struct stream *s, void (*settle)(struct turn *t), uint32_t preface_len);
/* Memory for a server's session that is about to be made: see h2_wire_mem.c. */
void h2_wire_mem(struct h2_wire *w, nghttp2_mem *mem);
/* Put the session to rest until it is next asked for: nobody has a stream. From no callback of it. */
void h2_wire_rest(struct h2_wire *w);
static inline bool h2_wire_rests(const struct h2_wire *w)
{
	return w->slot.packed;
}
/* The session, awake. */
static inline nghttp2_session *h2_wire_session(struct h2_wire *w)
{
	h2_slot_wake(&w->slot);
	return w->session;
}
/* Takes `session`; says our settings. */
void h2_wire_open(
	struct h2_wire *w, nghttp2_session *session, const nghttp2_settings_entry *iv, size_t n);
void h2_wire_done(struct h2_wire *w);
uint64_t h2_wire_now(const struct h2_wire *w);
/* A turn: bytes came. What is wrong with them is left in `code`. Returns how many were used: fewer, when
 * data comes faster than the budget allows. Then the peer is not heard for a breath, and so has to wait
 * itself; what is no data does not wait, and is a flood. */
size_t h2_wire_input(struct h2_wire *w, const uint8_t *p, size_t n);
/* True when it stopped because enough is queued. */
bool h2_wire_pump(struct h2_wire *w);
/* The end of a turn: settle what is marked and pump, as long as the one leads to the other, until
 * there is a `code`, or it is closing. */
void h2_wire_settle(struct h2_wire *w, void (*settle)(struct h2_flow *f));
/* Body bytes moved, either way: they pay for the frames that they need. */
void h2_wire_earn(struct h2_wire *w, size_t n);
/* ENHANCE_YOUR_CALM, from inside a callback. */
int h2_wire_calm(struct h2_wire *w);
/* The callbacks and options that both ends have. */
void h2_wire_callbacks(nghttp2_session_callbacks *cbs);
void h2_wire_options(nghttp2_option *opt);

void h2_flow_init(struct h2_flow *f, struct h2_wire *w, int32_t id);
void h2_flow_done(struct h2_flow *f);
/* Settle it when this turn ends. Idempotent. */
void h2_flow_mark(struct h2_flow *f);
/* Something moved. */
void h2_flow_touch(struct h2_flow *f);
size_t h2_flow_queued(const struct h2_flow *f);
/* Queue a piece of body. 0, or an error and nothing is queued; `over_high` when it should be the
 * last for now. */
int h2_flow_write(struct h2_flow *f, const void *p, size_t n);
/* No more of the body comes; trailers are copied, and may be NULL. */
void h2_flow_end(struct h2_flow *f, const struct msg *trailers);
/* Our body, as the library asks for it. */
extern const nghttp2_data_provider h2_flow_body;
