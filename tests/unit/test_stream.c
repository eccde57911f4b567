/* A plain stream's promises on input, output and pausing, each shown on a socket pair or a loopback
 * connection. */
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dial.h"
#include "net/stream_int.h"
#include "net_end.h"

static void open_write_end_and_close_in_order(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, true);
	open_end(&f.a, f.fds[0]);
	open_end(&f.b, f.fds[1]);
	assert_string_equal(stream_peer_addr(f.a.s), "127.0.0.1");
	assert_true(stream_peer_port(f.a.s) > 0);
	assert_null(stream_tls(f.a.s));
	send_pattern(&f.a, 1000);
	f.a.in_call = true;
	stream_shutdown(f.a.s);
	stream_shutdown(f.a.s);
	f.a.in_call = false;
	f.b.stop_at_eof = true;
	loop_run(f.loop);
	assert_pattern(&f.b, 1000);
	assert_int_equal(stream_bytes_moved(f.b.s), 1000);
	assert_int_equal(f.b.eofs, 1);
	assert_int_equal(f.a.closed + f.b.closed, 0);
	tear_down(&f);
	assert_int_equal(f.a.code, -ECANCELED);
}

static void shut_down_end(struct end *end)
{
	stream_write(end->s, "bye", 3);
	stream_shutdown(end->s);
}

static void both_ends_shut_down_closes_in_order(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.a, f.fds[0]);
	open_end(&f.b, f.fds[1]);
	assert_string_equal(stream_peer_addr(f.a.s), "local");
	f.b.on_eof = shut_down_end;
	f.a.stop_at_close = true;
	stream_shutdown(f.a.s);
	loop_run(f.loop);
	assert_int_equal(f.a.closed, 1);
	assert_int_equal(f.a.code, 0);
	assert_memory_equal(f.a.got.data, "bye", 3);
	assert_int_equal(f.a.eofs, 1);
	tear_down(&f);
	assert_int_equal(f.b.code, 0);
}

static void unused_input_comes_again_with_more(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.b, f.fds[1]);
	f.b.use_most = 7;
	f.b.stop_at_len = 21;
	char text[21] = "abcdefghijklmnopqrstu";
	struct stream *s = f.b.s;
	assert_non_null(s);
	open_end(&f.a, f.fds[0]);
	stream_write(f.a.s, text, 21);
	/* nothing more arrives: only the first seven are used */
	struct timer nap;
	timer_init(&nap, f.loop, on_nap);
	timer_arm(&nap, 30);
	loop_run(f.loop);
	assert_int_equal(f.b.got.len, 7);
	assert_int_equal(f.b.datas, 1);
	tear_down(&f);
}

static void write_one(struct end *end)
{
	struct fixture *f = container_of(end, struct fixture, b);
	if (f->a.s && end->got.len < 14)
		stream_write(f->a.s, "+", 1);
}

static void kept_input_is_in_front_of_more(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.a, f.fds[0]);
	open_end(&f.b, f.fds[1]);
	f.b.use_most = 7;
	f.b.stop_at_len = 16;
	f.b.on_data = write_one;
	stream_write(f.a.s, "abcdefghijklmn", 14);
	timer_arm(&f.limit, 100);
	f.limit.fn = on_nap;
	loop_run(f.loop);
	assert_int_equal(f.b.got.len, 14);
	assert_memory_equal(f.b.got.data, "abcdefghijklmn", 14);
	tear_down(&f);
}

struct resume_timer {
	struct timer timer;
	struct end *end;
	unsigned times;
	clock_t cpu_at_pause;
};

static void on_resume(struct timer *t)
{
	struct resume_timer *r = container_of(t, struct resume_timer, timer);
	if (!r->end->s)
		return;
	r->end->in_call = true;
	stream_resume(r->end->s);
	r->end->in_call = false;
	r->times++;
	timer_arm(t, 5);
}

static void a_paused_reader_gets_everything_by_and_by(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, true);
	open_end(&f.a, f.fds[0]);
	open_end(&f.b, f.fds[1]);
	f.b.use_most = 100000;
	f.b.on_data = pause_self;
	send_pattern(&f.a, 700000);
	assert_true(stream_queued(f.a.s) <= 700000);
	stream_shutdown(f.a.s);
	struct resume_timer r = {.end = &f.b};
	timer_init(&r.timer, f.loop, on_resume);
	timer_arm(&r.timer, 5);
	f.b.stop_at_eof = true;
	loop_run(f.loop);
	assert_pattern(&f.b, 700000);
	assert_true(r.times >= 7);
	timer_cancel(&r.timer);
	tear_down(&f);
}

static void partial_use_with_pauses_loses_nothing(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.a, f.fds[0]);
	open_end(&f.b, f.fds[1]);
	f.b.use_most = 333;
	f.b.on_data = pause_self;
	send_pattern(&f.a, 20000);
	stream_shutdown(f.a.s);
	struct resume_timer r = {.end = &f.b};
	timer_init(&r.timer, f.loop, on_resume);
	timer_arm(&r.timer, 1);
	f.b.stop_at_eof = true;
	f.b.stop_at_len = 20000;
	loop_run(f.loop);
	assert_pattern(&f.b, 20000);
	timer_cancel(&r.timer);
	tear_down(&f);
}

/* Waiting bytes, then a FIN, must not wake the loop again and again. */
static void a_paused_stream_does_not_spin(void **state)
{
	(void)state;
	for (int tcp = 0; tcp < 2; tcp++) {
		struct fixture f;
		set_up(&f, tcp);
		open_end(&f.b, f.fds[1]);
		f.b.on_open = pause_self;
		assert_int_equal(write(f.fds[0], "data", 4), 4);
		if (tcp)
			shutdown(f.fds[0], SHUT_WR);
		else
			close(f.fds[0]);
		f.limit.fn = on_nap;
		timer_arm(&f.limit, 300);
		double before = cpu_s();
		loop_run(f.loop);
		assert_true(cpu_s() - before < 0.1);
		assert_int_equal(f.b.datas + f.b.eofs + f.b.closed, 0);
		if (tcp)
			close(f.fds[0]);
		tear_down(&f);
	}
}

