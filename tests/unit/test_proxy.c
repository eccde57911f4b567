/* Exchanges carried to a device and back. */
#include "proxy_rig.h"

#include "base/clock.h"

static void requests_go_there_and_answers_come_back(void **state)
{
	(void)state;
	struct far d;
	add_device(&d);
	far_say(&browser, GET);
	UNTIL(far_has(&d, "\r\n\r\n"));
	assert_true(far_has(&d, "GET / HTTP/1.1\r\n"));
	far_forget(&d);
	far_say(&d, OK "Content-Length: 2\r\nSet-Cookie: __Host-lanthorn=x\r\n\r\nhi");
	UNTIL(far_has(&browser, "hi"));
	assert_false(far_has(&browser, "__Host-lanthorn"));
	far_forget(&browser);
	far_say(&browser, POST
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nLanthorn-User: root\r\n\r\n");
	rig_turns(10); /* not on a used connection */
	assert_false(far_has(&d, "POST"));
	struct far fresh;
	add_device(&fresh);
	UNTIL(far_has(&fresh, "abc\r\n0\r\n\r\n"));
	assert_false(far_has(&fresh, "root"));
	far_say(&fresh, OK "Transfer-Encoding: chunked\r\n\r\n2\r\nyo\r\n0\r\n\r\n");
	UNTIL(far_has(&browser, "0\r\n\r\n"));
	far_forget(&browser);
	far_say(&browser, "HEAD / HTTP/1.1\r\nHost: tv.home.test\r\n\r\n");
	UNTIL(far_has(&fresh, "HEAD /") || far_has(&d, "HEAD /"));
	far_say(far_has(&d, "HEAD /") ? &d : &fresh, OK "Content-Length: 99\r\n\r\n");
	UNTIL(far_has(&browser, "Content-Length: 99\r\n"));
	far_done(&d);
	far_done(&fresh);
}

/* Sends as much as the other side takes; returns what it took. */
static size_t push(struct far *f, size_t most)
{
	static const char block[65536];
	size_t sent = 0;
	while (sent < most) {
		size_t n = most - sent < sizeof(block) ? most - sent : sizeof(block);
		ssize_t k = send(f->fd, block, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (k <= 0)
			break;
		sent += (size_t)k;
	}
	return sent;
}

/* Into a side that does not read, only buffers go; all of it arrives when that side reads. */
static void stream_through(struct far *from, struct far *to)
{
	size_t whole = 32u << 20, sent = 0, got;
	for (unsigned quiet = 0; quiet < 200; rig_turn()) {
		size_t n = push(from, whole - sent);
		sent += n;
		quiet = n ? 0 : quiet + 1;
	}
	assert_true(sent < 2u << 20);
	far_forget(to);
	for (got = 0; got < whole; got += to->got.len, far_forget(to)) {
		sent += push(from, whole - sent);
		rig_turn();
		far_read(to);
		assert_false(to->eof);
	}
	assert_int_equal(got, whole);
}

static void long_bodies_are_held_back_both_ways(void **state)
{
	(void)state;
	struct far d;
	add_device(&d);
	far_say(&browser, POST "Content-Length: 33554432\r\n\r\n");
	UNTIL(far_has(&d, "\r\n\r\n"));
	stream_through(&browser, &d);
	far_say(&d, OK "Content-Length: 33554432\r\n\r\n");
	UNTIL(far_has(&browser, "\r\n\r\n"));
	stream_through(&d, &browser);
	far_done(&d);
}

static void a_request_is_tried_again_once_where_that_is_safe(void **state)
{
	(void)state;
	struct far d[4];
	for (int i = 0; i < 4; i++)
		add_device(&d[i]);
	far_close(&d[3]); /* dead on arrival, before the gate noticed */
	far_say(&browser, GET);
	UNTIL(far_has(&d[2], "GET / "));
	far_forget(&d[2]);
	far_close(&d[2]);
	UNTIL(far_has(&browser, "HTTP/1.1 502") || far_has(&d[1], "GET"));
	bool noticed = far_has(&d[1], "GET"); /* the dead one was sorted out before it was used */
	if (noticed) {
		far_close(&d[1]);
		UNTIL(far_has(&browser, "HTTP/1.1 502"));
	}
	rig_turns(10);
	assert_false(far_has(&d[0], "GET"));
	for (int i = 0; i < 4; i++)
		far_done(&d[i]);
}

static void a_post_is_tried_again_only_if_nothing_was_sent(void **state)
{
	(void)state;
	struct far d[2];
	add_device(&d[0]);
	add_device(&d[1]);
	far_say(&browser, POST "Content-Length: 4\r\n\r\n");
	UNTIL(far_has(&d[1], "POST"));
	far_close(&d[1]); /* it may have been acted upon */
	UNTIL(far_has(&browser, "HTTP/1.1 502"));
	assert_false(far_has(&d[0], "POST"));
	for (int i = 0; i < 2; i++)
		far_done(&d[i]);
}

/* The body that comes between two tries must not be lost. */
static void a_body_waits_for_the_second_try(void **state)
{
	(void)state;
	static const char *const bodies[] = {
		"Content-Length: 4\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"};
	for (int i = 0; i < 2; i++) {
		struct far d[2];
		char head[128];
		add_device(&d[0]);
		snprintf(head, sizeof(head), "PUT / HTTP/1.1\r\nHost: tv.home.test\r\n%s",
			bodies[i]);
		far_say(&browser, head);
		UNTIL(far_has(&d[0], "PUT"));
		far_close(&d[0]);
		UNTIL(pool_waiting(pool) == 1);
		far_say(&browser, i ? "4\r\nbody\r\n0\r\n\r\n" : "body");
		rig_turns(10);
		add_device(&d[1]);
		UNTIL(far_has(&d[1], i ? "body\r\n0\r\n\r\n" : "body"));
		far_say(&d[1], "HTTP/1.1 204 Stored\r\n\r\n");
		UNTIL(far_has(&browser, "HTTP/1.1 204"));
		far_forget(&browser);
		far_done(&d[0]);
		far_done(&d[1]);
		rig_turns(5);
		UNTIL(pool_count(pool) == 0);
	}
}

#define UPGRADE                                                                                    \
	"GET /ws HTTP/1.1\r\nHost: tv.home.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define SWITCH "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

static void open_tunnel(struct far *d)
{
	add_device(d);
	far_say(&browser, UPGRADE);
	UNTIL(far_has(d, "Upgrade: websocket\r\n"));
	far_say(d, SWITCH "hello");
	UNTIL(far_has(&browser, "hello"));
	assert_true(far_has(&browser, "HTTP/1.1 101"));
	assert_true(far_has(&browser, "Upgrade: websocket\r\n"));
	far_say(&browser, "ping");
	UNTIL(far_has(d, "ping"));
}

static void an_upgrade_becomes_a_tunnel(void **state)
{
	(void)state;
	struct far d;
	open_tunnel(&d);
	shutdown(browser.fd, SHUT_WR);
	UNTIL(far_is_closed(&d));
	far_say(&d, "last");
	far_close(&d);
	UNTIL(far_has(&browser, "last") && far_is_closed(&browser));
	far_done(&d);
	UNTIL(closed && list_empty(&all));
}

static void a_tunnel_may_be_silent(void **state)
{
	(void)state;
	struct far d;
	idle_ms = 250; /* which the head still has to keep */
	open_tunnel(&d);
	uint64_t begun = clock_mono_ms();
	while (clock_mono_ms() - begun < 2 * idle_ms)
		rig_turn();
	far_forget(&d);
	far_say(&browser, "still here");
	UNTIL(far_has(&d, "still here"));
	far_done(&d);
}

static void a_refused_upgrade_passes_through(void **state)
{
	(void)state;
	static const char *const lines[] = {"HTTP/1.1 426 ", "HTTP/1.1 200 "};
	for (int i = 0; i < 2; i++) {
		struct far d;
		char answer[128];
		add_device(&d);
		far_say(&browser, UPGRADE);
		UNTIL(far_has(&d, "\r\n\r\n"));
		snprintf(answer, sizeof(answer), "%sx\r\nContent-Length: 2\r\n\r\nno", lines[i]);
		far_say(&d, answer);
		UNTIL(far_has(&browser, "\r\n\r\nno"));
		assert_true(far_has(&browser, lines[i]));
		far_forget(&browser);
		far_done(&d);
		UNTIL(pool_count(pool) == 0);
	}
}

static void a_switch_that_nobody_asked_for_is_502(void **state)
{
	(void)state;
	struct far d;
	static const struct {
		const char *req, *answer;
	} rows[] = {
		{GET,     SWITCH					  },
		{UPGRADE, "HTTP/1.1 101 Go\r\nConnection: upgrade\r\n\r\n"},
	};
	for (int i = 0; i < 2; i++) {
		add_device(&d);
		far_say(&browser, rows[i].req);
		UNTIL(far_has(&d, "\r\n\r\n"));
		far_say(&d, rows[i].answer);
		UNTIL(far_has(&browser, "HTTP/1.1 502"));
		UNTIL(far_is_closed(&d));
		assert_false(far_has(&browser, "HTTP/1.1 101"));
		far_forget(&browser);
		far_done(&d);
		UNTIL(pool_count(pool) == 0);
	}
}

static void interim_answers_pass_without_what_is_not_theirs(void **state)
{
	(void)state;
	struct far d;
	add_device(&d);
	far_say(&browser, POST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n");
	UNTIL(far_has(&d, "Expect: 100-continue\r\n"));
	assert_false(far_has(&browser, "HTTP"));
	far_say(&d,
		"HTTP/1.1 103 Early\r\nLink: </a.css>\r\nSet-Cookie: a=b; Domain=home.test\r\n\r\n"
		"HTTP/1.1 100 Continue\r\n\r\n");
	UNTIL(far_has(&browser, "HTTP/1.1 100"));
	assert_true(far_has(&browser, "Link: </a.css>\r\n"));
	assert_false(far_has(&browser, "Set-Cookie"));
	far_say(&browser, "body");
	UNTIL(far_has(&d, "body"));
	far_say(&d, "HTTP/1.1 204 Fine\r\n\r\n");
	UNTIL(far_has(&browser, "HTTP/1.1 204"));
	far_done(&d);
}

static void an_answer_may_come_before_its_request_has_ended(void **state)
{
	(void)state;
	struct far d;
	add_device(&d);
	far_say(&browser, POST "Content-Length: 8\r\n\r\nhalf");
	UNTIL(far_has(&d, "half"));
	far_say(&d, "HTTP/1.1 413 Much\r\nContent-Length: 0\r\n\r\n");
	UNTIL(far_has(&browser, "HTTP/1.1 413"));
	UNTIL(far_is_closed(&d)); /* never used again */
	far_say(&browser, "rest" GET);
	UNTIL(asked == 2);
	far_done(&d);
}

static void a_device_that_dies_inside_its_answer_cuts_the_browser(void **state)
{
	(void)state;
	struct far d;
	add_device(&d);
	far_say(&browser, GET);
	UNTIL(far_has(&d, "GET"));
	far_say(&d, OK "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n");
	UNTIL(far_has(&browser, "abcde"));
	far_done(&d);
	UNTIL(far_is_closed(&browser));
	assert_false(far_has(&browser, "0\r\n\r\n"));
	UNTIL(closed && list_empty(&all));
}

static void a_browser_that_leaves_ends_the_call(void **state)
{
	(void)state;
	struct far d;
	add_device(&d);
	far_say(&browser, POST "Content-Length: 9\r\n\r\nhalf");
	UNTIL(far_has(&d, "half"));
	far_close(&browser);
	UNTIL(far_is_closed(&d) && closed && list_empty(&all));
	far_done(&d);
	open_browser();
	far_say(&browser, GET); /* waits for a connection */
	UNTIL(pool_waiting(pool) == 1);
	far_say(&browser, "x"); /* what follows is not looked at yet */
	proxy_cut_all(&all);
	assert_true(list_empty(&all));
	assert_int_equal(pool_waiting(pool), 0);
	UNTIL(far_is_closed(&browser) && closed == 2);
}

static void a_revoked_session_cuts_its_tunnel(void **state)
{
	(void)state;
	struct far d;
	struct session_table *t = session_table_new();
	struct session_row row = {.host = "tv.home.test", .user = "ann", .expires_at = 9};
	sha256(row.hash, "c", 1);
	session_table_put(t, &row);
	session = session_table_find(t, "c", "tv.home.test", 1);
	open_tunnel(&d);
	assert_true(far_has(&d, "Lanthorn-User: ann\r\n"));
	session_table_drop(t, row.hash);
	UNTIL(far_is_closed(&browser) && far_is_closed(&d));
	assert_int_equal(closed, 1);
	session_table_free(t);
	far_done(&d);
}

/* An event stream may be silent as long as a tunnel, and like one does not take the last spare. */
static void event_streams_are_long_lived(void **state)
{
	(void)state;
	struct far d[2];
	add_device(&d[0]);
	far_say(&browser,
		"GET /1 HTTP/1.1\r\nHost: tv.home.test\r\nAccept: text/event-stream\r\n\r\n");
	UNTIL(far_has(&d[0], "GET /1"));
	far_say(&d[0], OK "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
			  "2\r\n:\n\r\n");
	UNTIL(far_has(&browser, ":\n"));
	struct far first = browser;
	open_browser();
	add_device(&d[1]);
	far_say(&browser,
		"GET /2 HTTP/1.1\r\nHost: tv.home.test\r\nAccept: text/event-stream\r\n\r\n");
	UNTIL(pool_waiting(pool) == 1);
	rig_turns(10);
	assert_false(far_has(&d[1], "GET /2"));
	far_done(&first);
	far_done(&d[0]);
	UNTIL(far_has(&d[1], "GET /2"));
	far_done(&d[1]);
}

static void a_browser_that_stops_inside_its_body_is_cut(void **state)
{
	(void)state;
	struct far d;
	idle_ms = 60;
	add_device(&d);
	far_say(&browser, POST "Content-Length: 9\r\n\r\nabc");
	UNTIL((far_read(&browser), browser.eof));
	assert_false(far_has(&browser, "HTTP/1.1"));
	far_done(&d);
}

/* Five pieces, each well within the limit, all together beyond it; has the answer come? */
static bool a_slow_body_passes(void)
{
	struct far d;
	add_device(&d);
	far_say(&browser, POST "Content-Length: 5\r\n\r\n");
	uint64_t begun = clock_mono_ms();
	for (int i = 0; i < 5; i++) {
		uint64_t piece = clock_mono_ms();
		while (clock_mono_ms() - piece < 50)
			rig_turn();
		send(browser.fd, "x", 1, MSG_NOSIGNAL);
	}
	assert_true(clock_mono_ms() - begun > idle_ms);
	UNTIL(far_has(&d, "xxxxx") || far_is_closed(&d));
	send(d.fd, OK "Content-Length: 2\r\n\r\nok", sizeof(OK "Content-Length: 2\r\n\r\nok") - 1,
		MSG_NOSIGNAL);
	UNTIL(far_has(&browser, "\r\n\r\n") || far_is_closed(&browser));
	bool passed = far_has(&browser, "HTTP/1.1 200");
	if (passed)
		UNTIL(far_has(&browser, "ok"));
	far_done(&d);
	return passed;
}

/* A loop that had to wait for long itself proves nothing. */
static void a_slow_body_that_moves_is_not_cut(void **state)
{
	(void)state;
	idle_ms = 150;
	rig_turn();
	rig_gap_ms = 0;
	for (unsigned tries = 1; !a_slow_body_passes(); tries++) {
		assert_true(rig_gap_ms >= 50 && tries < 20);
		rig_gap_ms = 0;
		far_done(&browser);
		open_browser();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROXY_TEST(requests_go_there_and_answers_come_back),
		PROXY_TEST(long_bodies_are_held_back_both_ways),
		PROXY_TEST(a_request_is_tried_again_once_where_that_is_safe),
		PROXY_TEST(a_post_is_tried_again_only_if_nothing_was_sent),
		PROXY_TEST(a_body_waits_for_the_second_try),
		PROXY_TEST(an_upgrade_becomes_a_tunnel),
		PROXY_TEST(a_tunnel_may_be_silent),
		PROXY_TEST(a_refused_upgrade_passes_through),
		PROXY_TEST(a_switch_that_nobody_asked_for_is_502),
		PROXY_TEST(interim_answers_pass_without_what_is_not_theirs),
		PROXY_TEST(an_answer_may_come_before_its_request_has_ended),
		PROXY_TEST(a_device_that_dies_inside_its_answer_cuts_the_browser),
		PROXY_TEST(a_browser_that_leaves_ends_the_call),
		PROXY_TEST(a_revoked_session_cuts_its_tunnel),
		PROXY_TEST(event_streams_are_long_lived),
		PROXY_TEST(a_browser_that_stops_inside_its_body_is_cut),
		PROXY_TEST(a_slow_body_that_moves_is_not_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
