/* What leads to another loop: how it ends, how much it takes, and the end of everything. */
#include "cross_rig.h"

/* ---- the way ---- */

static void a_drained_way_closes_after_its_last_call(void **state)
{
	struct caller c = {0};
	(void)state;
	ask(&c, request(BODY_NONE, 0));
	client_drain(way);
	client_drain(way);
	struct msg *m = request(BODY_NONE, 0);
	assert_null(client_start(way, m, &call_cb, &c));
	msg_free(m);
	UNTIL(far_has(&dev, "\r\n\r\n"));
	assert_false(way_closed);
	far_say(&dev, "HTTP/1.1 204 No Content\r\n\r\n");
	UNTIL(way_closed);
	assert_string_equal(c.log, "204;end0;");
	assert_int_equal(n_room, 0);
}

static void an_idle_way_closes_when_drained(void **state)
{
	(void)state;
	client_drain(way);
	assert_false(way_closed);
	UNTIL(way_closed);
}

static void closing_the_way_fails_its_calls(void **state)
{
	struct caller c[3] = {{0}, {.pause = true}, {0}};
	(void)state;
	host_begins = false;
	for (unsigned i = 0; i < 3; i++)
		ask(&c[i], request(BODY_NONE, 0));
	rig_turns(2);
	assert_true(cross_begin(asked[1], origin));
	client_close(way);
	assert_string_equal(c[0].log, "");
	UNTIL(way_closed && far_is_closed(&dev) && n_gone == 2);
	for (unsigned i = 0; i < 3; i++)
		assert_non_null(strstr(c[i].log, "fail ECANCELED: the way "));
}

static void closing_the_way_from_a_callback_is_fine(void **state)
{
	struct caller c = {.then_close = way};
	(void)state;
	ask(&c, request(BODY_NONE, 0));
	UNTIL(far_has(&dev, "\r\n\r\n"));
	far_say(&dev, "HTTP/1.1 204 No Content\r\n\r\n");
	UNTIL(way_closed);
	assert_string_equal(c.log, "204;end0;");
}

static void a_full_way_tells_when_there_is_room(void **state)
{
	static struct caller c[CROSS_CALLS_MAX];
	struct err why;
	(void)state;
	memset(c, 0, sizeof(c));
	host_begins = false;
	for (unsigned i = 0; i < CROSS_CALLS_MAX; i++)
		ask(&c[i], request(BODY_NONE, 0));
	assert_int_equal(way->room, 0);
	struct msg *m = request(BODY_NONE, 0);
	assert_null(client_start(way, m, &call_cb, &c));
	msg_free(m);
	UNTIL(n_asked == CROSS_CALLS_MAX);
	err_set(&why, -EBUSY, "no");
	cross_refuse(asked[7], &why);
	cross_refuse(asked[9], &why);
	UNTIL(way->room == 2);
	assert_int_equal(n_room, 1);
	assert_null(c[7].call);
	assert_null(c[9].call);
	assert_non_null(c[8].call);
}

static void on_back_closed(void *ctx, struct client *c, const struct err *why)
{
	(void)c, (void)why;
	*(bool *)ctx = true;
}

/* Sent back from where it was sent, a call says how long it has been under way. */
static void a_call_that_is_sent_on_remembers_when_it_came(void **state)
{
	struct caller c = {0};
	struct err why;
	bool closed = false;
	(void)state;
	struct client *back = cross_client_new(&(struct cross_way){far_end, near_end, "tv"},
		&(struct client_opts){.on_closed = on_back_closed, .ctx = &closed});
	host_begins = false;
	ask(&c, request(BODY_NONE, 0));
	UNTIL(n_asked == 1);
	uint64_t since = cross_since_ms(asked[0]);
	assert_true(since > 0 && !cross_hops(asked[0]));
	UNTIL(loop_now_ms(rig_other) > since + 5);
	assert_true(cross_begin(asked[0], back));
	UNTIL(n_asked == 2);
	assert_int_equal(cross_hops(asked[1]), 1);
	assert_int_equal(cross_since_ms(asked[1]), since);
	err_set(&why, -ETIMEDOUT, "none");
	cross_refuse(asked[1], &why);
	UNTIL(!c.call);
	assert_string_equal(c.log, "fail ETIMEDOUT unsent: none;");
	client_close(back);
	UNTIL(closed);
}

/* ---- the end of all ---- */

/* Told to nobody, refused, waiting, begun, answered while paused, given up: LSan sees what is left. */
static void calls_in_flight_at_the_stop_leave_nothing(void **state)
{
	static struct caller c[6];
	struct err why;
	(void)state;
	memset(c, 0, sizeof(c));
	host_begins = false;
	c[1].pause = true;
	for (unsigned i = 0; i < 4; i++)
		ask(&c[i], request(BODY_CHUNKED, 0));
	rig_turns(2);
	assert_true(cross_begin(asked[1], origin));
	UNTIL(far_has(&dev, "\r\n\r\n"));
	far_say(&dev, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
	UNTIL(c[1].log[0]);
	rig_turns(5);
	call_write(c[2].call, "held", 4);
	call_cancel(c[3].call);
	err_set(&why, -EBUSY, "no");
	cross_refuse(asked[0], &why);
	uv_run(loop_uv(rig_loop), UV_RUN_NOWAIT); /* posted, not taken */
	ask(&c[4], request(BODY_NONE, 0));
	call_write(c[1].call, "more", 4);
	loop_stop(rig_other);
	uv_run(loop_uv(rig_loop), UV_RUN_NOWAIT); /* to one that has stopped */
	ask(&c[5], request(BODY_NONE, 0));	  /* and to nobody */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CROSS_TEST(a_drained_way_closes_after_its_last_call),
		CROSS_TEST(an_idle_way_closes_when_drained),
		CROSS_TEST(closing_the_way_fails_its_calls),
		CROSS_TEST(closing_the_way_from_a_callback_is_fine),
		CROSS_TEST(a_full_way_tells_when_there_is_room),
		CROSS_TEST(a_call_that_is_sent_on_remembers_when_it_came),
		CROSS_TEST(calls_in_flight_at_the_stop_leave_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
