/* See net_end.h. */
#include "net_end.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dial.h"

#define WAIT_MS 30000

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
	if (end->on_writable)
		end->on_writable(end);
}

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct end *end = ctx;
	assert_false(end->in_call);
	assert_int_equal(end->closed++, 0);
	end->code = why->code;
	snprintf(end->why, sizeof(end->why), "%s", why->text);
	end->s = NULL;
	if (end->stop_at_close)
		loop_stop(stream_loop(s));
}

const struct stream_cb end_cb = {on_open, on_data, on_eof, on_writable, on_close};

static void on_limit(struct timer *t)
{
	(void)t;
	fail_msg("the test did not end in time");
}

void tcp_pair(int fds[2])
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

struct end new_end(struct loop *loop)
{
	return (struct end){.loop = loop, .got = BUF_INIT(64u << 20)};
}

void set_up(struct fixture *f, bool tcp)
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

void open_end(struct end *end, int fd)
{
	end->in_call = true;
	end->s = stream_from_fd(end->loop, fd, &end_cb, end);
	end->in_call = false;
}

void tear_down(struct fixture *f)
{
	timer_cancel(&f->limit);
	loop_free(f->loop);
	assert_null(f->a.s);
	assert_null(f->b.s);
	buf_done(&f->a.got);
	buf_done(&f->b.got);
}

void on_nap(struct timer *t)
{
	loop_stop(t->loop);
}

uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

void send_pattern(struct end *end, size_t n)
{
	uint8_t *p = malloc(n);
	for (size_t i = 0; i < n; i++)
		p[i] = pattern(i);
	end->in_call = true;
	stream_write(end->s, p, n);
	end->in_call = false;
	free(p);
}

void assert_pattern(const struct end *end, size_t n)
{
	assert_int_equal(end->got.len, n);
	for (size_t i = 0; i < n; i++) {
		if (end->got.data[i] != pattern(i))
			fail_msg("byte %zu differs", i);
	}
}

void close_self(struct end *end)
{
	end->in_call = true;
	stream_close(end->s);
	stream_close(end->s);
	end->in_call = false;
}

void pause_self(struct end *end)
{
	stream_pause(end->s);
}

double cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
