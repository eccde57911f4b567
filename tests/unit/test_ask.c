/* Questions that travel from a loop to the control thread and back: asked over real HTTP, answered
 * by a desk on the same loop whenever the test likes. */
#include "gate_rig.h"

#include "gate/ask.h"
#include "http/msg.h"
#include "http/server.h"

static struct ask *away;
static unsigned asked;
static char seen[ASK_BODY_MAX + 1];

static void on_ask(void *ctx, struct ask *a)
{
	(void)ctx;
	asked++;
	away = a;
	snprintf(seen, sizeof(seen), "%s", a->body.len ? buf_str(&a->body) : "");
}

static struct ask_desk desk = {.fn = on_ask};
static unsigned closed;

static void on_request(void *ctx, struct exchange *x)
{
	(void)ctx;
	ask_exchange(x, ASK_BASE, "home.test", &desk, NULL);
}

static void on_closed(void *ctx, struct http_conn *c)
{
	(void)ctx, (void)c;
	closed++;
}

static const struct http_server_opts opts = {
	.limits = &http_limits_default, .on_request = on_request, .on_closed = on_closed};
static const struct stream_cb no_cb;

static void open_browser(struct far *f)
{
	asked = closed = 0;
	away = NULL;
	desk.loop = rig_loop;
	http_serve(stream_from_fd(rig_loop, far_open(f), &no_cb, NULL), &opts);
}

