/* See ask_lab.h. */
#include "ask_lab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/list.h"
#include "base/str.h"
#include "http/msg.h"

void ask_done(struct ask *a)
{
	struct ask_lab *x = container_of(a, struct ask_lab, a);
	x->answers++;
	sem_post(&x->done);
}

void ask_answer(struct ask *a, int status, const char *type, const char *body)
{
	if (!a->resp)
		a->resp = msg_new_response(status);
	msg_set_status(a->resp, status);
	if (type)
		msg_set(a->resp, "content-type", type);
	assert(buf_puts(&a->resp_body, body) == 0);
	ask_done(a);
}

void ask_redirect(struct ask *a, int status, const char *location)
{
	a->resp = a->resp ? a->resp : msg_new_response(status);
	msg_set(a->resp, "location", location);
	ask_answer(a, status, NULL, "");
}

static void copy_peer(struct ask *a, const struct ask *like)
{
	str_copy(a->host, sizeof(a->host), like->host);
	memcpy(a->exporter, like->exporter, sizeof(a->exporter));
	a->has_exporter = like->has_exporter;
	memcpy(a->peer_serial, like->peer_serial, sizeof(a->peer_serial));
	memcpy(a->peer_spki, like->peer_spki, sizeof(a->peer_spki));
	a->peer_not_after = like->peer_not_after;
}

struct ask_lab *ask_lab_new(const struct ask_question *q)
{
	struct ask_lab *x = calloc(1, sizeof(*x));
	const char *peer = q->kind == ASK_LOCAL ? "local" : "192.168.7.50";
	sem_init(&x->done, 0, 0);
	x->a.kind = q->kind;
	x->a.req = msg_new_request(q->method, "https", "home.example.com", q->target);
	buf_init(&x->a.body, ASK_BODY_MAX);
	buf_init(&x->a.resp_body, 1 << 20);
	str_copy(x->a.host, sizeof(x->a.host), "home.example.com");
	str_copy(x->a.peer, sizeof(x->a.peer), q->peer ? q->peer : peer);
	if (q->like)
		copy_peer(&x->a, q->like);
	if (q->body) {
		msg_add(x->a.req, "content-type", q->type ? q->type : "application/json");
		assert(buf_puts(&x->a.body, q->body) == 0);
	}
	if (q->cookie)
		msg_add(x->a.req, "cookie", q->cookie);
	return x;
}

void ask_lab_free(struct ask_lab *x)
{
	assert(x->answers == 1);
	msg_free(x->a.req);
	msg_free(x->a.resp);
	buf_done(&x->a.body);
	buf_done(&x->a.resp_body);
	sem_destroy(&x->done);
	free(x);
}

void ask_lab_wait(struct ask_lab *x)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	int rc = sem_timedwait(&x->done, &until);
	assert(rc == 0);
	(void)rc;
}

int ask_lab_status(const struct ask_lab *x)
{
	return x->a.resp ? msg_status(x->a.resp) : 0;
}

const char *ask_lab_text(struct ask_lab *x)
{
	return x->a.resp_body.len ? buf_str(&x->a.resp_body) : "";
}
