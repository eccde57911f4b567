/* The HTTP/1.1 server on a real loop and a socket pair: a handler that behaves as its path says, a
 * table of conversations, each also sent one byte at a time. */
#include "http/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "h1_peer.h"
#include "h1_talks.h"
#include "http/h1_parse.h"
#include "net/dial.h"
#include "net/stream.h"

#define BIG (8u << 20)

struct app {
	struct loop *loop;
	struct peer peer;
	struct http_conn *conn;
	struct exchange *x; /* the one under way */
	struct timer later;
	unsigned fin_turns; /* in which it waited */
	char log[512]; /* what happened, in order */
	size_t body, sent, most;
	size_t taken; /* of what the peer sends, when `later` came */
	bool closed;
};

static void note(struct app *a, const char *s, long n)
{
	size_t at = strlen(a->log);
	snprintf(a->log + at, sizeof(a->log) - at, "%s%ld;", s, n);
}

static bool path_is(const struct exchange *x, const char *path)
{
	return !strcmp(msg_target(x->req), path);
}

static void start(struct exchange *x, int status, enum body_kind kind, uint64_t n)
{
	struct msg *m = msg_new_response(status);
	msg_set_body(m, kind, n);
	msg_add(m, "x-app", "1");
	if (exchange_respond(x, m, false) < 0)
		abort();
	msg_free(m);
}

/* 64 KiB at a time, until the server says stop. */
static void pump(struct app *a)
{
	static const char block[65536];
	while (a->sent < BIG) {
		size_t queued = exchange_write(a->x, block, sizeof(block));
		a->sent += sizeof(block);
		if (queued > a->most)
			a->most = queued;
		if (queued > STREAM_HIGH_WATER)
			return;
	}
	exchange_end(a->x, NULL);
}

static void upgrade(struct exchange *x)
{
	struct msg *m = msg_new_response(101);
	msg_add(m, "upgrade", "echo");
	if (exchange_respond(x, m, false) < 0)
		exchange_reply(x, 400, NULL, NULL, "no upgrade");
	else
		exchange_resume(x);
	msg_free(m);
}

static void on_later(struct timer *t)
{
	struct app *a = container_of(t, struct app, later);
	/* Who sends no more has said so, and was heard, however late this thread runs. */
	if (a->peer.half_close && a->fin_turns < 3) {
		a->fin_turns += a->peer.fin_sent;
		timer_arm(t, 1);
		return;
	}
	a->taken = a->peer.at;
	if (path_is(a->x, "/later"))
		exchange_reply(a->x, 200, NULL, NULL, "later");
	else if (path_is(a->x, "/later-upgrade"))
		upgrade(a->x);
	else if (path_is(a->x, "/drain-conn"))
		exchange_reply(a->x, 200, NULL, NULL, "drained");
	else
		exchange_resume(a->x);
}

static void on_body(struct exchange *x, const uint8_t *p, size_t n)
{
	struct app *a = x->ctx;
	a->body += n;
	if (path_is(x, "/echo") || path_is(x, "/upgrade") || path_is(x, "/later-upgrade"))
		exchange_write(x, p, n);
	if (path_is(x, "/sips")) {
		exchange_pause(x);
		timer_arm(&a->later, 1);
	}
}

static void on_end(struct exchange *x, const struct msg *trailers)
{
	struct app *a = x->ctx;
	note(a, "end", (long)a->body);
	if (path_is(x, "/upgrade-at-end") && !x->responded)
		upgrade(x);
	else if (path_is(x, "/echo") || msg_upgrade(x->req))
		exchange_end(x, trailers);
	else if (path_is(x, "/count") || path_is(x, "/sips") || path_is(x, "/continue"))
		exchange_reply(x, 200, NULL, NULL, "counted");
}

static void on_writable(struct exchange *x)
{
	pump(x->ctx);
}

static void on_done(struct exchange *x, int status)
{
	struct app *a = x->ctx;
	timer_cancel(&a->later);
	note(a, "done", usual_errno(status));
	a->x = NULL;
}

static const struct handler handler = {
	.on_body = on_body, .on_end = on_end, .on_writable = on_writable, .on_done = on_done};

static void answer_wrongly(struct exchange *x)
{
	start(x, 200, BODY_LENGTH, 10);
	exchange_write(x, "12345", 5);
	if (path_is(x, "/long"))
		exchange_write(x, "67890x", 6);
	exchange_end(x, NULL);
	exchange_end(x, NULL);
}

