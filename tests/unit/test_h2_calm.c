/* An HTTP/2 client that sends more frames than its budget has: with data it is made to wait, which costs
 * nothing meanwhile; with anything else it is sent away. Over a net in memory, whose clock stands until
 * it is moved; frames are written by hand. */
#include "http/h2_conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../fuzz/fake_net.h"

#define AT_ONCE 20000u /* data frames that nobody has to wait for */
#define A_BREATH 100u  /* and later */

struct app {
	struct loop *loop;
	struct stream *s; /* NULL: gone */
	struct buf heard; /* what the server said */
	size_t got;       /* of the body */
	bool closed, ended;
};

static void on_body(struct exchange *x, const uint8_t *p, size_t n)
{
	struct app *a = x->ctx;
	(void)p;
	a->got += n;
}

static void on_end(struct exchange *x, const struct msg *trailers)
{
	struct app *a = x->ctx;
	(void)trailers;
	a->ended = true;
	struct msg *m = msg_new_response(200);
	exchange_reply(x, 200, m, NULL, "");
	msg_free(m);
}

static const struct handler handler = {.on_body = on_body, .on_end = on_end};

static void on_request(void *ctx, struct exchange *x)
{
	x->handler = &handler;
	x->ctx = ctx;
	exchange_resume(x);
}

static void on_closed(void *ctx, struct http_conn *c)
{
	(void)c;
	((struct app *)ctx)->closed = true;
}

static void on_gone(void *ctx)
{
	((struct app *)ctx)->s = NULL;
}

/* ---- the client ---- */

static void settle(struct app *a)
{
	fake_settle(a->loop);
	if (a->s)
		fake_read(a->s, SIZE_MAX, &a->heard);
	fake_settle(a->loop);
}

static void say(struct app *a, const void *frame, size_t n, unsigned times)
{
	while (times-- && a->s)
		fake_send(a->s, frame, n);
	settle(a);
}

#define SAY(a, frame, times) say(a, frame, sizeof(frame) - 1, times)

#define BYTE "\0\0\1\0\0\0\0\0\1x"
#define LAST "\0\0\0\0\1\0\0\0\1"
#define PING "\0\0\x8\6\0\0\0\0\0\1\2\3\4\5\6\7\x8"
#define EMPTY "\0\0\0\0\0\0\0\0\1"
#define PADDING "\0\0\3\0\x8\0\0\0\1\2\0\0"
#define UNKNOWN "\0\0\1\x4d\0\0\0\0\0x"
#define SETTINGS "\0\0\0\4\0\0\0\0\0"
#define WINDOW "\0\0\4\x8\0\0\0\0\0\0\0\0\1"

/* The code of a GOAWAY; -1: there was none. */
static int goaway(const struct app *a)
{
	const uint8_t *p = a->heard.data;
	for (size_t at = 0; at + 9 <= a->heard.len;) {
		size_t n = (size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2];
		if (p[at + 3] == 7)
			return p[at + 16];
		at += 9 + n;
	}
	return -1;
}

static void begin(struct app *a)
{
	/* POST http://a/: fields of the static table, and one literal. */
	static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" SETTINGS
				    "\0\0\6\1\4\0\0\0\1\x83\x86\x84\x41\1a";
	*a = (struct app){.loop = fake_loop_new(), .heard = BUF_INIT(64u << 20)};
	a->s = fake_stream(a->loop, on_gone, a);
	h2_serve(a->s, &(struct http_server_opts){.limits = &http_limits_default,
			       .on_request = on_request,
			       .on_closed = on_closed,
			       .ctx = a});
	SAY(a, hello, 1);
}

static void finish(struct app *a)
{
	if (a->s)
		fake_fin(a->s);
	settle(a);
	while (!a->closed)
		assert_true(fake_wait(a->loop));
	buf_done(&a->heard);
	fake_loop_free(a->loop);
}

/* ---- promises ---- */

