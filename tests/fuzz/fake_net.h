/* A loop and streams in memory, in place of net/: the clock stands until it is moved, and bytes
 * arrive when the fuzz target says so. The same input therefore always leads to the same session,
 * ten times as fast as over sockets. What net/stream.h and net/loop.h promise is kept here too:
 * nothing is called from inside what the owner called, on_close comes once and last. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct loop;
struct stream;

struct loop *fake_loop_new(void);
/* Every stream must be closed, no timer armed. */
void fake_loop_free(struct loop *loop);
/* Do what is due now until nothing is left of it; the clock stands. */
void fake_settle(struct loop *loop);
/* Move the clock to the next thing that is due, and do it. False: there is nothing. */
bool fake_wait(struct loop *loop);

/* An open one whose owner has yet to come (stream_set_cb). It lives until `on_gone`, which may be
 * NULL, was called. */
typedef void (*fake_gone_fn)(void *ctx);
struct stream *fake_stream(struct loop *loop, fake_gone_fn on_gone, void *ctx);
/* The peer sends, ends its direction, or resets. Take effect in fake_settle(). */
void fake_send(struct stream *s, const uint8_t *p, size_t n);
void fake_fin(struct stream *s);
void fake_reset(struct stream *s);
/* The peer reads up to `n` bytes of what is queued: appended to `out`. */
void fake_read(struct stream *s, size_t n, struct buf *out);
/* The owner has ended its direction, and the peer has read all of it. */
bool fake_ended(const struct stream *s);
