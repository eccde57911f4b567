/* Connections of two loops to one device without an agent: how many there are together, and that
 * who waits on one loop gets what the other does not need. */
#include "upstream_rig.h"

static void two_loops_that_dial_together_share_32(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MOST; i++) {
		take(0, i);
		take(1, i);
	}
	assert_true(COMES(called(0, 0, MOST) + called(1, 0, MOST) == MOST));
	turns(100);
	assert_int_equal(all(), MOST);
	assert_int_equal(count_all(), MOST);
	assert_int_equal(door.n, MOST); /* nor was there ever one more */
	for (unsigned i = 0; i < MOST; i++) {
		pool_cancel(&wants[0][i].w);
		pool_cancel(&wants[1][i].w);
	}
}

static void what_another_loop_does_not_use_makes_room(void **state)
{
	(void)state;
	hold(0, 0, MOST - 4);
	for (unsigned i = 0; i < MOST - 4; i++)
		use(0, i);
	hold(1, 0, 7);
	turns(100);
	assert_in_range(pool_count(sides[0].pool), MOST - 10, MOST - 7); /* not all of them */
	assert_true(sides[0].heard < 20);
}

/* `n` are in use on the first loop, all others on the second, where one more waits. */
static void fill(unsigned n)
{
	hold(0, 0, n);
	hold(1, 0, MOST - n);
	take(1, MOST - 1);
	turns(50);
	assert_int_equal(wants[1][MOST - 1].called, 0);
}

static void what_becomes_idle_later_makes_room(void **state)
{
	(void)state;
	fill(HALF);
	uint64_t from_ms = clock_mono_ms();
	use(0, 0);
	assert_true(COMES(wants[1][MOST - 1].called));
	assert_true(clock_mono_ms() - from_ms >= 90); /* not for being idle between two requests */
	assert_non_null(wants[1][MOST - 1].client);
}

static void what_ends_on_another_loop_makes_room(void **state)
{
	(void)state;
	fill(MOST - 4);
	client_close(wants[0][7].client);
	assert_true(COMES(wants[1][MOST - 1].called));
	assert_non_null(wants[1][MOST - 1].client);
	assert_true(all() <= MOST);
}

/* As when it is no longer routed there. */
static void a_device_that_is_cut_on_another_loop_makes_room(void **state)
{
	(void)state;
	hold(0, 0, MOST - 4);
	hold(1, 0, 4);
	take(1, MOST - 1);
	turn();
	upstream_cut(sides[0].table, "nas");
	assert_true(COMES(wants[1][MOST - 1].called));
	assert_non_null(wants[1][MOST - 1].client);
}

/* The first loop has all, and more than it can serve; then requests come to the second. */
static void a_busy_loop_gives_way_to_one_with_less_than_its_part(void **state)
{
	unsigned used = 0, waiting = MOST - 1;
	(void)state;
	hold(0, 0, MOST);
	struct client *held[MOST];
	for (unsigned i = 0; i < MOST; i++)
		held[i] = wants[0][i].client;
	for (unsigned i = 0; i < waiting; i++)
		take(0, i);
	for (unsigned i = 0; i < HALF + 4; i++)
		take(1, i);
	turns(50);
	assert_int_equal(called(1, 0, HALF + 4), 0);
	for (; used < HALF; used++) {
		use_up(held[used]);
		assert_true(COMES(called(1, 0, HALF + 4) == used + 1));
		turns(5);
		assert_int_equal(called(0, 0, waiting), 0);
	}
	/* each has its part: what comes free stays where it is */
	use_up(held[used]);
	assert_true(COMES(called(0, 0, waiting) == 1));
	turns(50);
	assert_int_equal(called(1, 0, HALF + 4), HALF);
	assert_int_equal(pool_count(sides[0].pool), HALF);
	for (unsigned i = 0; i < waiting; i++)
		pool_cancel(&wants[0][i].w);
	for (unsigned i = 0; i < HALF + 4; i++)
		pool_cancel(&wants[1][i].w);
}

/* The device closes all that the first loop has, which just gave one to the second and so goes after it. */
static void who_goes_after_others_is_told_when_they_have_theirs(void **state)
{
	(void)state;
	hold(0, 0, 20);
	hold(1, 0, MOST - 20);
	for (unsigned i = MOST - 20; i < HALF; i++)
		take(1, i);
	turns(20);
	use_up(wants[0][0].client);
	assert_true(COMES_UNHEARD(count_all() == MOST - 1));
	for (unsigned i = 1; i < 20; i++)
		client_close(wants[0][i].client);
	for (unsigned i = 0; i < 6; i++)
		take(0, i);
	assert_true(COMES_UNHEARD(count_all() == MOST - 20));
	rig_turns(5);
	assert_int_equal(count_all(), MOST - 20);
	assert_true(COMES(called(1, 0, HALF) == HALF && called(0, 0, 6) == 6));
}

