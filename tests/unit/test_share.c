/* gate/share: never more connections than SHARE_MOST, whoever reserves at once, and who has less than
 * its fair part gets what comes free. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/share.h"

#define LOOPS 4u
#define ROUNDS 20000u

static struct share all;
static struct share_part parts[SHARE_MOST + 1];

static int begin(void **state)
{
	(void)state;
	memset(&all, 0, sizeof(all));
	memset(parts, 0, sizeof(parts));
	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		parts[i].all = &all;
	return 0;
}

static unsigned reserve(struct share_part *p, unsigned most)
{
	unsigned n = 0;
	while (n < most && share_reserve(p))
		n++;
	return n;
}

static void give_one(struct share_part *from)
{
	assert_true(share_give(from));
	share_has(from, from->n - 1);
}

static void one_loop_alone_has_all(void **state)
{
	(void)state;
	assert_int_equal(reserve(&parts[0], 99), SHARE_MOST);
	assert_true(share_wants(&parts[0], 3));
	assert_false(share_wants(&parts[0], 4)); /* said once */
	assert_false(share_give(&parts[0]));	 /* nobody else wants it */
	assert_true(share_has(&parts[0], SHARE_MOST - 2));
	assert_false(share_has(&parts[0], SHARE_MOST - 3));
	assert_int_equal(reserve(&parts[0], 99), 3);
	assert_true(share_wants(&parts[0], 1));
	assert_true(share_leave(&parts[0]));
	assert_int_equal(all.n + all.parts + all.lacking + all.giving + all.held, 0);
}

static void who_has_more_than_its_part_gives_what_the_other_lacks(void **state)
{
	struct share_part *busy = &parts[0], *late = &parts[1];
	(void)state;
	assert_int_equal(reserve(busy, 99), SHARE_MOST);
	assert_false(share_reserve(late));
	assert_true(share_wants(late, 3));
	share_wants(busy, 20); /* waits, too, but has enough */
	assert_true(share_give(busy));
	assert_true(share_give(busy));
	assert_true(share_give(busy));
	assert_false(share_give(busy)); /* as many as are lacked */
	assert_true(share_has(busy, SHARE_MOST - 1));
	assert_false(share_give(busy));
	assert_false(share_reserve(busy)); /* it is the other's */
	assert_true(share_reserve(late));
	share_has(busy, SHARE_MOST - 3);
	assert_int_equal(reserve(late, 99), 2);
	assert_int_equal(all.lacking + all.giving, 0);
}

static void who_has_its_part_gets_no_more(void **state)
{
	(void)state;
	reserve(&parts[0], SHARE_MOST);
	share_wants(&parts[0], 20);
	for (unsigned i = 0; i < SHARE_MOST / 2; i++) {
		share_wants(&parts[1], 40 - i);
		give_one(&parts[0]);
		assert_false(share_reserve(&parts[0]));
		assert_int_equal(reserve(&parts[1], 99), 1);
	}
	share_wants(&parts[1], 20);
	assert_false(share_give(&parts[0]));
	assert_false(share_give(&parts[1]));
	assert_int_equal(all.lacking, 0);
	share_wants(&parts[2], 20); /* a third comes: ten for each */
	give_one(&parts[0]);
	assert_false(share_reserve(&parts[0]));
	assert_false(share_reserve(&parts[1]));
	assert_true(share_reserve(&parts[2]));
	give_one(&parts[1]);
	assert_true(share_reserve(&parts[2]));
}

static void who_wants_no_more_is_waited_for_no_more(void **state)
{
	(void)state;
	reserve(&parts[0], SHARE_MOST);
	share_wants(&parts[0], 1);
	share_wants(&parts[1], 1);
	share_has(&parts[0], SHARE_MOST - 1);
	share_wants(&parts[0], 1);
	assert_false(share_reserve(&parts[0]));
	assert_true(share_wants(&parts[1], 0)); /* its visitor left: tell the others */
	assert_true(share_reserve(&parts[0]));
	share_wants(&parts[0], 1);
	share_wants(&parts[1], 1);
	share_has(&parts[0], SHARE_MOST - 1);
	share_wants(&parts[0], 1);
	assert_true(share_leave(&parts[1]));
	assert_true(share_reserve(&parts[0]));
	assert_int_equal(all.parts, 1);
}

/* Who was refused for the sake of the other is told when that lacks none any more. */
static void who_reserves_the_last_it_lacks_tells(void **state)
{
	struct share_part *busy = &parts[0], *late = &parts[1];
	(void)state;
	reserve(busy, 20);
	reserve(late, 99);
	share_wants(late, 4);
	give_one(busy);
	share_has(busy, 0); /* the device closed all of them, before the other loop looked */
	assert_false(share_reserve(busy));
	share_wants(busy, 6);
	assert_false(share_reserve(busy));
	assert_int_equal(reserve(late, 3), 3);
	assert_false(share_sated(late));
	assert_int_equal(reserve(late, 1), 1);
	assert_true(share_sated(late));
	assert_false(share_sated(late)); /* said once */
	assert_int_equal(reserve(busy, 99), SHARE_MOST / 2);
}

