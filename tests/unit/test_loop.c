/* The loop's promises: posted jobs run in order, once, on the loop; timers fire in order of their
 * deadlines and can be moved and cancelled; deferred calls come after the present callback. */
#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/xalloc.h"
#include "net/loop_int.h"

#define JOBS 2000
#define POSTERS 4
#define BOUNCES 60000

static struct loop *new_loop(void)
{
	struct loop *loop;
	struct err e;
	assert_int_equal(loop_new(&loop, &e), 0);
	return loop;
}

struct count {
	struct loop *loop;
	pthread_t loop_thread;
	unsigned next[POSTERS];
	unsigned ran, cancelled;
};

struct num_job {
	struct job job;
	struct count *count;
	unsigned poster, n;
};

static void run_num(struct job *job)
{
	struct num_job *j = container_of(job, struct num_job, job);
	assert_int_equal(j->count->next[j->poster], j->n);
	j->count->next[j->poster]++;
	if (++j->count->ran == JOBS * POSTERS)
		loop_stop(j->count->loop);
	free(j);
}

static void cancel_num(struct job *job)
{
	struct num_job *j = container_of(job, struct num_job, job);
	j->count->cancelled++;
	free(j);
}

static int post_num(struct count *c, unsigned poster, unsigned n)
{
	struct num_job *j = xcalloc(1, sizeof(*j));
	*j = (struct num_job){
		{NULL, run_num, cancel_num},
                c, poster, n
        };
	return loop_post(c->loop, &j->job);
}

struct poster {
	struct count *count;
	unsigned number;
};

static void *post_many(void *arg)
{
	struct poster *p = arg;
	for (unsigned i = 0; i < JOBS; i++)
		post_num(p->count, p->number, i);
	return NULL;
}

static void jobs_of_a_thread_run_in_order(void **state)
{
	(void)state;
	struct count c = {.loop = new_loop()};
	struct poster posters[POSTERS];
	pthread_t threads[POSTERS];
	for (unsigned i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){&c, i};
		pthread_create(&threads[i], NULL, post_many, &posters[i]);
	}
	loop_run(c.loop);
	for (unsigned i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.ran, JOBS * POSTERS);
	assert_int_equal(c.cancelled, 0);
	loop_free(c.loop);
}

static void jobs_of_a_stopped_loop_are_cancelled(void **state)
{
	(void)state;
	struct count c = {.loop = new_loop()};
	assert_int_equal(post_num(&c, 0, 0), 0);
	loop_stop(c.loop);
	loop_stop(c.loop);
	assert_int_equal(post_num(&c, 0, 1), -ECANCELED);
	assert_int_equal(c.cancelled, 1);
	loop_free(c.loop);
	assert_int_equal(c.cancelled, 2);
	assert_int_equal(c.ran, 0);
}

static void *run_loop(void *arg)
{
	loop_run(arg);
	return NULL;
}

static void another_thread_may_stop_a_loop(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	pthread_t t;
	pthread_create(&t, NULL, run_loop, loop);
	loop_stop(loop);
	pthread_join(t, NULL);
	loop_free(loop);
}

/* One call from loop to loop and back, posted by a job, a deferred call and a timer by turns, while
 * the other loop is about to sleep. Were it once left lying, nothing would come any more. */
struct side {
	struct job job;
	struct defer defer;
	struct timer timer;
	struct loop *loop;
	struct side *other;
	unsigned *n;
};

static void bounce(struct side *s)
{
	if (*s->n < BOUNCES) {
		assert_int_equal(loop_post(s->other->loop, &s->other->job), 0);
		return;
	}
	loop_stop(s->loop);
	loop_stop(s->other->loop);
}

static void bounce_deferred(struct defer *d)
{
	bounce(container_of(d, struct side, defer));
}

static void bounce_timed(struct timer *t)
{
	bounce(container_of(t, struct side, timer));
}

static void bounce_somehow(struct job *job)
{
	struct side *s = container_of(job, struct side, job);
	switch (++*s->n % 8) {
	case 0:
		timer_arm(&s->timer, 0);
		break;
	case 1:
	case 2:
		loop_defer(s->loop, &s->defer);
		break;
	default:
		bounce(s);
	}
}

static void no_job_is_left_lying(void **state)
{
	(void)state;
	struct side s[2];
	unsigned n = 0;
	pthread_t t;
	for (int i = 0; i < 2; i++) {
		s[i] = (struct side){.job.run = bounce_somehow, .loop = new_loop(), .other = &s[!i], .n = &n};
		defer_init(&s[i].defer, bounce_deferred);
		timer_init(&s[i].timer, s[i].loop, bounce_timed);
	}
	pthread_create(&t, NULL, run_loop, s[1].loop);
	loop_post(s[0].loop, &s[0].job);
	loop_run(s[0].loop);
	pthread_join(t, NULL);
	assert_int_equal(n, BOUNCES);
	loop_free(s[0].loop);
	loop_free(s[1].loop);
}

#define TIMERS 200
struct clock_test {
	struct loop *loop;
	struct timer timers[TIMERS];
	struct timer end;
	uint64_t due[TIMERS], last_due;
	unsigned fired, cancelled;
	bool moved;
};
static struct clock_test ct;

