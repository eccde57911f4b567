/* The inside of a stream, for the transports in net/: stream.c keeps the life and the callbacks,
 * stream_wire.c the descriptor and the output queue, a transport (plain, TLS) the coding between.
 */
#pragma once

#include <sys/types.h>
#include <uv.h>

#include "base/buf.h"
#include "net/loop_int.h"
#include "net/stream.h"

#define STREAM_CHUNK 65536u        /* most that one read brings, and most input that is kept */
#define STREAM_BATCH 73728u        /* four full TLS records */
#define STREAM_RECORD 16384u       /* plaintext of one full TLS record */
#define STREAM_HELD 4096u          /* most corked plaintext that makes way unencoded */
#define STREAM_OUT_MAX (16u << 20) /* writers that never look at the queue end here */

struct dialer;

/* Buffers that the streams of a loop use in turn, within one callback; what is left over then goes
 * to a buffer of the stream's own. */
struct stream_shared {
	struct stream *raw_owner; /* whose undecoded input stands in raw[raw_off, raw_len) */
	struct stream *out_owner; /* whose output is gathered in out[0, out_len) */
	struct stream *rec_owner; /* whose corked plaintext stands in rec[0, rec_len) */
	size_t raw_off, raw_len, out_len, rec_len;
	void *coding; /* what a transport has once for all its streams; freed by coding_free */
	void (*coding_free)(void *coding);
	uint8_t raw[STREAM_CHUNK];
	uint8_t data[STREAM_CHUNK]; /* decoded input, lent to on_data */
	uint8_t out[STREAM_BATCH];
	uint8_t rec[STREAM_RECORD];
};

/* Little corked plaintext that made way for another stream's: encoding it at once would cost a record
 * and a send() for each piece where one connection's input is output for many others. */
struct stream_held {
	size_t len;
	uint8_t data[];
};

struct stream_ops {
	/* Advance the opening: 1 done, 0 wait, negative: failed (stream_fail was called). NULL when
	 * a connected socket is all it takes. */
	int (*open)(struct stream *s);
	/* Decode up to `n` bytes: their number; 0 at the end; -EAGAIN; another negative number
	 * after stream_fail(). */
	ssize_t (*read)(struct stream *s, uint8_t *p, size_t n);
	/* Is there input that the poll knows nothing of? */
	bool (*pending)(const struct stream *s);
	/* Called when a turn of reading or opening ends: leave the shared input buffer. */
	void (*park)(struct stream *s);
	/* Encode; goes to wire_put() or wire_write(). */
	void (*write)(struct stream *s, const uint8_t *p, size_t n);
	/* Encode what is corked. */
	void (*flush)(struct stream *s);
	/* Encode the end of the stream. */
	void (*end)(struct stream *s);
	/* Free what the transport has; `s` itself follows. */
	void (*done)(struct stream *s);
};

enum stream_state {
	STREAM_OPENING,
	STREAM_OPEN,
	STREAM_FLUSHING, /* by stream_close_after_flush(): no callback but on_close */
	STREAM_CLOSED,   /* on_close is on its way */
};

struct stream {
	const struct stream_ops *ops;
	const struct stream_cb *cb;
	void *ctx;
	struct loop *loop;
	struct stream_shared *sh;
	struct loop_open open;
	struct defer later;
	struct timer timer;
	uv_poll_t poll;
	struct buf in;  /* input that on_data did not use */
	struct buf out; /* encoded output that the socket did not take; out_off bytes are gone */
	size_t out_off;
	struct stream_held *held; /* what is corked, when another has `rec`; or NULL */
	uint64_t moved, last_ms, idle_ms, deadline_at_ms;
	const struct tls_info *tls;
	struct dialer *dialer; /* while it looks for an address */
	struct err *why;       /* NULL: in order */
	enum stream_state state;
	int fd, events, write_error;
	unsigned corked;
	bool has_poll;
	bool paused;      /* by the owner */
	bool unwatched;   /* paused, and input waits: the poll looks for a dead peer only */
	bool half_closed; /* seen while unwatched: the peer sent FIN */
	bool hung_up;     /* seen while unwatched: nothing more can happen */
	bool output_idle; /* the socket takes bytes, and there are none */
	bool eof;
	bool end_queued, end_sent; /* our own direction */
	bool above;                /* the queue went over high water, on_writable is due */
	bool new_owner;
	bool do_open, do_deliver, do_writable; /* for `later` */
	uint16_t port;
	char addr[46];
};

/* `s` is zeroed memory that belongs to the stream from here on; freed with free() after on_close.
 */
void stream_init(struct stream *s, struct loop *loop, const struct stream_ops *ops,
	const struct stream_cb *cb, void *ctx);
/* Give it its descriptor (taken); on failure the stream is closed. */
void stream_attach(struct stream *s, int fd);
/* Poll or transport moved: advance the opening. */
void stream_advance(struct stream *s);
/* The poll reports on an open stream; `failed`: the socket has an error. */
void stream_on_events(struct stream *s, bool failed, int events);
/* The opening is done: on_open, then input that is there already. */
void stream_opened(struct stream *s);
/* The opening ends with -ETIMEDOUT after `ms`. */
void stream_deadline(struct stream *s, uint64_t ms);
/* Close for a reason; the first one counts. `code` 0: in order. */
void stream_fail(struct stream *s, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The direction out or in made progress: send the FIN, close when both have ended. */
void stream_check_end(struct stream *s);
/* on_data / on_writable / closing after the present callback. */
void stream_later(struct stream *s);

/* ---- the wire ---- */

/* As a transport's read, on the descriptor. */
ssize_t wire_recv(struct stream *s, uint8_t *p, size_t n);
/* Send now; what the socket does not take is queued. */
void wire_write(struct stream *s, const uint8_t *p, size_t n);
/* Gather for wire_flush(). */
void wire_put(struct stream *s, const uint8_t *p, size_t n);
void wire_flush(struct stream *s);
/* The socket takes bytes again. */
void wire_send_queue(struct stream *s);
size_t wire_queued(const struct stream *s);
/* Forget what is gathered and queued. */
void wire_drop(struct stream *s);
/* Poll for what the state asks. */
void wire_watch(struct stream *s);
/* The pending error of the socket, positive. */
int wire_error(const struct stream *s);

/* The stream is closed: make no further attempt. */
void dialer_abandon(struct dialer *d);
