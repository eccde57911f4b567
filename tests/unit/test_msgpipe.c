/* Unit tests of net/msgpipe over a real pair of sockets. */
#include "net/msgpipe.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/loop.h"

struct side {
	struct loop *loop;
	struct msgpipe *pipe;
	unsigned got, bad, gone, stop_at;
	uint64_t last_id;
	bool close_at_once;
};

static void on_msg(void *ctx, const struct procmsg *m, const struct err *e)
{
	struct side *s = ctx;
	if (!m) {
		assert_int_equal(e->code, -EBADMSG);
		s->bad++;
	} else {
		assert_int_equal(m->id, s->got);
		s->last_id = m->id;
		s->got++;
	}
	if (s->close_at_once)
		msgpipe_close(s->pipe);
	if (s->got + s->bad == s->stop_at)
		loop_stop(s->loop);
}

static void on_gone(void *ctx)
{
	struct side *s = ctx;
	s->gone++;
	loop_stop(s->loop);
}

static void make_pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
}

static void open_side(struct side *s, struct loop *loop, int fd)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	assert_int_equal(msgpipe_open(&s->pipe, loop, fd, on_msg, on_gone, s, NULL), 0);
}

static struct loop *new_loop(void)
{
	struct loop *loop;
	assert_int_equal(loop_new(&loop, NULL), 0);
	return loop;
}

static void messages_arrive_in_order_also_through_the_queue(void **state)
{
	(void)state;
	static const uint8_t blob[40000];
	struct loop *loop = new_loop();
	struct side a, b;
	int fds[2];
	make_pair(fds);
	open_side(&a, loop, fds[0]);
	open_side(&b, loop, fds[1]);
	/* Far more than the socket takes at once. */
	for (uint64_t i = 0; i < 100; i++) {
		struct procmsg m = {
			.type = PROCMSG_CHAIN, .id = i, .blob = blob, .blob_len = 40000};
		assert_int_equal(msgpipe_send(a.pipe, &m, NULL), 0);
	}
	assert_int_equal(b.got, 0);
	b.stop_at = 100;
	loop_run(loop);
	assert_int_equal(b.got, 100);
	assert_int_equal(b.bad, 0);
	msgpipe_close(a.pipe);
	msgpipe_close(b.pipe);
	msgpipe_close(b.pipe);
	loop_free(loop);
}

static void a_side_that_does_not_read_is_told(void **state)
{
	(void)state;
	static const uint8_t blob[60000];
	struct loop *loop = new_loop();
	struct side a;
	int fds[2], rc = 0, sent = 0;
	make_pair(fds);
	open_side(&a, loop, fds[0]);
	struct procmsg m = {.type = PROCMSG_CHAIN, .blob = blob, .blob_len = sizeof(blob)};
	struct err e = {0};
	for (; sent < 1000 && rc == 0; sent++)
		rc = msgpipe_send(a.pipe, &m, &e);
	assert_int_equal(rc, -ENOBUFS);
	assert_int_equal(e.code, -ENOBUFS);
	assert_true(sent > 256 && sent < 300);
	loop_free(loop); /* closes it */
	close(fds[1]);
}

static void what_is_no_message_is_reported_and_dropped(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	struct side a;
	int fds[2];
	make_pair(fds);
	open_side(&a, loop, fds[0]);
	static uint8_t big[PROCMSG_MAX + 1], good[PROCMSG_MAX];
	struct procmsg m = {.type = PROCMSG_CANCEL, .id = 0};
	int n = procmsg_encode(&m, good);
	assert_int_equal(send(fds[1], "rubbish", 7, 0), 7);
	assert_int_equal(send(fds[1], big, sizeof(big), 0), sizeof(big));
	assert_int_equal(send(fds[1], good, (size_t)n, 0), n);
	a.stop_at = 3;
	loop_run(loop);
	assert_int_equal(a.bad, 2);
	assert_int_equal(a.got, 1);
	msgpipe_close(a.pipe);
	close(fds[1]);
	loop_free(loop);
}

static void the_other_ends_death_is_told_once_after_its_last_words(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	struct side a;
	int fds[2];
	make_pair(fds);
	open_side(&a, loop, fds[0]);
	static uint8_t good[PROCMSG_MAX];
	struct procmsg m = {.type = PROCMSG_CANCEL, .id = 0};
	int n = procmsg_encode(&m, good);
	assert_int_equal(send(fds[1], good, (size_t)n, 0), n);
	close(fds[1]);
	loop_run(loop);
	assert_int_equal(a.got, 1);
	assert_int_equal(a.gone, 1);
	assert_int_equal(msgpipe_send(a.pipe, &m, NULL), -EPIPE);
	msgpipe_close(a.pipe);
	loop_free(loop);
	assert_int_equal(a.gone, 1);
}

static void last_words_come_also_from_one_that_did_not_read(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	struct side a;
	int fds[2];
	make_pair(fds);
	open_side(&a, loop, fds[0]);
	static uint8_t good[PROCMSG_MAX];
	for (uint64_t i = 0; i < 40; i++) {
		struct procmsg m = {.type = PROCMSG_CANCEL, .id = i};
		int n = procmsg_encode(&m, good);
		assert_int_equal(msgpipe_send(a.pipe, &m, NULL), 0);
		assert_int_equal(send(fds[1], good, (size_t)n, 0), n);
	}
	close(fds[1]);
	loop_run(loop);
	assert_int_equal(a.got, 40);
	assert_int_equal(a.gone, 1);
	loop_free(loop);
}

static void on_time(struct timer *t)
{
	loop_stop(t->loop);
}

static void closing_in_the_callback_is_the_end(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	struct side a, b;
	int fds[2];
	make_pair(fds);
	open_side(&a, loop, fds[0]);
	open_side(&b, loop, fds[1]);
	b.close_at_once = true;
	for (uint64_t i = 0; i < 5; i++) {
		struct procmsg m = {.type = PROCMSG_CANCEL, .id = i};
		assert_int_equal(msgpipe_send(a.pipe, &m, NULL), 0);
	}
	struct timer t;
	timer_init(&t, loop, on_time);
	timer_arm(&t, 5000);
	loop_run(loop); /* until `a` sees it gone */
	assert_int_equal(a.gone, 1);
	assert_int_equal(b.got, 1);
	assert_int_equal(b.gone, 0);
	timer_cancel(&t);
	msgpipe_close(a.pipe);
	loop_free(loop);
}

static void the_descriptor_is_not_inherited(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	struct side a;
	int fds[2];
	make_pair(fds);
	open_side(&a, loop, fds[0]);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	msgpipe_close(NULL);
	loop_free(loop);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_arrive_in_order_also_through_the_queue),
		cmocka_unit_test(a_side_that_does_not_read_is_told),
		cmocka_unit_test(what_is_no_message_is_reported_and_dropped),
		cmocka_unit_test(the_other_ends_death_is_told_once_after_its_last_words),
		cmocka_unit_test(last_words_come_also_from_one_that_did_not_read),
		cmocka_unit_test(closing_in_the_callback_is_the_end),
		cmocka_unit_test(the_descriptor_is_not_inherited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