static void a_question_comes_whole_and_its_answer_returns(void **state)
{
	(void)state;
	struct far f;
	open_browser(&f);
	far_say(&f, "POST /x HTTP/1.1\r\nHost: home.test\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "3\r\nabc\r\n2\r\nde\r\n");
	rig_turns(5);
	assert_int_equal(asked, 0);
	far_say(&f, "0\r\n\r\n");
	UNTIL(asked);
	assert_string_equal(seen, "abcde");
	assert_string_equal(away->host, "home.test");
	assert_string_equal(away->peer, "local");
	away->resp = msg_new_response(200);
	msg_add(away->resp, "x-kept", "1");
	ask_answer(away, 201, "text/plain", "made\n");
	UNTIL(far_has(&f, "made\n"));
	assert_true(far_has(&f, "HTTP/1.1 201"));
	assert_true(far_has(&f, "X-Kept: 1\r\n"));
	assert_true(far_has(&f, "Content-Length: 5\r\n"));
	far_forget(&f);
	far_say(&f, "HEAD / HTTP/1.1\r\nHost: home.test\r\n\r\n");
	UNTIL(asked == 2);
	ask_answer(away, 200, "text/plain", "not sent");
	UNTIL(far_has(&f, "\r\n\r\n"));
	assert_true(far_has(&f, "Content-Length: 8\r\n"));
	assert_false(far_has(&f, "not sent"));
	far_forget(&f);
	far_say(&f, "GET / HTTP/1.1\r\nHost: home.test\r\n\r\n");
	UNTIL(asked == 3);
	ask_redirect(away, 303, "/there");
	UNTIL(far_has(&f, "HTTP/1.1 303"));
	assert_true(far_has(&f, "Location: /there\r\n"));
	far_forget(&f);
	far_say(&f, "GET / HTTP/1.1\r\nHost: home.test\r\n\r\n");
	UNTIL(asked == 4);
	ask_done(away); /* said nothing */
	UNTIL(far_has(&f, "HTTP/1.1 500"));
	far_done(&f);
	UNTIL(closed);
}

static void a_client_that_waits_for_100_is_told_to_go_on(void **state)
{
	(void)state;
	struct far f;
	open_browser(&f);
	far_say(&f, "POST /x HTTP/1.1\r\nHost: home.test\r\nContent-Length: 2\r\n"
		    "Expect: 100-continue\r\n\r\n");
	UNTIL(far_has(&f, "HTTP/1.1 100"));
	far_say(&f, "ok");
	UNTIL(asked);
	ask_answer(away, 200, NULL, "");
	UNTIL(far_has(&f, "HTTP/1.1 200"));
	far_done(&f);
	UNTIL(closed);
}

static void too_much_is_413_and_nobody_is_asked(void **state)
{
	(void)state;
	static const char *const heads[] = {"Content-Length: 65537\r\nExpect: 100-continue\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n10001\r\n"};
	static char body[65538];
	memset(body, 'x', 65537);
	for (int i = 0; i < 2; i++) {
		struct far f;
		char head[256];
		open_browser(&f);
		snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: home.test\r\n%s", heads[i]);
		far_say(&f, head);
		if (i)
			far_say(&f, body);
		UNTIL(far_has(&f, "HTTP/1.1 413"));
		assert_false(far_has(&f, "HTTP/1.1 100"));
		far_close(&f);
		UNTIL(closed);
		assert_int_equal(asked, 0);
		far_done(&f);
	}
	struct far f;
	open_browser(&f);
	far_say(&f, "POST / HTTP/1.1\r\nHost: home.test\r\nContent-Length: 65536\r\n\r\n");
	body[65536] = 0;
	far_say(&f, body);
	UNTIL(asked);
	assert_int_equal(strlen(seen), 65536);
	ask_answer(away, 200, NULL, "");
	UNTIL(far_has(&f, "HTTP/1.1 200"));
	far_done(&f);
	UNTIL(closed);
}

static void a_browser_may_leave_before_or_while_the_question_is_away(void **state)
{
	(void)state;
	struct far f;
	open_browser(&f);
	far_say(&f, "POST / HTTP/1.1\r\nHost: home.test\r\nContent-Length: 9\r\n\r\nhalf");
	rig_turns(5);
	far_done(&f);
	UNTIL(closed);
	assert_int_equal(asked, 0);
	open_browser(&f);
	far_say(&f, "GET / HTTP/1.1\r\nHost: home.test\r\nConnection: close\r\n\r\n");
	UNTIL(asked);
	struct linger hard = {.l_onoff = 1};
	setsockopt(f.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	far_done(&f);
	uint64_t limit = clock_mono_ms() + RIG_WAIT_MS;
	while (!closed && clock_mono_ms() < limit)
		rig_turn();
	assert_true(closed);
	ask_answer(away, 200, NULL, "late");
	rig_turns(5);
}

/* The worker's loop stops first, then the control thread gives up what it holds, then connections
 * close: the way the gate ends. */
static void an_answer_after_the_end_of_the_loop_is_dropped(void **state)
{
	(void)state;
	struct far f;
	open_browser(&f);
	far_say(&f, "GET / HTTP/1.1\r\nHost: home.test\r\n\r\n");
	UNTIL(asked);
	loop_stop(rig_loop);
	ask_answer(away, 503, "text/plain", "stopping\n");
	loop_free(rig_loop);
	assert_int_equal(closed, 1);
	far_done(&f);
	struct err e;
	assert_int_equal(loop_new(&rig_loop, &e), 0);
}

static void a_desk_that_has_closed_is_a_503(void **state)
{
	(void)state;
	struct far f;
	struct err e;
	struct loop *other;
	assert_int_equal(loop_new(&other, &e), 0);
	open_browser(&f);
	desk.loop = other;
	loop_stop(other);
	far_say(&f, "GET / HTTP/1.1\r\nHost: home.test\r\n\r\n");
	UNTIL(far_has(&f, "HTTP/1.1 503"));
	assert_int_equal(asked, 0);
	far_done(&f);
	UNTIL(closed);
	loop_free(other);
}

static void nothing(struct exchange *x)
{
	(void)x;
}

/* A desk that is slow has no more to do for who asks and gives up than for who waits. */
static void a_question_that_was_given_up_counts_until_it_is_answered(void **state)
{
	(void)state;
	static const struct exchange_ops ops = {.resume = nothing};
	struct conn_info conn = {.loop = rig_loop, .peer_addr = "local", .linger = linger_new()};
	struct exchange x = {.ops = &ops,
		.conn = &conn,
		.req = msg_new_request("GET", "https", "home.test", "/signin")};
	asked = 0;
	desk.loop = rig_loop;
	ask_exchange(&x, ASK_BASE, "home.test", &desk, NULL);
	x.handler->on_done(&x, -ECONNRESET); /* before it is away */
	assert_int_equal(linger_count(conn.linger), 0);
	ask_exchange(&x, ASK_BASE, "home.test", &desk, NULL);
	x.handler->on_end(&x, NULL);
	UNTIL(asked);
	assert_int_equal(linger_count(conn.linger), 0);
	x.handler->on_done(&x, -ECONNRESET);
	rig_turns(3);
	assert_int_equal(linger_count(conn.linger), 1);
	ask_answer(away, 200, NULL, "");
	UNTIL(linger_count(conn.linger) == 0);
	linger_unref(conn.linger);
	msg_free(x.req);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_question_comes_whole_and_its_answer_returns),
		RIG_TEST(a_client_that_waits_for_100_is_told_to_go_on),
		RIG_TEST(too_much_is_413_and_nobody_is_asked),
		RIG_TEST(a_browser_may_leave_before_or_while_the_question_is_away),
		RIG_TEST(an_answer_after_the_end_of_the_loop_is_dropped),
		RIG_TEST(a_desk_that_has_closed_is_a_503),
		RIG_TEST(a_question_that_was_given_up_counts_until_it_is_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
