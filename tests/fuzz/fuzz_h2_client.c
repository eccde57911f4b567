/* A whole HTTP/2 client connection: any frames behind a device's SETTINGS, cut into pieces, against
 * callers that ask for several things at once (byte 0) and pause, write, cancel or close (byte 1). Each
 * call ends once, and is told nothing afterwards; a counted body that is told as whole is whole; the
 * connection ends and leaves neither memory nor timers. */
#include "fake_peer.h"

#include <assert.h>
#include <string.h>

#include "base/list.h"
#include "http/client.h"
#include "net/loop.h"

/* Bits of byte 1. */
#define PAUSES 1u  /* after every piece that comes */
#define STREAMS 2u /* sends its body little by little */
#define AGAIN 4u   /* asks again when one has ended */
#define CANCELS 8u
#define CLOSES 16u
#define DRAINS 32u

#define CALLS_MAX 6u
#define BODY_LEN 90000u /* more than the first window */

struct session;

struct asked {
	struct session *s;
	struct call *call;
	struct timer later;
	uint64_t body_len, counted;
	size_t left; /* of the request's body */
	bool has_head, is_counted, bodyless, tunnel, full, held;
};

struct session {
	struct loop *loop;
	struct fake_peer peer;
	struct client *client;
	struct asked calls[CALLS_MAX];
	unsigned n;
	uint8_t kinds, mode;
	bool closed;
};

/* ---- the callers ---- */

static const struct call_cb cb;

static void pour(struct asked *a)
{
	static const char block[9000];
	while (a->call && a->left && !a->full) {
		size_t n = a->left < sizeof(block) ? a->left : sizeof(block);
		a->left -= n;
		a->full = call_write(a->call, block, n) > 65536;
		if (!a->left)
			call_end(a->call, NULL);
		if (a->s->mode & STREAMS)
			return;
	}
}

