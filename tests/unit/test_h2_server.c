/* The HTTP/2 server on a real loop and a socket pair, against the framing library's client: what a
 * peer that reads little, never, or sends what is not allowed may cost, and whom. */
#include "http/http_conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>

#include "h1_peer.h"
#include "net/dial.h"
#include "net/stream.h"

#define LONG (66u << 20) /* more than the server ever keeps of a body */
#define TEN(s) s s s s s s s s s s
#define LONG_VALUE TEN("0123456789012345678901234567890123456789") /* 400 */

struct app {
	struct loop *loop;
	struct peer peer; /* its socket and guard */
	struct timer tick, stop;
	unsigned turns_left; /* before it may stop */
	struct http_conn *conn;
	struct exchange *x;
	nghttp2_session *client;
	size_t size, sent, got;
	uint32_t goaway, reset; /* codes; UINT32_MAX: none */
	bool mute;              /* answers no PING */
	bool eof;               /* the server sends no more */
	int status, done, fd;   /* fd: the server's end */
	bool reads, closed, ended, cleared, long_lived, uploads;
	bool bare;              /* an answer without a body, of which the handler never says the end */
	unsigned n_fields, got_fields; /* of the answer, beside what every answer has */
	struct job job; /* the client's next turn, at once */
	struct linger *lingers[200]; /* of requests that were given up */
	unsigned n_lingers, n_requests;
	bool slow; /* work goes on behind them */
};

/* ---- the handler ---- */

static void pour(struct exchange *x)
{
	static const char block[5000];
	struct app *a = x->ctx;
	while (a->sent < a->size) {
		a->sent += sizeof(block);
		if (exchange_write(x, block, sizeof(block)) > STREAM_HIGH_WATER)
			return;
	}
	if (a->size)
		exchange_end(x, NULL);
	a->size = 0;
}

static void on_done(struct exchange *x, int status)
{
	struct app *a = x->ctx;
	a->done = usual_errno(status);
	a->x = NULL;
	if (a->slow)
		a->lingers[a->n_lingers++] = exchange_linger(x);
}

static void on_body(struct exchange *x, const uint8_t *p, size_t n)
{
	struct app *a = x->ctx;
	(void)p;
	a->got += n;
}

static void on_end(struct exchange *x, const struct msg *trailers)
{
	(void)trailers;
	exchange_end(x, NULL);
}

static const struct handler handler = {
	.on_body = on_body, .on_end = on_end, .on_writable = pour, .on_done = on_done};

static void on_request(void *ctx, struct exchange *x)
{
	struct app *a = ctx;
	struct msg *m = msg_new_response(200);
	msg_set_body(m, BODY_CHUNKED, 0);
	x->handler = &handler;
	x->ctx = a;
	a->x = x;
	a->n_requests++;
	if (a->bare)
		msg_set_body(m, BODY_NONE, 0);
	for (unsigned i = 0; i < a->n_fields; i++)
		assert_int_equal(msg_add(m, "x-v", LONG_VALUE), 0);
	exchange_respond(x, m, false);
	msg_free(m);
	if (a->long_lived)
		exchange_set_idle(x, 0);
	if (a->bare)
		return;
	if (a->uploads)
		exchange_resume(x);
	pour(x);
}

static void on_closed(void *ctx, struct http_conn *c)
{
	struct app *a = ctx;
	(void)c;
	a->closed = true;
	loop_stop(a->loop);
}

/* ---- the client ---- */

