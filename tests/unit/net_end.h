/* One end of a stream under test: counts its callbacks, checks their order, keeps what arrived. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/loop.h"
#include "net/stream.h"

/* The hooks change what its callbacks do. */
struct end {
	struct stream *s;
	struct loop *loop;
	struct buf got;
	unsigned opened, eofs, writables, closed, datas;
	int code;
	char why[ERR_TEXT_MAX];
	bool in_call;    /* inside a call of ours: no callback may come */
	size_t use_most; /* use at most that many bytes of a callback; 0: all */
	void (*on_data)(struct end *end);
	void (*on_eof)(struct end *end);
	void (*on_open)(struct end *end);
	void (*on_writable)(struct end *end);
	bool stop_at_close, stop_at_eof;
	size_t stop_at_len;
};

struct fixture {
	struct loop *loop;
	struct end a, b;
	struct timer limit; /* the test fails when it takes longer */
	int fds[2];
};

extern const struct stream_cb end_cb;

struct end new_end(struct loop *loop);
void open_end(struct end *end, int fd);
void tcp_pair(int fds[2]);
/* A loop and two connected sockets: TCP, or Unix. */
void set_up(struct fixture *f, bool tcp);
void tear_down(struct fixture *f);
/* For `limit.fn`: end quietly instead. */
void on_nap(struct timer *t);

uint8_t pattern(size_t i);
void send_pattern(struct end *end, size_t n);
void assert_pattern(const struct end *end, size_t n);
void close_self(struct end *end);
void pause_self(struct end *end);
double cpu_s(void);
