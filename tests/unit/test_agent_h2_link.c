/* The agent's HTTP/2 link as a whole: streams beside each other, flow control, its life and end.
 * What becomes of one stream: test_agent_h2. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "device-agent/h2_conn.h"
#include "device-agent/local.h"
#include "tests/unit/agent_h2_lab.h"
#include "tests/unit/agent_plain.h"

#define MIB (1 << 20)
#define POST ":method: POST\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define PARTS 20

static void streams_run_beside_each_other(void **state)
{
	struct lab l;
	struct seen *s[8];
	int fd[8];
	(void)state;
	lab_start(&l, 16);
	for (int i = 0; i < 8; i++)
		s[i] = lab_ask(&l, "", -1);
	for (int i = 0; i < 8; i++)
		fd[i] = lab_accept(&l);
	assert_int_equal(h2_streams(l.h2), 8);
	for (int i = 7; i >= 0; i--) {
		lab_read(&l, fd[i]);
		lab_say(&l, fd[i], OK);
		close(fd[i]);
	}
	for (int i = 0; i < 8; i++)
		assert_true(s[i]->ended && s[i]->code == 0);
	assert_int_equal(h2_streams(l.h2), 0);
	assert_int_equal(h2_served(l.h2), 8);
	lab_end(&l);
}

static void there_are_never_more_streams_than_allowed(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 3);
	assert_int_equal(l.streams_most, 3);
	for (int i = 0; i < 3; i++)
		lab_ask(&l, "", -1);
	struct seen *s = lab_ask(&l, "", -1); /* nghttp2 keeps it back */
	assert_int_equal(h2_streams(l.h2), 3);
	assert_false(s->closed);
	int fd = lab_serve(&l, OK);
	lab_turn(&l, 4);
	assert_int_equal(h2_served(l.h2), 4);
	close(fd);
	lab_end(&l);
}

static void an_upload_that_the_service_does_not_read_stops_alone(void **state)
{
	struct lab l;
	bool ended;
	(void)state;
	lab_start(&l, 16);
	struct seen *stuck[4];
	int fd[4];
	for (int i = 0; i < 4; i++) {
		stuck[i] = lab_ask(&l, POST "content-length: 16777216", 16 * MIB);
		fd[i] = lab_accept(&l);
	}
	lab_turn(&l, 400);
	for (int i = 0; i < 4; i++) /* the sockets' buffers and a window, then it waits */
		assert_true(stuck[i]->send_left > 4 * MIB);
	struct seen *s = lab_ask(&l, POST "content-length: 4194304", 4 * MIB);
	int other = lab_accept(&l);
	assert_true(lab_count(&l, other, &ended) >= 4 * MIB);
	lab_say(&l, other, OK);
	assert_true(s->ended && s->code == 0);
	size_t n = lab_count(&l, fd[0], &ended);
	assert_true(n >= 16 * MIB && stuck[0]->send_left == 0);
	close(other);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	lab_end(&l);
}

/* Whose socket takes less at a time than the window has. */
static void an_upload_to_a_slow_service_arrives_whole(void **state)
{
	struct lab l;
	int mss = 536, room = 4096;
	bool ended;
	(void)state;
	lab_start(&l, 16);
	setsockopt(l.listener, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss));
	setsockopt(l.listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	struct seen *s = lab_ask(&l, POST "content-length: 1048576", MIB);
	int fd = lab_accept(&l);
	lab_turn(&l, 50);
	assert_true(s->send_left > 0); /* it stalls first */
	assert_true(lab_count(&l, fd, &ended) > MIB);
	assert_true(!s->closed && !ended);
	lab_say(&l, fd, OK);
	assert_true(s->ended && s->code == 0);
	close(fd);
	lab_end(&l);
}

