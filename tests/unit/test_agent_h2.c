/* What a stream of the agent's HTTP/2 link becomes at the local service, and its answer. The link
 * as a whole: test_agent_h2_link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "device-agent/local.h"
#include "http/ws.h"
#include "net/crypto.h"
#include "tests/unit/agent_h2_lab.h"
#include "tests/unit/agent_plain.h"

#define POST ":method: POST\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define WEBSOCKET ":method: CONNECT\n:protocol: websocket\nsec-websocket-version: 13"

static void a_request_is_one_of_http_1_1_and_its_answer_comes_back(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	struct seen *s =
		lab_ask(&l, ":path: /a?b=c\nx-one: 1\nte: trailers\ncookie: a=1\ncookie: b=2", -1);
	int fd = lab_accept(&l);
	assert_string_equal(lab_read(&l, fd),
		"GET /a?b=c HTTP/1.1\r\nHost: tv.home.example.com\r\nX-One: 1\r\n"
		"Cookie: a=1; b=2\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
	lab_say(&l, fd,
		"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX-Two: 2\r\nConnection: x-gone\r\n"
		"X-Gone: 1\r\nKeep-Alive: timeout=5\r\n\r\nhello");
	assert_string_equal(s->head, ":status: 200\nx-two: 2\ncontent-length: 5\n");
	assert_string_equal(buf_str(&s->body), "hello");
	assert_true(s->ended && s->closed && s->code == 0);
	assert_int_equal(l.used, 1);
	close(fd);
	lab_end(&l);
}

static void a_body_is_passed_on_with_its_length_or_in_chunks(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	lab_ask(&l, POST "content-length: 5", 5);
	int fd = lab_accept(&l);
	assert_string_equal(lab_read(&l, fd),
		"POST / HTTP/1.1\r\nHost: tv.home.example.com\r\nContent-Length: 5\r\n\r\nuuuuu");
	struct seen *s = lab_open(&l, POST, 3);
	int other = lab_accept(&l);
	assert_string_equal(lab_read(&l, other), "POST / HTTP/1.1\r\nHost: tv.home.example.com\r\n"
						 "Transfer-Encoding: chunked\r\n\r\n3\r\nuuu\r\n");
	s->trailer = "is dropped";
	lab_send_more(&l, s, 17, true);
	assert_string_equal(lab_read(&l, other), "11\r\nuuuuuuuuuuuuuuuuu\r\n0\r\n\r\n");
	close(fd);
	close(other);
	lab_end(&l);
}

static void chunks_are_taken_off_and_trailers_pass(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_ask(&l, "te: trailers", -1);
	int fd = lab_serve(&l, CHUNKED "5;x=y\r\nhel");
	assert_string_equal(buf_str(&s->body), "hel");
	lab_say(&l, fd, "lo\r\n1\r\n!\r\n0\r\nGrpc-Status: 0\r\n");
	assert_false(s->ended);
	lab_say(&l, fd, "\r\n");
	assert_string_equal(buf_str(&s->body), "hello!");
	assert_string_equal(s->head, ":status: 200\ngrpc-status: 0\n");
	assert_true(s->ended && s->closed && s->code == 0);
	close(fd);
	lab_end(&l);
}

static void a_head_comes_in_whatever_pieces(void **state)
{
	static const char text[] = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
				   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_ask(&l, "", -1);
	int fd = lab_accept(&l);
	lab_read(&l, fd);
	for (const char *p = text; *p; p++)
		lab_say(&l, fd, (char[]){*p, 0});
	assert_string_equal(s->head, ":status: 103\nlink: </a>\n:status: 200\ncontent-length: 2\n");
	assert_string_equal(buf_str(&s->body), "ok");
	assert_true(s->ended && s->code == 0);
	close(fd);
	lab_end(&l);
}

/* What the service says, what the head must then be, and whether it is whole. */
static const struct {
	const char *request, *answer, *head, *body;
	bool ended; /* else reset */
} answers[] = {
	{":method: HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
         ":status: 200\ncontent-length: 7\n",												"",      true },
	{"",	      "HTTP/1.1 204 No Content\r\n\r\n",                                            ":status: 204\n",                    "",      true },
	{"",	      "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: a\r\n\r\n",
         ":status: 304\netag: a\ncontent-length: 9\n",										       "",      true },
	{"",	      "HTTP/1.0 200 OK\r\n\r\nold",						 ":status: 200\n",                    "old",   true },
	{"",	      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",                               ":status: 200\ncontent-length: 0\n",
         "",																	  true },
	{"",	      CHUNKED "5\r\nhel",							   ":status: 200\n",                    "hel",   false},
	{"",	      CHUNKED "5\r\nhello\r\n",						     ":status: 200\n",                    "hello", false},
	{"",	      CHUNKED "5\nhello\r\n0\r\n\r\n",					      "",                                  "",      false},
	{"",	      CHUNKED "x\r\n",							      "",				  "",      false},
	{"",	      "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
         ":status: 200\ncontent-length: 9\n",												"hello", false},
	{"",	      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",        "",                                  "",      false},
	{"",	      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "",                                  "",
         false																	     },
	{"",	      "HTTP/1.1 200 OK\nX: y\n\n",						  "",                                  "",      false},
	{"",	      "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",                                         "",                                  "",      false},
	{"",	      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",                   "",                                  "",      false},
	{"",	      "SSH-2.0-OpenSSH\r\n",							"",                                  "",      false},
	{"",	      "",									   "",				  "",      false},
};

static void an_answer_is_whole_or_the_stream_is_reset(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct lab l;
		lab_start(&l, 16);
		struct seen *s = lab_ask(&l, answers[i].request, -1);
		int fd = lab_serve(&l, answers[i].answer);
		shutdown(fd, SHUT_WR);
		lab_turn(&l, 6);
		print_message("# row %zu\n", i);
		assert_true(s->closed);
		assert_int_equal(s->ended, answers[i].ended);
		assert_int_equal(s->code, answers[i].ended ? 0 : NGHTTP2_INTERNAL_ERROR);
		if (answers[i].ended) {
			assert_string_equal(s->head, answers[i].head);
			assert_string_equal(buf_str(&s->body), answers[i].body);
		}
		assert_non_null(l.h2);
		close(fd);
		lab_end(&l);
	}
}

static void a_head_without_end_is_refused(void **state)
{
	static char line[2100];
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_ask(&l, "", -1);
	int fd = lab_serve(&l, "HTTP/1.1 200 OK\r\n");
	memset(line, 'x', sizeof(line) - 1);
	memcpy(line, "a: ", 3);
	memcpy(line + sizeof(line) - 3, "\r\n", 2);
	for (int i = 0; i < 40 && !s->closed; i++)
		lab_say(&l, fd, line);
	assert_true(s->closed && s->code == NGHTTP2_INTERNAL_ERROR);
	close(fd);
	lab_end(&l);
}

static void an_early_answer_ends_the_upload(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_open(&l, POST "content-length: 100", 10);
	int fd = lab_serve(&l, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
	assert_true(lab_has(s, ":status: 413"));
	assert_true(s->ended && s->closed && s->code == NGHTTP2_NO_ERROR);
	close(fd);
	lab_end(&l);
}

static void a_stream_that_the_gateway_resets_frees_the_service(void **state)
{
	struct lab l;
	bool ended;
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_open(&l, POST, 10);
	int fd = lab_accept(&l);
	lab_read(&l, fd);
	nghttp2_submit_rst_stream(l.client, 0, s->id, NGHTTP2_CANCEL);
	lab_turn(&l, 4);
	lab_count(&l, fd, &ended);
	assert_true(ended);
	assert_int_equal(h2_streams(l.h2), 0);
	close(fd);
	lab_end(&l);
}

/* They are those of all browsers, more than the library takes without being told to. */
static void a_link_outlives_all_that_browsers_cancel(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	for (int i = 0; i < 1500; i++) {
		nghttp2_submit_rst_stream(l.client, 0, lab_open(&l, POST, 10)->id, NGHTTP2_CANCEL);
		lab_turn(&l, 2);
		int fd = lab_accept(&l);
		close(fd);
		l.n = 0;
		memset(l.seen, 0, sizeof(l.seen));
	}
	assert_false(l.goaway);
	lab_end(&l);
}

/* ---- the local connections ---- */

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void a_local_connection_serves_one_request_after_the_other(void **state)
{
	struct lab l;
	bool ended;
	(void)state;
	lab_start(&l, 16);
	lab_ask(&l, "", -1);
	int fd = lab_serve(&l, OK);
	struct seen *s = lab_ask(&l, ":path: /two", -1);
	assert_true(lab_nobody_connects(&l));
	assert_true(str_starts(lab_read(&l, fd), "GET /two "));
	lab_say(&l, fd, OK);
	assert_true(s->ended);
	plain_now_ms += LOCAL_IDLE_MS + 1;
	lab_count(&l, fd, &ended);
	assert_true(ended);
	close(fd);
	lab_end(&l);
}

static void what_cannot_be_sent_twice_gets_a_connection_of_its_own(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	lab_ask(&l, "", -1);
	int fd = lab_serve(&l, OK);
	lab_ask(&l, POST, 5);
	int other = lab_accept(&l);
	assert_true(str_starts(lab_read(&l, other), "POST "));
	lab_ask(&l, ":method: PUT", 5);
	int third = lab_accept(&l);
	assert_true(str_starts(lab_read(&l, third), "PUT "));
	close(fd);
	close(other);
	close(third);
	lab_end(&l);
}

static void a_connection_that_died_meanwhile_costs_no_request(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	lab_ask(&l, "", -1);
	int fd = lab_serve(&l, OK);
	struct seen *s = lab_ask(&l, "", -1);
	lab_read(&l, fd);
	close(fd); /* after it was asked, and without a byte of an answer */
	fd = lab_serve(&l, OK);
	assert_true(s->ended && lab_has(s, ":status: 200"));
	s = lab_ask(&l, "", -1);
	lab_read(&l, fd);
	lab_say(&l, fd, "HTTP/1.1 2");
	close(fd);
	assert_true(lab_nobody_connects(&l)); /* something of an answer came */
	assert_true(s->closed && s->code == NGHTTP2_INTERNAL_ERROR);
	lab_end(&l);
}

static void a_connection_in_an_unknown_state_is_not_used_again(void **state)
{
	static const char *const answers_then[] = {
		OK "x",
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(answers_then) / sizeof(*answers_then); i++) {
		struct lab l;
		lab_start(&l, 16);
		struct seen *s = lab_ask(&l, "", -1);
		int fd = lab_serve(&l, answers_then[i]);
		assert_true(s->ended);
		lab_ask(&l, "", -1);
		int other = lab_accept(&l);
		close(fd);
		close(other);
		lab_end(&l);
	}
}

static void a_service_that_is_down_becomes_a_502(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	lab_service_down(&l);
	struct seen *s = lab_ask(&l, "", -1);
	lab_turn(&l, 4);
	assert_string_equal(s->head, ":status: 502\ncontent-type: text/plain\n"
				     "cache-control: no-store\ncontent-length: 48\n");
	assert_string_equal(buf_str(&s->body), LOCAL_REGRET);
	assert_true(s->ended && s->closed && s->code == 0);
	s = lab_ask(&l, ":method: HEAD", -1);
	lab_turn(&l, 4);
	assert_true(lab_has(s, ":status: 502") && s->ended && s->body_len == 0);
	s = lab_ask(&l, POST, 100000);
	lab_turn(&l, 20);
	assert_true(lab_has(s, ":status: 502") && s->ended && s->closed);
	lab_end(&l);
}

static void a_request_that_is_none_is_refused(void **state)
{
	static const struct {
		const char *lines, *status; /* or "reset" */
	} bad[] = {
		{":path: nowhere",                           "reset"       },
		{":path: /a b",                              "reset"       },
		{":path: /a#b",                              ":status: 400"},
		{":authority: a@b",                          ":status: 400"},
		{":method: CONNECT\n:protocol: connect-udp", ":status: 501"},
		{"expect: something",                        ":status: 417"},
		{"connection: close",                        "reset"       },
		{"transfer-encoding: chunked",               "reset"       },
		{"upgrade: websocket",                       "reset"       },
		{"te: gzip",				 "reset"       },
		{"x-one: a\x01",                             ":status: 400"},
		{":path: /\nx: 1\n:scheme: https",           "reset"       },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct lab l;
		lab_start(&l, 16);
		struct seen *s =
			lab_ask(&l, bad[i].lines, strstr(bad[i].lines, "CONNECT") ? 0 : -1);
		lab_turn(&l, 4);
		print_message("# row %zu\n", i);
		if (str_starts(bad[i].status, ":"))
			assert_true(lab_has(s, bad[i].status));
		else
			assert_int_equal(s->code, NGHTTP2_PROTOCOL_ERROR);
		assert_true(lab_nobody_connects(&l));
		lab_end(&l);
	}
}

static void an_expectation_is_for_the_service_to_answer(void **state)
{
	struct lab l;
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_open(&l, POST "content-length: 3\nexpect: 100-continue", 0);
	int fd = lab_accept(&l);
	assert_non_null(strstr(lab_read(&l, fd), "\r\nExpect: 100-continue\r\n"));
	lab_say(&l, fd, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_string_equal(s->head, ":status: 100\n");
	lab_send_more(&l, s, 3, true);
	assert_string_equal(lab_read(&l, fd), "uuu");
	lab_say(&l, fd, OK);
	assert_true(s->ended && lab_has(s, ":status: 200"));
	close(fd);
	lab_end(&l);
}

/* ---- WebSockets ---- */

static void accept_text(char *out, size_t size, const char *request)
{
	char key[WS_KEY_SIZE] = "", text[100], accept[32];
	uint8_t hash[20];
	const char *at = strstr(request, "Sec-Websocket-Key: ");
	assert_non_null(at);
	memcpy(key, at + 19, WS_KEY_SIZE - 1);
	snprintf(text, sizeof(text), "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	sha1(hash, text, strlen(text));
	base64_encode(accept, hash, sizeof(hash));
	snprintf(out, size,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: chat\r\n\r\nhi",
		accept);
}

static void a_websocket_opens_and_carries_bytes_both_ways(void **state)
{
	struct lab l;
	char answer[300];
	bool ended;
	(void)state;
	lab_start(&l, 16);
	assert_true(l.connect_protocol);
	struct seen *s = lab_open(&l, WEBSOCKET, 4); /* early bytes wait for the 101 */
	int fd = lab_accept(&l);
	const char *request = lab_read(&l, fd);
	assert_true(str_starts(request, "GET / HTTP/1.1\r\n"));
	assert_non_null(strstr(request, "\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"));
	assert_true(str_ends(request, "\r\n\r\n"));
	accept_text(answer, sizeof(answer), request);
	lab_say(&l, fd, answer);
	assert_string_equal(s->head, ":status: 200\nsec-websocket-protocol: chat\n");
	assert_string_equal(buf_str(&s->body), "hi");
	assert_string_equal(lab_read(&l, fd), "uuuu");
	lab_send_more(&l, s, 2, false);
	assert_string_equal(lab_read(&l, fd), "uu");
	lab_send_more(&l, s, 1, true);
	assert_int_equal(lab_count(&l, fd, &ended), 1);
	assert_true(ended && !s->ended);
	lab_say(&l, fd, "bye");
	close(fd);
	lab_turn(&l, 6);
	assert_string_equal(buf_str(&s->body), "hibye");
	assert_true(s->ended && s->closed && s->code == 0);
	assert_int_equal(h2_streams(l.h2), 0);
	lab_end(&l);
}

static void a_websocket_that_the_service_closes_is_over(void **state)
{
	struct lab l;
	char answer[300];
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_open(&l, WEBSOCKET, 0);
	int fd = lab_accept(&l);
	accept_text(answer, sizeof(answer), lab_read(&l, fd));
	lab_say(&l, fd, answer);
	close(fd);
	lab_turn(&l, 6);
	assert_true(s->ended && s->closed && s->code == NGHTTP2_NO_ERROR);
	lab_end(&l);
}

static void a_websocket_half_closed_for_long_is_cut(void **state)
{
	struct lab l;
	char answer[300];
	(void)state;
	lab_start(&l, 16);
	struct seen *s = lab_open(&l, WEBSOCKET, 0);
	int fd = lab_accept(&l);
	accept_text(answer, sizeof(answer), lab_read(&l, fd));
	lab_say(&l, fd, answer);
	lab_send_more(&l, s, 0, true);
	assert_false(s->closed);
	plain_now_ms += 30001;
	lab_turn(&l, 4);
	assert_true(s->closed && !s->ended);
	close(fd);
	lab_end(&l);
}

static void an_upgrade_refused_passes_as_it_is(void **state)
{
	static const struct {
		const char *answer, *status;
		bool whole;
	} rows[] = {
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",                      ":status: 403", true },
		{"HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nno",
                 ":status: 426",									       true },
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",                             ":status: 502", true },
		{"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n",                       "",             false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct lab l;
		lab_start(&l, 16);
		struct seen *s = lab_open(&l, WEBSOCKET, 4);
		int fd = lab_serve(&l, rows[i].answer);
		assert_true(s->closed);
		assert_int_equal(s->ended, rows[i].whole);
		assert_int_equal(s->code, rows[i].whole ? 0 : NGHTTP2_INTERNAL_ERROR);
		if (rows[i].whole) {
			assert_true(lab_has(s, rows[i].status));
			assert_string_equal(buf_str(&s->body), "no");
		}
		close(fd);
		lab_end(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_one_of_http_1_1_and_its_answer_comes_back),
		cmocka_unit_test(a_body_is_passed_on_with_its_length_or_in_chunks),
		cmocka_unit_test(chunks_are_taken_off_and_trailers_pass),
		cmocka_unit_test(a_head_comes_in_whatever_pieces),
		cmocka_unit_test(an_answer_is_whole_or_the_stream_is_reset),
		cmocka_unit_test(a_head_without_end_is_refused),
		cmocka_unit_test(an_early_answer_ends_the_upload),
		cmocka_unit_test(a_stream_that_the_gateway_resets_frees_the_service),
		cmocka_unit_test(a_link_outlives_all_that_browsers_cancel),
		cmocka_unit_test(a_local_connection_serves_one_request_after_the_other),
		cmocka_unit_test(what_cannot_be_sent_twice_gets_a_connection_of_its_own),
		cmocka_unit_test(a_connection_that_died_meanwhile_costs_no_request),
		cmocka_unit_test(a_connection_in_an_unknown_state_is_not_used_again),
		cmocka_unit_test(a_service_that_is_down_becomes_a_502),
		cmocka_unit_test(a_request_that_is_none_is_refused),
		cmocka_unit_test(an_expectation_is_for_the_service_to_answer),
		cmocka_unit_test(a_websocket_opens_and_carries_bytes_both_ways),
		cmocka_unit_test(a_websocket_that_the_service_closes_is_over),
		cmocka_unit_test(a_websocket_half_closed_for_long_is_cut),
		cmocka_unit_test(an_upgrade_refused_passes_as_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
