/* A plain stream's promises, each shown on a socket pair or a loopback connection: callbacks in
 * order, partial use of input, back-pressure, pausing, ends, timeouts, closing from anywhere. */
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/dial.h"
#include "net/loop.h"

#define WAIT_MS 10000

/* One end under test; the hooks change what its callbacks do. */
struct end {
	struct stream *s;
	struct loop *loop;
	struct buf got;
	unsigned opened, eofs, writables, closed, datas;
	int code;
	bool in_call;
	size_t use_most; /* use at most that many bytes of a callback; 0: all */
	void (*on_data)(struct end *end);
	void (*on_eof)(struct end *end);
	void (*on_open)(struct end *end);
	bool stop_at_close, stop_at_eof;
	size_t stop_at_len;
};

static void on_open(struct stream *s, void *ctx)
{
	struct end *end = ctx;
	assert_ptr_equal(s, end->s);
	assert_int_equal(end->opened++, 0);
	if (end->on_open)
		end->on_open(end);
}

static size_t on_data(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct end *end = ctx;
	assert_false(end->in_call);
	assert_int_equal(end->opened, 1);
	assert_int_equal(end->eofs + end->closed, 0);
	assert_true(n > 0 && n <= 65536);
	if (end->use_most && n > end->use_most)
		n = end->use_most;
	end->datas++;
	assert_int_equal(buf_append(&end->got, p, n), 0);
	if (end->on_data)
		end->on_data(end);
	if (end->stop_at_len && end->got.len >= end->stop_at_len)
		loop_stop(stream_loop(s));
	return n;
}

static void on_eof(struct stream *s, void *ctx)
{
	struct end *end = ctx;
	assert_false(end->in_call);
	assert_int_equal(end->eofs++, 0);
	assert_int_equal(end->closed, 0);
	if (end->on_eof)
		end->on_eof(end);
	if (end->stop_at_eof)
		loop_stop(stream_loop(s));
}

static void on_writable(struct stream *s, void *ctx)
{
	struct end *end = ctx;
	assert_false(end->in_call);
	assert_true(stream_queued(s) < STREAM_LOW_WATER);
	end->writables++;
}

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct end *end = ctx;
	assert_false(end->in_call);
	assert_int_equal(end->closed++, 0);
	end->code = why->code;
	end->s = NULL;
	if (end->stop_at_close)
		loop_stop(stream_loop(s));
}

static const struct stream_cb end_cb = {on_open, on_data, on_eof, on_writable, on_close};

struct fixture {
	struct loop *loop;
	struct end a, b;
	struct timer limit;
	int fds[2];
};

static void on_limit(struct timer *t)
{
	(void)t;
	fail_msg("the test did not end in time");
}

static void tcp_pair(int fds[2])
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	socklen_t n = sizeof(addr);
	int l = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(l, (struct sockaddr *)&addr, n), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&addr, &n), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&addr, n), 0);
	fds[1] = accept(l, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(l);
}

static struct end new_end(struct loop *loop)
{
	return (struct end){.loop = loop, .got = BUF_INIT(64u << 20)};
}

static void set_up(struct fixture *f, bool tcp)
{
	struct err e;
	*f = (struct fixture){0};
	assert_int_equal(loop_new(&f->loop, &e), 0);
	if (tcp)
		tcp_pair(f->fds);
	else
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->fds), 0);
	f->a = new_end(f->loop);
	f->b = new_end(f->loop);
	timer_init(&f->limit, f->loop, on_limit);
	timer_arm(&f->limit, WAIT_MS);
}

static void open_end(struct end *end, int fd)
{
	end->in_call = true;
	end->s = stream_from_fd(end->loop, fd, &end_cb, end);
	end->in_call = false;
}

static void tear_down(struct fixture *f)
{
	timer_cancel(&f->limit);
	loop_free(f->loop);
	assert_null(f->a.s);
	assert_null(f->b.s);
	buf_done(&f->a.got);
	buf_done(&f->b.got);
}

/* Run the loop for `ms` on top of what stops it. */
static void on_nap(struct timer *t)
{
	loop_stop(t->loop);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

static void send_pattern(struct end *end, size_t n)
{
	uint8_t *p = malloc(n);
	for (size_t i = 0; i < n; i++)
		p[i] = pattern(i);
	end->in_call = true;
	stream_write(end->s, p, n);
	end->in_call = false;
	free(p);
}

static void assert_pattern(const struct end *end, size_t n)
{
	assert_int_equal(end->got.len, n);
	for (size_t i = 0; i < n; i++) {
		if (end->got.data[i] != pattern(i))
			fail_msg("byte %zu differs", i);
	}
}

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

static void pause_self(struct end *end)
{
	stream_pause(end->s);
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

static double cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
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
};

static void on_drip(struct timer *t)
{
	struct drip *d = container_of(t, struct drip, timer);
	if (!d->left--) {
		loop_stop(t->loop);
		return;
	}
	assert_int_equal(write(d->fd, ".", 1), 1);
	timer_arm(t, 20);
}

static void moving_bytes_put_the_idle_timeout_off(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.a, f.fds[0]);
	stream_idle_timeout(f.a.s, 120);
	struct drip d = {.fd = f.fds[1], .left = 12};
	timer_init(&d.timer, f.loop, on_drip);
	timer_arm(&d.timer, 20);
	loop_run(f.loop);
	assert_int_equal(f.a.closed, 0);
	assert_int_equal(f.a.got.len, 12);
	close(f.fds[1]);
	tear_down(&f);
}

static void close_self(struct end *end)
{
	end->in_call = true;
	stream_close(end->s);
	stream_close(end->s);
	end->in_call = false;
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

static void use_nothing(struct end *end)
{
	buf_done(&end->got);
}

static size_t on_data_none(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	struct end *end = ctx;
	(void)s, (void)p, (void)n;
	end->datas++;
	use_nothing(end);
	return 0;
}

static const struct stream_cb none_cb = {on_open, on_data_none, on_eof, on_writable, on_close};

static void input_that_nobody_uses_is_bounded(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	open_end(&f.a, f.fds[0]);
	open_end(&f.b, f.fds[1]);
	stream_set_cb(f.b.s, &none_cb, &f.b);
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

static const struct stream_cb first_cb = {
	on_open, on_data_hand_over, on_eof, on_writable, on_close};

static void a_new_owner_gets_the_rest(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	struct end second = new_end(f.loop);
	second_owner = &second;
	f.b.s = stream_from_fd(f.loop, f.fds[1], &first_cb, &f.b);
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
		cmocka_unit_test(open_write_end_and_close_in_order),
		cmocka_unit_test(both_ends_shut_down_closes_in_order),
		cmocka_unit_test(unused_input_comes_again_with_more),
		cmocka_unit_test(kept_input_is_in_front_of_more),
		cmocka_unit_test(a_paused_reader_gets_everything_by_and_by),
		cmocka_unit_test(partial_use_with_pauses_loses_nothing),
		cmocka_unit_test(a_paused_stream_does_not_spin),
		cmocka_unit_test(a_paused_stream_notices_a_reset),
		cmocka_unit_test(an_end_without_close_does_not_spin),
		cmocka_unit_test(back_pressure_is_told_and_lifted),
		cmocka_unit_test(corked_writes_arrive_whole_and_in_order),
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
