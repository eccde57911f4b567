/* A call from loop to loop: it comes back, its bodies are bounded, it fails and is given up. */
#include "cross_rig.h"

/* ---- there and back ---- */

static void a_call_crosses_and_its_answer_comes_back(void **state)
{
	struct caller c = {.to_send = 3};
	(void)state;
	ask(&c, request(BODY_CHUNKED, 0));
	assert_int_equal(way->room, CROSS_CALLS_MAX - 1);
	call_write(c.call, "abc", 3);
	struct msg *trailers = msg_new_response(200);
	msg_add(trailers, "x-two", "2");
	call_end(c.call, trailers);
	msg_free(trailers);
	UNTIL(far_has(&dev, "X-Two: 2\r\n\r\n"));
	assert_true(far_has(&dev, "POST /a?b HTTP/1.1\r\n") && far_has(&dev, "X-One: 1\r\n"));
	assert_true(far_has(&dev, "3\r\nabc\r\n0\r\n"));
	assert_string_equal(cross_origin(asked[0]), "tv");
	uint8_t answer[4] = {byte_at(0), byte_at(1), byte_at(2), 0};
	far_say(&dev, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"
		      "transfer-encoding: chunked\r\n\r\n3\r\n");
	assert_int_equal(send(dev.fd, answer, 3, MSG_NOSIGNAL), 3);
	far_say(&dev, "\r\n0\r\nx-three: 3\r\n\r\n");
	UNTIL(!c.call);
	assert_string_equal(c.log, "103;200;end3;x-three=3;");
	assert_false(c.differs);
	assert_int_equal(way->room, CROSS_CALLS_MAX);
	assert_int_equal(way->served, 1);
	assert_int_equal(n_room, 0); /* there always was some */
}

static void the_same_connection_serves_call_after_call(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct caller c = {0};
		ask(&c, request(BODY_NONE, 0));
		UNTIL(far_has(&dev, "\r\n\r\n"));
		far_forget(&dev);
		far_say(&dev, "HTTP/1.1 204 No Content\r\n\r\n");
		UNTIL(!c.call);
		assert_string_equal(c.log, "204;end0;");
	}
	assert_int_equal(origin->served, 5);
}

/* ---- bodies ---- */

static const uint8_t *body_of(struct far *f)
{
	const char *at = f->got.len ? strstr(buf_str(&f->got), "\r\n\r\n") : NULL;
	return at ? (const uint8_t *)at + 4 : NULL;
}

static size_t body_len(struct far *f)
{
	const uint8_t *at = body_of(f);
	return at ? f->got.len - (size_t)(at - (const uint8_t *)f->got.data) : 0;
}