static void what_is_held_is_shared_by_nobody(void **state)
{
	(void)state;
	reserve(&parts[0], SHARE_MOST);
	for (unsigned i = 0; i < SHARE_HELD_MOST; i++)
		assert_true(share_hold(&parts[0]));
	assert_false(share_hold(&parts[0]));
	assert_false(share_hold(&parts[1]));
	assert_false(share_may_hold(&all));
	/* two are left, for three loops: each gets one by turns */
	for (unsigned i = 1; i < 3; i++) {
		share_wants(&parts[i], 5);
		give_one(&parts[0]);
		assert_int_equal(reserve(&parts[i], 99), 1);
	}
	share_wants(&parts[0], 5);
	for (unsigned i = 0; i < 9; i++) {
		struct share_part *from = &parts[(i + 1) % 3], *to = &parts[i % 3];
		give_one(from);
		share_wants(from, 5);
		assert_false(share_reserve(from));
		assert_true(share_reserve(to));
		assert_true(share_sated(to));
		share_wants(from, 5); /* told so */
	}
	assert_true(share_let_go(&parts[0]));
	assert_true(share_hold(&parts[1]));
}

static void who_waits_to_hold_one_is_told(void **state)
{
	struct share_part *holder = &parts[0], *late = &parts[1];
	(void)state;
	reserve(holder, SHARE_HELD_MOST);
	for (unsigned i = 0; i < SHARE_HELD_MOST; i++)
		share_hold(holder);
	assert_false(share_wants_hold(late));
	assert_true(share_is_enough(&all)); /* nobody closes an idle one for it */
	assert_true(share_let_go(holder));
	assert_false(share_let_go(holder)); /* said once */
	assert_true(share_wants_hold(late)); /* in between */
	assert_true(share_leave(holder));
	assert_int_equal(all.held, 0);
	assert_false(share_leave(late));
}

/* Two are left for four, and those who gave theirs want one again. */
static void begin_with_two_givers(void)
{
	reserve(&parts[0], SHARE_HELD_MOST);
	for (unsigned i = 0; i < SHARE_HELD_MOST; i++)
		share_hold(&parts[0]);
	assert_int_equal(reserve(&parts[1], 1) + reserve(&parts[2], 1), 2);
	share_wants(&parts[3], 1);
	share_wants(&parts[4], 1);
	for (unsigned i = 1; i < 3; i++)
		give_one(&parts[i]);
	for (unsigned i = 1; i < 3; i++) {
		assert_false(share_reserve(&parts[i]));
		share_wants(&parts[i], 3);
		assert_false(share_reserve(&parts[i]));
	}
}

static void who_gave_waits_for_nobody_who_left(void **state)
{
	(void)state;
	begin_with_two_givers();
	assert_true(share_wants(&parts[3], 0));
	share_wants(&parts[1], 3); /* told so */
	assert_false(share_reserve(&parts[1]));
	assert_true(share_wants(&parts[4], 0));
	assert_int_equal(all.lacking, 0);
	assert_true(share_reserve(&parts[1]));
	assert_true(share_reserve(&parts[2]));
}

static void who_gave_goes_after_one_other(void **state)
{
	(void)state;
	begin_with_two_givers();
	assert_true(share_reserve(&parts[3]));
	assert_true(share_sated(&parts[3]));
	share_wants(&parts[1], 3);
	assert_true(share_reserve(&parts[1]));
}

/* Its fair part shrinks when others hold more: two of whom each lacks some do not wait for each other. */
static void who_lacked_some_goes_on(void **state)
{
	struct share_part *a = &parts[0], *b = &parts[1], *holder = &parts[2];
	(void)state;
	reserve(a, 8);
	reserve(b, 8);
	reserve(holder, 99);
	share_wants(a, 2);
	share_wants(b, 2);
	for (unsigned i = 0; i < 10; i++)
		share_hold(holder);
	share_has(holder, 14);
	assert_int_equal(reserve(a, 99), 2);
	share_wants(&parts[3], 1);
	assert_int_equal(all.n, SHARE_MOST);
	give_one(b); /* more than its part, whatever it lacked */
	assert_false(share_reserve(b));
}

/* A device that takes four: two for each of two loops, and one more is tried by and by. */
static void what_the_device_refuses_is_not_shared(void **state)
{
	struct share_part *first = &parts[0], *late = &parts[1];
	(void)state;
	assert_int_equal(reserve(first, 5), 5);
	share_has(first, 4);
	assert_true(share_refused(first));
	assert_true(share_is_less(&all));
	assert_false(share_reserve(late));
	share_wants(late, 3);
	give_one(first);
	give_one(first);
	assert_false(share_give(first));
	assert_int_equal(reserve(late, 99), 2);
	share_wants(late, 1);
	assert_true(share_more(late));
	assert_int_equal(reserve(late, 99), 1);
	share_has(late, 2);
	assert_true(share_refused(late));
	assert_false(share_reserve(late));
	share_leave(first);
	share_leave(late);
	assert_false(share_is_less(&all)); /* whoever comes next finds out */
}

