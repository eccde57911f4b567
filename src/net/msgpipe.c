/* See msgpipe.h. One datagram is one message, so there is no framing to get wrong; what the
 * socket does not take at once waits in a bounded queue. */
#include "net/msgpipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/xalloc.h"
#include "net/loop_int.h"

#define QUEUE_MAX 256
#define BATCH 32 /* messages read in one turn */

struct queued {
	struct list node;
	size_t n;
	uint8_t bytes[];
};

struct msgpipe {
	struct loop *loop;
	int fd;
	uv_poll_t poll;
	msgpipe_fn fn;
	msgpipe_gone_fn gone;
	void *ctx;
	struct list queue;
	unsigned n_queued;
	bool ended; /* gone has been called */
	bool closed;
	struct loop_open open;
	uint8_t in[PROCMSG_MAX + 1], out[PROCMSG_MAX];
};

static void drop(struct msgpipe *p, struct queued *q)
{
	list_remove(&q->node);
	p->n_queued--;
	free_secret(q, sizeof(*q) + q->n);
}

static void drop_all(struct msgpipe *p)
{
	list_each_safe(pos, &p->queue) drop(p, container_of(pos, struct queued, node));
}

/* 0, -EAGAIN, or why nothing can be sent any more. */
static int send_one(struct msgpipe *p, const uint8_t *bytes, size_t n)
{
	ssize_t k;
	do {
		k = send(p->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (k < 0 && errno == EINTR);
	return k < 0 ? -errno : 0;
}

static void on_poll(uv_poll_t *h, int status, int events);

static void watch(struct msgpipe *p)
{
	int events = UV_READABLE | (p->n_queued ? UV_WRITABLE : 0);
	if (!p->closed && !p->ended)
		uv_poll_start(&p->poll, events, on_poll);
}

static void send_queued(struct msgpipe *p)
{
	while (p->n_queued) {
		struct queued *q = container_of(p->queue.next, struct queued, node);
		int rc = send_one(p, q->bytes, q->n);
		if (rc == -EAGAIN)
			return;
		drop(p, q); /* an error: reading tells that the other end is gone */
	}
	watch(p);
}

static void end(struct msgpipe *p)
{
	p->ended = true;
	uv_poll_stop(&p->poll);
	drop_all(p);
	p->gone(p->ctx);
}

static void receive(struct msgpipe *p, size_t n)
{
	struct procmsg m;
	struct err e = {.code = 0};
	int rc = -EBADMSG;
	if (n > PROCMSG_MAX)
		err_set(&e, -EBADMSG, "a process message of more than 64 KiB");
	else
		rc = procmsg_decode(&m, p->in, n, &e);
	p->fn(p->ctx, rc < 0 ? NULL : &m, &e);
}

/* False when there was nothing more to read, or nobody to read for. */
static bool receive_batch(struct msgpipe *p)
{
	for (int i = 0; i < BATCH && !p->closed && !p->ended; i++) {
		ssize_t n = recv(p->fd, p->in, sizeof(p->in), MSG_DONTWAIT);
		/* ECONNRESET: it closed without reading all of ours; its last words follow. */
		if (n < 0 && (errno == EINTR || errno == ECONNRESET))
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0) {
			end(p);
			return false;
		}
		receive(p, (size_t)n);
	}
	return !p->closed && !p->ended;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct msgpipe *p = container_of(h, struct msgpipe, poll);
	if (status < 0) {
		/* An error on the socket; libuv has stopped watching. */
		while (!p->closed && !p->ended && receive_batch(p))
			;
		if (!p->closed && !p->ended)
			end(p);
		return;
	}
	if (events & UV_WRITABLE)
		send_queued(p);
	if (events & UV_READABLE)
		receive_batch(p);
}

static void on_loop_close(struct loop_open *o)
{
	msgpipe_close(container_of(o, struct msgpipe, open));
}

int msgpipe_open(struct msgpipe **out, struct loop *loop, int fd, msgpipe_fn fn,
	msgpipe_gone_fn gone, void *ctx, struct err *e)
{
	struct msgpipe *p = xcalloc(1, sizeof(*p));
	*out = NULL;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	int rc = uv_poll_init(loop_uv(loop), &p->poll, fd);
	if (rc < 0) {
		close(fd);
		free(p);
		return err_sys(e, rc, "cannot watch the pipe to the other process");
	}
	p->loop = loop;
	p->fd = fd;
	p->fn = fn;
	p->gone = gone;
	p->ctx = ctx;
	list_init(&p->queue);
	p->open.close = on_loop_close;
	loop_add_open(loop, &p->open);
	watch(p);
	*out = p;
	return 0;
}

static void enqueue(struct msgpipe *p, const uint8_t *bytes, size_t n)
{
	struct queued *q = xcalloc(1, sizeof(*q) + n);
	q->n = n;
	memcpy(q->bytes, bytes, n);
	list_push_back(&p->queue, &q->node);
	if (p->n_queued++ == 0)
		watch(p);
}

int msgpipe_send(struct msgpipe *p, const struct procmsg *m, struct err *e)
{
	if (p->closed || p->ended)
		return err_set(e, -EPIPE, "the other process is gone");
	int n = procmsg_encode(m, p->out), rc = -EAGAIN;
	if (n < 0)
		return err_set(e, n, "a message \"%s\" that cannot be sent", procmsg_name(m->type));
	if (p->n_queued == QUEUE_MAX) {
		rc = err_set(e, -ENOBUFS, "the other process does not read; %u messages wait",
			QUEUE_MAX);
	} else {
		rc = p->n_queued ? -EAGAIN : send_one(p, p->out, (size_t)n);
		if (rc == -EAGAIN) {
			enqueue(p, p->out, (size_t)n);
			rc = 0;
		} else if (rc < 0) {
			err_sys(e, rc, "cannot send to the other process");
		}
	}
	wipe(p->out, (size_t)n);
	return rc;
}

static void on_closed(uv_handle_t *h)
{
	struct msgpipe *p = container_of(h, struct msgpipe, poll);
	list_remove(&p->open.node);
	free_secret(p, sizeof(*p));
}

void msgpipe_close(struct msgpipe *p)
{
	if (!p || p->closed)
		return;
	p->closed = true;
	drop_all(p);
	uv_close((uv_handle_t *)&p->poll, on_closed);
	close(p->fd);
}
