/* Device links and dialled upstreams on one loop: joining, limits, cutting. */
#include "gate_rig.h"

#include "gate_door.h"
#include "gate/link.h"
#include "gate/link_quota.h"
#include "gate/pool.h"
#include "gate/site.h"
#include "gate/snapshot.h"
#include "gate/upstream.h"
#include "http/client.h"
#include "net/tls.h"

static unsigned told, links;
static char told_device[64], told_peer[46];

static void on_links(void *ctx, const char *device, const struct link_count *now)
{
	(void)ctx;
	told++;
	links = now->n;
	snprintf(told_device, sizeof(told_device), "%s", device);
	snprintf(told_peer, sizeof(told_peer), "%s", now->peer);
}

static int make_quota(void **state)
{
	*state = link_quota_new();
	return 0;
}

static int free_quota(void **state)
{
	link_quota_free(*state);
	return 0;
}

static unsigned foreign;

static void on_foreign_close(struct stream *s, const struct err *why, void *ctx)
{
	(void)s, (void)why, (void)ctx;
	foreign++;
}

static const struct stream_cb foreign_cb = {.on_close = on_foreign_close};

static void add(struct link_table *t, const char *device, struct far *f)
{
	link_add(t, device, stream_from_fd(rig_loop, far_open(f), &foreign_cb, NULL));
}

struct want {
	struct pool_want w;
	unsigned called;
	struct client *client;
	int code;
};

static void on_want(struct pool_want *pw, struct client *c, const struct err *why)
{
	struct want *w = container_of(pw, struct want, w);
	w->called++;
	w->client = c;
	w->code = c ? 0 : why->code;
}

static void take(struct pool *p, struct want *w)
{
	*w = (struct want){0};
	pool_want_init(&w->w);
	w->w.fn = on_want;
	pool_take(p, &w->w);
}

static void links_are_counted_and_cut_by_device(void **state)
{
	(void)state;
	struct far tv[2], lamp;
	struct list *all;
	struct want w, waits;
	struct link_table *t = link_table_new(&(struct link_table_opts){
		.loop = rig_loop, .quota = *state, .on_count = on_links});
	told = foreign = 0;
	add(t, "tv", &tv[0]);
	assert_int_equal(links, 1);
	assert_string_equal(told_peer, "local");
	add(t, "tv", &tv[1]);
	add(t, "lamp", &lamp);
	assert_int_equal(link_away_ms(t, "tv"), 0);
	struct pool *p = link_pool(t, "tv", &all);
	assert_int_equal(pool_count(p), 2);
	take(p, &w);
	UNTIL(w.called);
	w.w.fresh = true;
	take(p, &waits);
	link_cut(t, "tv");
	assert_string_equal(told_device, "tv");
	assert_int_equal(links, 0);
	assert_string_equal(told_peer, "");
	UNTIL(far_is_closed(&tv[0]) && far_is_closed(&tv[1]));
	assert_int_equal(waits.called, 1);
	assert_int_equal(waits.code, -ECANCELED);
	assert_false(far_is_closed(&lamp));
	link_cut(t, "tv");
	link_cut(t, "nobody");
	assert_int_equal(pool_count(link_pool(t, "lamp", &all)), 1);
	assert_int_equal(foreign, 0);
	link_table_free(t);
	for (int i = 0; i < 2; i++)
		far_done(&tv[i]);
	UNTIL(far_is_closed(&lamp));
	far_done(&lamp);
}

static void a_device_without_links_is_away(void **state)
{
	(void)state;
	struct far f;
	struct list *all;
	struct link_table *t = link_table_new(&(struct link_table_opts){
		.loop = rig_loop, .quota = *state, .on_count = on_links});
	assert_int_equal(link_away_ms(t, "tv"), 0); /* not seen since the start: one may wait */
	link_pool(t, "tv", &all);
	assert_true(link_away_ms(t, "tv") > 0);
	assert_false(link_was_here(t, "tv"));
	add(t, "tv", &f);
	assert_int_equal(link_away_ms(t, "tv"), 0);
	far_close(&f);
	UNTIL(links == 0);
	assert_true(link_away_ms(t, "tv") > 0);
	assert_true(link_was_here(t, "tv"));
	far_done(&f);
	link_table_free(t);
	link_table_free(NULL);
}

