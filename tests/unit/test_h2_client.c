/* The HTTP/2 client over a net in memory: what is asked, how each answer is told, right or wrong,
 * and what one call may cost another, or the link. */
#include "h2_caller.h"
#include "h2_answers.h"

/* ---- one answer each ---- */

static void each_answer_is_told_as_what_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct caller c;
		begin(&c, READY);
		assert_non_null(ask(&c, answers[i].method, "/")->call);
		device_hear(&c.dev);
		device_say(&c.dev, answers[i].says);
		if (strcmp(c.log, answers[i].log) != 0)
			fail_msg("%s: \"%s\" instead of \"%s\"", answers[i].what, c.log,
				answers[i].log);
		finish(&c);
	}
}

/* ---- what is asked ---- */

static void heads_are_those_of_http_2(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	struct msg *m = msg_new_request("GET", "http", "tv:80", "/a?b");
	msg_add(m, "accept", "x");
	msg_add(m, "connection", "close");
	msg_add(m, "te", "trailers");
	ask_for(&c, m);
	device_hear(&c.dev);
	assert_string_equal(c.dev.heard,
		"H1|:method=GET|:scheme=https|:authority=tv:80|:path=/a?b|accept=x|te=trailerse;");
	finish(&c);
}

static void bodies_go_as_they_are_framed(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	struct asked *a = ask_with(&c, BODY_LENGTH, 3), *b = ask_with(&c, BODY_CHUNKED, 0);
	ask_with(&c, BODY_LENGTH, 0);
	call_write(a->call, "abc", 3);
	call_end(a->call, NULL);
	call_write(b->call, "de", 2);
	device_hear(&c.dev);
	call_end(b->call, NULL);
	device_hear(&c.dev);
#define POST "|:method=POST|:scheme=https|:authority=tv:80|:path=/"
	assert_string_equal(c.dev.heard, "H1" POST "|content-length=3;H3" POST ";H5" POST
					 "|content-length=0e;D1 abce;D3 de;e;");
	finish(&c);
}

static void a_body_of_another_length_is_no_request(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	struct asked *a = ask_with(&c, BODY_LENGTH, 3), *b = ask_with(&c, BODY_LENGTH, 3);
	call_write(a->call, "abcd", 4);
	call_write(b->call, "ab", 2);
	call_end(b->call, NULL);
	assert_string_equal(c.log, ""); /* not from inside */
	device_hear(&c.dev);
	assert_string_equal(c.log, "afail-71u;bfail-71u;");
	assert_int_equal(c.client->room, 100);
	finish(&c);
}

static void a_websocket_is_an_extended_connect(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	struct asked *a = upgrade(&c);
	device_hear(&c.dev);
	assert_string_equal(c.dev.heard,
		"H1|:method=CONNECT|:scheme=https|:authority=tv:80|:path=/ws|:protocol=websocket"
		"|sec-websocket-version=13;");
	device_say(&c.dev, "H1 :status=200;D1 hey");
	assert_string_equal(c.log, "a101 " ACCEPT ";");
	assert_string_equal(a->body, "hey");
	c.dev.heard[0] = 0;
	call_write(a->call, "you", 3);
	device_hear(&c.dev);
	assert_string_equal(c.dev.heard, "D1 you;");
	call_write(a->call, "!", 1);
	device_say(&c.dev, "D1e");
	assert_string_equal(c.dev.heard, "D1 you;D1 !;e;"); /* what was written still went out */
	assert_string_equal(c.log, "a101 " ACCEPT ";aend[hey];");
	assert_int_equal(c.client->room, 100);
	finish(&c);
}

static void a_refused_websocket_passes_as_it_is(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	upgrade(&c);
	device_hear(&c.dev);
	device_say(&c.dev, "H1 :status=403|content-length=2;D1e no");
	assert_string_equal(c.log, "a403;aend[no];");
	assert_non_null(strstr(c.dev.heard, "R1 8;"));
	upgrade(&c); /* the library does not count after a CONNECT */
	device_hear(&c.dev);
	device_say(&c.dev, "H3 :status=403|content-length=3;D3e no");
	assert_non_null(strstr(c.log, "b403;bfail-71;"));
	finish(&c);
}

