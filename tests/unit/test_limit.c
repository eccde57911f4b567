/* gate/limit: too many failures lock a key for a while; nobody's keys fill the memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "gate/limit.h"

static const struct limit_opts opts = {3, 60000, 4};

static void the_third_failure_locks_for_a_minute(void **state)
{
	(void)state;
	struct limit *l = limit_new(&opts);
	limit_failed(l, "a", 1000);
	limit_failed(l, "a", 2000);
	assert_int_equal(limit_wait_s(l, "a", 2000), 0);
	limit_failed(l, "a", 3000);
	assert_int_equal(limit_wait_s(l, "a", 3000), 60);
	assert_int_equal(limit_wait_s(l, "a", 62999), 1);
	assert_int_equal(limit_wait_s(l, "b", 3000), 0);
	assert_int_equal(limit_wait_s(l, "a", 63000), 0);
	limit_failed(l, "a", 63001);
	assert_int_equal(limit_wait_s(l, "a", 63001), 0);
	limit_free(l);
}

static void slow_failures_and_successes_do_not_add_up(void **state)
{
	(void)state;
	struct limit *l = limit_new(&opts);
	for (uint64_t i = 0; i < 20; i++) {
		limit_failed(l, "a", 1000 + i * 40000);
		assert_int_equal(limit_wait_s(l, "a", 1000 + i * 40000), 0);
	}
	limit_failed(l, "b", 1000000);
	limit_failed(l, "b", 1000001);
	limit_clear(l, "b");
	limit_failed(l, "b", 1000002);
	assert_int_equal(limit_wait_s(l, "b", 1000003), 0);
	limit_free(l);
}

/* Each loop reads the clock when it wakes. */
static void a_failure_told_a_little_late_counts_too(void **state)
{
	(void)state;
	struct limit *l = limit_new(&opts);
	limit_failed(l, "a", 1000);
	limit_failed(l, "a", 999);
	limit_failed(l, "a", 998);
	assert_true(limit_wait_s(l, "a", 1000) > 0);
	limit_free(l);
}

static void what_was_forgiven_does_not_add_up_but_unlocks_nothing(void **state)
{
	(void)state;
	struct limit *l = limit_new(&opts);
	limit_forgive(l, "a");
	for (int i = 0; i < 10; i++) {
		limit_failed(l, "a", 1000);
		limit_failed(l, "a", 1000);
		assert_int_equal(limit_wait_s(l, "a", 1000), 0);
		limit_forgive(l, "a");
		limit_forgive(l, "a");
	}
	for (int i = 0; i < 3; i++)
		limit_failed(l, "a", 1000);
	limit_forgive(l, "a");
	assert_int_equal(limit_wait_s(l, "a", 1000), 60);
	limit_free(l);
}

static void the_oldest_key_makes_room(void **state)
{
	(void)state;
	struct limit *l = limit_new(&opts);
	char key[8];
	for (int i = 0; i < 3; i++)
		limit_failed(l, "a", 1000);
	for (int i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		limit_failed(l, key, 2000);
	}
	assert_true(limit_wait_s(l, "a", 2000) > 0);
	limit_failed(l, "k3", 2000);
	assert_int_equal(limit_wait_s(l, "a", 2000), 0);
	limit_free(l);
}

static void one_host_is_one_key(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"192.168.1.7",       "192.168.1.7"   },
		{"2001:db8:1:2:3::4", "2001:db8:1:2::"},
		{"fd00::1",           "fd00::"        },
		{"local",             "local"         },
	};
	for (unsigned i = 0; i < 4; i++) {
		char key[46];
		limit_key_of_addr(key, cases[i][0]);
		assert_string_equal(key, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_third_failure_locks_for_a_minute),
		cmocka_unit_test(slow_failures_and_successes_do_not_add_up),
		cmocka_unit_test(a_failure_told_a_little_late_counts_too),
		cmocka_unit_test(what_was_forgiven_does_not_add_up_but_unlocks_nothing),
		cmocka_unit_test(the_oldest_key_makes_room),
		cmocka_unit_test(one_host_is_one_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
