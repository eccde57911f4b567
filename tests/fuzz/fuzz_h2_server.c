/* A whole HTTP/2 connection: any frames behind the preface, cut into pieces, against a handler that
 * echoes, answers at length, late, never reads, opens tunnels or gives up (byte 0), and a client
 * that reads little, ends or resets (byte 1). Every exchange is told of its end once; nothing is
 * told of it afterwards; the connection ends and leaves neither memory nor timers. */
#include "fake_peer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "http/h2_conn.h"
#include "http/ws.h"
#include "net/crypto.h"
#include "net/loop.h"

#define ECHOES 1u
#define SIPS 2u
#define LATER 4u
#define IGNORES 8u
#define SWITCHES 16u
#define TRAILS 32u
#define ABORTS 64u
#define LARGE 128u
#define LARGE_LEN 200000u

struct session {
	struct loop *loop;
	struct fake_peer peer;
	struct list asked;
	struct http_conn *conn;
	uint8_t mode;
	bool closed;
};

struct asked {
	struct list node;
	struct session *s;
	struct exchange *x;
	struct timer later;
	size_t left;
	bool ended, wants_reply;
};

/* ---- the handler ---- */

static void pour(struct asked *a)
{
	static const char block[5000];
	while (a->left) {
		size_t n = a->left < sizeof(block) ? a->left : sizeof(block);
		a->left -= n;
		if (exchange_write(a->x, block, n) > 65536)
			return;
	}
	struct msg *t = msg_new_response(200);
	msg_add(t, "sum", "1");
	exchange_end(a->x, a->s->mode & TRAILS ? t : NULL);
	msg_free(t);
}

static void respond(struct asked *a, int status)
{
	struct msg *m = msg_new_response(status);
	if (status == 101) {
		const char *key = msg_get(a->x->req, "sec-websocket-key");
		char text[100], accept[40];
		uint8_t hash[20];
		str_copy(text, sizeof(text), key);
		strcat(text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
		sha1(hash, text, strlen(text));
		base64_encode(accept, hash, sizeof(hash));
		msg_add(m, "sec-websocket-accept", accept);
	}
	msg_set_body(m, BODY_CHUNKED, 0);
	assert(exchange_respond(a->x, m, false) == 0);
	msg_free(m);
}

static void reply(struct asked *a)
{
	if (a->x->responded)
		return;
	if (!(a->s->mode & LARGE)) {
		exchange_reply(a->x, 404, NULL, "text/plain", "not here");
		return;
	}
	respond(a, 200);
	a->left = LARGE_LEN;
	pour(a);
}

static void on_body(struct exchange *x, const uint8_t *p, size_t n)
{
	struct asked *a = x->ctx;
	assert(a->x == x && n && !a->ended);
	if (a->s->mode & ABORTS && n & 1)
		exchange_abort(x);
	if (x->responded && !a->left)
		exchange_write(x, p, n);
	if (a->s->mode & SIPS) {
		exchange_pause(x);
		timer_arm(&a->later, 0);
	}
}

static void on_end(struct exchange *x, const struct msg *trailers)
{
	struct asked *a = x->ctx;
	(void)trailers;
	assert(a->x == x && !a->ended);
	a->ended = true;
	if (x->responded && !a->left) {
		exchange_end(x, NULL);
	} else if (a->s->mode & LATER) {
		a->wants_reply = true;
		timer_arm(&a->later, 0);
	} else {
		reply(a);
	}
}

static void on_writable(struct exchange *x)
{
	struct asked *a = x->ctx;
	if (a->left)
		pour(a);
}

static void on_done(struct exchange *x, int status)
{
	struct asked *a = x->ctx;
	assert(a->x == x && status <= 0);
	timer_cancel(&a->later);
	list_remove(&a->node);
	free(a);
}

static const struct handler handler = {
	.on_body = on_body, .on_end = on_end, .on_writable = on_writable, .on_done = on_done};

static void on_later(struct timer *t)
{
	struct asked *a = container_of(t, struct asked, later);
	exchange_resume(a->x);
	if (a->wants_reply)
		reply(a);
}

static void on_request(void *ctx, struct exchange *x)
{
	struct session *s = ctx;
	struct asked *a = xcalloc(1, sizeof(*a));
	assert(!s->closed && x->req && msg_authority(x->req)[0]);
	*a = (struct asked){.s = s, .x = x};
	list_push_back(&s->asked, &a->node);
	timer_init(&a->later, s->loop, on_later);
	x->handler = &handler;
	x->ctx = a;
	if (s->mode & SWITCHES && msg_upgrade(x->req))
		respond(a, 101);
	else if (s->mode & IGNORES)
		reply(a);
	else if (s->mode & ECHOES)
		respond(a, 200);
	if (!(s->mode & IGNORES))
		exchange_resume(x);
}

static void on_closed(void *ctx, struct http_conn *c)
{
	struct session *s = ctx;
	(void)c;
	assert(list_empty(&s->asked) && !s->closed);
	s->closed = true;
}

/* ---- the client ---- */

/* Wherever the input was cut: what a session is at that moment must come back whole. */
static void put_to_rest(struct fake_peer *peer)
{
	struct session *s = container_of(peer, struct session, peer);
	if (!s->closed)
		h2_wire_rest(&container_of(s->conn, struct h2_conn, base)->w);
}

static void talk(struct session *s, const uint8_t *p, size_t n)
{
	static const uint8_t hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	struct buf all = BUF_INIT(16384);
	buf_append(&all, hello, sizeof(hello) - 1);
	buf_append(&all, p, n);
	fake_peer_say(&s->peer, all.data, all.len, (s->peer.how & 15u) * 7 + 1);
	buf_done(&all);
	while (!s->closed) {
		bool more = fake_wait(s->loop);
		assert(more);
		fake_peer_read_all(&s->peer);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 2 || n > 8192)
		return 0;
	struct session s = {
		.mode = p[0], .peer = {.how = p[1], .sip = 3000}
        };
	s.loop = fake_loop_new();
	fake_peer_open(&s.peer, s.loop);
	list_init(&s.asked);
	struct http_server_opts o = {.limits = &http_limits_default,
		.on_request = on_request,
		.on_closed = on_closed,
		.ctx = &s};
	s.conn = h2_serve(s.peer.s, &o);
	if (s.peer.how & 1)
		s.peer.before_read = put_to_rest;
	talk(&s, p + 2, n - 2);
	fake_loop_free(s.loop);
	buf_done(&s.peer.got);
	return 0;
}