static void an_agent_that_takes_no_websockets_is_not_asked(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, "S0 3 100;");
	assert_non_null(upgrade(&c)->call);
	assert_string_equal(c.log, "");
	device_hear(&c.dev);
	assert_string_equal(c.log, "afail-71u;");
	assert_string_equal(c.dev.heard, "");
	finish(&c);
}

/* ---- room ---- */

/* The old link of a device says goodbye in the turn in which its new one says hello. */
static void a_new_link_says_hello_whatever_another_says(void **state)
{
	struct caller old, new;
	(void)state;
	begin(&old, READY);
	device_hear(&old.dev);
	new = (struct caller){.loop = old.loop};
	device_open(&new.dev, old.loop);
	client_drain(old.client);
	new.client = h2_client_new(
		new.dev.s, &(struct client_opts){.on_closed = on_closed, .ctx = &new});
	fake_settle(old.loop);
	struct buf said = BUF_INIT(4096);
	fake_read(new.dev.s, 4096, &said);
	assert_true(said.len > 24);
	assert_memory_equal(said.data, NGHTTP2_CLIENT_MAGIC, 24);
	buf_done(&said);
	client_close(new.client);
	device_hear(&old.dev);
	while (!new.closed)
		assert_true(fake_wait(old.loop));
	device_close(&new.dev);
	finish(&old);
}

static void nothing_is_asked_before_the_settings_are_there(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, "");
	assert_int_equal(c.client->room, 0);
	assert_null(ask(&c, "GET", "/")->call);
	device_say(&c.dev, "S0 3 2");
	assert_int_equal(c.rooms, 1);
	assert_int_equal(c.client->room, 2);
	finish(&c);
	begin(&c, "");
	while (!c.closed) /* they never come */
		assert_true(fake_wait(c.loop));
	finish(&c);
}

static void there_is_room_for_what_the_agent_takes(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, "S0 3 2;");
	struct asked *a = ask(&c, "GET", "/");
	assert_non_null(ask(&c, "GET", "/")->call);
	assert_int_equal(c.client->room, 0);
	assert_null(ask(&c, "GET", "/")->call);
	call_cancel(a->call);
	a->call = NULL;
	assert_int_equal(c.client->room, 0); /* until the agent is told */
	device_hear(&c.dev);
	assert_int_equal(c.client->room, 1);
	assert_int_equal(c.rooms, 2);
	device_say(&c.dev, "H3e :status=200");
	assert_int_equal(c.client->room, 2);
	assert_int_equal(c.rooms, 2);
	device_say(&c.dev, "S0 3 0");
	assert_int_equal(c.client->room, 0);
	device_say(&c.dev, "S0 3 4000");
	assert_int_equal(c.client->room, 100);
	assert_int_equal(c.rooms, 3);
	finish(&c);
}

/* ---- one beside the other ---- */

static void a_paused_call_holds_up_no_other(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	struct asked *a = ask(&c, "GET", "/"), *b = ask(&c, "GET", "/");
	a->pauses = true;
	device_hear(&c.dev);
	device_say(&c.dev, "H1 :status=200;H3 :status=200;");
	for (int i = 0; i < 16; i++)
		device_say(&c.dev, "D1 *16384;D3 *16384");
	for (int i = 0; i < 100; i++)
		device_say(&c.dev, "D3 *16384");
	device_say(&c.dev, "D3e");
	assert_int_equal(a->got, 0);
	assert_string_equal(c.log, "a200;b200;bend1900544;");
	a->pauses = false;
	call_resume(a->call);
	device_say(&c.dev, "D1e");
	assert_int_equal(a->got, 16 * 16384);
	assert_null(b->call);
	finish(&c);
}

static void a_paused_answer_waits_for_its_caller(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	struct asked *a = ask(&c, "GET", "/");
	device_hear(&c.dev);
	call_pause(a->call);
	device_say(&c.dev, OK "D1e hello");
	assert_string_equal(c.log, "a200;");
	device_say(&c.dev, "G0 1 0"); /* it leaves; what has come is not lost */
	assert_false(c.closed);
	call_resume(a->call);
	device_hear(&c.dev);
	assert_string_equal(c.log, "a200;aend[hello];");
	finish(&c);
}

