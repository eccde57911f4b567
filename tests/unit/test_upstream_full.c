/* Devices that take fewer connections than we would: two loops share what there is, and who waits is not
 * refused for it, unless the device is away. */
#include "upstream_rig.h"

/* Small devices take a connection or two. Who comes on the other loop gets one that is not used there. */
static void a_device_that_takes_no_more_is_shared(void **state)
{
	(void)state;
	hold(0, 0, 2);
	shut_door(&door);
	take(1, 0);
	turns(50);
	assert_int_equal(wants[1][0].called, 0);
	use_up(wants[0][0].client);
	assert_true(COMES(pool_count(sides[0].pool) == 1));
	door_listen(&door);
	assert_true(COMES(wants[1][0].called));
	assert_non_null(wants[1][0].client);
}

static void a_device_that_takes_one_more_later_is_asked_again(void **state)
{
	(void)state;
	hold(0, 0, 2);
	shut_door(&door);
	for (int i = 0; i < 2; i++)
		take(i, 2);
	turns(50);
	assert_int_equal(called(0, 2, 1) + called(1, 2, 1), 0);
	door_listen(&door);
	for (int i = 0; i < 2; i++) {
		assert_true(COMES(wants[i][2].called));
		assert_non_null(wants[i][2].client);
	}
}

/* The house's network is away for a moment. */
static void a_device_out_of_reach_is_asked_again(void **state)
{
	char **addr = &route->site->addrs[0], *own = *addr;
	(void)state;
	hold(0, 0, 2);
	*addr = xstrdup("255.255.255.255");
	take(0, 2);
	take(1, 2); /* where nothing may come free: told at once */
	assert_true(COMES(wants[1][2].called));
	assert_null(wants[1][2].client);
	turns(50);
	assert_int_equal(wants[0][2].called, 0);
	free(*addr);
	*addr = own;
	assert_true(COMES(wants[0][2].called));
	assert_non_null(wants[0][2].client);
}

/* Nothing will come free for those who ask. */
static void a_device_full_of_websockets_has_no_room(void **state)
{
	(void)state;
	hold_for_long(0, 2);
	turns(20);
	while (pool_idle(sides[0].pool))
		pool_drop_idle(sides[0].pool, 0);
	shut_door(&door);
	for (int i = 0; i < 2; i++) {
		take(i, 2);
		assert_true(COMES(wants[i][2].called));
		assert_null(wants[i][2].client);
	}
	assert_int_equal(sides[0].downs + sides[1].downs, 0); /* but it is there */
}

static unsigned dials(void)
{
	return atomic_load(&site_share(route->site)->taken);
}

/* One that was known to take one connection, which it does not have any more. */
static void lose_the_only_one(void)
{
	hold(0, 0, 1);
	shut_door(&door);
	take(1, 0);
	assert_true(COMES(share_is_less(site_share(route->site))));
	turns(20);
	assert_int_equal(wants[1][0].called, 0);
	unsigned n = dials();
	client_close(wants[0][0].client);
	assert_true(COMES(dials() > n));
}

/* It has room again only when it has seen that we closed the last. */
static void a_device_that_needs_a_moment_to_let_go_is_asked_again(void **state)
{
	(void)state;
	lose_the_only_one();
	door_listen(&door);
	assert_true(COMES(wants[1][0].called));
	assert_non_null(wants[1][0].client);
	assert_int_equal(sides[0].downs + sides[1].downs, 0);
}

static void a_device_that_is_gone_is_said_to_be(void **state)
{
	(void)state;
	lose_the_only_one();
	assert_true(COMES(wants[1][0].called));
	assert_int_equal(wants[1][0].code, -ECONNREFUSED);
	assert_int_equal(sides[1].downs, 1);
	assert_int_equal(count_all(), 0);
}

static int begin_hasty(void **state)
{
	return begin_with(state, 2000);
}

/* Without power: the connection that is left says nothing of it. */
static void a_device_that_says_nothing_is_away(void **state)
{
	int fds[8];
	(void)state;
	hold(0, 0, 1);
	use(0, 0);
	mute_door(&door, fds);
	take(1, 0);
	assert_true(COMES(wants[1][0].called));
	assert_int_equal(wants[1][0].code, -ETIMEDOUT);
	assert_int_equal(sides[1].downs, 1);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
}

/* It drops what is too much for it, but answers what it has. */
static void a_device_that_answers_others_is_there(void **state)
{
	int fds[8];
	(void)state;
	hold(0, 0, 2);
	mute_door(&door, fds);
	unsigned n = share_answers(site_share(route->site));
	take(1, 0);
	turn();
	use_up(wants[0][0].client);
	assert_true(COMES(share_answers(site_share(route->site)) > n));
	assert_true(COMES(share_is_less(site_share(route->site))));
	assert_int_equal(wants[1][0].called, 0);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	shut_door(&door);
	door_listen(&door);
	assert_true(COMES(wants[1][0].called));
	assert_non_null(wants[1][0].client);
	assert_int_equal(sides[1].downs, 0);
}

#define HASTY(fn) cmocka_unit_test_setup_teardown(fn, begin_hasty, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_device_that_takes_no_more_is_shared),
		TEST(a_device_that_takes_one_more_later_is_asked_again),
		TEST(a_device_out_of_reach_is_asked_again),
		TEST(a_device_full_of_websockets_has_no_room),
		TEST(a_device_that_needs_a_moment_to_let_go_is_asked_again),
		TEST(a_device_that_is_gone_is_said_to_be),
		HASTY(a_device_that_says_nothing_is_away),
		HASTY(a_device_that_answers_others_is_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
