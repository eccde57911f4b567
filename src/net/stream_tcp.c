/* The plain transport: what is written is what goes on the wire. */
#include "net/stream_tcp.h"
#include "base/xalloc.h"
#include "net/dial.h"
#include "net/stream_int.h"

static void plain_write(struct stream *s, const uint8_t *p, size_t n)
{
	if (s->corked)
		wire_put(s, p, n);
	else
		wire_write(s, p, n);
}

static const struct stream_ops plain_ops = {
	.read = wire_recv,
	.write = plain_write,
};

struct stream *stream_plain_new(struct loop *loop, const struct stream_cb *cb, void *ctx)
{
	struct stream *s = xcalloc(1, sizeof(*s));
	stream_init(s, loop, &plain_ops, cb, ctx);
	return s;
}

struct stream *stream_from_fd(struct loop *loop, int fd, const struct stream_cb *cb, void *ctx)
{
	struct stream *s = stream_plain_new(loop, cb, ctx);
	s->do_open = true;
	stream_later(s);
	stream_attach(s, fd);
	return s;
}
