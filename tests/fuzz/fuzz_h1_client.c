/* A whole client connection: what a device answers, however it is cut into pieces, is told in the
 * same way, and each call ends once. Byte 0 says what is asked and how the caller behaves, byte 1
 * how the bytes come and how the device ends. What the device gets is one well-formed request after
 * another, or raw bytes after its 101. */
#include "fake_peer.h"
#include "h1_seen.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "http/client.h"
#include "net/loop.h"

/* The caller: bits 0-2 what it asks. */
enum { GET, HEAD, COUNTED, CHUNKED, UPGRADE, NEGOTIATE, OPTIONS, EMPTY };
#define PAUSES 8u   /* after every piece that comes */
#define STREAMS 16u /* sends its body little by little, while the answer comes */
#define AGAIN 32u   /* asks again when it may */
#define CANCELS 64u
#define CLOSES 128u /* the connection, in the middle or when it is idle */

#define BODY_LEN 3000u
#define CALLS_MAX 3u

struct told {
	uint64_t sum; /* of heads and body */
	uint64_t body_len;
	int status, code; /* code: of on_fail; 1: it has not ended */
};

struct session {
	struct loop *loop;
	struct fake_peer peer;
	struct timer later;
	struct client *client;
	struct call *call;
	struct msg *head; /* the final one of the call that lives */
	struct told told[CALLS_MAX];
	unsigned n, tunnelled;
	uint8_t mode;
	size_t sent, raw; /* of the request's body, through the tunnel */
	bool closed, tunnel;
};

static struct told *now(struct session *s)
{
	return &s->told[s->n - 1];
}

/* ---- the caller ---- */

static struct msg *request(unsigned kind)
{
	static const char *const methods[] = {
		"GET", "HEAD", "POST", "POST", "GET", "GET", "OPTIONS", "PUT"};
	struct msg *m = msg_new_request(methods[kind], "http", "tv.local", "/a?b");
	msg_add(m, "accept", "*/*");
	msg_set_body(m, BODY_NONE, 0);
	if (kind == COUNTED)
		msg_set_body(m, BODY_LENGTH, BODY_LEN);
	if (kind == CHUNKED)
		msg_set_body(m, BODY_CHUNKED, 0);
	if (kind == EMPTY)
		msg_set_body(m, BODY_LENGTH, 0);
	if (kind == NEGOTIATE)
		msg_add(m, "authorization", "Negotiate YII=");
	if (kind == UPGRADE) {
		msg_add(m, "connection", "upgrade");
		msg_add(m, "upgrade", "websocket");
	}
	return m;
}

static const struct call_cb cb;

static bool has_body(const struct session *s)
{
	unsigned kind = s->mode & 7u;
	return kind == COUNTED || kind == CHUNKED;
}

static void send_body(struct session *s, size_t n)
{
	static const uint8_t body[BODY_LEN];
	if (!s->call || s->tunnel || !has_body(s) || s->sent == BODY_LEN)
		return;
	if (n > BODY_LEN - s->sent)
		n = BODY_LEN - s->sent;
	s->sent += n;
	call_write(s->call, body, n);
	if (s->sent == BODY_LEN && s->call)
		call_end(s->call, NULL);
}

static void ask(struct session *s)
{
	struct msg *m = request(s->mode & 7u);
	s->told[s->n++] = (struct told){.sum = 1, .code = 1};
	s->sent = 0;
	s->call = client_start(s->client, m, &cb, s);
	assert(s->call);
	msg_free(m);
	if (!(s->mode & STREAMS))
		send_body(s, BODY_LEN);
}

static void ended(struct session *s, int code)
{
	assert(s->call && now(s)->code == 1);
	now(s)->code = code;
	msg_free(s->head);
	s->head = NULL;
	s->call = NULL;
	timer_cancel(&s->later);
}

static void wait(struct session *s)
{
	if (!(s->mode & PAUSES))
		return;
	call_pause(s->call);
	timer_arm(&s->later, 0);
}

static void on_later(struct timer *t)
{
	struct session *s = container_of(t, struct session, later);
	call_resume(s->call);
}

static void on_head(struct call *c, struct msg *head, void *ctx)
{
	struct session *s = ctx;
	assert(c == s->call && !s->head && !s->tunnel);
	struct told *t = now(s);
	int status = msg_status(head);
	t->sum = H1_SUM(t->sum, (unsigned)status);
	for (unsigned i = 0; i < msg_count(head); i++) {
		struct field f = msg_field(head, i);
		t->sum = h1_sum(t->sum, (const uint8_t *)f.name, strlen(f.name));
		t->sum = h1_sum(t->sum, (const uint8_t *)f.value, strlen(f.value));
	}
	if (status == 101) {
		assert((s->mode & 7u) == UPGRADE);
		s->tunnel = true;
		s->tunnelled = s->n;
		call_write(c, "hello", 5);
		s->raw = 5;
	} else if (status >= 200) {
		s->head = msg_copy(head);
		t->status = status;
	}
	wait(s);
}