/* After that it could wait for the service and the gateway only, and both wait for it. */
static void what_was_read_ahead_is_not_left_lying(void **state)
{
	struct lab l;
	bool ended;
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_open(&l, POST "content-length: 60000", 0);
	int fd = lab_accept(&l);
	lab_read(&l, fd);
	lab_send_more(&l, s, 60000, true);
	assert_int_equal(s->send_left, 0);
	assert_int_equal(lab_count(&l, fd, &ended), 60000);
	plain_now_ms += H2_QUIET_MS - 1; /* and the clock is the link's again */
	lab_turn(&l, 4);
	assert_int_equal(l.pings, 0);
	plain_now_ms += 2;
	lab_turn(&l, 4);
	assert_int_equal(l.pings, 1);
	close(fd);
	lab_end(&l);
}

static int window(struct lab *l, const struct seen *s)
{
	return nghttp2_session_get_stream_remote_window_size(l->client, s->id);
}

static void few_uploads_that_go_on_get_a_wide_window(void **state)
{
	struct lab l;
	struct seen *s[H2_WIDE_MOST + 2];
	int fd[H2_WIDE_MOST + 2];
	bool ended;
	(void)state;
	lab_start(&l, 16);
	for (unsigned i = 0; i < H2_WIDE_MOST + 2; i++) {
		s[i] = lab_open(&l, POST "content-length: 16777216", 100000);
		fd[i] = lab_accept(&l);
		lab_count(&l, fd[i], &ended);
		assert_in_range(window(&l, s[i]), 1, H2_WINDOW);
	}
	for (unsigned i = 0; i < H2_WIDE_MOST + 1; i++) {
		lab_send_more(&l, s[i], MIB, false);
		lab_count(&l, fd[i], &ended);
		bool wide = window(&l, s[i]) > H2_WINDOW;
		assert_true(wide == (i < H2_WIDE_MOST));
		assert_in_range(window(&l, s[i]), 1, H2_WIDE);
	}
	lab_say(&l, fd[0], OK); /* its place is free for the next */
	lab_send_more(&l, s[H2_WIDE_MOST + 1], MIB, false);
	lab_count(&l, fd[H2_WIDE_MOST + 1], &ended);
	assert_in_range(window(&l, s[H2_WIDE_MOST + 1]), H2_WINDOW + 1, H2_WIDE);
	for (unsigned i = 0; i < H2_WIDE_MOST + 2; i++)
		close(fd[i]);
	lab_end(&l);
}

/* Say `n` bytes, as far as they are taken. */
static size_t pour(struct lab *l, int fd, size_t n)
{
	static char block[65536];
	size_t put = 0;
	for (int calm = 0; put < n && calm < 30;) {
		size_t most = n - put < sizeof(block) ? n - put : sizeof(block);
		ssize_t k = send(fd, block, most, MSG_NOSIGNAL | MSG_DONTWAIT);
		calm = k > 0 ? 0 : calm + 1;
		put += k > 0 ? (size_t)k : 0;
		lab_turn(l, 1);
	}
	return put;
}

static void an_answer_that_the_gateway_does_not_take_stops_alone(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	struct seen *stuck = lab_ask(&l, "", -1);
	stuck->stalled = true;
	int fd = lab_serve(&l, "HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n");
	assert_true(pour(&l, fd, 16 * MIB) < 12 * MIB);
	assert_int_equal(stuck->body_len, 65535);
	struct seen *s = lab_ask(&l, "", -1);
	int other = lab_serve(&l, "HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n");
	assert_int_equal(pour(&l, other, 4 * MIB), 4 * MIB);
	lab_turn(&l, 100);
	assert_int_equal(s->body_len, 4 * MIB);
	assert_true(s->ended);
	close(fd);
	close(other);
	lab_end(&l);
}

