/* Connections of two loops to one device without an agent: how many there are together, and that
 * who waits on one loop gets what the other does not need. The words between them are carried by
 * the test, on the next turn. */
#include "gate_rig.h"

#include "gate/pool.h"
#include "gate/share.h"
#include "gate/upstream.h"
#include "gate_door.h"
#include "http/client.h"

#define MOST SHARE_MOST /* of all together */
#define HALF (MOST / 2)

struct want {
	struct pool_want w;
	struct client *client;
	unsigned called;
};

static struct side {
	struct upstream_table *table;
	struct pool *pool;
	bool news; /* for this one */
	unsigned heard;
} sides[2];

static struct want wants[2][MOST];
static struct door door;
static struct route *route;

static void on_news(void *ctx, const char *device)
{
	struct side *s = ctx;
	assert_string_equal(device, "nas");
	sides[s == &sides[0]].news = true;
}

static int begin(void **state)
{
	assert_int_equal(rig_begin(state), 0);
	rig_begin_other();
	open_door(&door);
	memset(wants, 0, sizeof(wants));
	route = route_to(door.port);
	for (int i = 0; i < 2; i++) {
		struct list *unused;
		sides[i] = (struct side){.table = upstream_table_new(&(struct upstream_opts){
						 .loop = i ? rig_other : rig_loop,
						 .connect_ms = 5000,
						 .idle_ms = 60000,
						 .on_news = on_news,
						 .news_ctx = &sides[i]})};
		sides[i].pool = upstream_pool(sides[i].table, route, &unused);
	}
	return 0;
}

static int end(void **state)
{
	for (int i = 0; i < 2; i++)
		upstream_table_free(sides[i].table);
	route_unref(route);
	rig_turns(5);
	door_visits(&door);
	close_door(&door);
	rig_end_other();
	return rig_end(state);
}

/* The device: answers each request, and closes when the other end does. */
static void tend_door(void)
{
	static const char answer[] = "HTTP/1.1 204 Fine\r\n\r\n";
	door_visits(&door);
	for (unsigned i = 0; i < door.n; i++) {
		char text[512];
		ssize_t n = recv(door.taken[i], text, sizeof(text), MSG_DONTWAIT);
		if (n > 0)
			send(door.taken[i], answer, sizeof(answer) - 1, MSG_NOSIGNAL);
		if (n == 0)
			shutdown(door.taken[i], SHUT_WR);
	}
}

/* In which no loop hears what another tells. */
static void deaf_turn(void)
{
	rig_turn();
	tend_door();
}

static void turn(void)
{
	for (int i = 0; i < 2; i++) {
		if (!sides[i].news)
			continue;
		sides[i].news = false;
		sides[i].heard++;
		upstream_heard(sides[i].table, "nas");
	}
	deaf_turn();
}

/* Turns until it holds; false after two seconds. */
#define COMES_BY(turn, holds)                                                                      \
	({                                                                                         \
		uint64_t until_ms = clock_mono_ms() + 2000;                                        \
		while (!(holds) && clock_mono_ms() < until_ms)                                     \
			turn();                                                                    \
		(holds);                                                                           \
	})
#define COMES(holds) COMES_BY(turn, holds)
#define COMES_UNHEARD(holds) COMES_BY(deaf_turn, holds)

static void on_want(struct pool_want *pw, struct client *c, const struct err *why)
{
	struct want *w = container_of(pw, struct want, w);
	(void)why;
	w->called++;
	w->client = c;
}

static void take(int side, unsigned n)
{
	struct want *w = &wants[side][n];
	*w = (struct want){0};
	pool_want_init(&w->w);
	w->w.fn = on_want;
	pool_take(sides[side].pool, &w->w);
}

/* Connections of this side, which requests have. */
static void hold(int side, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		take(side, i);
	for (unsigned i = first; i < first + n; i++) {
		assert_true(COMES(wants[side][i].called));
		assert_non_null(wants[side][i].client);
	}
}

/* One request on it, so that nobody has it any more once it is answered. */
static void use_up(struct client *c)
{
	static const struct call_cb nothing;
	struct msg *m = msg_new_request("GET", "http", "nas", "/");
	assert_non_null(client_start(c, m, &nothing, NULL));
	msg_free(m);
}

static void use(int side, unsigned i)
{
	unsigned idle = pool_idle(sides[side].pool);
	use_up(wants[side][i].client);
	assert_true(COMES(pool_idle(sides[side].pool) != idle || wants[!side][MOST - 1].called));
}

static unsigned all(void)
{
	return pool_count(sides[0].pool) + pool_count(sides[1].pool);
}

static unsigned called(int side, unsigned first, unsigned n)
{
	unsigned sum = 0;
	for (unsigned i = first; i < first + n; i++)
		sum += wants[side][i].called;
	return sum;
}

static unsigned count_all(void)
{
	return atomic_load(&site_share(route->site)->n);
}

static void turns(unsigned n)
{
	while (n--) {
		turn();
		assert_true(all() <= MOST && count_all() <= MOST);
	}
}

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
static void hold_for_long(int side, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		take(side, i);
		wants[side][i].w.hold = true;
	}
	assert_true(COMES(called(side, 0, n) == n));
}

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
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
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
		TEST(a_device_that_takes_no_more_is_shared),
		TEST(a_device_that_takes_one_more_later_is_asked_again),
		TEST(a_device_out_of_reach_is_asked_again),
		TEST(a_device_full_of_websockets_has_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