static void ask(struct session *s)
{
	unsigned kind = (unsigned)(s->kinds >> (s->n & 3) * 2) & 3;
	static const char *const methods[] = {"GET", "HEAD", "POST", "GET"};
	struct asked *a = &s->calls[s->n];
	if (s->n == CALLS_MAX || s->closed)
		return;
	struct msg *m = msg_new_request(methods[kind], "http", "tv.local", "/a?b");
	a->left = kind == 2 ? BODY_LEN : 0;
	if (kind == 2)
		msg_set_body(m, s->n & 1 ? BODY_CHUNKED : BODY_LENGTH, BODY_LEN);
	if (kind == 3) {
		msg_add(m, "connection", "upgrade");
		msg_add(m, "upgrade", "websocket");
		msg_add(m, "sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
	}
	unsigned room = s->client->room;
	a->call = client_start(s->client, m, &cb, a);
	msg_free(m);
	assert(!room || a->call);
	if (!a->call)
		return;
	a->bodyless = kind == 1;
	s->n++;
	pour(a);
}

static void ended(struct asked *a)
{
	assert(a->call);
	a->call = NULL;
	timer_cancel(&a->later);
	if (a->s->mode & AGAIN)
		ask(a->s);
}

static void wait(struct asked *a)
{
	if (!(a->s->mode & PAUSES) || !a->call)
		return;
	call_pause(a->call);
	a->held = true;
	timer_arm(&a->later, 0);
}

static void on_later(struct timer *t)
{
	struct asked *a = container_of(t, struct asked, later);
	a->held = false;
	call_resume(a->call);
}

static void on_head(struct call *k, struct msg *head, void *ctx)
{
	struct asked *a = ctx;
	int status = msg_status(head);
	assert(k == a->call && !a->has_head && status >= 100 && status < 600);
	for (unsigned i = 0; i < msg_count(head); i++) {
		struct field f = msg_field(head, i);
		assert(f.name[0] && f.name[0] != ':' && !strpbrk(f.value, "\r\n"));
	}
	a->tunnel = status == 101;
	a->has_head = a->tunnel || status >= 200;
	a->is_counted = a->has_head && msg_body(head) == BODY_LENGTH;
	a->counted = msg_body_length(head);
	a->bodyless |= status == 204 || status == 304;
	if (a->tunnel)
		call_write(k, "hello", 5);
	wait(a);
}

static void on_body(struct call *k, const uint8_t *p, size_t n, void *ctx)
{
	struct asked *a = ctx;
	assert(k == a->call && n && a->has_head && !a->held && !(a->bodyless && !a->tunnel));
	a->body_len += n;
	if (a->tunnel)
		call_write(k, p, n);
	if (a->s->mode & CANCELS && n & 1) {
		ended(a);
		call_cancel(k);
	} else if (a->s->mode & CLOSES && n & 1) {
		client_close(a->s->client);
	} else {
		wait(a);
	}
}

static void on_end(struct call *k, const struct msg *trailers, void *ctx)
{
	struct asked *a = ctx;
	(void)trailers;
	assert(k == a->call && a->has_head && !a->held);
	assert(!a->is_counted || a->body_len == a->counted);
	if (a->tunnel)
		call_end(k, NULL);
	ended(a);
}

static void on_writable(struct call *k, void *ctx)
{
	struct asked *a = ctx;
	assert(k == a->call);
	a->full = false;
	pour(a);
}

static void on_fail(struct call *k, const struct err *why, bool unsent, void *ctx)
{
	struct asked *a = ctx;
	assert(k == a->call && why->code < 0 && why->text[0]);
	assert(!unsent || !a->has_head);
	ended(a);
}

static const struct call_cb cb = {.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
	.on_writable = on_writable,
	.on_fail = on_fail};

static void on_room(void *ctx, struct client *c)
{
	struct session *s = ctx;
	assert(c == s->client && c->room && !s->closed);
	while (s->n < 3 && c->room)
		ask(s);
	if (s->mode & DRAINS)
		client_drain(c);
}

static void on_closed(void *ctx, struct client *c, const struct err *why)
{
	struct session *s = ctx;
	(void)c, (void)why;
	for (unsigned i = 0; i < CALLS_MAX; i++)
		assert(!s->calls[i].call);
	assert(!s->closed);
	s->closed = true;
}

/* ---- the device ---- */

static void before_read(struct fake_peer *p)
{
	struct session *s = container_of(p, struct session, peer);
	for (unsigned i = 0; s->mode & STREAMS && i < s->n; i++)
		pour(&s->calls[i]);
}

static void talk(struct session *s, const uint8_t *p, size_t n)
{
	static const uint8_t hello[] = "\0\0\6\4\0\0\0\0\0\0\10\0\0\0\1"
				       "\0\0\0\4\1\0\0\0\0";
	struct buf all = BUF_INIT(16384);
	buf_append(&all, hello, sizeof(hello) - 1);
	buf_append(&all, p, n);
	fake_peer_say(&s->peer, all.data, all.len, (s->peer.how & 15u) * 7 + 1);
	buf_done(&all);
	for (unsigned i = 0; !s->closed; i++) {
		/* An idle link stays, and one that is answered never ends. */
		if (i == 20)
			client_close(s->client);
		bool more = fake_wait(s->loop);
		assert(more || i < 20);
		fake_peer_read_all(&s->peer);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct session s;
	if (n < 3 || n > 8192)
		return 0;
	s = (struct session){
		.kinds = p[0],
		.mode = p[1],
		.peer = {.how = p[2], .sip = 3000, .before_read = before_read},
	};
	s.loop = fake_loop_new();
	fake_peer_open(&s.peer, s.loop);
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		s.calls[i].s = &s;
		timer_init(&s.calls[i].later, s.loop, on_later);
	}
	struct client_opts o = {.head_max = 4096,
		.fields_max = 50,
		.idle_ms = p[1] & 64 ? 60000 : 0,
		.on_room = on_room,
		.on_closed = on_closed,
		.ctx = &s};
	s.client = h2_client_new(s.peer.s, &o);
	talk(&s, p + 3, n - 3);
	fake_loop_free(s.loop);
	buf_done(&s.peer.got);
	return 0;
}
