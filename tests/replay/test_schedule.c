/* The schedule under a fake clock: a dead CA, jumps, Retry-After, restarts. */
#include "acme/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define DAY INT64_C(86400)
#define NOW INT64_C(1800000000)
#define MINUTE 60

static void renewal_falls_in_its_window(void **state)
{
	(void)state;
	static const struct {
		int64_t life, earliest, latest;
	} cases[] = {
		{90 * DAY,   57 * DAY,            60 * DAY    },
		{45 * DAY,   57 * DAY / 2,        30 * DAY    },
		{10 * DAY,   19 * DAY / 3,        20 * DAY / 3},
		{6 * DAY,    14 * DAY / 5,        3 * DAY     },
		{160 * 3600, 160 * 3600 * 7 / 15, 80 * 3600   },
		{60,         28,                  30          },
		{0,          0,                   0           },
		{-5,         0,                   0           },
	};
	static const char *const names[] = {"a.example", "tv.lan.example", "x", ""};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t k = 0; k < 4; k++) {
			int64_t at = schedule_renew_at(names[k], NOW, NOW + cases[i].life) - NOW;
			assert_in_range(at, cases[i].earliest, cases[i].latest);
		}
	}
}

static void jitter_is_stable_and_differs_between_names(void **state)
{
	(void)state;
	int64_t a = schedule_renew_at("a.example", NOW, NOW + 90 * DAY);
	assert_int_equal(a, schedule_renew_at("a.example", NOW, NOW + 90 * DAY));
	assert_int_not_equal(a, schedule_renew_at("b.example", NOW, NOW + 90 * DAY));
}

/* A caller that looks every `step` seconds and whose every try fails. Returns the tries. With
 * `restart` the state goes through a copy of its stored fields each time. */
static unsigned dead_ca(int64_t from, int64_t to, int64_t step, struct schedule_backoff *b)
{
	unsigned tries = 0;
	for (int64_t now = from; now < to; now += step) {
		struct schedule_backoff stored = *b;
		memset(b, 0xff, sizeof(*b));
		*b = stored;
		if (schedule_next(b, now, false) != now)
			continue;
		tries++;
		schedule_record(b, "a.example", SCHEDULE_FAILED, now + 5, 0);
	}
	return tries;
}

static void dead_ca_is_asked_thrice_then_daily(void **state)
{
	(void)state;
	struct schedule_backoff b = {0};
	unsigned tries = dead_ca(NOW, NOW + 30 * DAY, 30, &b);
	assert_in_range(tries, 28, 33);
	assert_int_equal(b.failures, tries);
	schedule_record(&b, "a.example", SCHEDULE_OK, NOW + 31 * DAY, 0);
	assert_int_equal(b.failures, 0);
}

static void ladder_is_1_10_100_minutes_then_daily(void **state)
{
	(void)state;
	static const int64_t waits[] = {MINUTE, 10 * MINUTE, 100 * MINUTE, DAY, DAY, DAY};
	struct schedule_backoff b = {0};
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		schedule_record(&b, "a.example", SCHEDULE_FAILED, NOW, 0);
		assert_in_range(b.next_at - NOW, waits[i], waits[i] + waits[i] / 10);
	}
}

static void retry_after_is_a_minimum_with_a_cap(void **state)
{
	(void)state;
	struct schedule_backoff b = {0};
	schedule_record(&b, "a.example", SCHEDULE_FAILED, NOW, 4000);
	assert_int_equal(b.next_at, NOW + 4000);
	schedule_record(&b, "a.example", SCHEDULE_FAILED, NOW, 1);
	assert_in_range(b.next_at, NOW + 10 * MINUTE, NOW + 11 * MINUTE);
	schedule_record(&b, "a.example", SCHEDULE_LIMITED, NOW, INT64_MAX / 2);
	assert_int_equal(b.next_at, NOW + SCHEDULE_WAIT_MAX_S);
	memset(&b, 0, sizeof(b));
	schedule_record(&b, "a.example", SCHEDULE_LIMITED, NOW, 5);
	assert_in_range(b.next_at, NOW + 3600, NOW + 3960);
}

static void a_person_waits_a_minute_at_most(void **state)
{
	(void)state;
	struct schedule_backoff b = {0};
	assert_int_equal(schedule_next(&b, NOW, true), NOW);
	for (int i = 0; i < 6; i++)
		schedule_record(&b, "a.example", SCHEDULE_LIMITED, NOW, 0);
	assert_int_equal(schedule_next(&b, NOW + 1, true), NOW + SCHEDULE_FORCE_GAP_S);
	assert_int_equal(schedule_next(&b, NOW + 60, true), NOW + 60);
	assert_true(schedule_next(&b, NOW + 60, false) > NOW + 3600);
}

