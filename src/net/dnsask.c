/* See dnsask.h. A connected UDP socket of its own for each question gives the port that the kernel
 * draws and only the datagrams of the server asked; the id is random besides. A datagram that does
 * not answer the question is passed over, not believed to be the end. */
#include "net/dnsask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "net/loop_int.h"

#define RESEND_MS 1000
#define QUESTION_MAX 512

enum ask_state { ASK_UDP, ASK_TCP_WRITE, ASK_TCP_READ, ASK_DONE };

struct dnsask {
	struct loop *loop;
	dnsask_fn fn;
	void *ctx;
	enum ask_state state;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} to;
	socklen_t to_len;
	char server[INET6_ADDRSTRLEN], name[DNS_NAME_MAX];
	enum dns_type type;
	uint16_t port, id;
	struct err why; /* what went wrong so far, told at the deadline */
	struct timer deadline, resend;
	struct defer fail;
	struct loop_open open;
	uv_poll_t *poll; /* NULL while no socket is open; freed when closed */
	int fd;
	uint8_t question[2 + QUESTION_MAX]; /* with TCP's length in front */
	size_t question_len, sent;
	uint8_t *answer; /* 2 + DNS_MSG_MAX, for TCP */
	size_t got;
	struct dns_reply reply;
};

static void on_poll_closed(uv_handle_t *h)
{
	free(h);
}

static void close_socket(struct dnsask *q)
{
	if (!q->poll)
		return;
	uv_close((uv_handle_t *)q->poll, on_poll_closed);
	q->poll = NULL;
	close(q->fd);
}

static void release(struct dnsask *q)
{
	q->state = ASK_DONE;
	timer_cancel(&q->deadline);
	timer_cancel(&q->resend);
	defer_cancel(&q->fail);
	list_remove(&q->open.node);
	close_socket(q);
	free(q->answer);
	free(q);
}

/* Hand over and go: after this nothing of `q` is left. */
static void finish(struct dnsask *q, bool answered)
{
	q->state = ASK_DONE;
	close_socket(q);
	q->fn(q->ctx, answered ? &q->reply : NULL, answered ? NULL : &q->why);
	release(q);
}

static int fail(struct dnsask *q, int code, const char *what)
{
	int rc = err_sys(&q->why, code, "DNS server %s port %u: %s", q->server, q->port, what);
	finish(q, false);
	return rc;
}

static void on_poll(uv_poll_t *h, int status, int events);

/* A non-blocking socket of `kind` on the way to the server. */
static int open_socket(struct dnsask *q, int kind)
{
	int fd = socket(q->to.sa.sa_family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int rc = connect(fd, &q->to.sa, q->to_len) < 0 && errno != EINPROGRESS ? -errno : 0;
	uv_poll_t *poll = xcalloc(1, sizeof(*poll));
	if (rc == 0)
		rc = uv_poll_init(loop_uv(q->loop), poll, fd);
	if (rc < 0) {
		free(poll);
		close(fd);
		return rc;
	}
	poll->data = q;
	q->poll = poll;
	q->fd = fd;
	return uv_poll_start(poll, kind == SOCK_DGRAM ? UV_READABLE : UV_WRITABLE, on_poll);
}

static int send_udp(struct dnsask *q)
{
	ssize_t n = send(q->fd, q->question + 2, q->question_len - 2, MSG_NOSIGNAL);
	return n < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;
}

static void go_tcp(struct dnsask *q)
{
	close_socket(q);
	timer_cancel(&q->resend);
	q->state = ASK_TCP_WRITE;
	q->answer = xcalloc(1, 2 + DNS_MSG_MAX);
	int rc = open_socket(q, SOCK_STREAM);
	if (rc < 0)
		fail(q, rc, "cannot connect");
}

static int decode(struct dnsask *q, const uint8_t *p, size_t n)
{
	int rc = dns_reply_decode(&q->reply, p, n, q->id, q->name, q->type, &q->why);
	if (rc < 0)
		err_prefix(&q->why, "DNS server %s port %u", q->server, q->port);
	return rc;
}

static void on_udp(struct dnsask *q)
{
	uint8_t p[4096]; /* more than the 1232 that the question allows */
	for (int i = 0; i < 16; i++) {
		ssize_t n = recv(q->fd, p, sizeof(p), MSG_TRUNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			fail(q, -errno, "no answer");
			return;
		}
		if ((size_t)n > sizeof(p) || decode(q, p, (size_t)n) < 0)
			continue;
		/* More records than the table holds is no reason to ask again. */
		if (q->reply.truncated && q->reply.n_rrs == 0)
			go_tcp(q);
		else
			finish(q, true);
		return;
	}
}

static void on_tcp_writable(struct dnsask *q)
{
	ssize_t n = send(q->fd, q->question + q->sent, q->question_len - q->sent, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		fail(q, -errno, "cannot ask over TCP");
		return;
	}
	q->sent += (size_t)n;
	if (q->sent < q->question_len)
		return;
	q->state = ASK_TCP_READ;
	uv_poll_start(q->poll, UV_READABLE, on_poll);
}

static void on_tcp_readable(struct dnsask *q)
{
	size_t want = 2;
	if (q->got >= 2)
		want += (size_t)q->answer[0] << 8 | q->answer[1];
	ssize_t n = recv(q->fd, q->answer + q->got, want - q->got, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(q, n < 0 ? -errno : -ECONNRESET, "no answer over TCP");
		return;
	}
	q->got += (size_t)n;
	if (q->got < 2 || q->got < 2 + ((size_t)q->answer[0] << 8 | q->answer[1]))
		return;
	finish(q, decode(q, q->answer + 2, q->got - 2) == 0);
}

/* uv_poll says EBADF for whatever is wrong. */
static int socket_error(int fd)
{
	int why = 0;
	socklen_t n = sizeof(why);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n);
	return why ? -why : -EIO;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct dnsask *q = h->data;
	(void)events;
	if (status < 0) {
		fail(q, socket_error(q->fd), "no answer");
		return;
	}
	switch (q->state) {
	case ASK_UDP:
		on_udp(q);
		return;
	case ASK_TCP_WRITE:
		on_tcp_writable(q);
		return;
	case ASK_TCP_READ:
		on_tcp_readable(q);
		return;
	case ASK_DONE:
		return;
	}
}

