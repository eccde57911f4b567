/* A plain stream's promises on its ends: timeouts, closing from anywhere, closing in order, handing
 * over, peers that leave early. */
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dial.h"
#include "net_end.h"

static void idle_streams_time_out(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.a, f.fds[0]);
	f.a.stop_at_close = true;
	stream_idle_timeout(f.a.s, 40);
	uint64_t start = loop_now_ms(f.loop);
	loop_run(f.loop);
	assert_int_equal(f.a.code, -ETIMEDOUT);
	assert_true(loop_now_ms(f.loop) - start >= 40);
	close(f.fds[1]);
	tear_down(&f);
}

struct drip {
	struct timer timer;
	int fd;
	unsigned left;
	uint64_t at_ms, gap_ms; /* of the last byte; the longest between two */
};

static void on_drip(struct timer *t)
{
	struct drip *d = container_of(t, struct drip, timer);
	uint64_t now = loop_now_ms(t->loop);
	if (now - d->at_ms > d->gap_ms)
		d->gap_ms = now - d->at_ms;
	d->at_ms = now;
	if (!d->left--) {
		loop_stop(t->loop);
		return;
	}
	send(d->fd, ".", 1, MSG_NOSIGNAL);
	timer_arm(t, 20);
}

/* 12 bytes, each well before the limit; how many came. Those of a thread that had to wait for as
 * long as the limit itself prove nothing, and come once more. */
static void moving_bytes_put_the_idle_timeout_off(void **state)
{
	(void)state;
	for (unsigned tries = 1;; tries++) {
		struct fixture f;
		set_up(&f, false);
		open_end(&f.a, f.fds[0]);
		stream_idle_timeout(f.a.s, 120);
		struct drip d = {.fd = f.fds[1], .left = 12, .at_ms = loop_now_ms(f.loop)};
		timer_init(&d.timer, f.loop, on_drip);
		timer_arm(&d.timer, 20);
		loop_run(f.loop);
		bool fits = !f.a.closed && f.a.got.len == 12;
		close(f.fds[1]);
		tear_down(&f);
		if (fits)
			return;
		assert_true(d.gap_ms >= 100 && tries < 20);
	}
}

static void callbacks_may_close(void **state)
{
	(void)state;
	for (int where = 0; where < 3; where++) {
		struct fixture f;
		set_up(&f, false);
		open_end(&f.a, f.fds[0]);
		open_end(&f.b, f.fds[1]);
		f.b.stop_at_close = true;
		if (where == 0)
			f.b.on_open = close_self;
		else if (where == 1)
			f.b.on_data = close_self;
		else
			f.b.on_eof = close_self;
		stream_write(f.a.s, "hello", 5);
		stream_shutdown(f.a.s);
		loop_run(f.loop);
		assert_int_equal(f.b.closed, 1);
		assert_int_equal(f.b.code, 0);
		assert_int_equal(f.b.datas, where > 0);
		assert_int_equal(f.b.eofs, where > 1);
		tear_down(&f);
	}
}

static void close_after_flush_writes_everything(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, true);
	open_end(&f.a, f.fds[0]);
	open_end(&f.b, f.fds[1]);
	f.b.on_eof = close_self;
	f.b.stop_at_close = false;
	f.a.stop_at_close = true;
	send_pattern(&f.b, 5000); /* not read before the close: no reset may come of it */
	send_pattern(&f.a, 3u << 20);
	f.a.in_call = true;
	stream_close_after_flush(f.a.s, 5000);
	f.a.in_call = false;
	loop_run(f.loop);
	assert_pattern(&f.b, 3u << 20);
	assert_int_equal(f.a.code, 0);
	assert_int_equal(f.a.datas + f.a.eofs, 0);
	assert_int_equal(f.b.eofs, 1);
	tear_down(&f);
}

