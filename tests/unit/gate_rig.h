/* For tests of what the gate runs on a loop: the loop is turned by hand until something holds, and
 * the far ends of socket pairs are read and written by the test itself, so that it sees every
 * moment. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/stream.h"

#define RIG_WAIT_MS 10000

/* A far end. */
struct far {
	int fd; /* -1: closed by the test */
	struct buf got;
	bool eof; /* the gate closed */
};

static struct loop *rig_loop;
static struct loop *rig_other; /* turned with it, where a test has two */

static inline int rig_begin(void **state)
{
	struct err e;
	(void)state;
	return loop_new(&rig_loop, &e);
}

static inline int rig_end(void **state)
{
	(void)state;
	loop_free(rig_loop);
	rig_loop = NULL;
	return 0;
}

static inline void rig_begin_other(void)
{
	struct err e;
	assert_int_equal(loop_new(&rig_other, &e), 0);
}

static inline void rig_end_other(void)
{
	loop_free(rig_other);
	rig_other = NULL;
}

/* The longest time between two turns; who asks sets it to nought before. */
static uint64_t rig_turn_ms, rig_gap_ms;

/* One turn, and a breath. */
static inline void rig_turn(void)
{
	uint64_t now = clock_mono_ms();
	rig_gap_ms = now - rig_turn_ms > rig_gap_ms ? now - rig_turn_ms : rig_gap_ms;
	rig_turn_ms = now;
	uv_run(loop_uv(rig_loop), UV_RUN_NOWAIT);
	if (rig_other)
		uv_run(loop_uv(rig_other), UV_RUN_NOWAIT);
	usleep(200);
}

static inline void rig_turns(unsigned n)
{
	while (n--)
		rig_turn();
}

#define UNTIL(holds)                                                                               \
	do {                                                                                       \
		uint64_t until_ms = clock_mono_ms() + RIG_WAIT_MS;                                 \
		while (!(holds)) {                                                                 \
			if (clock_mono_ms() > until_ms)                                            \
				fail_msg("never came: %s", #holds);                                \
			rig_turn();                                                                \
		}                                                                                  \
	} while (0)

/* A socket pair: the test's end into `f`, the gate's is returned. */
static inline int far_open(struct far *f)
{
	int fds[2];
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	*f = (struct far){.fd = fds[0], .got = BUF_INIT(64u << 20)};
	return fds[1];
}

static inline void far_read(struct far *f)
{
	uint8_t b[65536];
	while (f->fd >= 0 && !f->eof) {
		ssize_t n = recv(f->fd, b, sizeof(b), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		f->eof = n <= 0;
		if (n > 0)
			assert_int_equal(buf_append(&f->got, b, (size_t)n), 0);
	}
}

/* Has `text` arrived? */
static inline bool far_has(struct far *f, const char *text)
{
	far_read(f);
	return f->got.len && strstr(buf_str(&f->got), text);
}

static inline bool far_is_closed(struct far *f)
{
	far_read(f);
	return f->eof;
}

static inline void far_forget(struct far *f)
{
	f->got.len = 0;
}

static inline void far_say(struct far *f, const char *text)
{
	size_t n = strlen(text);
	assert_int_equal(send(f->fd, text, n, MSG_NOSIGNAL), n);
}

static inline void far_close(struct far *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static inline void far_done(struct far *f)
{
	far_close(f);
	buf_done(&f->got);
}

static inline unsigned far_count(struct far *f, const char *text)
{
	unsigned n = 0;
	far_read(f);
	for (const char *p = f->got.len ? buf_str(&f->got) : ""; (p = strstr(p, text)); p++)
		n++;
	return n;
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_begin, rig_end)