static void on_resend(struct timer *t)
{
	struct dnsask *q = container_of(t, struct dnsask, resend);
	int rc = send_udp(q);
	if (rc < 0)
		fail(q, rc, "no answer");
}

static void on_deadline(struct timer *t)
{
	struct dnsask *q = container_of(t, struct dnsask, deadline);
	if (!q->why.code)
		err_set(&q->why, -ETIMEDOUT, "DNS server %s port %u did not answer", q->server,
			q->port);
	finish(q, false);
}

static void on_fail(struct defer *d)
{
	finish(container_of(d, struct dnsask, fail), false);
}

static void on_loop_close(struct loop_open *o)
{
	struct dnsask *q = container_of(o, struct dnsask, open);
	err_set(&q->why, -ECANCELED, "stopping");
	finish(q, false);
}

static int set_server(struct dnsask *q, const struct dnsask_opts *o)
{
	q->port = o->port;
	if (str_copy(q->server, sizeof(q->server), o->server) < 0)
		return -EINVAL;
	if (inet_pton(AF_INET, o->server, &q->to.in.sin_addr) == 1) {
		q->to.in.sin_family = AF_INET;
		q->to.in.sin_port = htons(o->port);
		q->to_len = sizeof(q->to.in);
		return 0;
	}
	if (inet_pton(AF_INET6, o->server, &q->to.in6.sin6_addr) != 1)
		return -EINVAL;
	q->to.in6.sin6_family = AF_INET6;
	q->to.in6.sin6_port = htons(o->port);
	q->to_len = sizeof(q->to.in6);
	return 0;
}

static int set_question(struct dnsask *q, const struct dnsask_opts *o)
{
	random_bytes(&q->id, sizeof(q->id));
	q->type = o->type;
	if (str_copy(q->name, sizeof(q->name), o->name) < 0)
		return -EINVAL;
	int n = dns_query_encode(
		q->question + 2, QUESTION_MAX, q->id, o->name, o->type, o->recursion_desired);
	if (n < 0)
		return n;
	q->question[0] = (uint8_t)(n >> 8);
	q->question[1] = (uint8_t)n;
	q->question_len = 2 + (size_t)n;
	return 0;
}

struct dnsask *dnsask_start(struct loop *loop, const struct dnsask_opts *o, dnsask_fn fn, void *ctx)
{
	struct dnsask *q = xcalloc(1, sizeof(*q));
	q->loop = loop;
	q->fn = fn;
	q->ctx = ctx;
	timer_init(&q->deadline, loop, on_deadline);
	timer_init(&q->resend, loop, on_resend);
	defer_init(&q->fail, on_fail);
	q->open.close = on_loop_close;
	loop_add_open(loop, &q->open);
	int rc = set_server(q, o);
	if (rc < 0) {
		err_set(&q->why, rc, "not an IP address of a DNS server: %s", o->server);
		loop_defer(loop, &q->fail);
		return q;
	}
	rc = set_question(q, o);
	if (rc == 0)
		rc = open_socket(q, SOCK_DGRAM);
	if (rc == 0)
		rc = send_udp(q);
	if (rc < 0) {
		err_sys(&q->why, rc, "cannot ask DNS server %s port %u for %s", q->server, q->port,
			o->name);
		loop_defer(loop, &q->fail);
		return q;
	}
	timer_arm(&q->deadline, o->deadline_ms);
	timer_arm(&q->resend, o->deadline_ms < 2 * RESEND_MS ? o->deadline_ms / 2 : RESEND_MS);
	return q;
}

void dnsask_cancel(struct dnsask *q)
{
	if (q && q->state != ASK_DONE)
		release(q);
}