static void clock_going_back_does_not_stretch_the_wait(void **state)
{
	(void)state;
	struct schedule_backoff b = {0};
	int64_t year_2038 = INT64_C(2147483648);
	schedule_record(&b, "a.example", SCHEDULE_FAILED, year_2038, 0);
	int64_t at = schedule_next(&b, NOW, false);
	assert_in_range(at, NOW + MINUTE, NOW + 66);
	assert_int_equal(schedule_next(&b, at, false), at);
}

static void clock_going_forward_gives_one_try_a_jump(void **state)
{
	(void)state;
	struct schedule_backoff b = {0};
	assert_in_range(dead_ca(NOW, NOW + DAY, 30, &b), 4, 5);
	int64_t year_2038 = INT64_C(2147483648);
	assert_in_range(dead_ca(year_2038, year_2038 + DAY / 2, 30, &b), 1, 1);
	assert_in_range(dead_ca(NOW + DAY, NOW + DAY + DAY / 2, 30, &b), 0, 0);
}

/* In 2038 every fresh certificate looks long expired: each success makes the next order due at
 * once. */
static void success_that_looks_expired_does_not_loop(void **state)
{
	(void)state;
	struct schedule_backoff b = {0};
	unsigned orders = 0;
	for (int64_t now = NOW; now < NOW + 7 * DAY; now += 30) {
		if (schedule_next(&b, now, false) != now)
			continue;
		orders++;
		schedule_record(&b, "a.example", SCHEDULE_OK, now, 0);
	}
	assert_in_range(orders, 7, 14);
}

static void six_day_certificates_renew_on_time(void **state)
{
	(void)state;
	struct schedule_backoff b = {0};
	int64_t due = NOW;
	for (int i = 0; i < 40; i++) {
		assert_int_equal(schedule_next(&b, due, false), due);
		schedule_record(&b, "a.example", SCHEDULE_OK, due, 0);
		due = schedule_renew_at("a.example", due, due + 160 * 3600);
	}
}

static void impossible_clock_is_told(void **state)
{
	(void)state;
	struct err e = {0};
	assert_int_equal(schedule_clock_check(NOW, 0, &e), 0);
	assert_int_equal(schedule_clock_check(NOW, NOW, &e), 0);
	assert_true(schedule_clock_check(0, 0, &e) < 0);
	assert_non_null(strstr(e.text, "clock"));
	assert_true(schedule_clock_check(NOW, NOW + 1, &e) < 0);
	assert_non_null(strstr(e.text, "1 s behind"));
	/* Ahead: a machine may be off for years, but not for very many. */
	assert_int_equal(schedule_clock_check(NOW + SCHEDULE_AHEAD_MAX_S, NOW, &e), 0);
	assert_true(schedule_clock_check(NOW + SCHEDULE_AHEAD_MAX_S + 1, NOW, &e) < 0);
	assert_non_null(strstr(e.text, "years ahead"));
	assert_int_equal(schedule_clock_check(NOW + 2 * SCHEDULE_AHEAD_MAX_S, 0, &e), 0);
}

static void jump_holds_for_ten_minutes(void **state)
{
	(void)state;
	struct schedule_clock c = {0};
	assert_false(schedule_clock_unsettled(&c, NOW, 5000));
	assert_false(schedule_clock_unsettled(&c, NOW + 30 * DAY, 5000 + 30 * DAY * 1000));
	uint64_t mono = 6000 + 30 * DAY * 1000;
	assert_true(schedule_clock_unsettled(&c, NOW + 3000 * DAY, mono));
	assert_true(schedule_clock_unsettled(&c, NOW + 3000 * DAY + 300, mono + 300000));
	assert_false(schedule_clock_unsettled(&c, NOW + 3000 * DAY + 601, mono + 601000));
	assert_true(schedule_clock_unsettled(&c, NOW, mono + 602000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renewal_falls_in_its_window),
		cmocka_unit_test(jitter_is_stable_and_differs_between_names),
		cmocka_unit_test(dead_ca_is_asked_thrice_then_daily),
		cmocka_unit_test(ladder_is_1_10_100_minutes_then_daily),
		cmocka_unit_test(retry_after_is_a_minimum_with_a_cap),
		cmocka_unit_test(a_person_waits_a_minute_at_most),
		cmocka_unit_test(clock_going_back_does_not_stretch_the_wait),
		cmocka_unit_test(clock_going_forward_gives_one_try_a_jump),
		cmocka_unit_test(success_that_looks_expired_does_not_loop),
		cmocka_unit_test(six_day_certificates_renew_on_time),
		cmocka_unit_test(impossible_clock_is_told),
		cmocka_unit_test(jump_holds_for_ten_minutes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
