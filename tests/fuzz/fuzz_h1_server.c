/* A whole server connection: what a client sends, however it is cut into pieces, leads to the same
 * exchanges and the same answers. Byte 0 says what the handler does, byte 1 how the bytes come and
 * how the client ends; every exchange ends once, and what the client gets is one well-formed
 * response to each, at most one refusal behind them, or raw bytes after a 101. */
#include "fake_peer.h"
#include "h1_seen.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "http/server.h"
#include "net/loop.h"

/* What the handler does. */
#define ECHOES 1u  /* answers at once, and sends the body back as it comes */
#define SIPS 2u    /* pauses after every piece of the body */
#define LATER 4u   /* answers a turn after the request's end */
#define IGNORES 8u /* answers at once and never reads the body */
#define SWITCHES 16u
#define INVITES 32u /* sends 100 Continue */
#define ABORTS 64u  /* in the middle of a body */
#define LARGE 128u  /* the answers */

#define LARGE_LEN 70000u /* above high water */
#define EXCHANGES_MAX 64u

struct asked {
	enum method method;
	uint64_t sum; /* of head and body, as the handler was told */
	int status;   /* of the answer; 0: none */
	int done;
	uint64_t got; /* sum of the whole answer; 0: the client did not get it */
};

struct session {
	struct loop *loop;
	struct fake_peer peer;
	struct timer later;
	struct exchange *x; /* the one that lives */
	struct asked asked[EXCHANGES_MAX];
	unsigned n;
	uint8_t mode;
	size_t left; /* of a large answer */
	bool closed, tunnel, wants_reply;
};

static struct asked *now(struct session *s)
{
	return &s->asked[s->n - 1];
}

/* ---- the handler ---- */

static void pour(struct exchange *x)
{
	static const char block[1000];
	struct session *s = x->ctx;
	while (s->left) {
		size_t part = s->left < sizeof(block) ? s->left : sizeof(block);
		s->left -= part;
		if (exchange_write(x, block, part) > 65536)
			return;
	}
	exchange_end(x, NULL);
}

static void respond(struct exchange *x, int status)
{
	struct session *s = x->ctx;
	struct msg *m = msg_new_response(status);
	if (status == 101)
		msg_add(m, "upgrade", msg_upgrade(x->req));
	msg_set_body(m, BODY_CHUNKED, 0);
	now(s)->status = status;
	int rc = exchange_respond(x, m, false);
	assert(rc == 0);
	msg_free(m);
	s->tunnel = status == 101;
}

static void reply(struct exchange *x)
{
	struct session *s = x->ctx;
	if (x->responded)
		return;
	if (s->mode & LARGE) {
		respond(x, 200);
		s->left = LARGE_LEN;
		pour(x);
	} else {
		now(s)->status = 404;
		exchange_reply(x, 404, NULL, "text/plain", "not here");
	}
}

static void on_body(struct exchange *x, const uint8_t *p, size_t n)
{
	struct session *s = x->ctx;
	assert(s->x == x && n && (s->tunnel || !x->request_ended));
	now(s)->sum = h1_sum(now(s)->sum, p, n);
	if (s->mode & ABORTS && now(s)->sum & 1)
		exchange_abort(x);
	if (s->tunnel || s->mode & ECHOES)
		exchange_write(x, p, n);
	if (s->mode & SIPS) {
		exchange_pause(x);
		timer_arm(&s->later, 0);
	}
}

static void on_end(struct exchange *x, const struct msg *trailers)
{
	struct session *s = x->ctx;
	assert(s->x == x);
	for (unsigned i = 0; trailers && i < msg_count(trailers); i++) {
		struct field f = msg_field(trailers, i);
		now(s)->sum = h1_sum(now(s)->sum, (const uint8_t *)f.value, strlen(f.value));
	}
	if (s->tunnel || (s->mode & ECHOES && !s->left)) {
		exchange_end(x, trailers);
	} else if (s->mode & LATER) {
		s->wants_reply = true;
		timer_arm(&s->later, 0);
	} else {
		reply(x);
	}
}

static void on_writable(struct exchange *x)
{
	struct session *s = x->ctx;
	if (s->left)
		pour(x);
}

static void on_done(struct exchange *x, int status)
{
	struct session *s = x->ctx;
	assert(s->x == x && status <= 0);
	now(s)->done = status;
	s->x = NULL;
	s->left = 0;
	s->wants_reply = false;
	timer_cancel(&s->later);
}

static const struct handler handler = {
	.on_body = on_body, .on_end = on_end, .on_writable = on_writable, .on_done = on_done};

static void on_later(struct timer *t)
{
	struct session *s = container_of(t, struct session, later);
	exchange_resume(s->x);
	if (s->wants_reply)
		reply(s->x);
}

