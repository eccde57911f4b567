/* Outgoing connections: find the addresses, try one after the other without waiting long for any
 * (RFC 8305 §5), hand the first connected socket to the stream that waits for it. The stream is
 * there from the start and keeps the deadline; closing it abandons the dialer. */
#include "net/dial.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/xalloc.h"
#include "net/stream_int.h"
#include "net/stream_tcp.h"
#include "net/tls_connect.h"

#define NEXT_AFTER_MS 250u

struct attempt {
	struct list node;
	uv_poll_t poll;
	struct dialer *dialer; /* NULL: given up */
	int fd;
};

struct dialer {
	struct stream *s; /* NULL: abandoned */
	struct loop *loop;
	struct defer start;
	struct timer next_due; /* the next address is tried although others may still answer */
	uv_getaddrinfo_t req;
	bool resolving;
	struct addrinfo *all, *next;
	struct list attempts;
	uint64_t end_at_ms;
	int code;   /* of the last attempt that failed */
	char *host; /* all that are to be tried, one after the other, each with its NUL; a last ""
		     */
	const char *at; /* the one that is being tried */
	char port[6];
};

static void free_dialer(struct dialer *d)
{
	timer_cancel(&d->next_due);
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
static int end_attempt(struct attempt *a)
{
	int fd = a->fd;
	list_remove(&a->node);
	a->dialer = NULL;
	uv_close((uv_handle_t *)&a->poll, on_attempt_closed);
	return fd;
}

static void end_attempts(struct dialer *d)
{
	while (!list_empty(&d->attempts))
		close(end_attempt(container_of(d->attempts.next, struct attempt, node)));
}

void dialer_abandon(struct dialer *d)
{
	d->s->dialer = NULL;
	d->s = NULL;
	end_attempts(d);
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
	d->s = NULL;
	timer_cancel(&d->next_due);
	if (d->resolving)
		uv_cancel((uv_req_t *)&d->req); /* frees it then */
	else
		free_dialer(d);
	return s;
}

static void connected(struct dialer *d, int fd)
{
	end_attempts(d);
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
	int fd = end_attempt(a);
	if (!code) {
		connected(d, fd);
		return;
	}
	close(fd);
	d->code = -code;
	try_next(d);
}

static void give_up(struct dialer *d);

static void on_next_due(struct timer *t)
{
	struct dialer *d = container_of(t, struct dialer, next_due);
	if (loop_now_ms(d->loop) < d->end_at_ms) {
		try_next(d);
		return;
	}
	end_attempts(d);
	d->code = -ETIMEDOUT;
	give_up(d);
}

/* More addresses, or the end: a moment before the stream's own, to say what it was. */
static void arm_next(struct dialer *d, uint64_t ms)
{
	uint64_t now = loop_now_ms(d->loop);
	uint64_t left = d->end_at_ms > now ? d->end_at_ms - now : 0;
	timer_arm(&d->next_due, ms < left ? ms : left);
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
	list_push_back(&d->attempts, &a->node);
	uv_poll_start(&a->poll, UV_WRITABLE, on_connect);
	return 0;
}

static void give_up(struct dialer *d)
{
	char *all = d->host;
	const char *host = d->at;
	int code = d->code;
	char port[sizeof(d->port)];
	memcpy(port, d->port, sizeof(port));
	d->host = NULL;
	stream_fail(
		leave(d), code, "cannot connect to %s port %s: %s", host, port, strerror(-code));
	free(all);
}

static void resolve(struct dialer *d);

/* The name after the present one, if there is one. */
static bool next_host(struct dialer *d)
{
	const char *next = d->at + strlen(d->at) + 1;
	if (!*next)
		return false;
	d->at = next;
	if (d->all)
		uv_freeaddrinfo(d->all);
	d->all = NULL;
	return true;
}

static void try_next(struct dialer *d)
{
	timer_cancel(&d->next_due);
	if (d->resolving)
		return; /* goes on from there */
	while (d->next) {
		const struct addrinfo *ai = d->next;
		d->next = ai->ai_next;
		int rc = start_attempt(d, ai);
		if (rc == 0) {
			arm_next(d, NEXT_AFTER_MS);
			return;
		}
		d->code = rc;
	}
	if (next_host(d))
		resolve(d);
	else if (list_empty(&d->attempts))
		give_up(d);
	else
		arm_next(d, UINT64_MAX);
}

static void no_address(struct dialer *d, int status)
{
	char *all = d->host;
	const char *host = d->at;
	if (next_host(d)) {
		resolve(d);
		return;
	}
	d->code = d->code ? d->code : -EHOSTUNREACH;
	if (!list_empty(&d->attempts)) {
		arm_next(d, UINT64_MAX);
		return;
	}
	d->host = NULL;
	stream_fail(leave(d), -EHOSTUNREACH, "cannot find the address of %s: %s", host,
		uv_strerror(status < 0 ? status : UV_EAI_NONAME));
	free(all);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *all)
{
	struct dialer *d = container_of(req, struct dialer, req);
	d->resolving = false;
	d->all = d->next = all;
	if (!d->s)
		free_dialer(d);
	else if (status < 0 || !all)
		no_address(d, status);
	else
		try_next(d);
}

static void resolve(struct dialer *d)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	if (getaddrinfo(d->at, d->port, &hints, &d->all) == 0) {
		d->next = d->all;
		try_next(d);
		return;
	}
	hints.ai_flags = AI_NUMERICSERV;
	d->all = NULL;
	int rc = uv_getaddrinfo(loop_uv(d->loop), &d->req, on_resolved, d->at, d->port, &hints);
	if (rc < 0)
		on_resolved(&d->req, rc, NULL);
	else
		d->resolving = true;
}

static void on_start(struct defer *defer)
{
	resolve(container_of(defer, struct dialer, start));
}

/* `host` and those of `more`, one after the other, and "". */
static char *join_hosts(const struct dial_opts *o)
{
	size_t n = strlen(o->host) + 2;
	for (unsigned i = 0; i < o->n_more; i++)
		n += strlen(o->more[i]) + 1;
	char *all = xcalloc(1, n), *p = stpcpy(all, o->host) + 1;
	for (unsigned i = 0; i < o->n_more; i++)
		p = stpcpy(p, o->more[i]) + 1;
	return all;
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
	d->host = join_hosts(o);
	d->at = d->host;
	list_init(&d->attempts);
	d->end_at_ms = loop_now_ms(loop) + o->deadline_ms - 1;
	snprintf(d->port, sizeof(d->port), "%u", o->port);
	timer_init(&d->next_due, loop, on_next_due);
	defer_init(&d->start, on_start);
	loop_defer(loop, &d->start);
	s->dialer = d;
	stream_deadline(s, o->deadline_ms);
	return s;
}