static void two_downloads_share_the_link(void **state)
{
	struct lab l;
	struct seen *s[2];
	int fd[2];
	size_t put[2] = {0, 0};
	(void)state;
	lab_start(&l, 16);
	for (int i = 0; i < 2; i++) {
		s[i] = lab_ask(&l, "", -1);
		fd[i] = lab_serve(&l, "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
	}
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 2; i++)
			put[i] += pour(&l, fd[i], 65536);
		size_t a = s[0]->body_len, b = s[1]->body_len;
		assert_true((a > b ? a - b : b - a) <= 512 * 1024);
	}
	assert_true(put[0] > MIB && put[1] > MIB);
	close(fd[0]);
	close(fd[1]);
	lab_end(&l);
}

static void a_websocket_idle_for_hours_stays(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_ask(&l, "", -1);
	int fd = lab_serve(&l, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
	for (int minute = 0; minute < 120; minute++) {
		plain_now_ms += 60000;
		lab_turn(&l, 4); /* PINGs are answered */
	}
	assert_true(l.pings >= 100);
	assert_false(s->closed);
	lab_say(&l, fd, "data: x\n\n");
	assert_int_equal(s->body_len, 9);
	close(fd);
	lab_end(&l);
}

static void a_gateway_that_answers_no_ping_is_gone(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	plain_now_ms += H2_QUIET_MS - 1;
	lab_turn(&l, 4);
	assert_int_equal(l.pings, 0);
	l.mute = true;
	plain_now_ms += 2;
	lab_turn(&l, 4);
	plain_now_ms += H2_ANSWER_MS - 1;
	lab_turn(&l, 4);
	assert_int_equal(l.closed, 0);
	plain_now_ms += 2;
	lab_turn(&l, 4);
	assert_int_equal(l.closed, 1);
	assert_int_equal(l.why, -ETIMEDOUT);
	lab_end(&l);
}

static void a_goaway_lets_streams_end_then_closes(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_ask(&l, "", -1);
	int fd = lab_accept(&l);
	lab_read(&l, fd);
	nghttp2_submit_goaway(l.client, 0, 0, NGHTTP2_NO_ERROR, NULL, 0);
	lab_turn(&l, 6);
	assert_int_equal(l.leaving, 1);
	assert_int_equal(l.closed, 0);
	lab_say(&l, fd, OK);
	assert_true(s->ended);
	assert_int_equal(l.closed, 0); /* until the gateway has closed, too */
	char c;
	assert_int_equal(recv(l.gate, &c, 1, 0), 0);
	shutdown(l.gate, SHUT_WR);
	lab_turn(&l, 4);
	assert_int_equal(l.closed, 1);
	assert_int_equal(l.why, 0);
	close(fd);
	lab_end(&l);
}

/* As when the library takes fright at what came: nothing else would tell that no stream comes. */
static void a_goaway_of_the_library_brings_a_new_link(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	nghttp2_submit_goaway(l.h2->session, 0, 0, NGHTTP2_NO_ERROR, NULL, 0);
	h2_kick(l.h2);
	lab_turn(&l, 4);
	assert_true(l.goaway);
	assert_int_equal(l.leaving, 1);
	shutdown(l.gate, SHUT_RDWR);
	lab_turn(&l, 4);
	lab_end(&l);
}

static void leaving_says_goaway_and_serves_what_came(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_ask(&l, "", -1);
	int fd = lab_accept(&l);
	lab_read(&l, fd);
	h2_leave(l.h2);
	lab_turn(&l, 4);
	assert_true(l.goaway);
	assert_int_equal(l.closed, 0);
	lab_say(&l, fd, OK);
	assert_true(s->ended && lab_has(s, ":status: 200"));
	plain_now_ms += H2_LINGER_MS + 1;
	lab_turn(&l, 4);
	assert_int_equal(l.closed, 1);
	close(fd);
	lab_end(&l);
}

static void leaving_without_streams_closes_at_once(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	h2_leave(l.h2);
	lab_turn(&l, 4);
	shutdown(l.gate, SHUT_RDWR);
	lab_turn(&l, 4);
	assert_int_equal(l.closed, 1);
	lab_end(&l);
}

static void a_link_that_breaks_frees_its_streams(void **state)
{
	struct lab l;
	bool ended;
	(void)state;
	lab_start(&l, 16);
	lab_ask(&l, "", -1);
	int fd = lab_accept(&l);
	lab_read(&l, fd);
	shutdown(l.gate, SHUT_RDWR);
	lab_turn(&l, 4);
	assert_int_equal(l.closed, 1);
	assert_int_equal(l.why, -ECONNRESET);
	lab_count(&l, fd, &ended);
	assert_true(ended);
	close(fd);
	lab_end(&l);
}

static void what_is_not_http_2_ends_the_link(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	l.mute = true;
	assert_int_equal(
		send(l.gate, "\0\0\4\x08\0\0\0\0\0\0\0\0\0", 13, 0), 13); /* no increment */
	lab_turn(&l, 4);
	shutdown(l.gate, SHUT_WR);
	lab_turn(&l, 4);
	assert_int_equal(l.closed, 1);
	lab_end(&l);
}

static void fields_beyond_the_limit_are_refused(void **state)
{
	static char many[PARTS * 4100];
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	for (int i = 0; i < PARTS; i++) {
		char *at = many + strlen(many);
		memcpy(at, i ? "\na: " : "a: ", i ? 4 : 3);
		memset(at + strlen(at), 'x', 4000);
	}
	struct seen *s = lab_ask(&l, many, -1);
	lab_turn(&l, 10);
	assert_true(lab_has(s, ":status: 431") || s->closed);
	assert_false(lab_has(s, ":status: 200"));
	assert_true(lab_nobody_connects(&l));
	lab_end(&l);
}

static void a_service_that_does_not_accept_becomes_a_502(void **state)
{
	struct lab l;
	int more[80];
	(void)state;
	lab_start(&l, 16);
	listen(l.listener, 0);
	for (int i = 0; i < 80; i++) { /* fill the queue: further SYNs are dropped */
		more[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(more[i], (struct sockaddr *)&l.conf.service_addr, 16);
	}
	struct seen *s = lab_ask(&l, "", -1);
	plain_now_ms += LOCAL_CONNECT_MS - 1;
	lab_turn(&l, 4);
	assert_string_equal(s->head, "");
	plain_now_ms += 2;
	lab_turn(&l, 4);
	assert_true(lab_has(s, ":status: 502") && s->ended);
	for (int i = 0; i < 80; i++)
		close(more[i]);
	lab_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_run_beside_each_other),
		cmocka_unit_test(there_are_never_more_streams_than_allowed),
		cmocka_unit_test(an_upload_that_the_service_does_not_read_stops_alone),
		cmocka_unit_test(an_upload_to_a_slow_service_arrives_whole),
		cmocka_unit_test(what_was_read_ahead_is_not_left_lying),
		cmocka_unit_test(few_uploads_that_go_on_get_a_wide_window),
		cmocka_unit_test(an_answer_that_the_gateway_does_not_take_stops_alone),
		cmocka_unit_test(two_downloads_share_the_link),
		cmocka_unit_test(a_websocket_idle_for_hours_stays),
		cmocka_unit_test(a_gateway_that_answers_no_ping_is_gone),
		cmocka_unit_test(a_goaway_lets_streams_end_then_closes),
		cmocka_unit_test(a_goaway_of_the_library_brings_a_new_link),
		cmocka_unit_test(leaving_says_goaway_and_serves_what_came),
		cmocka_unit_test(leaving_without_streams_closes_at_once),
		cmocka_unit_test(a_link_that_breaks_frees_its_streams),
		cmocka_unit_test(what_is_not_http_2_ends_the_link),
		cmocka_unit_test(fields_beyond_the_limit_are_refused),
		cmocka_unit_test(a_service_that_does_not_accept_becomes_a_502),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