static void much_in_paused_calls_shuts_the_links_window(void **state)
{
	struct caller c;
	size_t sent = 0;
	(void)state;
	begin(&c, READY);
	for (unsigned i = 0; i < 20; i++)
		ask(&c, "GET", "/")->pauses = true;
	device_hear(&c.dev);
	for (unsigned i = 0; i < 20; i++) {
		char says[60];
		snprintf(says, sizeof(says), "H%u :status=200", 2 * i + 1);
		device_say(&c.dev, says);
		snprintf(says, sizeof(says), "D%u *16384", 2 * i + 1);
		for (int n = 0; n < 16 && sent + 16384 <= 65535 + c.dev.credit; n++) {
			device_say(&c.dev, says);
			sent += 16384;
		}
	}
	assert_in_range(sent, 4u << 20, 5u << 20); /* of 5 MiB and more that streams would take */
	size_t before = c.dev.credit;
	for (unsigned i = 0; i < 20; i++) {
		c.calls[i].pauses = false;
		call_resume(c.calls[i].call);
	}
	device_hear(&c.dev);
	assert_true(c.dev.credit > before);
	finish(&c);
}

static void who_overflows_a_window_is_cut(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	struct asked *a = ask(&c, "GET", "/");
	device_hear(&c.dev);
	call_pause(a->call);
	device_say(&c.dev, OK);
	for (int i = 0; i < 17; i++)
		device_say(&c.dev, "D1 *16384");
	assert_string_equal(c.log, "a200;afail-71;");
	finish(&c);
}

static void an_upload_waits_for_the_window(void **state)
{
	static const char block[50000];
	struct caller c;
	(void)state;
	begin(&c, READY);
	struct asked *a = ask_with(&c, BODY_CHUNKED, 0);
	assert_int_equal(call_write(a->call, block, sizeof(block)), 50000);
	assert_int_equal(call_write(a->call, block, sizeof(block)), 100000);
	device_hear(&c.dev);
	assert_int_equal(c.dev.body, 65535);
	assert_false(a->writable);
	device_say(&c.dev, "W0 70000;W1 20000");
	assert_int_equal(c.dev.body, 85535);
	assert_true(a->writable); /* below low water */
	call_end(a->call, NULL);
	device_say(&c.dev, "W1 20000");
	assert_int_equal(c.dev.body, 100000);
	finish(&c);
}

static void uploads_share_and_a_request_overtakes_them(void **state)
{
	static const char block[60000];
	struct caller c;
	(void)state;
	begin(&c, READY "W0 2000000;");
	struct asked *a = ask_with(&c, BODY_CHUNKED, 0), *b = ask_with(&c, BODY_CHUNKED, 0);
	for (int i = 0; i < 16; i++)
		call_write(a->call, block, sizeof(block));
	for (int i = 0; i < 16; i++)
		call_write(b->call, block, sizeof(block));
	device_say(&c.dev, "W1 2000000;W3 2000000");
	assert_int_equal(c.dev.of[1], 960000);
	assert_int_equal(c.dev.of[3], 960000);
	c.dev.sip = 16384; /* reads slowly from here */
	device_say(&c.dev, "W0 2000000");
	for (int i = 0; i < 16; i++)
		call_write(a->call, block, sizeof(block));
	for (int i = 0; i < 16; i++)
		call_write(b->call, block, sizeof(block));
	for (int i = 0; i < 30; i++)
		device_hear(&c.dev);
	assert_in_range(c.dev.of[1], c.dev.of[3] - 70000, c.dev.of[3] + 70000);
	size_t before = c.dev.body;
	ask(&c, "GET", "/");
	for (int i = 0; i < 40 && !strstr(c.dev.heard, "H5"); i++)
		device_hear(&c.dev);
	assert_non_null(strstr(c.dev.heard, "H5"));
	assert_in_range(c.dev.body - before, 0, 2 * STREAM_HIGH_WATER);
	finish(&c);
}

static void the_rest_of_an_answered_upload_is_not_sent(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	struct asked *a = ask_with(&c, BODY_LENGTH, 100);
	call_write(a->call, "abc", 3);
	device_hear(&c.dev);
	device_say(&c.dev, "H1e :status=413");
	assert_string_equal(c.log, "a413;aend[];");
	assert_non_null(strstr(c.dev.heard, "R1 8;"));
	assert_int_equal(c.client->room, 100);
	finish(&c);
}