/* Whoever handed the stream over has gone already: nothing of theirs may be called. */
static void a_link_above_the_limit_is_closed(void **state)
{
	(void)state;
	static struct far f[LINKS_PER_DEVICE_MAX + 1];
	struct link_table *t = link_table_new(&(struct link_table_opts){
		.loop = rig_loop, .quota = *state, .on_count = on_links});
	foreign = 0;
	for (unsigned i = 0; i <= LINKS_PER_DEVICE_MAX; i++)
		add(t, "tv", &f[i]);
	assert_int_equal(links, LINKS_PER_DEVICE_MAX);
	UNTIL(far_is_closed(&f[LINKS_PER_DEVICE_MAX]));
	rig_turns(3);
	assert_int_equal(foreign, 0);
	assert_false(far_is_closed(&f[0]));
	link_table_free(t);
	rig_turns(3);
	for (unsigned i = 0; i <= LINKS_PER_DEVICE_MAX; i++)
		far_done(&f[i]);
}

/* ---- upstreams ---- */

static struct upstream_table *new_table(void)
{
	return upstream_table_new(
		&(struct upstream_opts){.loop = rig_loop, .connect_ms = 5000, .idle_ms = 5000});
}

static void at_most_32_connections_are_dialled(void **state)
{
	(void)state;
	static struct want w[40];
	struct door d;
	struct list *all;
	unsigned served = 0;
	open_door(&d);
	struct upstream_table *t = new_table();
	struct route *r = route_to(d.port);
	struct pool *p = upstream_pool(t, r, &all);
	for (int i = 0; i < 40; i++)
		take(p, &w[i]);
	UNTIL(door_visits(&d) >= 32 && pool_count(p) == 32 && pool_waiting(p) == 8);
	rig_turns(20);
	assert_int_equal(door_visits(&d), 32);
	for (int i = 0; i < 40; i++)
		served += w[i].called;
	assert_int_equal(served, 32);
	upstream_table_free(t);
	for (int i = 0; i < 40; i++)
		assert_int_equal(w[i].called, 1);
	route_unref(r);
	rig_turns(5);
	close_door(&d);
}

static void a_refused_dial_tells_everybody_at_once(void **state)
{
	(void)state;
	struct want w[5];
	struct door d;
	struct list *all;
	open_door(&d);
	close_door(&d);
	struct upstream_table *t = new_table();
	struct route *r = route_to(d.port);
	struct pool *p = upstream_pool(t, r, &all);
	uint64_t began = clock_mono_ms();
	for (int i = 0; i < 5; i++)
		take(p, &w[i]);
	UNTIL(w[0].called && w[1].called && w[2].called && w[3].called && w[4].called);
	assert_true(clock_mono_ms() - began < 5000);
	for (int i = 0; i < 5; i++)
		assert_int_equal(w[i].code, -ECONNREFUSED);
	upstream_table_free(t);
	route_unref(r);
}

/* A connection that lies idle is no hope for those who may not have it. */
static void a_refused_dial_tells_also_when_only_unfit_ones_are_left(void **state)
{
	(void)state;
	struct want w, post;
	struct door d;
	struct list *all;
	open_door(&d);
	struct upstream_table *t = new_table();
	struct route *r = route_to(d.port);
	struct pool *p = upstream_pool(t, r, &all);
	take(p, &w);
	UNTIL(w.called && door_visits(&d));
	struct msg *m = msg_new_request("GET", "http", "nas", "/");
	static const struct call_cb nothing;
	assert_non_null(client_start(w.client, m, &nothing, NULL));
	msg_free(m);
	assert_int_equal(send(d.taken[0], "HTTP/1.1 204 Fine\r\n\r\n", 21, 0), 21);
	UNTIL(pool_idle(p) == 1);
	close(d.fd);
	d.fd = -1;
	post = (struct want){0};
	pool_want_init(&post.w);
	post.w.fresh = true;
	post.w.fn = on_want;
	uint64_t began = clock_mono_ms();
	pool_take(p, &post.w);
	UNTIL(post.called);
	assert_int_equal(post.code, -ECONNREFUSED);
	assert_true(clock_mono_ms() - began < 5000);
	upstream_table_free(t);
	route_unref(r);
	rig_turns(5);
	close_door(&d);
}