static ssize_t on_send(nghttp2_session *session, const uint8_t *p, size_t n, int flags, void *user)
{
	struct app *a = user;
	(void)session, (void)flags;
	ssize_t rc = send(a->peer.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return rc < 0 ? NGHTTP2_ERR_WOULDBLOCK : rc;
}

static int on_chunk(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct app *a = user;
	(void)session, (void)flags, (void)id, (void)p;
	a->got += n;
	return 0;
}

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	struct app *a = user;
	(void)session, (void)frame, (void)name_len, (void)value_len, (void)flags;
	if (!strcmp((const char *)name, ":status"))
		a->status = atoi((const char *)value);
	a->got_fields += !strcmp((const char *)name, "x-v");
	if (!strcmp((const char *)name, "clear-site-data"))
		a->cleared = !strcmp((const char *)value, "\"cookies\"");
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
	struct app *a = user;
	(void)session;
	if (f->hd.type == NGHTTP2_GOAWAY)
		a->goaway = f->goaway.error_code;
	if (f->hd.type == NGHTTP2_RST_STREAM)
		a->reset = f->rst_stream.error_code;
	if (f->hd.type == NGHTTP2_DATA && f->hd.flags & NGHTTP2_FLAG_END_STREAM)
		a->ended = true;
	if (a->ended || (f->hd.type == NGHTTP2_RST_STREAM && f->hd.stream_id == 1))
		loop_stop(a->loop);
	return 0;
}

static void client_turn(struct app *a)
{
	static uint8_t b[65536];
	a->turns_left -= a->turns_left > 0;
	for (int i = 0; a->reads && i < 64; i++) {
		ssize_t n = recv(a->peer.fd, b, sizeof(b), MSG_DONTWAIT);
		a->eof |= n == 0;
		if (n <= 0)
			break;
		assert_int_equal(nghttp2_session_mem_recv(a->client, b, (size_t)n), n);
	}
	nghttp2_session_send(a->client);
	if ((a->size || a->uploads) && a->reads)
		loop_post(a->loop, &a->job);
	else
		timer_arm(&a->tick, 1);
}

static void on_job(struct job *j)
{
	client_turn(container_of(j, struct app, job));
}

static void on_tick(struct timer *t)
{
	client_turn(container_of(t, struct app, tick));
}

static void on_stop(struct timer *t)
{
	struct app *a = container_of(t, struct app, stop);
	if (a->turns_left)
		timer_arm(t, 5);
	else
		loop_stop(a->loop);
}

static void client_new(struct app *a)
{
	nghttp2_session_callbacks *cbs;
	nghttp2_option *opt;
	nghttp2_session_callbacks_new(&cbs);
	nghttp2_option_new(&opt);
	nghttp2_session_callbacks_set_send_callback(cbs, on_send);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_chunk);
	nghttp2_session_callbacks_set_on_header_callback(cbs, on_field);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
	nghttp2_option_set_no_http_messaging(opt, 1);
	nghttp2_option_set_no_auto_ping_ack(opt, a->mute);
	nghttp2_option_set_max_send_header_block_length(opt, 16u << 20);
	nghttp2_session_client_new2(&a->client, cbs, a, opt);
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cbs);
	nghttp2_submit_settings(a->client, NGHTTP2_FLAG_NONE, NULL, 0);
}

static nghttp2_nv nv(const char *name, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value)};
}

/* A request with `more` n times, all fields of the head given but the last `less`. */
static void ask(struct app *a, unsigned less, nghttp2_nv more, unsigned n)
{
	static nghttp2_nv all[2000];
	all[0] = nv(":method", "GET");
	all[1] = nv(":scheme", "http");
	all[2] = nv(":authority", "a.example");
	all[3] = nv(":path", "/");
	for (unsigned i = 0; i < n; i++)
		all[4 - less + i] = more;
	assert_true(nghttp2_submit_request(a->client, NULL, all, 4 - less + n, NULL, NULL) > 0);
}

/* ---- running ---- */