/* The first refusal tells: those that are still being dialled are not there. */
static void a_refusal_is_learnt_while_others_are_dialled(void **state)
{
	struct share_part *p = &parts[0];
	(void)state;
	reserve(p, 9);
	for (unsigned i = 0; i < 9; i++)
		share_dials(p, true);
	for (unsigned i = 0; i < 2; i++) {
		share_dials(p, false);
		share_opened(p);
	}
	share_dials(p, false);
	share_has(p, 8);
	assert_true(share_refused(p));
	assert_int_equal(all.fewer, SHARE_MOST - 2);
	assert_false(share_more(p)); /* six may come yet */
	assert_int_equal(all.fewer, SHARE_MOST - 2);
	share_dials(p, false);
	share_opened(p);
	assert_int_equal(all.fewer, SHARE_MOST - 3); /* one did */
}

/* Between two connections there may be none: that is no reason to dial 32. */
static void who_waits_remembers_what_the_device_takes(void **state)
{
	struct share_part *p = &parts[0];
	(void)state;
	reserve(p, 1);
	assert_true(share_refused(p));
	p->waits = true;
	share_has(p, 0);
	assert_int_equal(reserve(p, 99), 1);
	p->waits = false;
	share_has(p, 0);
	assert_false(share_is_less(&all));
}

static void a_device_that_takes_one_serves_loops_by_turns(void **state)
{
	(void)state;
	assert_int_equal(reserve(&parts[0], 1), 1);
	assert_true(share_refused(&parts[0]));
	for (unsigned i = 0; i < 8; i++) {
		struct share_part *from = &parts[i % 2], *to = &parts[!(i % 2)];
		assert_false(share_reserve(to));
		share_wants(to, 2);
		give_one(from);
		share_wants(from, 2);
		assert_false(share_reserve(from));
		assert_int_equal(reserve(to, 99), 1);
	}
}

static void who_is_refused_the_first_one_waits_for_none(void **state)
{
	(void)state;
	reserve(&parts[0], 1);
	share_has(&parts[0], 0);
	assert_false(share_refused(&parts[0]));
	reserve(&parts[1], 1);
	share_hold(&parts[1]);
	assert_false(share_refused(&parts[0])); /* it is held for long */
	assert_false(share_is_less(&all));
}

static atomic_uint most_seen;

static void *dial_and_close(void *ctx)
{
	struct share_part *p = ctx;
	for (unsigned i = 0; i < ROUNDS; i++) {
		bool got = share_reserve(p);
		unsigned n = atomic_load(&all.n);
		if (n > atomic_load(&most_seen))
			atomic_store(&most_seen, n);
		if (!got)
			share_wants(p, 1 + i % 3);
		if (got && share_hold(p))
			share_let_go(p);
		if (p->n && (share_give(p) || i % 5 == 0))
			share_has(p, p->n - 1);
		if (i % 50 == 0)
			share_refused(p);
		share_more(p);
	}
	share_leave(p);
	return NULL;
}

static void loops_that_reserve_at_once_get_no_more_than_there_are(void **state)
{
	pthread_t threads[LOOPS];
	(void)state;
	atomic_store(&most_seen, 0);
	for (unsigned i = 0; i < LOOPS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, dial_and_close, &parts[i]), 0);
	for (unsigned i = 0; i < LOOPS; i++)
		pthread_join(threads[i], NULL);
	assert_true(most_seen <= SHARE_MOST);
	assert_int_equal(all.n + all.parts + all.lacking + all.giving + all.held, 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup(fn, begin)
	const struct CMUnitTest tests[] = {
		TEST(one_loop_alone_has_all),
		TEST(who_has_more_than_its_part_gives_what_the_other_lacks),
		TEST(who_has_its_part_gets_no_more),
		TEST(who_wants_no_more_is_waited_for_no_more),
		TEST(who_reserves_the_last_it_lacks_tells),
		TEST(what_is_held_is_shared_by_nobody),
		TEST(who_waits_to_hold_one_is_told),
		TEST(who_gave_waits_for_nobody_who_left),
		TEST(who_gave_goes_after_one_other),
		TEST(who_lacked_some_goes_on),
		TEST(what_the_device_refuses_is_not_shared),
		TEST(a_refusal_is_learnt_while_others_are_dialled),
		TEST(who_waits_remembers_what_the_device_takes),
		TEST(a_device_that_takes_one_serves_loops_by_turns),
		TEST(who_is_refused_the_first_one_waits_for_none),
		TEST(loops_that_reserve_at_once_get_no_more_than_there_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