static void on_num_timer(struct timer *t)
{
	assert_int_equal(t->at_ms, 0);
	uint64_t due = ct.due[t - ct.timers];
	assert_in_range(due, ct.last_due, loop_now_ms(ct.loop));
	ct.last_due = due;
	ct.fired++;
}

static void arm(unsigned i, unsigned ms)
{
	timer_arm(&ct.timers[i], ms);
	ct.due[i] = ct.timers[i].at_ms;
}

static void on_end(struct timer *t)
{
	loop_stop(t->loop);
}

static void timers_fire_in_order_unless_cancelled(void **state)
{
	(void)state;
	ct = (struct clock_test){.loop = new_loop()};
	unsigned seed = 7;
	for (unsigned i = 0; i < TIMERS; i++) {
		timer_init(&ct.timers[i], ct.loop, on_num_timer);
		seed = seed * 1103515245u + 12345u;
		arm(i, (seed >> 16) % 30);
	}
	for (unsigned i = 0; i < TIMERS; i += 3) {
		timer_cancel(&ct.timers[i]);
		timer_cancel(&ct.timers[i]);
		ct.cancelled++;
	}
	for (unsigned i = 1; i < TIMERS; i += 3)
		arm(i, i % 40);
	timer_init(&ct.end, ct.loop, on_end);
	timer_arm(&ct.end, 60);
	loop_run(ct.loop);
	assert_int_equal(ct.fired, TIMERS - ct.cancelled);
	loop_free(ct.loop);
}

static unsigned order[8], n_order;

static void note(struct timer *t)
{
	order[n_order++] = (unsigned)(t - ct.timers);
}

static void a_moved_timer_fires_at_its_new_time(void **state)
{
	(void)state;
	ct = (struct clock_test){.loop = new_loop()};
	n_order = 0;
	static const unsigned at[] = {20, 5, 60, 10};
	for (unsigned i = 0; i < 4; i++) {
		timer_init(&ct.timers[i], ct.loop, note);
		timer_arm(&ct.timers[i], at[i]);
	}
	timer_arm(&ct.timers[2], 1);
	timer_arm(&ct.timers[1], 30);
	timer_init(&ct.end, ct.loop, on_end);
	timer_arm(&ct.end, 45);
	loop_run(ct.loop);
	static const unsigned want[] = {2, 3, 0, 1};
	assert_int_equal(n_order, 4);
	assert_memory_equal(order, want, sizeof(want));
	loop_free(ct.loop);
}

static void on_repeat(struct timer *t)
{
	if (++ct.fired == 50)
		loop_stop(t->loop);
	else
		timer_arm(t, 0);
}

static void count_job(struct job *job)
{
	(void)job;
	ct.cancelled++;
}

static void a_timer_armed_again_at_once_does_not_starve_jobs(void **state)
{
	(void)state;
	ct = (struct clock_test){.loop = new_loop()};
	struct job job = {.run = count_job};
	timer_init(&ct.timers[0], ct.loop, on_repeat);
	timer_arm(&ct.timers[0], 0);
	loop_post(ct.loop, &job);
	loop_run(ct.loop);
	assert_int_equal(ct.fired, 50);
	assert_int_equal(ct.cancelled, 1);
	loop_free(ct.loop);
}

struct later {
	struct defer defer;
	struct loop *loop;
	unsigned ran;
	bool in_call;
};

static void on_later(struct defer *d)
{
	struct later *l = container_of(d, struct later, defer);
	assert_false(l->in_call);
	if (++l->ran == 3) {
		loop_stop(l->loop);
		return;
	}
	l->in_call = true;
	loop_defer(l->loop, d);
	loop_defer(l->loop, d);
	l->in_call = false;
}

static void deferred_calls_come_without_an_event(void **state)
{
	(void)state;
	struct later l = {.loop = new_loop()};
	defer_init(&l.defer, on_later);
	loop_defer(l.loop, &l.defer);
	loop_run(l.loop);
	assert_int_equal(l.ran, 3);
	loop_free(l.loop);
}

static void on_usr1(void *ctx, int signum)
{
	assert_int_equal(signum, SIGUSR1);
	loop_stop(ctx);
}

static void send_usr1(struct timer *t)
{
	(void)t;
	kill(getpid(), SIGUSR1);
}

static void signals_arrive_on_the_loop(void **state)
{
	(void)state;
	struct loop *loop = new_loop();
	struct err e;
	struct timer t;
	timer_init(&t, loop, send_usr1);
	assert_int_equal(loop_on_signal(loop, SIGUSR1, on_usr1, loop, &e), 0);
	timer_arm(&t, 1);
	loop_run(loop);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_of_a_thread_run_in_order),
		cmocka_unit_test(no_job_is_left_lying),
		cmocka_unit_test(jobs_of_a_stopped_loop_are_cancelled),
		cmocka_unit_test(another_thread_may_stop_a_loop),
		cmocka_unit_test(timers_fire_in_order_unless_cancelled),
		cmocka_unit_test(a_moved_timer_fires_at_its_new_time),
		cmocka_unit_test(a_timer_armed_again_at_once_does_not_starve_jobs),
		cmocka_unit_test(deferred_calls_come_without_an_event),
		cmocka_unit_test(signals_arrive_on_the_loop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