/* Instead of the socket pair, of which nobody asks whether the other end lives. */
static int over_tcp(struct app *a)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t n = sizeof(sa);
	int type = SOCK_STREAM | SOCK_CLOEXEC, door = socket(AF_INET, type, 0);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	close(a->peer.fd);
	close(a->fd);
	a->peer.fd = socket(AF_INET, type, 0);
	assert_int_equal(bind(door, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(door, 1), 0);
	assert_int_equal(getsockname(door, (struct sockaddr *)&sa, &n), 0);
	assert_int_equal(connect(a->peer.fd, (struct sockaddr *)&sa, n), 0);
	int fd = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	close(door);
	return fd;
}

static void start(struct app *a, const struct http_limits *l)
{
	struct err e;
	static const struct stream_cb none;
	if (loop_new(&a->loop, &e) < 0)
		fail_msg("%s", e.text);
	a->goaway = a->reset = UINT32_MAX;
	a->done = 1;
	int fd = a->fd = peer_open(&a->peer, a->loop);
	if (a->long_lived)
		fd = a->fd = over_tcp(a);
	timer_cancel(&a->peer.tick); /* frames are read here */
	a->job = (struct job){.run = on_job};
	timer_init(&a->tick, a->loop, on_tick);
	timer_init(&a->stop, a->loop, on_stop);
	timer_arm(&a->tick, 0);
	client_new(a);
	struct http_server_opts o = {
		.limits = l, .on_request = on_request, .on_closed = on_closed, .ctx = a};
	a->conn = h2_serve(stream_from_fd(a->loop, fd, &none, NULL), &o);
}

/* Time may pass without a turn: each side has some of them in any case. */
static void run_for(struct app *a, uint64_t ms)
{
	a->turns_left = ms ? 8 : 0;
	if (ms)
		timer_arm(&a->stop, ms);
	loop_run(a->loop);
	timer_cancel(&a->stop);
}

static void finish(struct app *a)
{
	timer_cancel(&a->tick);
	peer_stop(&a->peer);
	if (!a->closed) {
		http_conn_close(a->conn);
		loop_run(a->loop);
	}
	assert_true(a->closed);
	nghttp2_session_del(a->client);
	loop_free(a->loop);
	peer_done(&a->peer);
}

static void set_window(struct app *a, uint32_t n)
{
	const nghttp2_settings_entry iv = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, n};
	nghttp2_submit_settings(a->client, NGHTTP2_FLAG_NONE, &iv, 1);
}

static const nghttp2_nv nothing;

/* So little at a time that the server always has some left when it asks for more. */
static void a_long_body_passes_through_a_small_window(void **state)
{
	struct app a = {.size = LONG, .reads = true};
	(void)state;
	start(&a, &http_limits_default);
	set_window(&a, 16000);
	ask(&a, 0, nothing, 0);
	run_for(&a, 0);
	assert_int_equal(a.reset, UINT32_MAX);
	assert_true(a.ended);
	assert_true(a.got >= LONG);
	finish(&a);
}

/* A window for everything: what waits must wait in the streams, not all in the socket's queue. */
static void who_never_reads_is_left(void **state)
{
	struct http_limits l = http_limits_default;
	struct app a = {.size = LONG};
	(void)state;
	l.idle_ms = l.keepalive_ms = 100;
	start(&a, &l);
	set_window(&a, INT32_MAX);
	nghttp2_submit_window_update(a.client, NGHTTP2_FLAG_NONE, 0, INT32_MAX - 65535);
	ask(&a, 0, nothing, 0);
	run_for(&a, 0);
	assert_true(a.closed);
	assert_int_equal(a.done, -110);
	finish(&a);
}

