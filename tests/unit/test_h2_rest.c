/* An HTTP/2 connection on which nothing is asked goes to rest, and its client notices nothing: over
 * a net in memory, whose clock stands until it is moved, against the framing library's client. */
#include "http/h2_conn.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../fuzz/fake_net.h"

#define HELD_MOST 1700u /* bytes at rest after some requests; awake it is 12 KiB */

struct app {
	struct loop *loop;
	struct stream *s; /* NULL: gone */
	struct h2_conn *c;
	nghttp2_session *client;
	struct exchange *open; /* answered later */
	unsigned asked, answered, pongs, goaways;
	char cookie[100], seen[100]; /* of the last request, of the last answer */
	bool closed, slow;
};

/* ---- the handler ---- */

static void answer(struct exchange *x)
{
	struct msg *m = msg_new_response(200);
	msg_add(m, "x-long-lasting", "the same in each answer");
	exchange_reply(x, 200, m, NULL, "");
	msg_free(m);
}

static void on_done(struct exchange *x, int status)
{
	struct app *a = x->ctx;
	assert_int_equal(status, 0);
	a->open = NULL;
}

static const struct handler handler = {.on_done = on_done};

static void on_request(void *ctx, struct exchange *x)
{
	struct app *a = ctx;
	x->handler = &handler;
	x->ctx = a;
	a->asked++;
	snprintf(a->cookie, sizeof(a->cookie), "%s", msg_get(x->req, "cookie"));
	if (a->slow)
		a->open = x;
	else
		answer(x);
}

static void on_closed(void *ctx, struct http_conn *c)
{
	struct app *a = ctx;
	(void)c;
	a->closed = true;
}

static void on_gone(void *ctx)
{
	((struct app *)ctx)->s = NULL;
}

/* ---- the client ---- */

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	struct app *a = user;
	(void)session, (void)frame, (void)name_len, (void)flags;
	if (!strcmp((const char *)name, "x-long-lasting"))
		snprintf(a->seen, sizeof(a->seen), "%.*s", (int)value_len, (const char *)value);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
	struct app *a = user;
	(void)session;
	a->answered += f->hd.type != NGHTTP2_GOAWAY && f->hd.type != NGHTTP2_PING &&
		       f->hd.stream_id && f->hd.flags & NGHTTP2_FLAG_END_STREAM;
	a->pongs += f->hd.type == NGHTTP2_PING && f->hd.flags & NGHTTP2_FLAG_ACK;
	a->goaways += f->hd.type == NGHTTP2_GOAWAY;
	return 0;
}

static void talk(struct app *a)
{
	struct buf got = BUF_INIT(1u << 20);
	for (int i = 0; i < 5 && a->s; i++) {
		const uint8_t *p;
		for (ssize_t n; (n = nghttp2_session_mem_send(a->client, &p)) > 0;)
			fake_send(a->s, p, (size_t)n);
		fake_settle(a->loop);
		if (a->s)
			fake_read(a->s, SIZE_MAX, &got);
		fake_settle(a->loop);
		assert_int_equal(nghttp2_session_mem_recv(a->client, got.data, got.len), got.len);
		got.len = 0;
	}
	buf_done(&got);
}

static nghttp2_nv nv(const char *name, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value)};
}

static void ask(struct app *a)
{
	const nghttp2_nv head[] = {nv(":method", "GET"), nv(":scheme", "http"),
		nv(":authority", "tv.home.example"), nv(":path", "/status"),
		nv("cookie", "__Host-lanthorn=0123456789"),
		nv("user-agent", "Mozilla/5.0 (a browser, whose name is long, as they are)")};
	a->cookie[0] = a->seen[0] = 0;
	assert_true(nghttp2_submit_request(a->client, NULL, head, 6, NULL, NULL) > 0);
	talk(a);
}

static void assert_served(const struct app *a, unsigned n)
{
	assert_int_equal(a->asked, n);
	assert_int_equal(a->answered, n);
	assert_string_equal(a->cookie, "__Host-lanthorn=0123456789");
	assert_string_equal(a->seen, "the same in each answer");
}

/* ---- running ---- */