static void answer_early(struct exchange *x)
{
	struct msg *m = msg_new_response(103);
	msg_add(m, "link", "</a>");
	exchange_respond(x, m, false);
	msg_free(m);
	exchange_reply(x, 200, NULL, NULL, "early");
}

static void answer_trailers(struct exchange *x)
{
	struct msg *m = msg_new_response(0);
	msg_add(m, "x-sum", "7");
	start(x, 200, BODY_CHUNKED, 0);
	exchange_write(x, "a", 1);
	exchange_write(x, "", 0);
	exchange_write(x, "bc", 2);
	exchange_end(x, m);
	msg_free(m);
}

static void answer_hostile_head(struct exchange *x)
{
	struct msg *m = msg_new_response(200);
	msg_add(m, "transfer-encoding", "gzip");
	msg_add(m, "content-length", "999");
	msg_add(m, "connection", "x-y");
	msg_add(m, "keep-alive", "9");
	msg_add(m, "date", "then");
	msg_add(m, "server", "mine");
	msg_set_body(m, BODY_LENGTH, 2);
	exchange_respond(x, m, false);
	exchange_write(x, "ok", 2);
	exchange_end(x, NULL);
	if (exchange_respond(x, m, true) != -EINVAL)
		abort();
	msg_free(m);
}

static void abort_midway(struct exchange *x)
{
	start(x, 200, BODY_CHUNKED, 0);
	exchange_write(x, "part", 4);
	exchange_abort(x);
	exchange_abort(x);
	exchange_write(x, "more", 4);
	exchange_end(x, NULL);
}

static void answer_head_length(struct exchange *x)
{
	struct msg *m = msg_new_response(200);
	msg_add(m, "content-length", "77");
	exchange_respond(x, m, true);
	msg_free(m);
}

static void drain(struct app *a)
{
	http_conn_drain(a->conn, 5000);
	timer_arm(&a->later, 5);
}

static void on_request(void *ctx, struct exchange *x)
{
	struct app *a = ctx;
	x->handler = &handler;
	x->ctx = a;
	a->x = x;
	a->body = 0;
	if (path_is(x, "/hello"))
		exchange_reply(x, 200, NULL, "text/plain", "hello");
	else if (path_is(x, "/empty"))
		exchange_reply(x, 200, NULL, NULL, NULL);
	else if (path_is(x, "/204"))
		exchange_reply(x, 204, NULL, NULL, "not sent");
	else if (path_is(x, "/304"))
		exchange_reply(x, 304, NULL, NULL, NULL);
	else if (path_is(x, "/head-length"))
		answer_head_length(x);
	else if (path_is(x, "/echo"))
		start(x, 200, BODY_CHUNKED, 0), exchange_resume(x);
	else if (path_is(x, "/count") || path_is(x, "/sips") || path_is(x, "/upgrade-at-end"))
		exchange_resume(x);
	else if (path_is(x, "/continue"))
		exchange_continue(x), exchange_resume(x);
	else if (path_is(x, "/early"))
		answer_early(x);
	else if (path_is(x, "/trailers"))
		answer_trailers(x);
	else if (path_is(x, "/hostile-head"))
		answer_hostile_head(x);
	else if (path_is(x, "/short") || path_is(x, "/long"))
		answer_wrongly(x);
	else if (path_is(x, "/abort"))
		abort_midway(x);
	else if (path_is(x, "/end-without-head"))
		exchange_end(x, NULL);
	else if (path_is(x, "/upgrade"))
		upgrade(x);
	else if (path_is(x, "/later") || path_is(x, "/later-upgrade"))
		timer_arm(&a->later, 3);
	else if (path_is(x, "/drain-conn"))
		drain(a);
	else if (path_is(x, "/close-conn"))
		http_conn_close(a->conn);
	else if (path_is(x, "/big"))
		start(x, 200, BODY_LENGTH, BIG), pump(a);
}

static void on_closed(void *ctx, struct http_conn *c)
{
	struct app *a = ctx;
	(void)c;
	a->closed = true;
	a->conn = NULL;
	note(a, "closed", 0);
	/* The peer still reads what is in the socket. */
	peer_turn(&a->peer);
	loop_stop(a->loop);
}

/* ---- running a conversation ---- */

