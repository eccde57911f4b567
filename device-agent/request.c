/* See request.h. */
#include "device-agent/request.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "device-agent/tls.h"

struct request {
	struct request_settings s;
	struct watch watch;
	struct dial *dial;
	struct tls *tls;
	struct buf out, in;
};

void request_cancel(struct request *r)
{
	if (!r)
		return;
	loop_remove(&r->watch);
	dial_cancel(r->dial);
	if (r->tls)
		tls_close(r->tls);
	tls_free(r->tls);
	if (r->watch.fd >= 0)
		close(r->watch.fd);
	buf_done_secret(&r->out);
	buf_done(&r->in);
	free(r);
}

static void finish(struct request *r, const struct http_short *answer, const struct err *e)
{
	r->s.done(r->s.ctx, answer, e);
	request_cancel(r);
}

/* True: finished, `r` is gone. */
static bool take_answer(struct request *r, bool ended)
{
	struct err e = {0};
	struct http_short answer;
	int rc = http_short_parse(&answer, r->in.data, r->in.len, ended, &e);
	if (rc == 0)
		return false;
	finish(r, rc > 0 ? &answer : NULL, &e);
	return true;
}

static void wait_for(struct request *r, long rc, const struct err *e)
{
	if (rc == TLS_WANT_READ || rc == TLS_WANT_WRITE)
		r->watch.events = rc == TLS_WANT_READ ? POLLIN : POLLOUT;
	else
		finish(r, NULL, e);
}

static void pump(struct request *r)
{
	struct err e = {0};
	while (r->out.len) {
		long n = tls_write(r->tls, r->out.data, r->out.len, &e);
		if (n <= 0) {
			wait_for(r, n, &e);
			return;
		}
		buf_consume(&r->out, (size_t)n);
	}
	for (;;) {
		if (buf_reserve(&r->in, 1024) < 0) {
			err_set(&e, -EMSGSIZE, "the gateway's answer is too long");
			finish(r, NULL, &e);
			return;
		}
		long n = tls_read(r->tls, r->in.data + r->in.len, 1024, &e);
		if (n < 0) {
			wait_for(r, n, &e);
			return;
		}
		r->in.len += (size_t)n;
		if (take_answer(r, n == 0))
			return;
	}
}

static void on_event(struct watch *w, short revents)
{
	struct request *r = container_of(w, struct request, watch);
	if (revents) {
		pump(r);
		return;
	}
	struct err e = {0};
	err_set(&e, -ETIMEDOUT, "the gateway did not answer in time");
	finish(r, NULL, &e);
}

static void on_dialled(void *ctx, struct tls *tls, int fd, const struct err *e)
{
	struct request *r = ctx;
	struct err own = {0};
	r->dial = NULL;
	r->tls = tls;
	r->watch.fd = fd;
	if (!tls) {
		finish(r, NULL, e);
		return;
	}
	watch_after(&r->watch, REQUEST_DEADLINE_MS);
	if (r->s.print(r->s.ctx, tls, &r->out) < 0 || !loop_add(r->s.loop, &r->watch)) {
		err_set(&own, -ENOBUFS, "cannot write the request");
		finish(r, NULL, &own);
		return;
	}
	pump(r);
}

struct request *request_open(const struct request_settings *s)
{
	struct request *r = xcalloc(1, sizeof(*r));
	r->s = *s;
	r->watch.fd = -1;
	r->watch.on_event = on_event;
	buf_init(&r->out, 16384);
	buf_init(&r->in, HTTP_SHORT_HEAD_MAX + HTTP_SHORT_BODY_MAX + 1024);
	r->dial = dial_open(s->loop, s->gw, s->tls, on_dialled, r);
	if (r->dial)
		return r;
	request_cancel(r);
	return NULL;
}
