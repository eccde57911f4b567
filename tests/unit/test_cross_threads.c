/* Two real loops on threads of their own, each asking the other at once: sizes, pauses and giving up
 * are random, what arrives has to be what was sent. The origin is a struct client of the test's, which
 * counts what it gets and answers what the path asks for. For TSan above all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/xalloc.h"
#include "http/client.h"
#include "http/cross.h"
#include "net/loop.h"
#include "net/stream.h"

#define CALLS 600u
#define AT_ONCE 150u
#define SIZE_MAX_OF_BODY 300000u
#define WAIT_S 120

struct side {
	struct loop *loop;
	struct cross *cross;
	struct client *way;    /* to the other */
	struct client origin;  /* for the other */
	struct job kick;
	struct list answers;
	pthread_t thread;
	atomic_uint *undone;
	unsigned started, ended, given_up, seed;
	unsigned wrong; /* answers that were not what was asked for */
	bool endless; /* callers start anew until the stop */
};

static unsigned dice(struct side *s, unsigned n)
{
	s->seed = s->seed * 1103515245u + 12345u;
	return (s->seed >> 8) % n;
}

static uint8_t byte_at(size_t i)
{
	return (uint8_t)((i * 2654435761u) >> 24);
}

/* ---- the origin ---- */

struct answer {
	struct call call;
	struct list node; /* in side->answers */
	struct side *side;
	const struct call_cb *cb;
	void *ctx;
	struct defer step;
	struct timer later;
	size_t got, queued, sent, to_send;
	bool ended, full, paused, head_sent, wrong;
};

static void on_step(struct defer *d);

static void step_soon(struct answer *a)
{
	if (dice(a->side, 3))
		loop_defer(a->side->loop, &a->step);
	else
		timer_arm(&a->later, dice(a->side, 2));
}

static void on_later(struct timer *t)
{
	on_step(&container_of(t, struct answer, later)->step);
}

static void answer_free(struct answer *a)
{
	defer_cancel(&a->step);
	timer_cancel(&a->later);
	list_remove(&a->node);
	free(a);
}

static void say_head(struct answer *a)
{
	struct msg *m = msg_new_response(200);
	a->head_sent = true;
	a->cb->on_head(&a->call, m, a->ctx);
	msg_free(m);
}

static void say_end(struct answer *a)
{
	struct msg *m = msg_new_response(200);
	char got[24];
	snprintf(got, sizeof(got), "%zu%s", a->got, a->wrong ? " wrong" : "");
	msg_add(m, "x-got", got);
	a->cb->on_end(&a->call, m, a->ctx);
	msg_free(m);
	answer_free(a);
}

static void say_some(struct answer *a)
{
	uint8_t b[20000];
	size_t n = 1 + dice(a->side, sizeof(b));
	if (n > a->to_send - a->sent)
		n = a->to_send - a->sent;
	for (size_t i = 0; i < n; i++)
		b[i] = byte_at(a->sent + i);
	a->sent += n;
	a->cb->on_body(&a->call, b, n, a->ctx);
}

static void on_step(struct defer *d)
{
	struct answer *a = container_of(d, struct answer, step);
	a->queued -= a->queued > 30000 ? 30000 : a->queued;
	if (a->full && a->queued < STREAM_LOW_WATER) {
		a->full = false;
		a->cb->on_writable(&a->call, a->ctx);
	}
	if (!a->head_sent)
		say_head(a);
	else if (!a->paused && a->sent < a->to_send)
		say_some(a);
	else if (!a->paused && a->ended && a->sent == a->to_send) {
		say_end(a);
		return;
	}
	bool idle = !a->queued && (a->paused || (a->sent == a->to_send && !a->ended));
	if (!idle)
		step_soon(a);
}

static struct answer *of(struct call *k)
{
	return container_of(k, struct answer, call);
}

static struct call *origin_start(
	struct client *c, const struct msg *req, const struct call_cb *cb, void *ctx)
{
	struct answer *a = xcalloc(1, sizeof(*a));
	a->side = container_of(c, struct side, origin);
	a->call.client = c;
	a->cb = cb;
	a->ctx = ctx;
	a->to_send = strtoul(msg_target(req) + 1, NULL, 10);
	list_push_back(&a->side->answers, &a->node);
	defer_init(&a->step, on_step);
	timer_init(&a->later, a->side->loop, on_later);
	step_soon(a);
	return &a->call;
}

