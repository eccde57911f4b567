/* procmsg datagrams over one end of a SOCK_SEQPACKET pair, on a loop. */
#pragma once

#include "base/err.h"
#include "base/procmsg.h"

struct loop;
struct msgpipe;

/* `m` is lent. A message that does not decode is reported with m == NULL and dropped. */
typedef void (*msgpipe_fn)(void *ctx, const struct procmsg *m, const struct err *e);
/* The other end is gone (only when nobody holds it any more). */
typedef void (*msgpipe_gone_fn)(void *ctx);

/* Takes `fd`. */
int msgpipe_open(struct msgpipe **out, struct loop *loop, int fd, msgpipe_fn fn,
	msgpipe_gone_fn gone, void *ctx, struct err *e);
/* Queue and send in order. -ENOBUFS when 256 messages wait (the other side hangs). */
int msgpipe_send(struct msgpipe *p, const struct procmsg *m, struct err *e);
void msgpipe_close(struct msgpipe *p);
