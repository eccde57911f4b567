/* The HTTP/1.1 client on a real loop and a socket pair: a table of requests and origins, each
 * answer also sent one byte at a time. */
#include "http/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "h1_peer.h"
#include "net/dial.h"
#include "net/stream.h"

#define BIG (8u << 20)

#define FIN 1u      /* the origin half-closes after its answer */
#define NO_BYTES 2u /* not one byte at a time */
#define ONLY_BYTES 4u
#define TWICE 8u          /* when idle, ask again */
#define STAY 16u          /* when idle, wait */
#define NO_END 32u        /* the request's body never ends */
#define CANCEL 64u        /* at the first head */
#define CLOSE 128u        /* the connection, at the first head */
#define DEAF 256u         /* the origin is gone before the call */
#define PAUSE 512u        /* at every head and piece, for 1 ms */
#define QUICK 1024u       /* idle limit of 50 ms */
#define HANG_UP 2048u     /* the origin closes with our request unread */
#define END_AT_HEAD 4096u /* call_end when the head came: half-close of a tunnel */

struct ask {
	const char *method, *fields[4]; /* name, value, name, value */
	enum body_kind kind;
	uint64_t len;
	const char *body;
	const char *answer;
	const char *log;  /* what the caller must be told, in order */
	const char *sent; /* what the origin must see; NULL: not looked at */
	unsigned flags;
};

#define QUICK_MS 50

struct asker {
	struct loop *loop;
	struct peer peer;
	struct client *client;
	struct call *call;
	const struct ask *ask;
	struct timer resume;
	struct buf body;
	char log[512];
	unsigned asked;
	size_t sent, most;
};

static void note(struct asker *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct asker *a, const char *fmt, ...)
{
	size_t at = strlen(a->log);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(a->log + at, sizeof(a->log) - at, fmt, ap);
	va_end(ap);
}

static void maybe_pause(struct asker *a, struct call *c)
{
	if (!(a->ask->flags & PAUSE))
		return;
	call_pause(c);
	timer_arm(&a->resume, 1);
}

static void on_resume(struct timer *t)
{
	struct asker *a = container_of(t, struct asker, resume);
	if (a->call)
		call_resume(a->call);
}

static void on_head(struct call *c, struct msg *head, void *ctx)
{
	struct asker *a = ctx;
	note(a, "%d;", msg_status(head));
	assert_null(client_start(a->client, head, NULL, NULL)); /* busy */
	if (a->ask->flags & CANCEL)
		call_cancel(c);
	if (a->ask->flags & CLOSE)
		client_close(a->client);
	if (msg_status(head) == 101 && a->ask->body)
		call_write(c, a->ask->body, strlen(a->ask->body));
	if (a->ask->flags & END_AT_HEAD)
		call_end(c, NULL);
	maybe_pause(a, c);
}

static void on_body(struct call *c, const uint8_t *p, size_t n, void *ctx)
{
	struct asker *a = ctx;
	assert_int_equal(buf_append(&a->body, p, n), 0);
	maybe_pause(a, c);
}

static void on_end(struct call *c, const struct msg *trailers, void *ctx)
{
	struct asker *a = ctx;
	(void)c;
	a->call = NULL;
	note(a, "end[%.40s]", a->body.len ? buf_str(&a->body) : "");
	for (unsigned i = 0; trailers && i < msg_count(trailers); i++)
		note(a, "%s=%s", msg_field(trailers, i).name, msg_field(trailers, i).value);
	note(a, ";");
}

static void pump(struct asker *a)
{
	static const char block[65536];
	while (a->sent < BIG) {
		size_t queued = call_write(a->call, block, sizeof(block));
		a->sent += sizeof(block);
		if (queued > a->most)
			a->most = queued;
		if (queued > STREAM_HIGH_WATER)
			return;
	}
	call_end(a->call, NULL);
}

static void on_writable(struct call *c, void *ctx)
{
	(void)c;
	pump(ctx);
}

