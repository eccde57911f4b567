/* gate/link_quota: who opens links that nobody needs is refused, early where that can hit no other.
 */
#include <pthread.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gate/link_quota.h"

#define NOW 5000u
#define LATER (NOW + LINK_QUOTA_MS)

static int set_up(void **state)
{
	*state = link_quota_new();
	return 0;
}

static int tear_down(void **state)
{
	link_quota_free(*state);
	return 0;
}

static enum link_quota_verdict spend(struct link_quota *q, const char *device, const char *addr)
{
	for (unsigned i = 1; i < LINK_QUOTA_MOST; i++) {
		assert_true(link_quota_admits(q, device, addr, NOW));
		assert_int_equal(link_quota_opened(q, device, addr, NOW), LINK_QUOTA_FINE);
	}
	return link_quota_opened(q, device, addr, NOW);
}

static void links_that_nobody_needs_are_refused_for_a_while(void **state)
{
	assert_int_equal(spend(*state, "tv", "10.0.0.7"), LINK_QUOTA_SPENT);
	assert_false(link_quota_admits(*state, "tv", "10.0.0.7", NOW));
	assert_true(link_quota_admits(*state, "lamp", "10.0.0.7", NOW));
	assert_int_equal(link_quota_opened(*state, "lamp", "10.0.0.7", NOW), LINK_QUOTA_FINE);
	assert_true(link_quota_admits(*state, "tv", "10.0.0.7", LATER));
	assert_int_equal(link_quota_opened(*state, "tv", "10.0.0.7", LATER), LINK_QUOTA_FINE);
}

static void links_that_requests_use_are_never_too_many(void **state)
{
	for (unsigned i = 0; i < 100 * LINK_QUOTA_MOST; i++) {
		assert_int_equal(link_quota_opened(*state, "tv", "10.0.0.7", NOW), LINK_QUOTA_FINE);
		link_quota_used(*state, "tv");
	}
	assert_true(link_quota_admits(*state, "tv", "10.0.0.7", NOW));
}

static void each_address_of_a_device_costs_one_handshake(void **state)
{
	spend(*state, "tv", "10.0.0.7");
	assert_true(link_quota_admits(*state, "tv", "10.0.0.8", NOW));
	assert_int_equal(link_quota_opened(*state, "tv", "10.0.0.8", NOW), LINK_QUOTA_OVER);
	assert_false(link_quota_admits(*state, "tv", "10.0.0.8", NOW));
	assert_int_equal(link_quota_opened(*state, "tv", "fd00::1", NOW), LINK_QUOTA_OVER);
	assert_false(link_quota_admits(*state, "tv", "fd00::2", NOW));
}

static void a_claimed_name_locks_nobody_out(void **state)
{
	for (unsigned i = 1; i < LINK_QUOTA_MOST; i++)
		assert_false(link_quota_failed(*state, "10.0.0.66", NOW));
	assert_true(link_quota_failed(*state, "10.0.0.66", NOW));
	assert_false(link_quota_failed(*state, "10.0.0.66", NOW)); /* said once */
	assert_false(link_quota_admits(*state, "tv", "10.0.0.66", NOW));
	assert_false(link_quota_admits(*state, "lamp", "10.0.0.66", NOW));
	assert_true(link_quota_admits(*state, "tv", "10.0.0.7", NOW));
	assert_int_equal(link_quota_opened(*state, "tv", "10.0.0.7", NOW), LINK_QUOTA_FINE);
	assert_true(link_quota_admits(*state, "tv", "10.0.0.66", LATER));
}

