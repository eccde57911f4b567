/* See challenge.h. One struct visit is one hook process that waits for its answer. */
#include "steward/challenge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acme/hook_line.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/dial.h"
#include "net/listen.h"
#include "steward/proof.h"
#include "steward/removal.h"

#define AREA "steward/challenge"
#define VISITS_MAX 32

struct challenges {
	struct loop *loop;
	struct challenges_opts o;
	char *path;
	struct listener *listener;
	struct list visits;
	unsigned n_visits;
};

struct visit {
	struct list node;
	struct challenges *c; /* NULL: gone */
	struct stream *stream;
	bool answered;
	uint64_t order;
	char ident[254];
	struct proof *proof;
};

static void answer(struct visit *v, bool ok)
{
	if (v->answered)
		return;
	v->answered = true;
	stream_write(v->stream, ok ? "ok\n" : "no\n", 3);
	stream_close_after_flush(v->stream, 2000);
}

static void on_proof(void *ctx, int rc, const char *text)
{
	struct visit *v = ctx;
	v->proof = NULL;
	if (rc < 0)
		log_warn(AREA, "proof failed", "name", v->ident, "why", text);
	else
		log_info(AREA, "proof visible", "name", v->ident);
	v->c->o.said(v->c->o.ctx, v->order, rc, text);
	answer(v, rc == 0);
}

static void begin(struct visit *v, const char *auth)
{
	char name[sizeof(v->ident) + 16];
	snprintf(name, sizeof(name), "_acme-challenge.%s", v->ident);
	v->c->o.began(v->c->o.ctx, v->order, proof_most_ms(v->c->o.tools->conf));
	v->proof = proof_start(v->c->o.tools, name, auth, v->order, on_proof, v);
}

/* ---- the socket ---- */

/* "ORDER METHOD TYPE IDENT TOKEN AUTH" in place. */
static int split(char *line, char *words[6])
{
	char *save = NULL;
	unsigned n = 0;
	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (n == 6)
			return -EBADMSG;
		words[n++] = w;
	}
	return n == 6 ? 0 : -EBADMSG;
}

static void on_line(struct visit *v, char *line)
{
	char *w[6];
	if (split(line, w) < 0 || str_to_u64(w[0], UINT64_MAX, &v->order) < 0 ||
		str_copy(v->ident, sizeof(v->ident), w[3]) < 0 || !name_is_host(v->ident) ||
		strcmp(w[2], "dns-01") != 0) {
		log_warn(AREA, "hook request not understood");
		answer(v, false);
		return;
	}
	if (!v->c->o.is_ordered(v->c->o.ctx, v->order, v->ident)) {
		log_warn(AREA, "hook for a name that is not ordered", "name", v->ident);
		answer(v, false);
	} else if (!strcmp(w[1], "begin")) {
		begin(v, w[5]);
	} else if (!strcmp(w[1], "done") || !strcmp(w[1], "failed")) {
		removals_add_order(v->c->o.tools->removals, v->order, w[5]);
		answer(v, true);
	} else {
		answer(v, false);
	}
}

static size_t on_data(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct visit *v = ctx;
	char line[HOOK_LINE_MAX];
	const uint8_t *end = memchr(p, '\n', n);
	(void)s;
	if (v->answered || v->ident[0])
		return n;
	if (!end && n < sizeof(line))
		return 0;
	size_t len = end ? (size_t)(end - p) : sizeof(line);
	if (len >= sizeof(line) || memchr(p, 0, len)) {
		answer(v, false);
		return n;
	}
	memcpy(line, p, len);
	line[len] = 0;
	on_line(v, line);
	return n;
}

/* Without an answer yet: uacme was ended, and the record goes again. */
static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct visit *v = ctx;
	(void)s;
	(void)why;
	proof_cancel(v->proof);
	list_remove(&v->node);
	if (v->c)
		v->c->n_visits--;
	free(v);
}

static void on_eof(struct stream *s, void *ctx)
{
	(void)ctx;
	stream_close(s);
}

static void on_open(struct stream *s, void *ctx)
{
	(void)s;
	(void)ctx;
}

static void on_writable(struct stream *s, void *ctx)
{
	(void)s;
	(void)ctx;
}

static void on_accept(void *ctx, int fd)
{
	static const struct stream_cb cb = {.on_open = on_open,
		.on_data = on_data,
		.on_eof = on_eof,
		.on_writable = on_writable,
		.on_close = on_close};
	struct challenges *c = ctx;
	struct ucred who = {0};
	socklen_t n = sizeof(who);
	if (c->n_visits >= VISITS_MAX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 ||
		(who.uid != geteuid() && who.uid != 0)) {
		log_warn(AREA, "hook connection refused", "uid", LOG_NUM(who.uid));
		close(fd);
		return;
	}
	struct visit *v = xcalloc(1, sizeof(*v));
	v->c = c;
	list_init(&v->node);
	list_push_back(&c->visits, &v->node);
	c->n_visits++;
	v->stream = stream_from_fd(c->loop, fd, &cb, v);
}

int challenges_open(
	struct challenges **out, struct loop *loop, const struct challenges_opts *o, struct err *e)
{
	int fd = listen_bind_unix(o->socket, 0600, e);
	if (fd < 0)
		return fd;
	struct challenges *c = xcalloc(1, sizeof(*c));
	c->loop = loop;
	c->o = *o;
	c->path = xstrdup(o->socket);
	list_init(&c->visits);
	int rc = listener_open(&c->listener, loop, fd, 0, on_accept, c, e);
	if (rc < 0) {
		challenges_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void challenges_free(struct challenges *c)
{
	if (!c)
		return;
	if (c->listener)
		listener_close(c->listener);
	list_each_safe(n, &c->visits)
	{
		struct visit *v = container_of(n, struct visit, node);
		proof_cancel(v->proof);
		v->proof = NULL;
		list_remove(&v->node);
		v->c = NULL;
		v->answered = true;
		stream_close(v->stream);
	}
	unlink(c->path);
	free(c->path);
	free(c);
}