/* ---- the end ---- */

static void a_quiet_link_is_asked_whether_it_lives(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	fake_wait(c.loop); /* the first look at the clock */
	fake_wait(c.loop);
	device_hear(&c.dev);
	assert_string_equal(c.dev.heard, "P;");
	device_say(&c.dev, "P0a");
	assert_true(fake_wait(c.loop));
	assert_false(c.closed);
	ask(&c, "GET", "/");
	for (int i = 0; i < 5 && !c.closed; i++) {
		device_hear(&c.dev);
		fake_wait(c.loop);
	}
	assert_true(c.closed);
	assert_string_equal(c.log, "afail-104;");
	finish(&c);
}

static void a_drained_link_ends_with_its_last_call(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	ask(&c, "GET", "/");
	device_hear(&c.dev);
	client_drain(c.client);
	assert_null(ask(&c, "GET", "/")->call);
	device_say(&c.dev, OK "D1 x");
	assert_false(c.closed);
	assert_null(strstr(c.dev.heard, "G0;"));
	device_say(&c.dev, "D1e y");
	assert_string_equal(c.log, "a200;aend[xy];");
	assert_non_null(strstr(c.dev.heard, "G0;"));
	finish(&c);
}

static void a_link_that_breaks_fails_its_calls(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	ask(&c, "GET", "/");
	device_hear(&c.dev);
	device_say(&c.dev, OK "D1 x");
	ask(&c, "GET", "/"); /* never sent */
	fake_reset(c.dev.s);
	fake_settle(c.loop);
	assert_string_equal(c.log, "a200;afail-104;bfail-104u;");
	assert_true(c.closed);
	finish(&c);
}

static void closing_cancels(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	ask(&c, "GET", "/");
	device_hear(&c.dev);
	client_close(c.client);
	assert_string_equal(c.log, "");
	device_hear(&c.dev);
	assert_string_equal(c.log, "afail-125;");
	assert_true(c.closed);
	finish(&c);
}

static void a_silent_call_ends(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	ask(&c, "GET", "/");
	device_hear(&c.dev);
	for (int i = 0; i < 10 && !c.log[0]; i++) {
		device_say(&c.dev, "P0"); /* the link itself lives */
		fake_wait(c.loop);
	}
	assert_string_equal(c.log, "afail-110;");
	assert_false(c.closed);
	finish(&c);
}

/* ---- floods ---- */

static const struct {
	const char *what, *says;
} floods[] = {
	{"PING",           "P0"  },
	{"SETTINGS",       "S0"  },
	{"empty DATA",     "D1"  },
	{"unknown frames", "?0"  },
	{"window updates", "W0 1"},
};

static void a_flood_ends_the_link(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(floods) / sizeof(*floods); i++) {
		struct caller c;
		begin(&c, READY);
		struct asked *a = ask(&c, "GET", "/");
		device_hear(&c.dev);
		device_say(&c.dev, OK);
		for (int n = 0; n < 30000 && a->call; n++) {
			c.dev.heard[0] = 0;
			device_say(&c.dev, floods[i].says);
		}
		if (a->call)
			fail_msg("%s: it goes on", floods[i].what);
		if (!strstr(c.dev.heard, "G11;"))
			fail_msg("%s: %s %s", floods[i].what, c.log, c.dev.heard);
		finish(&c);
	}
}

static void data_that_comes_too_fast_waits(void **state)
{
	struct caller c;
	(void)state;
	begin(&c, READY);
	struct asked *a = ask(&c, "GET", "/");
	device_hear(&c.dev);
	device_say(&c.dev, OK);
	for (unsigned n = 0; n < 25000; n++)
		device_say(&c.dev, "D1 x");
	assert_in_range(a->got, 19000, 21000);
	for (unsigned n = 0; n < 200 && a->got < 25000; n++)
		assert_true(fake_wait(c.loop));
	assert_int_equal(a->got, 25000);
	device_say(&c.dev, "D1e");
	assert_null(a->call);
	finish(&c);
}