static void on_fail(struct call *c, const struct err *why, bool unsent, void *ctx)
{
	struct asker *a = ctx;
	(void)c;
	a->call = NULL;
	assert_true(why->text[0]);
	note(a, "fail%d%s;", usual_errno(why->code), unsent ? "u" : "");
}

static const struct call_cb call_cb = {.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
	.on_writable = on_writable,
	.on_fail = on_fail};

static void start(struct asker *a)
{
	const struct ask *k = a->ask;
	struct msg *m = msg_new_request(k->method, "http", "dev:80", a->asked ? "/2" : "/1");
	for (unsigned i = 0; i < 4 && k->fields[i]; i += 2)
		msg_add(m, k->fields[i], k->fields[i + 1]);
	msg_set_body(m, k->kind, k->len);
	a->asked++;
	a->call = client_start(a->client, m, &call_cb, a);
	msg_free(m);
	assert_non_null(a->call);
	if (k->len == BIG)
		pump(a);
	else if (k->body && k->kind != BODY_NONE)
		call_write(a->call, k->body, strlen(k->body));
	if (k->kind != BODY_NONE && k->len != BIG && !(k->flags & NO_END))
		call_end(a->call, NULL);
}

static void on_idle(void *ctx, struct client *c)
{
	struct asker *a = ctx;
	note(a, "idle;");
	assert_int_equal(c->room, 1);
	assert_int_equal(c->served, a->asked);
	a->body.len = 0;
	if (a->ask->flags & TWICE && a->asked == 1)
		start(a);
	else if (!(a->ask->flags & STAY))
		client_close(c);
}

static void on_closed(void *ctx, struct client *c, const struct err *why)
{
	struct asker *a = ctx;
	(void)c;
	note(a, "closed%d;", usual_errno(why->code));
	loop_stop(a->loop);
}

static void run(struct asker *a)
{
	struct err e;
	assert_int_equal(loop_new(&a->loop, &e), 0);
	int fd = peer_open(&a->peer, a->loop);
	timer_init(&a->resume, a->loop, on_resume);
	buf_init(&a->body, 64u << 20);
	static const struct stream_cb none;
	struct client_opts o = {.head_max = 1024,
		.fields_max = 20,
		.idle_ms = a->ask->flags & QUICK ? QUICK_MS : 5000,
		.on_room = on_idle,
		.on_closed = on_closed,
		.ctx = a};
	a->client = h1_client_new(stream_from_fd(a->loop, fd, &none, NULL), &o);
	if (a->ask->flags & DEAF)
		peer_close(&a->peer);
	start(a);
	loop_run(a->loop);
	timer_cancel(&a->resume);
	peer_turn(&a->peer);
	peer_stop(&a->peer);
	loop_free(a->loop);
}

/* ---- the table ---- */

#define REQ(method, rest) method " /1 HTTP/1.1\r\nHost: dev:80\r\n" rest "\r\n"
#define OK "HTTP/1.1 200 OK\r\n"
#define HELLO OK "Content-Length: 5\r\n\r\nhello"
#define GOOD "200;end[hello];idle;closed0;"
#define SPENT "200;end[hello];closed0;" /* a good answer, but the connection may not be kept */