static void check_upload(struct caller *c)
{
	UNTIL(c->most > STREAM_HIGH_WATER);
	rig_turns(100);
	size_t stuck = c->sent;
	assert_true(stuck < FLIGHT_MAX);
	rig_turns(100);
	assert_int_equal(c->sent, stuck);
	assert_true(c->most <= STREAM_HIGH_WATER + BLOCK);
	UNTIL((far_read(&dev), body_len(&dev)) == BIG);
	for (size_t i = 0; i < BIG; i++)
		if (body_of(&dev)[i] != byte_at(i))
			fail_msg("byte %zu differs", i);
	far_say(&dev, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	UNTIL(!c->call);
	assert_string_equal(c->log, "200;end0;");
}

static void a_big_upload_waits_for_who_does_not_read(void **state)
{
	struct caller c = {.to_send = BIG};
	(void)state;
	ask(&c, request(BODY_LENGTH, BIG));
	pump(&c);
	check_upload(&c);
}

static void an_upload_before_the_call_began_waits_too(void **state)
{
	struct caller c = {.to_send = BIG};
	(void)state;
	host_begins = false;
	ask(&c, request(BODY_LENGTH, BIG));
	pump(&c);
	rig_turns(10);
	assert_true(c.sent <= STREAM_HIGH_WATER + BLOCK);
	assert_true(cross_begin(asked[0], origin));
	check_upload(&c);
}

static size_t dev_sent;

/* As much as the socket takes. */
static void dev_push(void)
{
	uint8_t block[BLOCK];
	while (dev_sent < BIG) {
		size_t n = BIG - dev_sent < BLOCK ? BIG - dev_sent : BLOCK;
		for (size_t i = 0; i < n; i++)
			block[i] = byte_at(dev_sent + i);
		ssize_t took = send(dev.fd, block, n, MSG_NOSIGNAL);
		if (took < 0)
			return;
		dev_sent += (size_t)took;
	}
}

static void a_paused_download_stops_the_far_reading(void **state)
{
	struct caller c = {.pause = true};
	(void)state;
	dev_sent = 0;
	ask(&c, request(BODY_NONE, 0));
	UNTIL(far_has(&dev, "\r\n\r\n"));
	far_say(&dev, "HTTP/1.1 200 OK\r\ncontent-length: 8388608\r\n\r\n");
	for (unsigned i = 0; i < 200; i++) {
		dev_push();
		rig_turn();
	}
	assert_string_equal(c.log, "200;");
	assert_int_equal(c.got, 0);
	assert_true(dev_sent < FLIGHT_MAX);
	call_resume(c.call);
	assert_int_equal(c.got, 0); /* never from inside a call of ours */
	UNTIL((dev_push(), !c.call));
	assert_string_equal(c.log, "200;end8388608;");
	assert_false(c.differs);
}

static void an_end_waits_while_the_caller_is_paused(void **state)
{
	struct caller c = {.pause = true};
	(void)state;
	ask(&c, request(BODY_NONE, 0));
	UNTIL(far_has(&dev, "\r\n\r\n"));
	far_say(&dev, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	rig_turns(10);
	assert_string_equal(c.log, "200;");
	call_resume(c.call);
	UNTIL(!c.call);
	assert_string_equal(c.log, "200;end0;");
}

static void a_tunnel_carries_both_ways(void **state)
{
	struct caller c = {0};
	struct msg *m = request(BODY_NONE, 0);
	(void)state;
	msg_add(m, "connection", "upgrade");
	msg_add(m, "upgrade", "websocket");
	ask(&c, m);
	UNTIL(far_has(&dev, "\r\n\r\n"));
	far_say(&dev, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
		      "upgrade: websocket\r\n\r\n");
	UNTIL(c.log[0]);
	call_write(c.call, "ping", 4);
	UNTIL(far_has(&dev, "ping"));
	uint8_t pong[2] = {byte_at(0), byte_at(1)};
	assert_int_equal(send(dev.fd, pong, 2, MSG_NOSIGNAL), 2);
	UNTIL(c.got == 2);
	call_end(c.call, NULL);
	UNTIL(far_is_closed(&dev));
	far_close(&dev);
	UNTIL(!c.call);
	assert_string_equal(c.log, "101;end2;");
	assert_false(c.differs);
}

/* ---- giving up, failing ---- */

static void a_call_given_up_before_it_began_is_gone(void **state)
{
	struct caller c = {0};
	(void)state;
	host_begins = false;
	ask(&c, request(BODY_LENGTH, 4));
	call_write(c.call, "abc", 3);
	rig_turns(3);
	assert_int_equal(n_asked, 1);
	call_cancel(c.call);
	assert_int_equal(way->room, CROSS_CALLS_MAX - 1); /* until the far loop has heard */
	UNTIL(n_gone == 1 && way->room == CROSS_CALLS_MAX);
	assert_string_equal(c.log, "");
}

static void a_call_given_up_at_once_is_gone(void **state)
{
	struct caller c = {0};
	(void)state;
	host_begins = false;
	ask(&c, request(BODY_NONE, 0));
	call_cancel(c.call);
	UNTIL(n_gone == 1 && way->room == CROSS_CALLS_MAX);
	assert_int_equal(n_asked, 1);
}

static void giving_up_midway_closes_the_far_connection(void **state)
{
	struct caller c = {.cancel = true};
	(void)state;
	ask(&c, request(BODY_NONE, 0));
	UNTIL(far_has(&dev, "\r\n\r\n"));
	far_say(&dev, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
	UNTIL(far_is_closed(&dev) && way->room == CROSS_CALLS_MAX);
	assert_string_equal(c.log, "200;");
	assert_int_equal(c.got, 0);
	assert_int_equal(n_gone, 0);
}

static void giving_up_with_an_answer_kept_back_ends_all(void **state)
{
	struct caller c = {.pause = true};
	(void)state;
	ask(&c, request(BODY_NONE, 0));
	UNTIL(far_has(&dev, "\r\n\r\n"));
	far_say(&dev, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
	rig_turns(10);
	call_resume(c.call);
	call_cancel(c.call);
	UNTIL(way->room == CROSS_CALLS_MAX);
	assert_string_equal(c.log, "200;");
	assert_int_equal(c.got, 0);
	assert_non_null(origin); /* its call was whole */
}

static void what_fails_far_is_told_with_its_cause(void **state)
{
	struct caller c = {0};
	(void)state;
	ask(&c, request(BODY_NONE, 0));
	UNTIL(far_has(&dev, "\r\n\r\n"));
	far_say(&dev, "HTTP/1.1 two hundred\r\n\r\n");
	UNTIL(!c.call);
	assert_string_equal(c.log, "fail EPROTO: the answer's head is not HTTP/1.1;");
	assert_int_equal(way->room, CROSS_CALLS_MAX);
}

static void a_dead_connection_leaves_the_call_unsent(void **state)
{
	struct caller c = {0};
	(void)state;
	origin_dies = true;
	ask(&c, request(BODY_NONE, 0));
	UNTIL(!c.call);
	assert_non_null(strstr(c.log, "fail ECONNRESET unsent: "));
}

static void a_refusal_carries_code_and_words(void **state)
{
	struct caller c = {0};
	struct err why;
	(void)state;
	host_begins = false;
	ask(&c, request(BODY_LENGTH, 4));
	call_write(c.call, "abc", 3);
	rig_turns(3);
	err_set(&why, -EBUSY, "too many wait");
	cross_refuse(asked[0], &why);
	call_write(c.call, "d", 1); /* crosses the refusal on its way */
	UNTIL(!c.call);
	assert_string_equal(c.log, "fail EBUSY unsent: too many wait;");
	UNTIL(way->room == CROSS_CALLS_MAX);
	assert_int_equal(n_gone, 0);
}

static void a_connection_that_takes_none_leaves_the_choice(void **state)
{
	struct caller c = {0};
	(void)state;
	host_begins = false;
	ask(&c, request(BODY_NONE, 0));
	rig_turns(3);
	far_close(&dev);
	struct client *dead = origin;
	client_drain(origin);
	assert_false(cross_begin(asked[0], dead));
	UNTIL(!origin);
	far_done(&dev);
	origin = h1_client_new(stream_from_fd(rig_other, far_open(&dev), NULL, NULL),
		&(struct client_opts){.on_closed = on_origin_closed});
	assert_true(cross_begin(asked[0], origin));
	UNTIL(far_has(&dev, "\r\n\r\n"));
	far_say(&dev, "HTTP/1.1 204 No Content\r\n\r\n");
	UNTIL(!c.call);
	assert_string_equal(c.log, "204;end0;");
}

static void a_call_that_expires_says_whether_it_had_begun(void **state)
{
	struct caller c[2] = {{0}, {0}};
	(void)state;
	host_begins = false;
	ask(&c[0], request(BODY_NONE, 0));
	ask(&c[1], request(BODY_NONE, 0));
	rig_turns(3);
	assert_true(cross_begin(asked[0], origin));
	UNTIL(far_has(&dev, "\r\n\r\n"));
	assert_true(call_expire(c[0].call));
	assert_true(call_expire(c[1].call));
	UNTIL(!c[0].call && !c[1].call);
	assert_string_equal(c[0].log, "fail ETIME: the origin says nothing;");
	assert_string_equal(c[1].log, "fail ETIMEDOUT unsent: none came;");
	assert_true(far_is_closed(&dev));
	assert_int_equal(n_gone, 0);
}

static void an_answer_that_crosses_the_word_of_expiry_counts(void **state)
{
	struct caller c = {0};
	(void)state;
	ask(&c, request(BODY_NONE, 0));
	UNTIL(far_has(&dev, "\r\n\r\n"));
	far_say(&dev, "HTTP/1.1 103 Early Hints\r\n\r\n");
	for (int i = 0; i < 5; i++)
		uv_run(loop_uv(rig_other), UV_RUN_NOWAIT);
	assert_true(call_expire(c.call));
	UNTIL(c.log[0]);
	rig_turns(5);
	assert_false(call_expire(c.call));
	far_say(&dev, "HTTP/1.1 204 No Content\r\n\r\n");
	UNTIL(!c.call);
	assert_string_equal(c.log, "103;204;end0;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CROSS_TEST(a_call_crosses_and_its_answer_comes_back),
		CROSS_TEST(the_same_connection_serves_call_after_call),
		CROSS_TEST(a_big_upload_waits_for_who_does_not_read),
		CROSS_TEST(an_upload_before_the_call_began_waits_too),
		CROSS_TEST(a_paused_download_stops_the_far_reading),
		CROSS_TEST(an_end_waits_while_the_caller_is_paused),
		CROSS_TEST(a_tunnel_carries_both_ways),
		CROSS_TEST(a_call_given_up_before_it_began_is_gone),
		CROSS_TEST(a_call_given_up_at_once_is_gone),
		CROSS_TEST(giving_up_midway_closes_the_far_connection),
		CROSS_TEST(giving_up_with_an_answer_kept_back_ends_all),
		CROSS_TEST(what_fails_far_is_told_with_its_cause),
		CROSS_TEST(a_dead_connection_leaves_the_call_unsent),
		CROSS_TEST(a_refusal_carries_code_and_words),
		CROSS_TEST(a_connection_that_takes_none_leaves_the_choice),
		CROSS_TEST(a_call_that_expires_says_whether_it_had_begun),
		CROSS_TEST(an_answer_that_crosses_the_word_of_expiry_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