static void a_changed_target_gets_a_new_pool(void **state)
{
	(void)state;
	struct want w[3];
	struct door d[2];
	struct list *all;
	open_door(&d[0]);
	open_door(&d[1]);
	struct upstream_table *t = new_table();
	struct route *a = route_to(d[0].port), *same = route_to(d[0].port);
	struct route *b = route_to(d[1].port), *shy = route_to(d[0].port);
	struct pool *p = upstream_pool(t, a, &all);
	take(p, &w[0]);
	UNTIL(w[0].called && door_visits(&d[0]));
	assert_ptr_equal(upstream_pool(t, same, &all), p); /* read again, nothing new */
	assert_int_equal(tls_client_new_pin(&shy->up_tls, (const uint8_t[32]){1}, NULL), 0);
	take(upstream_pool(t, shy, &all), &w[1]); /* dialling when its target goes */
	UNTIL(door_visits(&d[0]) > 1);
	assert_int_equal(w[1].called, 0);
	take(upstream_pool(t, b, &all), &w[2]);
	assert_int_equal(w[1].code, -ECANCELED);
	UNTIL(w[2].called && door_visits(&d[1]));
	assert_non_null(w[2].client);
	char c;
	UNTIL(recv(d[0].taken[0], &c, 1, MSG_DONTWAIT) == 0);
	upstream_cut(t, "nas");
	UNTIL(recv(d[1].taken[0], &c, 1, MSG_DONTWAIT) == 0);
	upstream_cut(t, "nas");
	upstream_table_free(t);
	upstream_table_free(NULL);
	route_unref(a);
	route_unref(b);
	route_unref(shy);
	route_unref(same);
	for (int i = 0; i < 2; i++) {
		door_visits(&d[i]);
		close_door(&d[i]);
	}
}

/* A reload makes all contexts anew; what did not change goes on, what is gone is cut. */
static void a_newer_snapshot_cuts_only_what_changed(void **state)
{
	(void)state;
	static const uint8_t pin[32] = {1}, other[32] = {2};
	struct err e;
	struct door d;
	struct list *all;
	open_door(&d);
	struct upstream_table *t = new_table();
	struct route *r[3];
	struct pool *p = NULL;
	for (int i = 0; i < 3; i++) {
		r[i] = route_to(d.port);
		assert_int_equal(tls_client_new_pin(&r[i]->up_tls, i == 2 ? other : pin, &e), 0);
		struct snapshot *s = snapshot_new("home.test", 443);
		snapshot_add_route(s, r[i]);
		if (!p)
			p = upstream_pool(t, r[0], &all);
		struct want w;
		take(p, &w);
		upstream_follow(t, s);
		assert_int_equal(w.called, i == 2);
		pool_cancel(&w.w);
		snapshot_unref(s);
	}
	assert_true(tls_client_is_same(NULL, NULL));
	assert_false(tls_client_is_same(r[0]->up_tls, NULL));
	struct snapshot *none = snapshot_new("home.test", 443);
	struct want w;
	take(upstream_pool(t, r[2], &all), &w);
	upstream_follow(t, none);
	assert_int_equal(w.code, -ECANCELED);
	snapshot_unref(none);
	for (int i = 0; i < 3; i++)
		route_unref(r[i]);
	upstream_table_free(t);
	rig_turns(5);
	door_visits(&d);
	close_door(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(links_are_counted_and_cut_by_device),
		RIG_TEST(a_device_without_links_is_away),
		RIG_TEST(a_link_above_the_limit_is_closed),
		RIG_TEST(at_most_32_connections_are_dialled),
		RIG_TEST(a_refused_dial_tells_everybody_at_once),
		RIG_TEST(a_refused_dial_tells_also_when_only_unfit_ones_are_left),
		RIG_TEST(a_changed_target_gets_a_new_pool),
		RIG_TEST(a_newer_snapshot_cuts_only_what_changed),
	};
	return cmocka_run_group_tests(tests, make_quota, free_quota);
}