static const struct ask asks[] = {
#define G(answer, log, flags)                                                                      \
	{                                                                                          \
		"GET", {0}, BODY_NONE, 0, NULL, answer, log, NULL, flags                           \
	}
#define GF(name, value, answer, log, flags)                                                        \
	{                                                                                          \
		"GET", {name, value}, BODY_NONE, 0, NULL, answer, log, NULL, flags                 \
	}
#define B(kind, len, body, answer, log, sent, flags)                                               \
	{                                                                                          \
		"POST", {0}, kind, len, body, answer, log, sent, flags                             \
	}
  /* what is asked */
	{"GET",								     {"a", "b"}, BODY_NONE,                      0,										       NULL, HELLO,													GOOD,										       REQ("GET",														     "A: b\r\n"),																																																				       0},
	{"GET",									 {"x-long-name", "b", "host", "evil"},									       BODY_NONE, 0, NULL,    HELLO,													    GOOD,
				     REQ("GET",																									    "X-Long-Name: b\r\n"),																																																																																																																									0},
	{"GET",									{"te", "trailers", "connection", "x"},										  BODY_NONE,													    0,										       NULL, HELLO, GOOD,
				     REQ("GET",															 "TE: trailers\r\nConnection: TE\r\n"),0},
	{"GET",				    {"transfer-encoding", "chunked", "content-length", "4"},                                             BODY_NONE,                                                                           0,																			      NULL,                                                                        HELLO,
				     GOOD,																	      REQ("GET",""),																																																																																															 0},
	B(BODY_LENGTH, 3, "abc", HELLO, GOOD, REQ("POST", "Content-Length: 3\r\n") "abc", 0),
	B(BODY_LENGTH, 0, NULL, HELLO, GOOD, REQ("POST", "Content-Length: 0\r\n"), 0),
	B(BODY_CHUNKED, 0, "abc", HELLO, GOOD,
		REQ("POST", "Transfer-Encoding: chunked\r\n") "3\r\nabc\r\n0\r\n\r\n", 0),
	B(BODY_LENGTH, 3, "abcd", HELLO, "fail-71u;closed-71;", "", 0),
	B(BODY_LENGTH, 3, "ab", HELLO, "fail-71u;closed-71;", "", 0),
 /* good answers */
	G(HELLO, "200;end[hello];idle;200;end[hello];idle;closed0;", TWICE),
	G(OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n",
		"200;end[abcd];idle;closed0;", 0),
	G(OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n",
		"200;end[a]x-t=1;idle;closed0;", 0),
	G(OK "Content-Length: 0\r\n\r\n", "200;end[];idle;closed0;", 0),
	G("HTTP/1.1 204 No\r\n\r\n", "204;end[];idle;closed0;", 0),
	G("HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", "304;end[];idle;closed0;", 0),
	{"HEAD",								{0},								       BODY_NONE,												    0,																							   NULL,																							  OK "Content-Length: 9\r\n\r\n",																												    "200;end[];idle;closed0;",
				     NULL,																	  0},
	{"HEAD",						{0},										  BODY_NONE,													       0,																								      NULL,																								     OK "Transfer-Encoding: chunked\r\n\r\n",
				     "200;end[];idle;closed0;",																															       NULL,																    0																																																																																												       },
	G("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\n" HELLO, "100;103;" GOOD, 0),
	G(HELLO, GOOD, PAUSE),
	G(OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
		"200;end[ab];idle;closed0;", PAUSE),
	G(OK "\r\nabc", "200;end[abc];closed0;", FIN),
	G(OK "\r\nabc", "200;end[abc];closed0;", FIN | PAUSE),
	G("HTTP/1.0 200 OK\r\n\r\n", "200;end[];closed0;", FIN),
 /* connections that may not be used again */
	G("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", SPENT, 0),
	G("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", GOOD, 0),
	G(OK "Connection: close\r\nContent-Length: 5\r\n\r\nhello", SPENT, 0),
	G(OK "WWW-Authenticate: Basic\r\nWWW-Authenticate: ntlm\r\nContent-Length: 5\r\n\r\nhello",
		SPENT, 0),
	G(OK "WWW-Authenticate: Basic, Negotiate x\r\nContent-Length: 5\r\n\r\nhello", SPENT, 0),
	G(OK "WWW-Authenticate: Basic\r\nContent-Length: 5\r\n\r\nhello", GOOD, 0),
	GF("authorization", "NTLM abc", HELLO, SPENT, 0),
	GF("authorization", "Negotiate abc", HELLO, SPENT, 0),
	GF("authorization", "Basic abc", HELLO, GOOD, 0),
	B(BODY_CHUNKED, 0, "abc", HELLO, SPENT, NULL, NO_END),
	B(BODY_LENGTH, 9, "abc", HELLO, SPENT, NULL, NO_END),
	G(HELLO "x", SPENT, NO_BYTES),
	G(HELLO HELLO, SPENT, NO_BYTES),
	G(HELLO "x", "200;end[hello];idle;closed-71;", ONLY_BYTES | STAY),
	G(HELLO, "200;end[hello];idle;closed0;", FIN | STAY),
 /* answers that end early */
	G("", "fail-104;closed-104;", FIN),
	G("HTTP/1.1 200", "fail-104;closed-104;", FIN),
	G("HTTP/1.1 100 Continue\r\n\r\n", "100;fail-104;closed-104;", FIN),
	G(OK "Content-Length: 5\r\n\r\nhell", "200;fail-104;closed-104;", FIN),
	G(OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "200;fail-104;closed-104;", FIN),
	G(OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "200;fail-104;closed-104;",
		FIN),
	G("HTTP", "fail-104;closed-104;", HANG_UP),
	G("", "fail-104u;closed-104;", DEAF),
	G("", "fail-110;closed-110;", QUICK),
	G(OK "Content-Length: 5\r\n\r\nhell", "200;fail-110;closed-110;", QUICK),
 /* answers that break the rules */
	G("SSH-2.0-x\r\n", "fail-71;closed-71;", 0),
	G("HTTP/1.1 200 OK\nContent-Length: 0\n\n", "fail-71;closed-71;", 0),
	G(OK "A: b\x01\r\n\r\n", "fail-71;closed-71;", 0),
	G(OK "A : b\r\n\r\n", "fail-71;closed-71;", 0),
	G(OK "A: b\r\n c\r\n\r\n", "fail-71;closed-71;", 0),
	G(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "fail-71;closed-71;", 0),
	G(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "fail-71;closed-71;", 0),
	G(OK "Transfer-Encoding: gzip\r\n\r\n", "fail-71;closed-71;", 0),
	G("HTTP/2.0 200 OK\r\n\r\n", "fail-71;closed-71;", 0),
	G(OK "Transfer-Encoding: chunked\r\n\r\nx\r\n", "200;fail-71;closed-71;", 0),
	G(OK "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "200;fail-71;closed-71;", 0),
	G(OK "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n",
		"200;fail-71;closed-71;", 0),
	G("HTTP/1.1 101 x\r\nUpgrade: y\r\n\r\n", "fail-71;closed-71;", 0),
 /* giving up */
	G(HELLO, "200;closed-125;", CANCEL),
	G(HELLO, "200;fail-125;closed-125;", CLOSE),
 /* tunnels */
	{"GET",						 {"connection", "upgrade", "upgrade", "echo"},                                                       BODY_NONE,										    0,																					   "from us",
				     "HTTP/1.1 101 x\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nfrom them",
				     "101;end[from them];closed0;",REQ("GET","Upgrade: echo\r\nConnection: upgrade\r\n") "from us",FIN},
	{"GET",					     {"connection", "upgrade", "upgrade", "echo"},                                              BODY_NONE,                       0,													   "from us",
				     "HTTP/1.1 101 x\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nfrom them",
				     "101;end[from them];closed0;",																																  NULL,																																																									    FIN | END_AT_HEAD																																																																																																																																																																																										 },
	{"GET", {"connection", "upgrade", "upgrade", "echo"},                                                         BODY_NONE,										   0,																			 NULL,																			     HELLO,																																     GOOD,                                                  NULL,
				     0},
#undef G
#undef GF
#undef B
};

static struct asker asked(const struct ask *k, bool by_byte)
{
	struct asker a = {
		.ask = k,
		.peer = {.in = k->answer,
			 .n = strlen(k->answer),
			 .by_byte = by_byte,
			 .wait_for = "\r\n\r\n",
			 .half_close = k->flags & FIN,
			 .no_read = k->flags & HANG_UP}
        };
	if (k->flags & TWICE) {
		a.peer.then = k->answer;
		a.peer.then_for = "GET /2 ";
	}
	if (k->flags & HANG_UP) {
		a.peer.close_on = "";
		a.peer.wait_for = NULL;
		a.peer.gap_ms = 2;
	}
	run(&a);
	return a;
}

static void check_ask(size_t i, bool by_byte)
{
	const struct ask *k = &asks[i];
	struct asker a = asked(k, by_byte);
	/* One that had to wait for half of its limit itself says nothing of that. */
	for (unsigned n = 0; n < 20 && k->flags & QUICK && a.peer.stall_ms >= QUICK_MS / 2; n++) {
		buf_done(&a.body);
		peer_done(&a.peer);
		a = asked(k, by_byte);
	}
	if (strcmp(a.log, k->log))
		fail_msg("%zu%s: log %s, expected %s (%s)", i, by_byte ? " by bytes" : "", a.log,
			k->log, k->answer);
	const char *got = a.peer.got.len ? buf_str(&a.peer.got) : "";
	if (k->sent && strcmp(got, k->sent))
		fail_msg("%zu: sent\n%s\nexpected\n%s", i, got, k->sent);
	buf_done(&a.body);
	peer_done(&a.peer);
}

static void calls_go_as_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		if (!(asks[i].flags & ONLY_BYTES))
			check_ask(i, false);
		if (!(asks[i].flags & (NO_BYTES | DEAF | HANG_UP)))
			check_ask(i, true);
	}
}