static void on_body(struct call *c, const uint8_t *p, size_t n, void *ctx)
{
	struct session *s = ctx;
	assert(c == s->call && n && (s->head || s->tunnel));
	struct told *t = now(s);
	t->sum = h1_sum(t->sum, p, n);
	t->body_len += n;
	if (s->tunnel) {
		call_write(c, p, n);
		s->raw += n;
	}
	if (s->mode & CANCELS && t->sum & 1) {
		ended(s, 0);
		call_cancel(c);
	} else if (s->mode & CLOSES && t->sum & 1) {
		client_close(s->client);
	} else {
		wait(s);
	}
}

static void on_end(struct call *c, const struct msg *trailers, void *ctx)
{
	struct session *s = ctx;
	(void)trailers;
	assert(c == s->call && (s->head || s->tunnel));
	if (s->head && msg_body(s->head) == BODY_LENGTH)
		assert(now(s)->body_len == msg_body_length(s->head));
	if (s->head && msg_body(s->head) == BODY_NONE)
		assert(!now(s)->body_len);
	ended(s, 0);
	if (s->tunnel)
		call_end(c, NULL);
}

static void on_fail(struct call *c, const struct err *why, bool unsent, void *ctx)
{
	struct session *s = ctx;
	assert(c == s->call && why->code < 0 && why->text[0]);
	assert(!unsent || !(s->head || s->tunnel));
	ended(s, why->code);
}

static const struct call_cb cb = {
	.on_head = on_head, .on_body = on_body, .on_end = on_end, .on_fail = on_fail};

static void on_idle(void *ctx, struct client *c)
{
	struct session *s = ctx;
	assert(c == s->client && !s->call && !s->tunnel && c->room == 1);
	if (s->mode & CLOSES)
		client_close(c);
	else if (s->mode & AGAIN && s->n < CALLS_MAX)
		ask(s);
}

static void on_closed(void *ctx, struct client *c, const struct err *why)
{
	struct session *s = ctx;
	(void)c, (void)why;
	assert(!s->call && !s->closed);
	s->closed = true;
}

/* ---- the device ---- */

static void before_read(struct fake_peer *p)
{
	struct session *s = container_of(p, struct session, peer);
	if (s->mode & STREAMS)
		send_body(s, 700);
}

static void converse(struct session *s, const uint8_t *p, size_t n, size_t piece)
{
	fake_peer_say(&s->peer, p, n, piece);
	while (!s->closed) {
		if (!fake_wait(s->loop))
			client_close(s->client); /* an idle connection stays until it is closed */
		fake_peer_read_all(&s->peer);
	}
}

/* ---- what must hold ---- */

static void check_output(struct session *s)
{
	const uint8_t *p = s->peer.got.data, *end = s->peer.got.len ? p + s->peer.got.len : p;
	for (unsigned i = 0; p < end; i++) {
		struct h1_seen m;
		assert(i < s->n);
		p += h1_see_request(&m, p, (size_t)(end - p));
		assert(m.whole || p == end);
		if (m.whole && has_body(s))
			assert(m.body_len == BODY_LEN);
		h1_seen_done(&m);
		if (s->tunnelled == i + 1) {
			assert((size_t)(end - p) <= s->raw);
			return;
		}
	}
}

static void talk(struct session *s, const uint8_t *p, size_t n, size_t piece)
{
	s->loop = fake_loop_new();
	fake_peer_open(&s->peer, s->loop);
	timer_init(&s->later, s->loop, on_later);
	struct client_opts o = {
		.idle_ms = 60000, .on_room = on_idle, .on_closed = on_closed, .ctx = s};
	s->client = h1_client_new(s->peer.s, &o);
	ask(s);
	fake_settle(s->loop);
	converse(s, p, n, piece);
	fake_loop_free(s->loop);
	check_output(s);
	buf_done(&s->peer.got);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct session whole, pieces;
	if (n < 2 || n > 4096)
		return 0;
	whole = (struct session){
		.mode = p[0], .peer = {.how = p[1], .sip = 100, .before_read = before_read}
        };
	pieces = whole;
	talk(&whole, p + 2, n - 2, n);
	talk(&pieces, p + 2, n - 2, (p[1] & 15u) + 1);
	if (p[0] & (CANCELS | CLOSES) || p[1] & (PEER_HASTY | PEER_RESETS))
		return 0;
	const struct told *a = &whole.told[0], *b = &pieces.told[0];
	assert(a->sum == b->sum && a->body_len == b->body_len);
	assert(a->status == b->status && (a->code < 0) == (b->code < 0));
	/* A head that never becomes whole is told from nonsense when many bytes are there at once.
	 */
	assert(a->code == b->code || !a->status);
	return 0;
}