/* On a LAN all share a network of IPv6. */
static void a_neighbour_locks_nobody_out(void **state)
{
	for (unsigned i = 0; i < LINK_QUOTA_MOST; i++)
		link_quota_failed(*state, "2001:db8::bad", NOW);
	assert_false(link_quota_admits(*state, "tv", "2001:db8::bad", NOW));
	assert_true(link_quota_admits(*state, "tv", "2001:db8::7", NOW));
	assert_int_equal(link_quota_opened(*state, "tv", "2001:db8::7", NOW), LINK_QUOTA_FINE);
	for (unsigned i = 0; i < LINK_QUOTA_NET; i++) {
		char addr[46];
		snprintf(addr, sizeof(addr), "2001:db8::bad:%x", i);
		link_quota_failed(*state, addr, NOW);
	}
	assert_false(link_quota_admits(*state, "tv", "2001:db8::bad:ffff", NOW));
	assert_true(link_quota_admits(*state, "tv", "2001:db8::7", NOW)); /* it is known there */
	assert_false(link_quota_admits(*state, "lamp", "2001:db8::8", NOW));
	assert_true(link_quota_admits(*state, "lamp", "2001:db9::8", NOW));
	/* but answers for itself, also when its certificate is no longer good */
	for (unsigned i = 0; i < LINK_QUOTA_MOST; i++)
		link_quota_failed(*state, "2001:db8::7", NOW);
	assert_false(link_quota_admits(*state, "tv", "2001:db8::7", NOW));
}

static void broken_links_count_many_times(void **state)
{
	for (unsigned i = LINK_QUOTA_BROKEN; i < LINK_QUOTA_MOST; i += LINK_QUOTA_BROKEN)
		assert_false(link_quota_broken(*state, "tv", NOW));
	assert_true(link_quota_broken(*state, "tv", NOW));
	assert_false(link_quota_broken(*state, "tv", NOW));
	assert_int_equal(link_quota_opened(*state, "tv", "10.0.0.7", NOW), LINK_QUOTA_OVER);
	link_quota_forget(*state, "tv");
	assert_int_equal(link_quota_opened(*state, "tv", "10.0.0.7", NOW), LINK_QUOTA_FINE);
}

#define LOOPS 4u

struct loop_of {
	struct link_quota *quota;
	pthread_t thread;
	unsigned n[LINK_QUOTA_OVER + 1]; /* of each verdict */
};

static void *open_many(void *ctx)
{
	struct loop_of *l = ctx;
	for (unsigned i = 0; i < LINK_QUOTA_MOST; i++) {
		link_quota_admits(l->quota, "tv", "10.0.0.7", NOW);
		l->n[link_quota_opened(l->quota, "tv", "10.0.0.7", NOW)]++;
		link_quota_failed(l->quota, "10.0.0.8", NOW);
		link_quota_broken(l->quota, "lamp", NOW);
		link_quota_used(l->quota, "lamp");
		link_quota_forget(l->quota, "lamp");
	}
	return NULL;
}

static void all_loops_together_have_what_one_has(void **state)
{
	struct loop_of loops[LOOPS] = {0};
	unsigned n[LINK_QUOTA_OVER + 1] = {0};
	for (unsigned i = 0; i < LOOPS; i++) {
		loops[i].quota = *state;
		assert_int_equal(pthread_create(&loops[i].thread, NULL, open_many, &loops[i]), 0);
	}
	for (unsigned i = 0; i < LOOPS; i++) {
		pthread_join(loops[i].thread, NULL);
		for (unsigned v = 0; v <= LINK_QUOTA_OVER; v++)
			n[v] += loops[i].n[v];
	}
	assert_int_equal(n[LINK_QUOTA_FINE], LINK_QUOTA_MOST - 1);
	assert_int_equal(n[LINK_QUOTA_SPENT], 1);
	assert_int_equal(n[LINK_QUOTA_OVER], (LOOPS - 1) * LINK_QUOTA_MOST);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(links_that_nobody_needs_are_refused_for_a_while),
		TEST(links_that_requests_use_are_never_too_many),
		TEST(each_address_of_a_device_costs_one_handshake),
		TEST(a_claimed_name_locks_nobody_out),
		TEST(a_neighbour_locks_nobody_out),
		TEST(broken_links_count_many_times),
		TEST(all_loops_together_have_what_one_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