static void reset_peer(int fd)
{
	struct linger hard = {1, 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

struct reset_timer {
	struct timer timer;
	int fd;
};

static void on_reset(struct timer *t)
{
	reset_peer(container_of(t, struct reset_timer, timer)->fd);
}

struct keeper {
	size_t got;
	unsigned eofs;
	bool takes;
};

static size_t take_or_pause(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct keeper *k = ctx;
	(void)p;
	if (!k->takes)
		stream_pause(s);
	k->got += k->takes ? n : 0;
	return k->takes ? n : 0;
}

static void count_eof(struct stream *s, void *ctx)
{
	(void)s;
	((struct keeper *)ctx)->eofs++;
}

/* All that may be kept is kept, and the socket is heard of before that is delivered: that there was no
 * room looked like the end. */
static void a_full_reader_that_goes_on_sees_no_end(void **state)
{
	static const struct stream_cb cb = {.on_data = take_or_pause, .on_eof = count_eof};
	static const char much[2 * STREAM_CHUNK];
	struct keeper k = {.takes = false};
	struct fixture f;
	(void)state;
	set_up(&f, false);
	struct stream *s = stream_from_fd(f.loop, f.fds[1], &cb, &k);
	stream_resume(s);
	assert_int_equal(send(f.fds[0], much, sizeof(much), 0), sizeof(much));
	f.limit.fn = on_nap;
	timer_arm(&f.limit, 30);
	loop_run(f.loop);
	k.takes = true;
	stream_resume(s);
	stream_on_events(s, false, UV_READABLE);
	timer_arm(&f.limit, 30);
	loop_run(f.loop);
	assert_int_equal(k.eofs, 0);
	assert_int_equal(k.got, sizeof(much));
	stream_close(s);
	close(f.fds[0]);
	tear_down(&f);
}

static void a_paused_stream_notices_a_reset(void **state)
{
	(void)state;
	for (int fin_first = 0; fin_first < 2; fin_first++) {
		struct fixture f;
		set_up(&f, true);
		open_end(&f.b, f.fds[1]);
		f.b.on_open = pause_self;
		f.b.stop_at_close = true;
		assert_int_equal(write(f.fds[0], "data", 4), 4);
		if (fin_first)
			shutdown(f.fds[0], SHUT_WR);
		struct reset_timer r = {.fd = f.fds[0]};
		timer_init(&r.timer, f.loop, on_reset);
		timer_arm(&r.timer, 20);
		loop_run(f.loop);
		assert_int_equal(f.b.closed, 1);
		assert_int_equal(f.b.code, -ECONNRESET);
		assert_int_equal(f.b.datas, 0);
		tear_down(&f);
	}
}

static void an_end_without_close_does_not_spin(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, true);
	open_end(&f.b, f.fds[1]);
	shutdown(f.fds[0], SHUT_WR);
	f.limit.fn = on_nap;
	timer_arm(&f.limit, 200);
	double before = cpu_s();
	loop_run(f.loop);
	assert_true(cpu_s() - before < 0.1);
	assert_int_equal(f.b.eofs, 1);
	assert_int_equal(f.b.closed, 0);
	close(f.fds[0]);
	tear_down(&f);
}

static void back_pressure_is_told_and_lifted(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.a, f.fds[0]);
	send_pattern(&f.a, 8u << 20);
	assert_true(stream_queued(f.a.s) > STREAM_HIGH_WATER);
	open_end(&f.b, f.fds[1]);
	f.b.stop_at_len = 8u << 20;
	loop_run(f.loop);
	assert_pattern(&f.b, 8u << 20);
	assert_int_equal(f.a.writables, 1);
	assert_int_equal(stream_queued(f.a.s), 0);
	tear_down(&f);
}

static void corked_writes_arrive_whole_and_in_order(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.a, f.fds[0]);
	open_end(&f.b, f.fds[1]);
	stream_cork(f.a.s);
	stream_cork(f.b.s);
	size_t sent = 0;
	for (size_t n = 1; sent < 300000; n = n * 5 % 7919 + 1) {
		uint8_t *p = malloc(n);
		for (size_t i = 0; i < n; i++)
			p[i] = pattern(sent + i);
		stream_write(f.a.s, p, n);
		stream_write(f.b.s, "x", 1); /* takes the shared buffer away */
		sent += n;
		free(p);
	}
	stream_uncork(f.a.s);
	stream_uncork(f.b.s);
	f.b.stop_at_len = sent;
	loop_run(f.loop);
	assert_pattern(&f.b, sent);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_write_end_and_close_in_order),
		cmocka_unit_test(both_ends_shut_down_closes_in_order),
		cmocka_unit_test(unused_input_comes_again_with_more),
		cmocka_unit_test(kept_input_is_in_front_of_more),
		cmocka_unit_test(a_paused_reader_gets_everything_by_and_by),
		cmocka_unit_test(partial_use_with_pauses_loses_nothing),
		cmocka_unit_test(a_paused_stream_does_not_spin),
		cmocka_unit_test(a_full_reader_that_goes_on_sees_no_end),
		cmocka_unit_test(a_paused_stream_notices_a_reset),
		cmocka_unit_test(an_end_without_close_does_not_spin),
		cmocka_unit_test(back_pressure_is_told_and_lifted),
		cmocka_unit_test(corked_writes_arrive_whole_and_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