static void run(struct app *a, const struct http_limits *l)
{
	struct err e;
	if (!a->loop && loop_new(&a->loop, &e) < 0)
		fail_msg("%s", e.text);
	int fd = peer_open(&a->peer, a->loop);
	timer_init(&a->later, a->loop, on_later);
	static const struct stream_cb none;
	struct stream *s = stream_from_fd(a->loop, fd, &none, NULL);
	struct http_server_opts o = {.limits = l,
		.on_request = on_request,
		.on_closed = on_closed,
		.ctx = a,
		.server_name = "lt"};
	a->conn = http_serve(s, &o);
	loop_run(a->loop);
	assert_true(a->closed);
	timer_cancel(&a->later);
	peer_stop(&a->peer);
	loop_free(a->loop);
}

/* Every Date goes; there must be as many as final heads with one. */
static char *without_dates(struct peer *p)
{
	char *s = (char *)buf_str(&p->got);
	assert_non_null(s);
	for (char *d; (d = strstr(s, "Date: ")) && strstr(d, " GMT\r\n");) {
		assert_int_equal(strcspn(d, "\r"), strlen("Date: Mon, 02 Jan 2006 15:04:05 GMT"));
		char *end = strstr(d, "\r\n") + 2;
		memmove(d, end, strlen(end) + 1);
	}
	return s;
}

/* Who says Server here says Date too. */
static size_t len_with_dates(const char *out)
{
	size_t n = strlen(out);
	for (const char *at = out; (at = strstr(at, "\nServer: lt\r")); at++)
		n += strlen("Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n");
	return n;
}

static void check_talk(size_t i, bool by_byte)
{
	const struct talk *t = &talks[i];
	struct app a = {
		.peer = {.in = t->in,
			 .n = t->n,
			 .by_byte = by_byte,
			 .half_close = t->flags & FIN,
			 .close_on = t->flags & (OPEN | BYTES_ONLY) ? "" : NULL,
			 .close_len = len_with_dates(t->out)}
        };
	size_t len = strlen(t->out);
	run(&a, &http_limits_default);
	const char *got = without_dates(&a.peer);
	bool ok = !strcmp(got, t->out);
	if (t->flags & NOTHING)
		ok = !strstr(got, "\r\n0\r\n\r\n") && !strstr(got, "67890");
	if (t->flags & RAW_NUL)
		ok = ok && a.peer.got.len > len && !memcmp(got + len + 1, "bytes", 5);
	if (!ok)
		fail_msg("%zu%s: got\n%s\nexpected\n%s\nlog %s", i, by_byte ? " by bytes" : "", got,
			t->out, a.log);
	if (strcmp(a.log, t->log))
		fail_msg("%zu%s: log %s, expected %s (%s)", i, by_byte ? " by bytes" : "", a.log,
			t->log, t->in);
	if (!(t->flags & CUT))
		assert_false(a.peer.reset);
	if (t->flags & OPEN)
		assert_false(a.peer.eof);
	peer_done(&a.peer);
}

static void conversations_go_as_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		if (!(talks[i].flags & BYTES_ONLY))
			check_talk(i, false);
		if (!(talks[i].flags & NO_BYTES))
			check_talk(i, true);
	}
}

static void a_fast_handler_waits_for_a_slow_client(void **state)
{
	(void)state;
	static const char in[] = GET("/big");
	struct app a = {
		.peer = {.in = in, .n = sizeof(in) - 1, .half_close = true}
        };
	run(&a, &http_limits_default);
	assert_string_equal(a.log, "done0;closed0;");
	assert_true(a.peer.got.len > BIG);
	assert_true(a.most < 3 * 65536);
	peer_done(&a.peer);
}