static void close_after_flush_does_not_wait_for_ever(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		struct fixture f;
		set_up(&f, false);
		open_end(&f.a, f.fds[0]);
		f.a.stop_at_close = true;
		send_pattern(&f.a, full ? 4u << 20 : 10);
		stream_close_after_flush(f.a.s, 50);
		loop_run(f.loop);
		assert_int_equal(f.a.code, full ? -ETIMEDOUT : 0);
		close(f.fds[1]);
		tear_down(&f);
	}
}

static size_t on_data_none(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct end *end = ctx;
	(void)s, (void)p, (void)n;
	end->datas++;
	return 0;
}

static void input_that_nobody_uses_is_bounded(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.a, f.fds[0]);
	open_end(&f.b, f.fds[1]);
	struct stream_cb none = end_cb;
	none.on_data = on_data_none;
	stream_set_cb(f.b.s, &none, &f.b);
	f.b.stop_at_close = true;
	send_pattern(&f.a, 300000);
	loop_run(f.loop);
	assert_int_equal(f.b.code, -EMSGSIZE);
	tear_down(&f);
}

static struct end *second_owner;

static size_t on_data_hand_over(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct end *end = ctx;
	assert_true(n >= 5);
	assert_memory_equal(p, "HEAD\n", 5);
	second_owner->s = end->s;
	second_owner->opened = 1;
	end->s = NULL;
	stream_set_cb(s, &end_cb, second_owner);
	stream_resume(s);
	return 5;
}

static void a_new_owner_gets_the_rest(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	struct end second = new_end(f.loop);
	second_owner = &second;
	struct stream_cb first = end_cb;
	first.on_data = on_data_hand_over;
	f.b.s = stream_from_fd(f.loop, f.fds[1], &first, &f.b);
	open_end(&f.a, f.fds[0]);
	second.stop_at_len = 4;
	stream_write(f.a.s, "HEAD\nBODY", 9);
	loop_run(f.loop);
	assert_int_equal(second.got.len, 4);
	assert_memory_equal(second.got.data, "BODY", 4);
	tear_down(&f);
	assert_int_equal(second.closed, 1);
	buf_done(&second.got);
}

static void an_answer_before_the_peer_left_is_read(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.a, f.fds[0]);
	assert_int_equal(write(f.fds[1], "too large", 9), 9);
	close(f.fds[1]);
	f.a.stop_at_close = true;
	send_pattern(&f.a, 100000); /* EPIPE */
	loop_run(f.loop);
	assert_int_equal(f.a.code, -EPIPE);
	assert_int_equal(f.a.got.len, 9);
	tear_down(&f);
}

static void settings_survive_any_state(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, true);
	open_end(&f.a, f.fds[0]);
	stream_dead_peer_timeout(f.a.s, 5000);
	int ms = 0;
	socklen_t n = sizeof(ms);
	getsockopt(f.fds[0], IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */, &ms, &n);
	assert_int_equal(ms, 5000);
	stream_close(f.a.s);
	stream_dead_peer_timeout(f.a.s, 5000);
	stream_idle_timeout(f.a.s, 5);
	stream_resume(f.a.s);
	stream_shutdown(f.a.s);
	assert_int_equal(stream_write(f.a.s, "x", 1), 0);
	stream_close_after_flush(f.a.s, 5);
	f.a.stop_at_close = true;
	loop_run(f.loop);
	assert_int_equal(f.a.code, 0);
	close(f.fds[1]);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_streams_time_out),
		cmocka_unit_test(moving_bytes_put_the_idle_timeout_off),
		cmocka_unit_test(callbacks_may_close),
		cmocka_unit_test(close_after_flush_writes_everything),
		cmocka_unit_test(close_after_flush_does_not_wait_for_ever),
		cmocka_unit_test(input_that_nobody_uses_is_bounded),
		cmocka_unit_test(a_new_owner_gets_the_rest),
		cmocka_unit_test(an_answer_before_the_peer_left_is_read),
		cmocka_unit_test(settings_survive_any_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
