/* For tests of two loops' connections to one device without an agent. The words between them are carried
 * by the test, on the next turn. */
#pragma once

#include "gate_door.h"
#include "gate_rig.h"

#include "gate/pool.h"
#include "gate/share.h"
#include "gate/upstream.h"
#include "http/client.h"

#define MOST SHARE_MOST /* of all together */
#define HALF (MOST / 2)

struct want {
	struct pool_want w;
	struct client *client;
	unsigned called;
	int code;
};

static struct side {
	struct upstream_table *table;
	struct pool *pool;
	bool news; /* for this one */
	unsigned heard;
	unsigned downs; /* so often the device was told to be away */
} sides[2];

static struct want wants[2][MOST];
static struct door door;
static struct route *route;

static inline void on_news(void *ctx, const char *device)
{
	struct side *s = ctx;
	assert_string_equal(device, "nas");
	sides[s == &sides[0]].news = true;
}

static inline void on_health(void *ctx, const char *device, const char *why)
{
	struct side *s = ctx;
	(void)device;
	s->downs += why != NULL;
}

static inline int begin_with(void **state, uint64_t connect_ms)
{
	assert_int_equal(rig_begin(state), 0);
	rig_begin_other();
	open_door(&door);
	memset(wants, 0, sizeof(wants));
	route = route_to(door.port);
	struct snapshot *snap = snapshot_new("home.test", 443);
	snapshot_add_route(snap, route);
	for (int i = 0; i < 2; i++) {
		struct list *unused;
		sides[i] = (struct side){.table = upstream_table_new(&(struct upstream_opts){
						 .loop = i ? rig_other : rig_loop,
						 .connect_ms = connect_ms,
						 .idle_ms = 60000,
						 .on_health = on_health,
						 .ctx = &sides[i],
						 .on_news = on_news,
						 .news_ctx = &sides[i]})};
		upstream_follow(sides[i].table, snap);
		sides[i].pool = upstream_pool(sides[i].table, route, &unused);
	}
	snapshot_unref(snap);
	return 0;
}

static inline int begin(void **state)
{
	return begin_with(state, 5000);
}

static inline int end(void **state)
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
static inline void tend_door(void)
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
static inline void deaf_turn(void)
{
	rig_turn();
	tend_door();
}

static inline void turn(void)
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

/* Turns until it holds; false after ten seconds. */
#define COMES_BY(turn, holds)                                                                      \
	({                                                                                         \
		uint64_t until_ms = clock_mono_ms() + 10000;                                       \
		while (!(holds) && clock_mono_ms() < until_ms)                                     \
			turn();                                                                    \
		(holds);                                                                           \
	})
#define COMES(holds) COMES_BY(turn, holds)
#define COMES_UNHEARD(holds) COMES_BY(deaf_turn, holds)

static inline void on_want(struct pool_want *pw, struct client *c, const struct err *why)
{
	struct want *w = container_of(pw, struct want, w);
	w->called++;
	w->client = c;
	w->code = c ? 0 : why->code;
}

static inline void take(int side, unsigned n)
{
	struct want *w = &wants[side][n];
	*w = (struct want){0};
	pool_want_init(&w->w);
	w->w.fn = on_want;
	pool_take(sides[side].pool, &w->w);
}

/* Connections of this side, which requests have. */
static inline void hold(int side, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		take(side, i);
	for (unsigned i = first; i < first + n; i++) {
		assert_true(COMES(wants[side][i].called));
		assert_non_null(wants[side][i].client);
	}
}

/* One request on it, so that nobody has it any more once it is answered. */
static inline void use_up(struct client *c)
{
	static const struct call_cb nothing;
	struct msg *m = msg_new_request("GET", "http", "nas", "/");
	assert_non_null(client_start(c, m, &nothing, NULL));
	msg_free(m);
}

static inline void use(int side, unsigned i)
{
	unsigned idle = pool_idle(sides[side].pool);
	use_up(wants[side][i].client);
	assert_true(COMES(pool_idle(sides[side].pool) != idle || wants[!side][MOST - 1].called));
}

static inline unsigned all(void)
{
	return pool_count(sides[0].pool) + pool_count(sides[1].pool);
}

static inline unsigned called(int side, unsigned first, unsigned n)
{
	unsigned sum = 0;
	for (unsigned i = first; i < first + n; i++)
		sum += wants[side][i].called;
	return sum;
}

static inline unsigned count_all(void)
{
	return atomic_load(&site_share(route->site)->n);
}

static inline void turns(unsigned n)
{
	while (n--) {
		turn();
		assert_true(all() <= MOST && count_all() <= MOST);
	}
}

static inline void hold_for_long(int side, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		take(side, i);
		wants[side][i].w.hold = true;
	}
	assert_true(COMES(called(side, 0, n) == n));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
