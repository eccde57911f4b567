/* A connected, ordered, two-way byte stream: plain TCP, Unix socket or TLS, all behind this one
 * type. An object belongs to the loop that made it.
 *
 * Rules. on_open comes once and first (for TLS: after the handshake and its checks; never when
 * opening failed). on_close comes exactly once and last, also after stream_close(), never from
 * inside the call that caused it; the memory goes when it returns. A callback may call
 * stream_close(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct stream;
struct tls_info;

#define STREAM_HIGH_WATER 65536u /* queued output above which writers should pause */
#define STREAM_LOW_WATER 16384u	 /* on_writable comes when the queue fell below this */

struct stream_cb {
	void (*on_open)(struct stream *s, void *ctx);
	/* Bytes arrived: lent. Returns how many were used; the rest is kept and given again, in
	 * front of what follows, when more arrives or after stream_resume(). At most 64 KiB are
	 * kept: a callback that uses nothing of a full 64 KiB, and does not pause either, gets
	 * on_close with -EMSGSIZE. */
	size_t (*on_data)(struct stream *s, const uint8_t *p, size_t n, void *ctx);
	/* The peer sends no more (FIN, or close_notify under TLS). A TLS stream cut without
	 * close_notify gets on_close with -ECONNRESET instead. Writing still works. */
	void (*on_eof)(struct stream *s, void *ctx);
	/* The queue had been above high water and fell below low water. */
	void (*on_writable)(struct stream *s, void *ctx);
	/* `why->code` 0: closed by us or in order. A stream closes by itself, in order, once both
	 * directions have ended (stream_shutdown() was carried out and on_eof was told). */
	void (*on_close)(struct stream *s, const struct err *why, void *ctx);
};

/* `cb` is kept for the stream's life, `ctx` goes to every callback. May be changed between
 * callbacks (an upgrade hands the stream to somebody else); kept input is delivered to the new
 * owner after stream_resume(). */
void stream_set_cb(struct stream *s, const struct stream_cb *cb, void *ctx);

/* Queue `n` bytes (copied; written at once as far as the socket takes them). Returns what stays
 * queued; above STREAM_HIGH_WATER the caller must stop until on_writable. Without effect after
 * stream_shutdown() or stream_close(). Not before on_open, except on stream_from_fd(). */
size_t stream_write(struct stream *s, const void *p, size_t n);
size_t stream_queued(const struct stream *s);
/* Between cork and uncork, writes are gathered into as few packets and TLS records as possible. Pairs
 * nest. */
void stream_cork(struct stream *s);
void stream_uncork(struct stream *s);

/* Stop and start on_data / on_eof. A stream starts reading after on_open. Idempotent. Kept input is
 * delivered after stream_resume() returned. A reset is noticed while paused, too. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* After the queue is written: FIN, or close_notify then FIN. Reading goes on. Idempotent. */
void stream_shutdown(struct stream *s);
/* Drop the queue and close. Idempotent. on_close follows. Under TLS without close_notify, so that the
 * peer does not take what it has for the whole. */
void stream_close(struct stream *s);
/* Write what is queued, then shut down and close, at the latest after `ms`: it waits for the peer's
 * end, too, and drops what still comes, lest a reset destroys the last bytes. on_close is the only
 * callback that follows; its code is -ETIMEDOUT when the queue could not be written. */
void stream_close_after_flush(struct stream *s, uint64_t ms);

/* Close with -ETIMEDOUT when no byte moved in either direction for `ms`; 0: never. Default 0. */
void stream_idle_timeout(struct stream *s, uint64_t ms);
/* TCP_USER_TIMEOUT and keep-alive so that a dead peer is found within about `ms`. */
void stream_dead_peer_timeout(struct stream *s, uint64_t ms);

struct loop *stream_loop(const struct stream *s);
/* "192.168.1.7" and port; "local" and 0 for a Unix socket. Valid for the stream's life. */
const char *stream_peer_addr(const struct stream *s);
uint16_t stream_peer_port(const struct stream *s);
/* The same of a descriptor: the address into addr[46], the port returned. Any thread. */
uint16_t stream_peer_of(int fd, char addr[46]);
/* NULL unless TLS is open. Valid for the stream's life. */
const struct tls_info *stream_tls(const struct stream *s);
/* Bytes moved on the wire since open, both ways: for "as long as bytes move". */
uint64_t stream_bytes_moved(const struct stream *s);