static void a_head_that_is_refused_is_waited_for_no_longer(void **state)
{
	struct http_limits l = http_limits_default;
	struct app a = {.reads = true};
	(void)state;
	l.head_ms = 50;
	start(&a, &l);
	ask(&a, 0, nothing, 0);
	ask(&a, 1, nothing, 0);
	run_for(&a, 300);
	assert_int_equal(a.reset, NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(a.goaway, UINT32_MAX);
	assert_non_null(a.x); /* the other request goes on */
	finish(&a);
}

/* Its stream is newer than any that the server knew when it announced its end. */
static void a_request_that_crosses_the_goodbye_is_served(void **state)
{
	struct app a = {.reads = true};
	(void)state;
	start(&a, &http_limits_default);
	run_for(&a, 50);
	ask(&a, 0, nothing, 0);
	nghttp2_session_send(a.client);
	http_conn_drain(a.conn, 5000);
	run_for(&a, 200);
	assert_non_null(a.x);
	assert_int_equal(a.goaway, NGHTTP2_NO_ERROR);
	assert_false(a.closed);
	finish(&a);
}

static void who_answers_no_ping_is_left_all_the_same(void **state)
{
	struct app a = {.reads = true, .mute = true};
	(void)state;
	start(&a, &http_limits_default);
	http_conn_drain(a.conn, 60000);
	run_for(&a, 100);
	assert_int_equal(a.goaway, NGHTTP2_NO_ERROR);
	assert_false(a.eof);
	run_for(&a, 1500);
	assert_true(a.eof);
	finish(&a);
}

static void fields_that_are_not_allowed_cost_as_much_as_others(void **state)
{
	static char value[2901];
	struct app a = {.reads = true};
	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 2] = 1;
	start(&a, &http_limits_default);
	ask(&a, 0, nv("x-v", value), 1500); /* 5 KB that stand for 4 MB */
	run_for(&a, 0);
	assert_true(a.closed);
	assert_int_equal(a.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
	finish(&a);
}

/* As many as a browser keeps. Who is not told to forget them is shut out as long as they last. */
static void too_many_cookies_are_cleared(void **state)
{
	static char value[2901];
	struct app a = {.reads = true};
	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	nghttp2_nv cookie = nv("cookie", value);
	cookie.flags = NGHTTP2_NV_FLAG_NO_INDEX; /* no frame is spared */
	start(&a, &http_limits_default);
	ask(&a, 0, cookie, 240);
	run_for(&a, 0);
	assert_int_equal(a.goaway, UINT32_MAX);
	assert_int_equal(a.status, 431);
	assert_true(a.cleared);
	finish(&a);
}

/* Near the most that a message holds: to the library, more than it sends unless it is told to. */
static void the_largest_head_is_sent(void **state)
{
	struct app a = {.reads = true, .size = 5000, .n_fields = 158};
	(void)state;
	start(&a, &http_limits_default);
	ask(&a, 0, nothing, 0);
	run_for(&a, 2000);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.got_fields, a.n_fields);
	assert_true(a.ended);
	finish(&a);
}

/* The client has all that it will get, so nothing on the wire tells that the handler waits. */
static void an_answer_without_a_body_is_waited_for_briefly(void **state)
{
	struct http_limits l = http_limits_default;
	struct app a = {.reads = true, .bare = true};
	(void)state;
	l.idle_ms = 100;
	start(&a, &l);
	static nghttp2_nv head[4];
	head[0] = nv(":method", "HEAD");
	head[1] = nv(":scheme", "http");
	head[2] = nv(":authority", "a.example");
	head[3] = nv(":path", "/");
	assert_true(nghttp2_submit_request(a.client, NULL, head, 4, NULL, NULL) > 0);
	run_for(&a, 1000);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.done, -110);
	assert_null(a.x);
	finish(&a);
}

static void a_client_that_vanished_is_found_where_nothing_is_sent(void **state)
{
	struct app a = {.reads = true, .long_lived = true};
	int on = 0;
	socklen_t n = sizeof(on);
	(void)state;
	start(&a, &http_limits_default);
	ask(&a, 0, nothing, 0);
	run_for(&a, 300);
	assert_non_null(a.x);
	assert_int_equal(getsockopt(a.fd, SOL_SOCKET, SO_KEEPALIVE, &on, &n), 0);
	assert_true(on);
	finish(&a);
}

