/* See ask.h. Two hold a question: its exchange until on_done, and its journey to the desk and back.
 * Either may end first, also on two threads when loops stop; the last one frees it. */
#include "gate/ask.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/tls.h"

#define ANSWER_MAX (16u << 20) /* the status of 10,000 devices is 8 MiB */

struct pending {
	struct ask a;
	const struct ask_desk *desk;
	atomic_uint holders;
	struct linger *linger; /* its exchange was over first */
	bool sent; /* the journey has begun */
};

static void let_go(struct pending *p)
{
	if (atomic_fetch_sub(&p->holders, 1) != 1)
		return;
	msg_free(p->a.req);
	msg_free(p->a.resp);
	buf_done_secret(&p->a.body);
	buf_done_secret(&p->a.resp_body);
	linger_done(p->linger);
	free(p);
}

/* The answer is given, or never will be: the exchange needs the question no longer. */
static void part(struct pending *p, struct exchange *x)
{
	x->ctx = NULL;
	p->a.x = NULL;
	let_go(p);
}

static void on_home(struct job *job)
{
	struct pending *p = container_of(job, struct pending, a.job);
	struct exchange *x = p->a.x;
	if (x && p->a.resp)
		exchange_reply(x, msg_status(p->a.resp), p->a.resp, NULL, buf_str(&p->a.resp_body));
	else if (x)
		exchange_reply(x, 500, NULL, "text/plain", "no answer\n");
	if (x)
		part(p, x);
	let_go(p);
}

/* A loop has stopped; this may be any thread, so the exchange is not touched. */
static void on_lost(struct job *job)
{
	let_go(container_of(job, struct pending, a.job));
}

static void on_desk(struct job *job)
{
	struct pending *p = container_of(job, struct pending, a.job);
	p->desk->fn(p->desk->ctx, &p->a);
}

void ask_done(struct ask *a)
{
	a->job = (struct job){.run = on_home, .cancel = on_lost};
	loop_post(a->loop, &a->job);
}

static void refuse(struct pending *p, int status, const char *text)
{
	struct exchange *x = p->a.x;
	part(p, x);
	exchange_reply(x, status, NULL, "text/plain", text);
}

static void on_body(struct exchange *x, const uint8_t *p, size_t n)
{
	struct pending *pd = x->ctx;
	if (pd && buf_append(&pd->a.body, p, n) < 0)
		refuse(pd, 413, "too much at once\n");
}

static void on_end(struct exchange *x, const struct msg *trailers)
{
	(void)trailers;
	struct pending *p = x->ctx;
	if (!p || p->sent)
		return;
	p->sent = true;
	atomic_fetch_add(&p->holders, 1);
	p->a.job = (struct job){.run = on_desk, .cancel = on_lost};
	if (loop_post(p->desk->loop, &p->a.job) < 0)
		refuse(p, 503, "stopping\n");
}

static void on_writable(struct exchange *x)
{
	(void)x;
}

static void on_done(struct exchange *x, int status)
{
	struct pending *p = x->ctx;
	(void)status;
	if (!p)
		return;
	if (p->sent)
		p->linger = exchange_linger(x);
	part(p, x);
}

static const struct handler ask_handler = {
	.on_body = on_body, .on_end = on_end, .on_writable = on_writable, .on_done = on_done};

static void fill_tls(struct ask *a, const struct conn_info *conn)
{
	const struct tls_info *t = conn->tls;
	if (!t || !t->peer)
		return;
	str_copy(a->peer_serial, sizeof(a->peer_serial), t->peer->serial);
	memcpy(a->peer_spki, t->peer->spki_sha256, sizeof(a->peer_spki));
	a->peer_not_after = t->peer->not_after;
}

void ask_exchange(struct exchange *x, enum ask_kind kind, const char *host,
	const struct ask_desk *desk, const uint8_t *exporter)
{
	struct pending *p = xcalloc(1, sizeof(*p));
	atomic_init(&p->holders, 1);
	p->desk = desk;
	p->a.kind = kind;
	p->a.req = msg_copy(x->req);
	p->a.loop = x->conn->loop;
	p->a.x = x;
	str_copy(p->a.host, sizeof(p->a.host), host);
	str_copy(p->a.peer, sizeof(p->a.peer), x->conn->peer_addr);
	fill_tls(&p->a, x->conn);
	if (exporter) {
		memcpy(p->a.exporter, exporter, sizeof(p->a.exporter));
		p->a.has_exporter = true;
	}
	buf_init(&p->a.body, ASK_BODY_MAX);
	buf_init(&p->a.resp_body, ANSWER_MAX);
	x->handler = &ask_handler;
	x->ctx = p;
	if (msg_body(x->req) == BODY_LENGTH && msg_body_length(x->req) > ASK_BODY_MAX) {
		refuse(p, 413, "too much at once\n");
		return;
	}
	if (x->expects_continue)
		exchange_continue(x);
	exchange_resume(x);
}

void ask_answer(struct ask *a, int status, const char *type, const char *body)
{
	if (!a->resp)
		a->resp = msg_new_response(status);
	msg_set_status(a->resp, status);
	if (type)
		msg_set(a->resp, "content-type", type);
	a->resp_body.len = 0;
	if (buf_puts(&a->resp_body, body) < 0)
		msg_set_status(a->resp, 500);
	ask_done(a);
}

void ask_redirect(struct ask *a, int status, const char *location)
{
	if (!a->resp)
		a->resp = msg_new_response(status);
	if (msg_set(a->resp, "location", location) < 0)
		status = 500;
	ask_answer(a, status, NULL, "");
}