static void reading_stops_while_the_handler_pauses(void **state)
{
	(void)state;
	/* /later never resumes; a body of 4 MiB must stay with the client. */
	size_t n = 4u << 20;
	char *in = calloc(1, n + 200);
	assert_non_null(in);
	int head = sprintf(in, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", n);
	struct app a = {
		.peer = {.in = in, .n = (size_t)head + n}
        };
	run(&a, &http_limits_default);
	assert_in_range(a.taken, 1, n / 2);
	assert_string_equal(without_dates(&a.peer), REPLY("5", "later"));
	peer_done(&a.peer);
	free(in);
}

static const struct http_limits quick = {.head_max = 1024,
	.url_max = 128,
	.fields_max = 5,
	.head_ms = 40,
	.keepalive_ms = 80,
	.idle_ms = 60};

/* What came of it says nothing of limits when the whole thread had to wait for half of one. */
static bool was_stalled(const struct app *a, uint64_t limit_ms, unsigned *tries)
{
	return a->peer.stall_ms >= limit_ms / 2 && ++*tries < 20;
}

static void check_quick(const char *in, const char *out, const char *log, uint64_t gap_ms)
{
	unsigned tries = 0;
	struct app a;
	bool fits;
	do {
		a = (struct app){
			.peer = {.in = in, .n = strlen(in), .gap_ms = gap_ms}
                };
		run(&a, &quick);
		fits = !strcmp(without_dates(&a.peer), out) && !strcmp(a.log, log);
		if (fits || !was_stalled(&a, quick.head_ms, &tries)) {
			assert_string_equal(buf_str(&a.peer.got), out);
			assert_string_equal(a.log, log);
			fits = true;
		}
		peer_done(&a.peer);
	} while (!fits);
}

static void waits_have_deadlines(void **state)
{
	(void)state;
	check_quick("", "", "closed0;", 0);
	check_quick(GET("/hello"), HELLO, "done0;closed0;", 0);
	check_quick("GET / HTTP/1.1\r\n", ERR("408", "Request Timeout", "16"), "closed0;", 0);
	/* A head that drips is late although bytes move. */
	check_quick(GET("/hello"), ERR("408", "Request Timeout", "16"), "closed0;", 5);
	check_quick(GET("/never"), "", "done-110;closed0;", 0);
	check_quick(POST("/count", "5", "1"), "", "done-110;closed0;", 0);
	check_quick(UPGRADE("/upgrade"), SWITCH, "done-110;closed0;", 0);
}

static void a_slow_upload_passes_while_bytes_move(void **state)
{
	(void)state;
	char body[64];
	memset(body, 'x', 40);
	body[40] = 0;
	char in[256];
	sprintf(in, POST("/count", "40", "%s"), body);
	struct http_limits l = quick;
	l.head_ms = l.keepalive_ms = GUARD_MS;
	l.idle_ms = 400;
	/* A byte every 10 ms: longer than the idle limit in all. */
	unsigned tries = 0;
	struct app a;
	do {
		a = (struct app){
			.peer = {.in = in, .n = strlen(in), .gap_ms = 10, .close_on = "counted"}
                };
		run(&a, &l);
		peer_done(&a.peer);
	} while (strcmp(a.log, "end40;done0;closed0;") && was_stalled(&a, l.idle_ms, &tries));
	assert_string_equal(a.log, "end40;done0;closed0;");
}

static void limits_are_told_apart(void **state)
{
	(void)state;
	/* a browser that was given too many cookies gets rid of them */
	static const char too_large[] =
		"HTTP/1.1 431 Request Header Fields Too Large\r\nServer: lt\r\n"
		"Content-Type: text/plain\r\nClear-Site-Data: \"cookies\"\r\n"
		"Content-Length: 32\r\nConnection: close\r\n\r\nRequest Header Fields Too Large\n";
	char in[4096] = "GET /";
	memset(in + 5, 'x', 200);
	strcpy(in + 205, " HTTP/1.1\r\nHost: a\r\n\r\n");
	check_quick(in, ERR("414", "URI Too Long", "13"), "closed0;", 0);
	strcpy(in, "GET / HTTP/1.1\r\nHost: a\r\nB: ");
	memset(in + strlen(in), 'x', 2000);
	in[2000] = 0;
	check_quick(in, too_large, "closed0;", 0);
	check_quick("GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nHost: a\r\n\r\n", too_large,
		"closed0;", 0);
}

static void a_client_that_vanishes_is_told(void **state)
{
	(void)state;
	static const char in[] = GET("/never");
	struct app a = {
		.peer = {.in = in, .n = sizeof(in) - 1, .close_on = ""}
        };
	run(&a, &quick);
	assert_string_equal(a.log, "done-104;closed0;");
	peer_done(&a.peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conversations_go_as_the_table_says),
		cmocka_unit_test(a_fast_handler_waits_for_a_slow_client),
		cmocka_unit_test(reading_stops_while_the_handler_pauses),
		cmocka_unit_test(waits_have_deadlines),
		cmocka_unit_test(a_slow_upload_passes_while_bytes_move),
		cmocka_unit_test(limits_are_told_apart),
		cmocka_unit_test(a_client_that_vanishes_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