static size_t origin_write(struct call *k, const void *p, size_t n)
{
	struct answer *a = of(k);
	for (size_t i = 0; i < n; i++)
		a->wrong |= ((const uint8_t *)p)[i] != byte_at(a->got + i);
	a->got += n;
	a->queued += n;
	a->full |= a->queued > STREAM_HIGH_WATER;
	step_soon(a);
	return a->queued;
}

static void origin_end(struct call *k, const struct msg *trailers)
{
	(void)trailers;
	of(k)->ended = true;
	step_soon(of(k));
}

static void origin_pause(struct call *k)
{
	of(k)->paused = true;
}

static void origin_resume(struct call *k)
{
	of(k)->paused = false;
	step_soon(of(k));
}

static void origin_cancel(struct call *k)
{
	answer_free(of(k));
}

static const struct client_ops origin_ops = {.start = origin_start,
	.write = origin_write,
	.end = origin_end,
	.pause = origin_pause,
	.resume = origin_resume,
	.cancel = origin_cancel};

static void on_call(void *ctx, struct cross_call *k)
{
	struct side *s = ctx;
	struct err why;
	if (dice(s, 40)) {
		cross_begin(k, &s->origin);
		return;
	}
	err_set(&why, -EBUSY, "not now");
	cross_refuse(k, &why);
}

static void on_gone(void *ctx, struct cross_call *k)
{
	(void)ctx, (void)k;
	abort(); /* each is begun or refused at once */
}

/* ---- who asks ---- */

struct caller {
	struct side *side;
	struct call *call;
	struct timer resume;
	size_t to_send, sent, to_get, got;
	unsigned give_up_after; /* events; 0: never */
	unsigned events;
	bool differs;
};

static void start_some(struct side *s);

static void done(struct caller *c, bool right)
{
	struct side *s = c->side;
	timer_cancel(&c->resume);
	free(c);
	s->wrong += !right;
	s->ended++;
	if (s->ended == CALLS && !s->endless)
		atomic_fetch_sub(s->undone, 1);
	start_some(s);
}

/* True: the caller gave up and is gone. */
static bool gave_up(struct caller *c)
{
	if (++c->events != c->give_up_after)
		return false;
	c->side->given_up++;
	call_cancel(c->call);
	done(c, true);
	return true;
}

static void on_resume(struct timer *t)
{
	call_resume(container_of(t, struct caller, resume)->call);
}

static void on_head(struct call *k, struct msg *head, void *ctx)
{
	(void)k, (void)head;
	gave_up(ctx);
}

static void on_body(struct call *k, const uint8_t *p, size_t n, void *ctx)
{
	struct caller *c = ctx;
	for (size_t i = 0; i < n; i++)
		c->differs |= p[i] != byte_at(c->got + i);
	c->got += n;
	if (gave_up(c) || dice(c->side, 12))
		return;
	call_pause(k);
	timer_arm(&c->resume, dice(c->side, 3));
}

static void on_end(struct call *k, const struct msg *trailers, void *ctx)
{
	struct caller *c = ctx;
	char want[24];
	(void)k;
	snprintf(want, sizeof(want), "%zu", c->to_send);
	done(c, !c->differs && c->got == c->to_get && trailers &&
			strcmp(msg_get(trailers, "x-got"), want) == 0);
}

static void pump(struct caller *c)
{
	uint8_t b[20000];
	while (c->sent < c->to_send) {
		size_t n = 1 + dice(c->side, sizeof(b));
		if (n > c->to_send - c->sent)
			n = c->to_send - c->sent;
		for (size_t i = 0; i < n; i++)
			b[i] = byte_at(c->sent + i);
		c->sent += n;
		if (call_write(c->call, b, n) > STREAM_HIGH_WATER && c->sent < c->to_send)
			return;
	}
	call_end(c->call, NULL);
}

static void on_writable(struct call *k, void *ctx)
{
	struct caller *c = ctx;
	(void)k;
	if (c->sent < c->to_send && !gave_up(c))
		pump(c);
}

static void on_fail(struct call *k, const struct err *why, bool unsent, void *ctx)
{
	struct caller *c = ctx;
	(void)k;
	done(c, (unsent && why->code == -EBUSY) || (c->side->endless && why->code == -ECANCELED));
}