static void data_that_comes_too_fast_waits(void **state)
{
	struct app a;
	unsigned wakes = 0, all = 3 * AT_ONCE;
	(void)state;
	begin(&a);
	SAY(&a, BYTE, all);
	SAY(&a, LAST, 1);
	assert_in_range(a.got, AT_ONCE - 100, AT_ONCE + 100);
	for (; !a.ended && wakes < 2 * all / A_BREATH; wakes++) {
		size_t before = a.got;
		assert_true(fake_wait(a.loop));
		settle(&a);
		assert_true(a.got <= before + A_BREATH + 5);
	}
	assert_int_equal(a.got, all);
	assert_true(a.ended);
	assert_in_range(wakes, 300, 410); /* twice nothing, it sleeps in between */
	assert_int_equal(goaway(&a), -1);
	finish(&a);
}

/* It cannot know what it has left. */
static void who_waits_may_speak_of_other_things(void **state)
{
	struct app a;
	(void)state;
	begin(&a);
	SAY(&a, BYTE, AT_ONCE + 4000);
	for (unsigned i = 0; i < 100; i++) {
		SAY(&a, BYTE, 99);
		SAY(&a, PING, 1);
		SAY(&a, WINDOW, 1);
		assert_true(fake_wait(a.loop));
		settle(&a);
	}
	SAY(&a, LAST, 1);
	while (!a.ended)
		assert_true(a.s && fake_wait(a.loop));
	assert_int_equal(a.got, AT_ONCE + 4000 + 100 * 99);
	settle(&a);
	assert_int_equal(goaway(&a), -1);
	finish(&a);
}

static const struct {
	const char *what, *frame;
	size_t n;
} floods[] = {
#define FLOOD(what, frame) {what, frame, sizeof(frame) - 1}
	FLOOD("empty DATA", EMPTY),
	FLOOD("DATA that is padding", PADDING),
	FLOOD("PING", PING),
	FLOOD("unknown frames", UNKNOWN),
	FLOOD("SETTINGS", SETTINGS),
	FLOOD("window updates", WINDOW),
};

static void what_is_no_data_does_not_wait(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(floods) / sizeof(*floods); i++) {
		struct app a;
		begin(&a);
		/* also behind data that has to wait */
		SAY(&a, BYTE, i % 2 ? AT_ONCE + 100 : 0);
		for (unsigned n = 0; n < 300 && goaway(&a) < 0; n++) {
			say(&a, floods[i / 2].frame, floods[i / 2].n, 100);
			if (i % 2 && a.got < AT_ONCE + 100)
				fake_wait(a.loop);
		}
		if (goaway(&a) != NGHTTP2_ENHANCE_YOUR_CALM)
			fail_msg("%s: %d", floods[i / 2].what, goaway(&a));
		finish(&a);
	}
}

static void a_byte_of_data_now_and_then_excuses_no_flood(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(floods) / sizeof(*floods); i++) {
		struct app a;
		begin(&a);
		for (unsigned n = 0; n < 3000 && goaway(&a) < 0; n++) {
			say(&a, floods[i].frame, floods[i].n, 19);
			SAY(&a, BYTE, 1);
		}
		if (goaway(&a) != NGHTTP2_ENHANCE_YOUR_CALM)
			fail_msg("%s: %d", floods[i].what, goaway(&a));
		finish(&a);
	}
}

static void a_client_may_leave_while_it_waits(void **state)
{
	(void)state;
	for (int reset = 0; reset < 2; reset++) {
		struct app a;
		begin(&a);
		SAY(&a, BYTE, 2 * AT_ONCE);
		if (reset)
			fake_reset(a.s);
		finish(&a);
		assert_false(a.ended);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_that_comes_too_fast_waits),
		cmocka_unit_test(who_waits_may_speak_of_other_things),
		cmocka_unit_test(what_is_no_data_does_not_wait),
		cmocka_unit_test(a_byte_of_data_now_and_then_excuses_no_flood),
		cmocka_unit_test(a_client_may_leave_while_it_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