static void a_device_that_only_resets_loses_its_link(void **state)
{
	struct caller c;
	char says[30];
	unsigned n = 0;
	(void)state;
	begin(&c, READY);
	for (; n < 1000 && c.client->room; n++) {
		c.n = 0;
		c.log[0] = c.dev.heard[0] = 0;
		ask(&c, "GET", "/");
		device_hear(&c.dev);
		snprintf(says, sizeof(says), "R%u 8", 2 * n + 1);
		device_say(&c.dev, says);
	}
	assert_in_range(n, 200, 999);
	assert_non_null(strstr(c.dev.heard, "G11;"));
	finish(&c);
}

/* The answer to each upload comes before its end: what a browser does is not charged to the device. */
static void early_answers_are_no_flood(void **state)
{
	(void)state;
	for (int late = 0; late < 2; late++) {
		struct caller c;
		char says[60];
		begin(&c, READY);
		for (unsigned n = 0; n < 1000; n++) {
			c.n = 0;
			c.log[0] = c.dev.heard[0] = 0;
			assert_non_null(ask_with(&c, BODY_CHUNKED, 0)->call);
			device_hear(&c.dev);
			snprintf(says, sizeof(says), "H%ue :status=404;R%u 0", 2 * n + 1, 2 * n + 1);
			char *reset = strchr(says, 'R');
			if (late)
				reset[-1] = 0;
			device_say(&c.dev, says);
			assert_string_equal(c.log, "a404;aend[];");
			if (late)
				device_say(&c.dev, reset);
		}
		assert_int_equal(c.client->room, 100);
		finish(&c);
	}
}

static void honest_work_is_no_flood(void **state)
{
	struct caller c;
	char says[400];
	(void)state;
	begin(&c, READY);
	for (unsigned i = 0; i < 30000; i++) {
		c.n = 0;
		c.log[0] = c.dev.heard[0] = 0;
		memset(&c.calls[0], 0, sizeof(c.calls[0]));
		assert_non_null(ask(&c, "GET", "/")->call);
		device_hear(&c.dev);
		unsigned id = 2 * i + 1;
		snprintf(says, sizeof(says), "H%u :status=200|a=" LONG_VALUE ";D%ue x", id, id);
		device_say(&c.dev, says);
		assert_non_null(strstr(c.log, "aend[x]"));
	}
	finish(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_is_told_as_what_it_is),
		cmocka_unit_test(heads_are_those_of_http_2),
		cmocka_unit_test(bodies_go_as_they_are_framed),
		cmocka_unit_test(a_body_of_another_length_is_no_request),
		cmocka_unit_test(a_websocket_is_an_extended_connect),
		cmocka_unit_test(a_refused_websocket_passes_as_it_is),
		cmocka_unit_test(an_agent_that_takes_no_websockets_is_not_asked),
		cmocka_unit_test(a_new_link_says_hello_whatever_another_says),
		cmocka_unit_test(nothing_is_asked_before_the_settings_are_there),
		cmocka_unit_test(there_is_room_for_what_the_agent_takes),
		cmocka_unit_test(a_paused_call_holds_up_no_other),
		cmocka_unit_test(a_paused_answer_waits_for_its_caller),
		cmocka_unit_test(much_in_paused_calls_shuts_the_links_window),
		cmocka_unit_test(who_overflows_a_window_is_cut),
		cmocka_unit_test(an_upload_waits_for_the_window),
		cmocka_unit_test(uploads_share_and_a_request_overtakes_them),
		cmocka_unit_test(the_rest_of_an_answered_upload_is_not_sent),
		cmocka_unit_test(a_quiet_link_is_asked_whether_it_lives),
		cmocka_unit_test(a_drained_link_ends_with_its_last_call),
		cmocka_unit_test(a_link_that_breaks_fails_its_calls),
		cmocka_unit_test(closing_cancels),
		cmocka_unit_test(a_silent_call_ends),
		cmocka_unit_test(a_flood_ends_the_link),
		cmocka_unit_test(data_that_comes_too_fast_waits),
		cmocka_unit_test(a_device_that_only_resets_loses_its_link),
		cmocka_unit_test(early_answers_are_no_flood),
		cmocka_unit_test(honest_work_is_no_flood),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