static void a_long_answer_is_held_while_paused(void **state)
{
	(void)state;
	size_t n = 2u << 20;
	char *answer = calloc(1, n + 100);
	assert_non_null(answer);
	int head = sprintf(answer, OK "Content-Length: %zu\r\n\r\n", n);
	struct ask k = {.method = "GET", .flags = PAUSE};
	struct asker a = {
		.ask = &k, .peer = {.in = answer, .n = (size_t)head + n, .wait_for = "\r\n\r\n"}
        };
	run(&a);
	assert_string_equal(a.log, "200;end[];idle;closed0;");
	buf_done(&a.body);
	peer_done(&a.peer);
	free(answer);
}

static void a_long_request_waits_for_a_slow_origin(void **state)
{
	(void)state;
	struct ask k = {.method = "POST", .kind = BODY_LENGTH, .len = BIG};
	struct asker a = {
		.ask = &k, .peer = {.in = HELLO, .n = strlen(HELLO), .wait_for = "\r\n\r\n"}
        };
	/* The answer waits for the whole request. */
	a.peer.send_after = BIG;
	run(&a);
	assert_string_equal(a.log, GOOD);
	assert_true(a.peer.got.len > BIG);
	assert_true(a.most < 3 * 65536);
	buf_done(&a.body);
	peer_done(&a.peer);
}

static void floods_of_heads_end(void **state)
{
	(void)state;
	static char in[8192];
	in[0] = 0;
	for (unsigned i = 0; i < 40; i++)
		strcat(in, "HTTP/1.1 102 x\r\n\r\n");
	struct ask k = {.method = "GET"};
	struct asker a = {
		.ask = &k, .peer = {.in = in, .n = strlen(in), .wait_for = "\r\n\r\n"}
        };
	run(&a);
	assert_true(strstr(a.log, "102;102;"));
	assert_true(strstr(a.log, "fail-71;closed-71;"));
	buf_done(&a.body);
	peer_done(&a.peer);
	memset(in, 'x', 4000);
	memcpy(in, OK "A:", strlen(OK) + 2);
	in[4000] = 0;
	struct asker b = {
		.ask = &k, .peer = {.in = in, .n = strlen(in), .wait_for = "\r\n\r\n"}
        };
	run(&b);
	assert_string_equal(b.log, "fail-105;closed-105;");
	buf_done(&b.body);
	peer_done(&b.peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_go_as_the_table_says),
		cmocka_unit_test(a_long_answer_is_held_while_paused),
		cmocka_unit_test(a_long_request_waits_for_a_slow_origin),
		cmocka_unit_test(floods_of_heads_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