static uint64_t sum_of_head(const struct msg *m)
{
	uint64_t sum = h1_sum(1, (const uint8_t *)msg_target(m), strlen(msg_target(m)));
	sum = h1_sum(sum, (const uint8_t *)msg_authority(m), strlen(msg_authority(m)));
	for (unsigned i = 0; i < msg_count(m); i++) {
		struct field f = msg_field(m, i);
		sum = h1_sum(sum, (const uint8_t *)f.name, strlen(f.name));
		sum = h1_sum(sum, (const uint8_t *)f.value, strlen(f.value));
	}
	return sum;
}

static void on_request(void *ctx, struct exchange *x)
{
	struct session *s = ctx;
	assert(!s->x && !s->tunnel && s->n < EXCHANGES_MAX);
	s->asked[s->n++] =
		(struct asked){.method = msg_method(x->req), .sum = sum_of_head(x->req), .done = 1};
	s->x = x;
	x->handler = &handler;
	x->ctx = s;
	if (s->mode & INVITES)
		exchange_continue(x);
	if (s->mode & SWITCHES && msg_upgrade(x->req) && strcmp(msg_target(x->req), "/no"))
		respond(x, 101);
	else if (s->mode & IGNORES)
		reply(x);
	else if (s->mode & ECHOES)
		respond(x, 200);
	if (!(s->mode & IGNORES))
		exchange_resume(x);
}

static void on_closed(void *ctx, struct http_conn *c)
{
	struct session *s = ctx;
	(void)c;
	assert(!s->x && !s->closed);
	s->closed = true;
}

/* ---- the client ---- */

static void converse(struct session *s, const uint8_t *p, size_t n, size_t piece)
{
	fake_peer_say(&s->peer, p, n, piece);
	while (!s->closed) {
		bool more = fake_wait(s->loop);
		assert(more);
		fake_peer_read_all(&s->peer);
	}
}

/* ---- what must hold ---- */

/* One message of what the client read; returns its status, 0 when it is not whole. */
static int check_message(struct session *s, unsigned i, const uint8_t **p, const uint8_t *end)
{
	struct h1_seen m;
	bool ours = i < s->n && s->asked[i].status;
	enum method to = i < s->n ? s->asked[i].method : METHOD_GET;
	*p += h1_see_response(&m, *p, (size_t)(end - *p), to);
	int status = m.whole ? msg_status(m.head) : 0;
	h1_seen_done(&m);
	if (!m.whole)
		assert(*p == end);
	else if (status == 100)
		assert(s->mode & INVITES);
	else if (ours)
		assert(status == s->asked[i].status);
	else
		assert(status >= 400 && *p == end);
	if (ours && m.whole && status != 100)
		s->asked[i].got = m.sum;
	return status;
}

static void check_output(struct session *s)
{
	const uint8_t *p = s->peer.got.data, *end = s->peer.got.len ? p + s->peer.got.len : p;
	unsigned i = 0;
	while (p < end) {
		int status = check_message(s, i, &p, end);
		if (status == 101) {
			s->asked[i].got = h1_sum(1, p, (size_t)(end - p));
			return;
		}
		if (status != 100)
			i++;
	}
}

static void talk(struct session *s, const uint8_t *p, size_t n, size_t piece)
{
	s->loop = fake_loop_new();
	fake_peer_open(&s->peer, s->loop);
	timer_init(&s->later, s->loop, on_later);
	struct http_server_opts o = {.limits = &http_limits_default,
		.on_request = on_request,
		.on_closed = on_closed,
		.ctx = s};
	http_serve(s->peer.s, &o);
	converse(s, p, n, piece);
	fake_loop_free(s->loop);
	check_output(s);
	buf_done(&s->peer.got);
}

static void compare(const struct session *a, const struct session *b)
{
	assert(a->n == b->n);
	/* What was not read yet is lost when a body turns out to be broken. */
	bool cut = a->n && a->asked[a->n - 1].done < 0;
	for (unsigned i = 0; i < a->n; i++) {
		const struct asked *x = &a->asked[i], *y = &b->asked[i];
		assert(x->method == y->method && x->sum == y->sum);
		assert(x->status == y->status && x->done == y->done);
		assert(x->got == y->got || (cut && (!x->got || !y->got)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct session whole, pieces;
	if (n < 2 || n > 4096)
		return 0;
	whole = (struct session){
		.mode = p[0], .peer = {.how = p[1], .sip = 10000}
        };
	pieces = whole;
	talk(&whole, p + 2, n - 2, n);
	talk(&pieces, p + 2, n - 2, (p[1] & 15u) + 1);
	/* Who aborts, or ends in haste, may do so at another point. */
	if (!(p[0] & ABORTS) && !(p[1] & (PEER_HASTY | PEER_RESETS)))
		compare(&whole, &pieces);
	return 0;
}
