/* A plain stream that has no descriptor yet, for dial.c. */
#pragma once

#include "net/stream.h"

struct stream *stream_plain_new(struct loop *loop, const struct stream_cb *cb, void *ctx);