static void what_the_device_closed_is_given_to_nobody(void **state)
{
	(void)state;
	hold(0, 0, MOST);
	struct client *busy = wants[0][1].client;
	use(0, 0);
	for (unsigned i = 0; i < 4; i++)
		take(1, i);
	rig_turns(2); /* the first loop does not hear it yet */
	assert_int_equal(atomic_load(&site_share(route->site)->lacking), 4);
	client_close(wants[0][0].client);
	assert_true(COMES(called(1, 0, 4) == 1));
	assert_int_equal(atomic_load(&site_share(route->site)->giving), 0);
	take(0, 0);
	turns(20);
	use_up(busy);
	assert_true(COMES(called(1, 0, 4) == 2));
	assert_int_equal(wants[0][0].called, 0);
	pool_cancel(&wants[0][0].w);
	for (unsigned i = 0; i < 4; i++)
		pool_cancel(&wants[1][i].w);
}

/* Who wanted it has left: nobody gives way to a loop where nobody waits. */
static void who_left_takes_nothing(void **state)
{
	(void)state;
	hold(0, 0, MOST);
	take(1, 0);
	turns(50);
	pool_cancel(&wants[1][0].w);
	turns(50);
	use(0, 0);
	turns(50);
	assert_int_equal(pool_count(sides[0].pool), MOST);
	assert_int_equal(pool_idle(sides[0].pool), 1);
}

/* For WebSockets; two of all are for requests, on whichever loop. */
static void two_loops_together_hold_30(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		for (unsigned i = 0; i < MOST; i++) {
			take(side, i);
			wants[side][i].w.hold = true;
		}
	}
	assert_true(COMES(called(0, 0, MOST) + called(1, 0, MOST) == SHARE_HELD_MOST));
	turns(100);
	assert_int_equal(called(0, 0, MOST) + called(1, 0, MOST), SHARE_HELD_MOST);
	for (int side = 0; side < 2; side++)
		for (unsigned i = 0; i < MOST; i++)
			pool_cancel(&wants[side][i].w);
	for (int side = 0; side < 2; side++) {
		take(side, 0);
		assert_true(COMES(wants[side][0].called));
		use(side, 0);
	}
}

/* For WebSockets of this side. */
static void who_waits_for_a_websocket_gets_what_ends_elsewhere(void **state)
{
	(void)state;
	hold_for_long(1, SHARE_HELD_MOST);
	take(0, 0);
	wants[0][0].w.hold = true;
	turns(50);
	assert_int_equal(called(0, 0, 1), 0);
	client_close(wants[1][3].client);
	assert_true(COMES(wants[0][0].called));
	assert_non_null(wants[0][0].client);
	take(0, 1);
	wants[0][1].w.hold = true;
	turns(50);
	assert_int_equal(wants[0][1].called, 0);
	upstream_cut(sides[1].table, "nas");
	assert_true(COMES(wants[0][1].called));
	assert_non_null(wants[0][1].client);
}

/* Two are idle where only a WebSocket waits, which there is no room for. */
static void who_waits_for_a_websocket_keeps_no_spare(void **state)
{
	(void)state;
	hold_for_long(0, SHARE_HELD_MOST);
	hold(0, SHARE_HELD_MOST, 1);
	use(0, SHARE_HELD_MOST);
	hold(1, 0, 1);
	take(0, 0);
	wants[0][0].w.hold = true;
	turns(50);
	take(1, 1);
	assert_true(COMES(wants[1][1].called));
	assert_non_null(wants[1][1].client);
	pool_cancel(&wants[0][0].w);
}

/* A reload: one loop keeps what it has, another first connects under the new route. */
static void a_new_route_to_the_same_place_has_no_32_of_its_own(void **state)
{
	struct list *unused;
	struct route *again = route_to(door.port);
	(void)state;
	site_follow(again->site, route->site);
	hold(1, 0, MOST);
	upstream_cut(sides[0].table, "nas");
	for (int i = 0; i < 2; i++)
		sides[i].pool = upstream_pool(sides[i].table, again, &unused);
	take(0, 0);
	turns(50);
	assert_int_equal(wants[0][0].called, 0);
	client_close(wants[1][0].client);
	assert_true(COMES(wants[0][0].called));
	assert_non_null(wants[0][0].client);
	route_unref(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_loops_that_dial_together_share_32),
		TEST(what_another_loop_does_not_use_makes_room),
		TEST(what_becomes_idle_later_makes_room),
		TEST(what_ends_on_another_loop_makes_room),
		TEST(a_device_that_is_cut_on_another_loop_makes_room),
		TEST(a_busy_loop_gives_way_to_one_with_less_than_its_part),
		TEST(who_goes_after_others_is_told_when_they_have_theirs),
		TEST(what_the_device_closed_is_given_to_nobody),
		TEST(who_left_takes_nothing),
		TEST(two_loops_together_hold_30),
		TEST(a_new_route_to_the_same_place_has_no_32_of_its_own),
		TEST(who_waits_for_a_websocket_gets_what_ends_elsewhere),
		TEST(who_waits_for_a_websocket_keeps_no_spare),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