static void begin(struct app *a)
{
	nghttp2_session_callbacks *cbs;
	*a = (struct app){.loop = fake_loop_new()};
	a->s = fake_stream(a->loop, on_gone, a);
	nghttp2_session_callbacks_new(&cbs);
	nghttp2_session_callbacks_set_on_header_callback(cbs, on_field);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
	nghttp2_session_client_new(&a->client, cbs, a);
	nghttp2_session_callbacks_del(cbs);
	nghttp2_submit_settings(a->client, NGHTTP2_FLAG_NONE, NULL, 0);
	struct http_server_opts o = {.limits = &http_limits_default,
		.on_request = on_request,
		.on_closed = on_closed,
		.ctx = a};
	a->c = container_of(h2_serve(a->s, &o), struct h2_conn, base);
	talk(a);
}

static bool rests(const struct app *a)
{
	return h2_wire_rests(&a->c->w);
}

/* The second that it takes. */
static void let_rest(struct app *a)
{
	assert_false(rests(a));
	uint64_t before = loop_now_ms(a->loop);
	while (!rests(a) && loop_now_ms(a->loop) < before + 5000)
		assert_true(fake_wait(a->loop));
	assert_true(rests(a));
}

static void finish(struct app *a)
{
	if (a->s)
		fake_fin(a->s);
	fake_settle(a->loop);
	assert_true(a->closed);
	nghttp2_session_del(a->client);
	fake_loop_free(a->loop);
}

static void a_rest_keeps_what_both_ends_know(void **state)
{
	struct app a;
	(void)state;
	begin(&a);
	for (unsigned i = 1; i <= 5; i++) {
		ask(&a);
		ask(&a);
		assert_served(&a, 2 * i);
		let_rest(&a);
		assert_true(malloc_usable_size(a.c->w.slot.packed) < HELD_MOST);
	}
	finish(&a);
}

static void a_connection_never_asked_rests_too(void **state)
{
	struct app a;
	(void)state;
	begin(&a);
	let_rest(&a);
	ask(&a);
	assert_served(&a, 1);
	finish(&a);
}

static void who_is_served_does_not_rest(void **state)
{
	struct app a;
	(void)state;
	begin(&a);
	a.slow = true;
	uint64_t before = loop_now_ms(a.loop);
	ask(&a);
	while (loop_now_ms(a.loop) < before + 1000) {
		assert_true(fake_wait(a.loop));
		assert_false(rests(&a));
	}
	assert_non_null(a.open);
	answer(a.open);
	talk(&a);
	assert_served(&a, 1);
	let_rest(&a);
	finish(&a);
}

static void a_ping_is_answered_and_the_rest_goes_on(void **state)
{
	struct app a;
	(void)state;
	begin(&a);
	for (unsigned i = 1; i <= 3; i++) {
		let_rest(&a);
		nghttp2_submit_ping(a.client, NGHTTP2_FLAG_NONE, NULL);
		talk(&a);
		assert_int_equal(a.pongs, i);
	}
	finish(&a);
}

static unsigned goodbyes(bool rested)
{
	struct app a;
	begin(&a);
	ask(&a);
	if (rested)
		let_rest(&a);
	http_conn_drain(&a.c->base, 5000);
	talk(&a);
	finish(&a);
	return a.goaways;
}

static void one_at_rest_says_goodbye(void **state)
{
	(void)state;
	assert_true(goodbyes(true) > 0);
	assert_int_equal(goodbyes(true), goodbyes(false));
}

static void one_at_rest_ends_when_its_time_is_over(void **state)
{
	struct app a;
	(void)state;
	begin(&a);
	ask(&a);
	let_rest(&a);
	for (int i = 0; i < 100 && !a.closed; i++) {
		assert_true(fake_wait(a.loop));
		talk(&a);
	}
	assert_true(a.goaways > 0);
	assert_in_range(loop_now_ms(a.loop), http_limits_default.keepalive_ms, UINT32_MAX);
	finish(&a);
}

static void one_at_rest_may_be_cut(void **state)
{
	struct app a;
	(void)state;
	begin(&a);
	ask(&a);
	let_rest(&a);
	fake_reset(a.s);
	finish(&a);
	begin(&a);
	let_rest(&a);
	http_conn_close(&a.c->base);
	finish(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rest_keeps_what_both_ends_know),
		cmocka_unit_test(a_connection_never_asked_rests_too),
		cmocka_unit_test(who_is_served_does_not_rest),
		cmocka_unit_test(a_ping_is_answered_and_the_rest_goes_on),
		cmocka_unit_test(one_at_rest_says_goodbye),
		cmocka_unit_test(one_at_rest_ends_when_its_time_is_over),
		cmocka_unit_test(one_at_rest_may_be_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