static const struct call_cb call_cb = {.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
	.on_writable = on_writable,
	.on_fail = on_fail};

static void start_one(struct side *s)
{
	struct caller *c = xcalloc(1, sizeof(*c));
	char path[24];
	c->side = s;
	c->to_send = dice(s, 3) ? dice(s, 2000) : dice(s, SIZE_MAX_OF_BODY);
	c->to_get = dice(s, 3) ? dice(s, 2000) : dice(s, SIZE_MAX_OF_BODY);
	c->give_up_after = dice(s, 5) ? 0 : 1 + dice(s, 8);
	timer_init(&c->resume, s->loop, on_resume);
	snprintf(path, sizeof(path), "/%zu", c->to_get);
	struct msg *m = msg_new_request("POST", "http", "dev", path);
	msg_set_body(m, BODY_CHUNKED, 0);
	c->call = client_start(s->way, m, &call_cb, c);
	msg_free(m);
	if (!c->call) {
		free(c); /* closed */
		return;
	}
	s->started++;
	pump(c);
}

static void start_some(struct side *s)
{
	while ((s->started < CALLS || s->endless) && s->started - s->ended < AT_ONCE && s->way->room)
		start_one(s);
}

static void on_kick(struct job *job)
{
	start_some(container_of(job, struct side, kick));
}

/* ---- two threads ---- */

static void *run(void *arg)
{
	loop_run(((struct side *)arg)->loop);
	return NULL;
}

static void side_init(struct side *s, unsigned seed, atomic_uint *undone)
{
	struct err e;
	*s = (struct side){.undone = undone, .seed = seed, .kick = {.run = on_kick}};
	s->origin = (struct client){.ops = &origin_ops, .room = 1, .room_most = 1, .many = true};
	list_init(&s->answers);
	assert_int_equal(loop_new(&s->loop, &e), 0);
	s->cross = cross_new(s->loop,
		&(struct cross_host){.on_call = on_call, .on_gone = on_gone, .ctx = s});
}

static void go(struct side s[2], bool endless)
{
	for (int i = 0; i < 2; i++) {
		s[i].endless = endless;
		s[i].way = cross_client_new(
			&(struct cross_way){s[i].cross, s[1 - i].cross, "x"}, &(struct client_opts){0});
	}
	for (int i = 0; i < 2; i++) {
		loop_post(s[i].loop, &s[i].kick);
		assert_int_equal(pthread_create(&s[i].thread, NULL, run, &s[i]), 0);
	}
}

static void stop(struct side s[2])
{
	for (int i = 0; i < 2; i++)
		loop_stop(s[i].loop);
	for (int i = 0; i < 2; i++)
		pthread_join(s[i].thread, NULL);
	for (int i = 0; i < 2; i++)
		cross_stop(s[i].cross);
	for (int i = 0; i < 2; i++) {
		client_close(s[i].way);
		list_each_safe(at, &s[i].answers) answer_free(container_of(at, struct answer, node));
	}
}

static void side_free(struct side s[2])
{
	for (int i = 0; i < 2; i++)
		loop_free(s[i].loop);
	for (int i = 0; i < 2; i++)
		cross_free(s[i].cross);
}

static void hundreds_of_calls_cross_both_ways_at_once(void **state)
{
	static struct side s[2];
	atomic_uint undone = 2;
	(void)state;
	side_init(&s[0], 1, &undone);
	side_init(&s[1], 2, &undone);
	go(s, false);
	for (int i = 0; atomic_load(&undone) && i < WAIT_S * 100; i++)
		usleep(10000);
	stop(s);
	side_free(s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(s[i].ended, CALLS);
		assert_int_equal(s[i].wrong, 0);
		assert_true(s[i].given_up > 0);
	}
}

/* LSan sees what the halves left to each other. */
static void a_stop_with_calls_in_flight_leaves_nothing(void **state)
{
	static struct side s[2];
	(void)state;
	for (unsigned round = 0; round < 12; round++) {
		side_init(&s[0], 3 + round, NULL);
		side_init(&s[1], 4 + round, NULL);
		go(s, true);
		usleep(5000 + 3000 * round);
		stop(s);
		side_free(s);
		assert_int_equal(s[0].started, s[0].ended);
		assert_int_equal(s[0].wrong + s[1].wrong, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hundreds_of_calls_cross_both_ways_at_once),
		cmocka_unit_test(a_stop_with_calls_in_flight_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
