/* A whole server connection over a socket pair: the input is what a client sends, in pieces; the
 * first byte chooses how the handler behaves. Every exchange must end exactly once, and the
 * connection last. */
#include "http/server.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/stream.h"

#define PIECE 7u

struct session {
	struct loop *loop;
	struct timer tick;
	int fd;
	const uint8_t *p;
	size_t n;
	uint8_t mode;
	unsigned open; /* exchanges */
	bool closed;
};

static void on_body(struct exchange *x, const uint8_t *p, size_t n)
{
	struct session *s = x->ctx;
	assert(s->open == 1 && n);
	if (s->mode & 1)
		exchange_write(x, p, n);
	if (s->mode & 2) {
		exchange_pause(x);
		exchange_resume(x);
	}
	if (s->mode & 4)
		exchange_abort(x);
}

static void on_end(struct exchange *x, const struct msg *trailers)
{
	struct session *s = x->ctx;
	if (s->mode & 8 && !x->responded)
		exchange_reply(x, 200, NULL, "text/plain", "a");
	else
		exchange_end(x, trailers);
}

static void on_done(struct exchange *x, int status)
{
	struct session *s = x->ctx;
	assert(s->open == 1 && status <= 0);
	s->open = 0;
}

static const struct handler handler = {.on_body = on_body, .on_end = on_end, .on_done = on_done};

static void on_request(void *ctx, struct exchange *x)
{
	struct session *s = ctx;
	assert(!s->open);
	s->open = 1;
	x->handler = &handler;
	x->ctx = s;
	const char *upgrade = msg_upgrade(x->req);
	struct msg *m = msg_new_response(upgrade ? 101 : 200);
	if (upgrade)
		msg_add(m, "upgrade", upgrade);
	msg_set_body(m, BODY_CHUNKED, 0);
	exchange_continue(x);
	if (!(s->mode & 8))
		exchange_respond(x, m, s->mode & 16);
	msg_free(m);
	if (!(s->mode & 32))
		exchange_resume(x);
	else
		exchange_reply(x, 404, NULL, NULL, "no");
}

static void on_closed(void *ctx, struct http_conn *c)
{
	struct session *s = ctx;
	(void)c;
	assert(!s->open && !s->closed);
	s->closed = true;
	loop_stop(s->loop);
}

static void on_tick(struct timer *t)
{
	struct session *s = container_of(t, struct session, tick);
	char b[4096];
	while (recv(s->fd, b, sizeof(b), MSG_DONTWAIT) > 0)
		;
	size_t k = s->mode & 64 && s->n > PIECE ? PIECE : s->n;
	ssize_t sent = k ? send(s->fd, s->p, k, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;
	if (sent <= 0) {
		close(s->fd);
		s->fd = -1;
		return;
	}
	s->p += sent;
	s->n -= (size_t)sent;
	timer_arm(t, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct stream_cb none;
	static const struct http_limits quick = {.head_max = 2048,
		.url_max = 256,
		.fields_max = 16,
		.head_ms = 20,
		.keepalive_ms = 20,
		.idle_ms = 20};
	int fds[2];
	if (n < 2 || n > 2000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		return 0;
	struct session s = {.fd = fds[0], .p = p + 1, .n = n - 1, .mode = p[0]};
	if (loop_new(&s.loop, NULL) < 0)
		abort();
	timer_init(&s.tick, s.loop, on_tick);
	timer_arm(&s.tick, 0);
	struct http_server_opts o = {
		.limits = &quick, .on_request = on_request, .on_closed = on_closed, .ctx = &s};
	http_serve(stream_from_fd(s.loop, fds[1], &none, NULL), &o);
	loop_run(s.loop);
	assert(s.closed);
	timer_cancel(&s.tick);
	if (s.fd >= 0)
		close(s.fd);
	loop_free(s.loop);
	return 0;
}
