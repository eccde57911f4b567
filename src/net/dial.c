/* Outgoing connections: find the addresses, try one after the other, hand the connected socket to
 * the stream that waits for it. The stream is there from the start and keeps the deadline; closing
 * it abandons the dialer. */
#include "net/dial.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "net/stream_int.h"
#include "net/stream_tcp.h"
#include "net/tls_connect.h"

#define ATTEMPT_MS_MIN 250

struct attempt {
	uv_poll_t poll;
	struct dialer *dialer; /* NULL: given up */
	int fd;
};

struct dialer {
	struct stream *s; /* NULL: abandoned */
	struct loop *loop;
	struct defer start;
	struct timer limit; /* of the present attempt */
	uv_getaddrinfo_t req;
	bool resolving;
	struct addrinfo *all, *next;
	struct attempt *attempt;
	uint64_t end_at_ms;
	int code; /* of the last attempt that failed */
	char *host, port[6];
};

static void free_dialer(struct dialer *d)
{
	timer_cancel(&d->limit);
	defer_cancel(&d->start);
	if (d->all)
		uv_freeaddrinfo(d->all);
	free(d->host);
	free(d);
}

static void on_attempt_closed(uv_handle_t *h)
{
	free(container_of((uv_poll_t *)h, struct attempt, poll));
}

/* Returns its descriptor. */
static int end_attempt(struct dialer *d)
{
	struct attempt *a = d->attempt;
	int fd = a->fd;
	d->attempt = NULL;
	a->dialer = NULL;
	uv_close((uv_handle_t *)&a->poll, on_attempt_closed);
	return fd;
}

void dialer_abandon(struct dialer *d)
{
	d->s->dialer = NULL;
	d->s = NULL;
	if (d->attempt)
		close(end_attempt(d));
	if (d->resolving)
		uv_cancel((uv_req_t *)&d->req);
	else
		free_dialer(d);
}

/* The end of the search: the stream goes its own way. */
static struct stream *leave(struct dialer *d)
{
	struct stream *s = d->s;
	s->dialer = NULL;
	free_dialer(d);
	return s;
}

static void connected(struct dialer *d, int fd)
{
	struct stream *s = leave(d);
	stream_attach(s, fd);
	if (s->state != STREAM_OPENING)
		return;
	if (s->ops->open)
		stream_advance(s);
	else
		stream_opened(s);
	wire_watch(s);
}

static void try_next(struct dialer *d);

static void on_connect(uv_poll_t *h, int status, int events)
{
	struct attempt *a = container_of(h, struct attempt, poll);
	struct dialer *d = a->dialer;
	(void)status, (void)events;
	if (!d)
		return;
	int code = 0;
	socklen_t n = sizeof(code);
	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &code, &n) < 0)
		code = errno;
	int fd = end_attempt(d);
	if (!code) {
		connected(d, fd);
		return;
	}
	close(fd);
	d->code = -code;
	try_next(d);
}

static void on_limit(struct timer *t)
{
	struct dialer *d = container_of(t, struct dialer, limit);
	close(end_attempt(d));
	d->code = -ETIMEDOUT;
	try_next(d);
}

/* A fair part of what is left, so that one dead address does not use it all. */
static uint64_t attempt_ms(const struct dialer *d, const struct addrinfo *ai)
{
	uint64_t now = loop_now_ms(d->loop), left = 1;
	for (ai = ai->ai_next; ai; ai = ai->ai_next)
		left++;
	uint64_t ms = d->end_at_ms > now ? (d->end_at_ms - now) / left : 0;
	return ms < ATTEMPT_MS_MIN ? ATTEMPT_MS_MIN : ms;
}

/* 0 or a negative error. */
static int start_attempt(struct dialer *d, const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	struct attempt *a = xcalloc(1, sizeof(*a));
	int rc = connect(fd, ai->ai_addr, ai->ai_addrlen) < 0 ? -errno : 0;
	if (rc == -EINPROGRESS)
		rc = 0;
	if (rc == 0)
		rc = uv_poll_init(loop_uv(d->loop), &a->poll, fd);
	if (rc < 0) {
		close(fd);
		free(a);
		return rc;
	}
	a->fd = fd;
	a->dialer = d;
	d->attempt = a;
	uv_poll_start(&a->poll, UV_WRITABLE, on_connect);
	timer_arm(&d->limit, attempt_ms(d, ai));
	return 0;
}

static void try_next(struct dialer *d)
{
	timer_cancel(&d->limit);
	while (d->next) {
		const struct addrinfo *ai = d->next;
		d->next = ai->ai_next;
		d->code = start_attempt(d, ai);
		if (d->code == 0)
			return;
	}
	int code = d->code;
	char *host = d->host;
	d->host = NULL;
	char port[sizeof(d->port)];
	memcpy(port, d->port, sizeof(port));
	stream_fail(
		leave(d), code, "cannot connect to %s port %s: %s", host, port, strerror(-code));
	free(host);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *all)
{
	struct dialer *d = container_of(req, struct dialer, req);
	d->resolving = false;
	d->all = d->next = all;
	if (!d->s) {
		free_dialer(d);
	} else if (status < 0 || !all) {
		char *host = d->host;
		d->host = NULL;
		stream_fail(leave(d), -EHOSTUNREACH, "cannot find the address of %s: %s", host,
			uv_strerror(status < 0 ? status : UV_EAI_NONAME));
		free(host);
	} else {
		try_next(d);
	}
}

static void on_start(struct defer *defer)
{
	struct dialer *d = container_of(defer, struct dialer, start);
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	if (getaddrinfo(d->host, d->port, &hints, &d->all) == 0) {
		d->next = d->all;
		try_next(d);
		return;
	}
	hints.ai_flags = AI_NUMERICSERV;
	d->all = NULL;
	int rc = uv_getaddrinfo(loop_uv(d->loop), &d->req, on_resolved, d->host, d->port, &hints);
	if (rc < 0)
		on_resolved(&d->req, rc, NULL);
	else
		d->resolving = true;
}

struct stream *dial(
	struct loop *loop, const struct dial_opts *o, const struct stream_cb *cb, void *ctx)
{
	const char *name = o->name ? o->name : o->host;
	struct stream *s = o->tls ? tls_connect_new(loop, o->tls, name, cb, ctx)
				  : stream_plain_new(loop, cb, ctx);
	if (s->state == STREAM_CLOSED)
		return s;
	struct dialer *d = xcalloc(1, sizeof(*d));
	d->s = s;
	d->loop = loop;
	d->end_at_ms = loop_now_ms(loop) + o->deadline_ms;
	d->host = xstrdup(o->host);
	snprintf(d->port, sizeof(d->port), "%u", o->port);
	timer_init(&d->limit, loop, on_limit);
	defer_init(&d->start, on_start);
	loop_defer(loop, &d->start);
	s->dialer = d;
	stream_deadline(s, o->deadline_ms);
	return s;
}