static void reset(struct app *a, int32_t first, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		nghttp2_submit_rst_stream(
			a->client, NGHTTP2_FLAG_NONE, first + 2 * (int32_t)i, NGHTTP2_CANCEL);
}

static void who_gives_up_gets_no_more_at_once_than_who_waits(void **state)
{
	struct app a = {.reads = true, .slow = true};
	(void)state;
	start(&a, &http_limits_default);
	for (int i = 0; i < 60; i++)
		ask(&a, 0, nothing, 0);
	run_for(&a, 50);
	reset(&a, 3, 59); /* all but the first; a reset of that stops the run */
	run_for(&a, 50);
	assert_int_equal(a.n_lingers, 59);
	for (int i = 0; i < 60; i++)
		ask(&a, 0, nothing, 0);
	run_for(&a, 50);
	assert_int_equal(a.n_requests, 100);
	assert_int_equal(a.reset, NGHTTP2_REFUSED_STREAM);
	assert_int_equal(a.goaway, UINT32_MAX);
	for (unsigned i = 0; i < 59; i++)
		linger_done(a.lingers[i]);
	a.slow = false;
	for (int i = 0; i < 20; i++)
		ask(&a, 0, nothing, 0);
	run_for(&a, 50);
	assert_int_equal(a.n_requests, 120);
	finish(&a);
}

static void work_may_outlive_its_connection(void **state)
{
	struct app a = {.reads = true, .slow = true};
	(void)state;
	start(&a, &http_limits_default);
	for (int i = 0; i < 3; i++)
		ask(&a, 0, nothing, 0);
	run_for(&a, 50);
	finish(&a);
	assert_int_equal(a.n_lingers, 3);
	for (unsigned i = 0; i < 3; i++)
		linger_done(a.lingers[i]);
}

#define PIECE 2048u
#define PIECES 40000u

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *b, size_t n, uint32_t *flags,
	nghttp2_data_source *source, void *user)
{
	struct app *a = user;
	(void)session, (void)id, (void)source;
	if (++a->sent == PIECES)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	n = n < PIECE ? n : PIECE;
	memset(b, 0, n);
	return (ssize_t)n;
}

/* What it brings pays for its frames: nobody is sent away for being fast. */
static void a_fast_upload_is_no_flood(void **state)
{
	struct app a = {.reads = true, .uploads = true};
	const nghttp2_nv head[] = {nv(":method", "POST"), nv(":scheme", "http"),
		nv(":authority", "a.example"), nv(":path", "/")};
	const nghttp2_data_provider body = {.read_callback = on_read};
	(void)state;
	start(&a, &http_limits_default);
	assert_true(nghttp2_submit_request(a.client, NULL, head, 4, &body, NULL) > 0);
	run_for(&a, 0);
	assert_int_equal(a.goaway, UINT32_MAX);
	assert_true(a.ended);
	assert_in_range(a.got, PIECES * PIECE / 2, PIECES * PIECE);
	a.uploads = false;
	finish(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_body_passes_through_a_small_window),
		cmocka_unit_test(who_never_reads_is_left),
		cmocka_unit_test(a_head_that_is_refused_is_waited_for_no_longer),
		cmocka_unit_test(a_request_that_crosses_the_goodbye_is_served),
		cmocka_unit_test(who_answers_no_ping_is_left_all_the_same),
		cmocka_unit_test(fields_that_are_not_allowed_cost_as_much_as_others),
		cmocka_unit_test(too_many_cookies_are_cleared),
		cmocka_unit_test(a_fast_upload_is_no_flood),
		cmocka_unit_test(who_gives_up_gets_no_more_at_once_than_who_waits),
		cmocka_unit_test(work_may_outlive_its_connection),
		cmocka_unit_test(the_largest_head_is_sent),
		cmocka_unit_test(an_answer_without_a_body_is_waited_for_briefly),
		cmocka_unit_test(a_client_that_vanished_is_found_where_nothing_is_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
