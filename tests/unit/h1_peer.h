/* The other end of a socket pair, on the same loop as what is tested: sends a script, whole or one
 * byte a turn, and collects what comes. Tests with real timers are bounded by a guard. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/loop.h"

#define GUARD_MS 30000

/* The tables name errors by the numbers that most machines have; MIPS has others. */
static inline int usual_errno(int code)
{
	switch (-code) {
	case ECONNRESET:
		return -104;
	case ENOBUFS:
		return -105;
	case ETIMEDOUT:
		return -110;
	case ECANCELED:
		return -125;
	}
	return code;
}

struct peer {
	struct job job;
	struct timer tick, guard;
	struct loop *loop;
	int fd;
	const char *in;
	size_t n, at;
	bool by_byte;
	bool half_close;             /* FIN when all is sent */
	bool no_read;                /* leaves everything in the socket */
	const char *wait_for;        /* send only when this was received */
	size_t send_after;           /* and as much */
	const char *then, *then_for; /* what follows `in`, and its wait_for */
	const char *close_on;        /* close when this was received last */
	size_t close_len;            /* and not before so much was */
	uint64_t gap_ms;             /* between two bytes */
	uint64_t turn_ms, stall_ms;  /* its last turn; the longest time between two */
	struct buf got;
	bool eof, closed, reset, fin_sent;
};

static inline void peer_close(struct peer *p)
{
	if (!p->closed)
		close(p->fd);
	p->closed = true;
	timer_cancel(&p->tick);
}

static inline void peer_read(struct peer *p)
{
	uint8_t b[16384];
	while (!p->eof && !p->no_read) {
		ssize_t n = recv(p->fd, b, sizeof(b), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		p->reset = n < 0;
		p->eof = n <= 0;
		if (n > 0 && buf_append(&p->got, b, (size_t)n) < 0)
			abort();
	}
}

static inline bool peer_ends_with(struct peer *p, const char *s)
{
	size_t n = strlen(s);
	return p->got.len >= p->close_len && p->got.len >= n &&
	       (!n || !memcmp(p->got.data + p->got.len - n, s, n));
}

static inline bool peer_may_send(struct peer *p)
{
	return p->at < p->n && p->got.len >= p->send_after &&
	       (!p->wait_for || (buf_str(&p->got) && strstr(buf_str(&p->got), p->wait_for)));
}

static inline void peer_send(struct peer *p)
{
	size_t k = p->by_byte || p->gap_ms ? 1 : p->n - p->at;
	ssize_t n = send(p->fd, p->in + p->at, k, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		p->at += (size_t)n;
	else if (errno != EAGAIN)
		p->at = p->n;
}

static inline void peer_next(struct peer *p)
{
	if (p->at < p->n || !p->then)
		return;
	p->in = p->then;
	p->n = strlen(p->then);
	p->at = 0;
	p->wait_for = p->then_for;
	p->then = NULL;
}

static inline void peer_turn(struct peer *p)
{
	if (p->closed)
		return;
	uint64_t now = loop_now_ms(p->loop);
	if (now - p->turn_ms > p->stall_ms)
		p->stall_ms = now - p->turn_ms;
	p->turn_ms = now;
	peer_read(p);
	if (peer_may_send(p))
		peer_send(p);
	peer_next(p);
	if (p->at == p->n && p->half_close && !p->fin_sent) {
		shutdown(p->fd, SHUT_WR);
		p->fin_sent = true;
	}
	bool done = p->at == p->n && p->close_on && peer_ends_with(p, p->close_on);
	if (done || (p->eof && (p->at == p->n || p->reset)))
		peer_close(p);
	else if (peer_may_send(p) && p->by_byte)
		loop_post(p->loop, &p->job);
	else
		timer_arm(&p->tick, p->gap_ms ? p->gap_ms : 1);
}

static inline void peer_on_job(struct job *j)
{
	peer_turn(container_of(j, struct peer, job));
}

static inline void peer_on_tick(struct timer *t)
{
	peer_turn(container_of(t, struct peer, tick));
}

static inline void peer_on_guard(struct timer *t)
{
	struct peer *p = container_of(t, struct peer, guard);
	fprintf(stderr, "nothing happened for %d ms; received:\n%s\n", GUARD_MS, buf_str(&p->got));
	abort();
}

/* Fill in what is asked of it before; returns the descriptor for the side that is tested. */
static inline int peer_open(struct peer *p, struct loop *loop)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	p->loop = loop;
	p->fd = fds[0];
	p->turn_ms = loop_now_ms(loop);
	buf_init(&p->got, 64u << 20);
	p->job = (struct job){.run = peer_on_job};
	timer_init(&p->tick, loop, peer_on_tick);
	timer_init(&p->guard, loop, peer_on_guard);
	timer_arm(&p->guard, GUARD_MS);
	timer_arm(&p->tick, 0);
	return fds[1];
}

/* Before the loop goes; what was received stays. */
static inline void peer_stop(struct peer *p)
{
	peer_close(p);
	timer_cancel(&p->guard);
}

static inline void peer_done(struct peer *p)
{
	buf_done(&p->got);
}
