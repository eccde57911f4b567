/* A device's links on two loops: what the tables tell each other, and where a request goes. The words
 * between the loops are carried by the test, at once. */
#include "gate_rig.h"

#include "gate/link.h"
#include "gate/link_quota.h"
#include "gate/pool.h"
#include "gate/proxy.h"
#include "http/client.h"
#include "http/cross.h"
#include "http/server.h"

struct side {
	struct link_table *table;
	struct cross *cross;
	struct side *other;
	char said[64]; /* of its links, in order */
};

static struct side sides[2];
static struct link_quota *quota;

static void on_links(void *ctx, const char *device, const struct link_count *now)
{
	(void)ctx, (void)device, (void)now;
}

static void on_news(void *ctx, const char *device, enum link_news news, unsigned order)
{
	static const char words[] = {[LINK_NONE] = 'n', [LINK_SOME] = 's', [LINK_NEWEST] = 'N'};
	struct side *s = ctx;
	s->said[strlen(s->said)] = words[news];
	if (s->other->table)
		link_heard(s->other->table, device, s->cross, news, order);
}

static void on_full(void *ctx, const char *device, unsigned kinds)
{
	struct side *s = ctx;
	if (s->other->table)
		link_heard_full(s->other->table, device, s->cross, kinds);
}

static void open_side(struct side *s, struct side *other, struct loop *loop)
{
	*s = (struct side){.other = other};
	s->table = link_table_new(&(struct link_table_opts){
		.loop = loop, .quota = quota, .on_count = on_links, .on_news = on_news, .on_full = on_full, .ctx = s});
	s->cross = cross_new(loop, &(struct cross_host){.on_call = link_on_call,
					   .on_expire = link_on_expire,
					   .on_gone = link_on_gone,
					   .ctx = s->table});
	link_table_set_cross(s->table, s->cross);
}

static int begin(void **state)
{
	assert_int_equal(rig_begin(state), 0);
	rig_begin_other();
	quota = link_quota_new();
	open_side(&sides[0], &sides[1], rig_loop);
	open_side(&sides[1], &sides[0], rig_other);
	return 0;
}

static int end(void **state)
{
	for (int i = 0; i < 2; i++)
		cross_stop(sides[i].cross);
	for (int i = 0; i < 2; i++) {
		link_table_free(sides[i].table);
		sides[i].table = NULL;
	}
	rig_end(state);
	rig_end_other();
	for (int i = 0; i < 2; i++)
		cross_free(sides[i].cross);
	link_quota_free(quota);
	return 0;
}

static void add(struct side *s, struct far *f)
{
	struct loop *loop = s == &sides[0] ? rig_loop : rig_other;
	link_add(s->table, "tv", stream_from_fd(loop, far_open(f), NULL, NULL));
}

static struct pool *pool_of(struct side *s)
{
	struct list *all;
	return link_pool(s->table, "tv", &all);
}

/* ---- a request ---- */

struct want {
	struct pool_want w;
	struct msg *req;
	struct call *call;
	char log[128];
};

static void on_head(struct call *k, struct msg *head, void *ctx)
{
	struct want *w = ctx;
	size_t at = strlen(w->log);
	(void)k;
	snprintf(w->log + at, sizeof(w->log) - at, "%d", msg_status(head));
}

static void on_end(struct call *k, const struct msg *trailers, void *ctx)
{
	(void)k, (void)trailers;
	((struct want *)ctx)->call = NULL;
}

static void on_fail(struct call *k, const struct err *why, bool unsent, void *ctx)
{
	struct want *w = ctx;
	(void)k;
	w->call = NULL;
	snprintf(w->log, sizeof(w->log), "%s%s", unsent ? "unsent " : "", strerrorname_np(-why->code));
}

static const struct call_cb call_cb = {.on_head = on_head, .on_end = on_end, .on_fail = on_fail};

static void on_want(struct pool_want *pw, struct client *c, const struct err *why)
{
	struct want *w = container_of(pw, struct want, w);
	if (c)
		w->call = client_start(c, w->req, &call_cb, w);
	else
		snprintf(w->log, sizeof(w->log), "%s", strerrorname_np(-why->code));
}

static void ask(struct side *s, struct want *w, const char *method)
{
	*w = (struct want){.req = msg_new_request(method, "http", "tv", "/")};
	if (*method == 'U') {
		msg_free(w->req);
		w->req = msg_new_request("GET", "http", "tv", "/");
		msg_add(w->req, "connection", "upgrade");
		msg_add(w->req, "upgrade", "websocket");
	}
	pool_want_init(&w->w);
	pool_want_for(&w->w, w->req);
	w->w.fn = on_want;
	pool_take(pool_of(s), &w->w);
}

static void answer(struct far *f, struct want *w)
{
	UNTIL(far_has(f, "\r\n\r\n"));
	far_forget(f);
	far_say(f, "HTTP/1.1 204 No Content\r\n\r\n");
	UNTIL(w->log[0]);
	assert_string_equal(w->log, "204");
	msg_free(w->req);
}

static void end_by_cut(struct want *w, unsigned n)
{
	for (int i = 0; i < 2; i++)
		link_cut(sides[i].table, "tv");
	for (unsigned i = 0; i < n; i++) {
		UNTIL(w[i].log[0]);
		msg_free(w[i].req);
	}
}

/* ---- promises ---- */

static void a_request_goes_to_the_loop_that_has_a_link(void **state)
{
	struct far f;
	struct want w;
	(void)state;
	assert_true(link_away_ms(sides[0].table, "tv") == 0);
	add(&sides[1], &f);
	assert_string_equal(sides[1].said, "s");
	assert_true(link_was_here(sides[0].table, "tv"));
	ask(&sides[0], &w, "GET");
	answer(&f, &w);
	ask(&sides[1], &w, "GET");
	answer(&f, &w);
	far_done(&f);
}

static void its_own_link_goes_first(void **state)
{
	struct far f[2];
	struct want w[2];
	(void)state;
	add(&sides[0], &f[0]);
	add(&sides[1], &f[1]);
	ask(&sides[0], &w[0], "GET");
	ask(&sides[0], &w[1], "GET");
	UNTIL(far_has(&f[0], "\r\n\r\n") && far_has(&f[1], "\r\n\r\n"));
	answer(&f[0], &w[0]);
	answer(&f[1], &w[1]);
	for (int i = 0; i < 3; i++) {
		ask(&sides[0], &w[0], "GET");
		answer(&f[0], &w[0]);
	}
	far_done(&f[0]);
	far_done(&f[1]);
}

static void a_device_is_away_when_no_loop_has_a_link(void **state)
{
	struct far f[2];
	(void)state;
	add(&sides[0], &f[0]);
	add(&sides[1], &f[1]);
	far_close(&f[0]);
	UNTIL(strcmp(sides[0].said, "sn") == 0);
	rig_turns(5);
	assert_int_equal(link_away_ms(sides[0].table, "tv"), 0);
	assert_int_equal(link_away_ms(sides[1].table, "tv"), 0);
	far_close(&f[1]);
	UNTIL(link_away_ms(sides[0].table, "tv") && link_away_ms(sides[1].table, "tv"));
	assert_string_equal(sides[1].said, "sn");
	far_done(&f[0]);
	far_done(&f[1]);
}

static void who_waits_for_a_device_that_is_away_gets_the_other_loops_link(void **state)
{
	struct far f;
	struct want w;
	(void)state;
	ask(&sides[0], &w, "GET");
	rig_turns(5);
	add(&sides[1], &f);
	answer(&f, &w);
	far_done(&f);
}

static void the_newest_takes_over_on_all_loops(void **state)
{
	struct far f[2];
	struct want w;
	(void)state;
	add(&sides[0], &f[0]);
	ask(&sides[0], &w, "GET");
	UNTIL(far_has(&f[0], "\r\n\r\n"));
	add(&sides[0], &f[1]);
	link_heard(sides[0].table, "tv", sides[1].cross, LINK_NEWEST, 1);
	UNTIL(far_is_closed(&f[1])); /* idle */
	assert_false(far_is_closed(&f[0]));
	answer(&f[0], &w);
	UNTIL(far_is_closed(&f[0]));
	assert_int_equal(link_away_ms(sides[0].table, "tv"), 0); /* the other loop has it */
	far_done(&f[0]);
	far_done(&f[1]);
}

static void none_ends_the_way_but_not_its_calls(void **state)
{
	struct far f;
	struct want w;
	(void)state;
	add(&sides[1], &f);
	ask(&sides[0], &w, "GET");
	UNTIL(far_has(&f, "\r\n\r\n"));
	link_heard(sides[0].table, "tv", sides[1].cross, LINK_NONE, 0);
	link_heard(sides[0].table, "tv", sides[1].cross, LINK_NONE, 0);
	link_heard(sides[0].table, "nobody", sides[1].cross, LINK_NONE, 0);
	rig_turns(5);
	assert_false(pool_is_empty(pool_of(&sides[0])));
	answer(&f, &w);
	UNTIL(pool_is_empty(pool_of(&sides[0])));
	far_done(&f);
}

static void cutting_a_device_ends_its_calls_on_both_loops(void **state)
{
	struct far f;
	struct want w[3];
	(void)state;
	add(&sides[1], &f);
	ask(&sides[0], &w[0], "GET");
	UNTIL(far_has(&f, "\r\n\r\n"));
	ask(&sides[0], &w[1], "GET"); /* waits at the far loop */
	rig_turns(5);
	link_cut(sides[0].table, "tv");
	UNTIL(w[0].log[0] && w[1].log[0] && far_is_closed(&f));
	assert_string_equal(w[0].log, "ECANCELED");
	assert_string_equal(w[1].log, "ECANCELED");
	link_cut(sides[1].table, "tv");
	link_cut(sides[1].table, "tv");
	far_done(&f);
	/* and it may come back */
	add(&sides[1], &f);
	ask(&sides[0], &w[2], "GET");
	answer(&f, &w[2]);
	for (int i = 0; i < 2; i++)
		msg_free(w[i].req);
	far_done(&f);
}

static void cutting_where_the_links_are_fails_what_came_across(void **state)
{
	struct far f;
	struct want w[2];
	(void)state;
	add(&sides[1], &f);
	ask(&sides[0], &w[0], "GET");
	UNTIL(far_has(&f, "\r\n\r\n"));
	ask(&sides[0], &w[1], "GET");
	rig_turns(5);
	link_cut(sides[1].table, "tv");
	UNTIL(w[0].log[0] && w[1].log[0]);
	assert_string_equal(w[0].log, "ECANCELED");
	assert_string_equal(w[1].log, "unsent ECANCELED");
	UNTIL(pool_is_empty(pool_of(&sides[0])));
	for (int i = 0; i < 2; i++)
		msg_free(w[i].req);
	far_done(&f);
}

/* One spare is left to requests, but on one loop, not on each. */
static void an_upgrade_leaves_the_last_spare_of_all_loops(void **state)
{
	struct far f[3];
	struct want w[2], get;
	(void)state;
	add(&sides[0], &f[0]);
	add(&sides[1], &f[1]);
	ask(&sides[0], &w[0], "UPGRADE");
	ask(&sides[0], &w[1], "UPGRADE");
	UNTIL(far_has(&f[0], "\r\n\r\n"));
	rig_turns(20);
	assert_false(far_has(&f[1], "GET"));
	ask(&sides[0], &get, "GET");
	answer(&f[1], &get);
	add(&sides[0], &f[2]);
	UNTIL(far_has(&f[2], "\r\n\r\n") || far_has(&f[1], "GET"));
	end_by_cut(w, 2);
	for (int i = 0; i < 3; i++)
		far_done(&f[i]);
}

/* An agent dials its spares to whatever loop takes them. */
static void who_waits_at_the_other_loop_gets_a_link_that_comes_here(void **state)
{
	struct far f[2];
	struct want w[2];
	(void)state;
	add(&sides[1], &f[0]);
	ask(&sides[0], &w[0], "GET");
	UNTIL(far_has(&f[0], "\r\n\r\n"));
	ask(&sides[0], &w[1], "POST");
	rig_turns(10);
	add(&sides[0], &f[1]);
	answer(&f[1], &w[1]);
	end_by_cut(w, 1);
	far_done(&f[0]);
	far_done(&f[1]);
}

static void who_waits_with_all_busy_gets_the_first_that_is_free(void **state)
{
	struct far f[2];
	struct want w[4];
	(void)state;
	add(&sides[0], &f[0]);
	add(&sides[1], &f[1]);
	ask(&sides[0], &w[0], "GET");
	ask(&sides[1], &w[1], "GET");
	UNTIL(far_has(&f[0], "\r\n\r\n") && far_has(&f[1], "\r\n\r\n"));
	ask(&sides[0], &w[2], "GET");
	ask(&sides[0], &w[3], "GET");
	rig_turns(10);
	for (unsigned i = 0; i < 3; i++) {
		far_forget(&f[0]);
		far_say(&f[0], "HTTP/1.1 204 No Content\r\n\r\n");
		UNTIL(i == 2 || far_has(&f[0], "\r\n\r\n"));
	}
	UNTIL(w[0].log[0] && w[2].log[0] && w[3].log[0]);
	assert_string_equal(w[2].log, "204");
	assert_string_equal(w[3].log, "204");
	end_by_cut(w, 4);
	far_done(&f[0]);
	far_done(&f[1]);
}

/* Requests of the link's own loop may keep coming: those from elsewhere wait among them. */
static void who_comes_across_waits_in_line(void **state)
{
	struct far f;
	struct want w[4];
	(void)state;
	add(&sides[1], &f);
	ask(&sides[1], &w[0], "GET");
	ask(&sides[1], &w[1], "GET");
	UNTIL(far_has(&f, "\r\n\r\n"));
	ask(&sides[0], &w[2], "GET");
	UNTIL(pool_waiting(pool_of(&sides[1])) == 2);
	ask(&sides[1], &w[3], "GET");
	for (int i = 0; i < 4; i++)
		answer(&f, &w[i]);
	far_done(&f);
}

static void a_used_link_does_not_keep_a_post_from_a_fresh_one(void **state)
{
	struct far f[3];
	struct want w;
	(void)state;
	add(&sides[0], &f[0]);
	add(&sides[1], &f[1]);
	for (int i = 0; i < 2; i++) {
		ask(&sides[i], &w, "GET");
		answer(&f[i], &w);
	}
	ask(&sides[0], &w, "POST");
	UNTIL(far_is_closed(&f[0]) || far_is_closed(&f[1])); /* to be replaced */
	rig_turns(10);
	add(&sides[0], &f[2]);
	answer(&f[2], &w);
	for (int i = 0; i < 3; i++)
		far_done(&f[i]);
}

/* ---- who is told what ---- */

static uint64_t idle_ms;

static void on_request(void *ctx, struct exchange *x)
{
	struct list *all;
	struct pool *p = link_pool(sides[0].table, "tv", &all);
	(void)ctx;
	proxy_exchange(x, &(struct proxy_opts){.pool = p,
				  .host = "tv.home.test",
				  .device = "tv",
				  .idle_ms = idle_ms,
				  .tunnel_idle_ms = 60000,
				  .all = all});
}

static void on_browser_closed(void *ctx, struct http_conn *c)
{
	(void)ctx, (void)c;
}

/* A browser on the first loop asks. */
static void browse(struct far *browser, const char *request)
{
	static const struct stream_cb nobody;
	static const struct http_server_opts opts = {.limits = &http_limits_default,
		.on_request = on_request,
		.on_closed = on_browser_closed};
	http_serve(stream_from_fd(rig_loop, far_open(browser), &nobody, NULL), &opts);
	far_say(browser, request);
}

#define BROWSE "GET / HTTP/1.1\r\nHost: tv.home.test\r\n\r\n"
#define UPLOAD "POST / HTTP/1.1\r\nHost: tv.home.test\r\nContent-Length: 9\r\n\r\nhalf"

static void who_waits_too_long_is_told_the_same_on_every_loop(void **state)
{
	struct far f, here, there, upload;
	struct want w;
	(void)state;
	idle_ms = 50; /* below what a pool lets requests wait */
	browse(&here, BROWSE); /* nobody has a link */
	UNTIL(far_has(&here, "HTTP/1.1 503 "));
	add(&sides[1], &f);
	ask(&sides[1], &w, "GET");
	UNTIL(far_has(&f, "\r\n\r\n"));
	browse(&there, BROWSE);
	browse(&upload, UPLOAD);
	UNTIL(far_has(&there, "HTTP/1.1 50") && far_has(&upload, "HTTP/1.1 50"));
	assert_true(far_has(&there, "HTTP/1.1 503 "));
	assert_true(far_has(&upload, "HTTP/1.1 503 "));
	assert_int_equal(pool_waiting(pool_of(&sides[1])), 0);
	answer(&f, &w);
	far_done(&here);
	far_done(&there);
	far_done(&upload);
	rig_turns(5);
	far_done(&f);
}

static void a_device_that_is_silent_is_told_as_such_on_every_loop(void **state)
{
	struct far f, there, upload;
	(void)state;
	idle_ms = 1000;
	add(&sides[1], &f);
	browse(&there, BROWSE);
	UNTIL(far_has(&there, "HTTP/1.1 50"));
	assert_true(far_has(&there, "HTTP/1.1 504 "));
	UNTIL(far_is_closed(&f)); /* nobody waits for what it might still say */
	far_done(&f);
	add(&sides[1], &f);
	browse(&upload, UPLOAD);
	UNTIL(far_is_closed(&upload)); /* it is the browser that is silent */
	assert_false(far_has(&upload, "HTTP/1.1 "));
	far_done(&there);
	far_done(&upload);
	rig_turns(5);
	far_done(&f);
}

#define LOOPS_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOPS_TEST(a_request_goes_to_the_loop_that_has_a_link),
		LOOPS_TEST(its_own_link_goes_first),
		LOOPS_TEST(a_device_is_away_when_no_loop_has_a_link),
		LOOPS_TEST(who_waits_for_a_device_that_is_away_gets_the_other_loops_link),
		LOOPS_TEST(the_newest_takes_over_on_all_loops),
		LOOPS_TEST(none_ends_the_way_but_not_its_calls),
		LOOPS_TEST(cutting_a_device_ends_its_calls_on_both_loops),
		LOOPS_TEST(cutting_where_the_links_are_fails_what_came_across),
		LOOPS_TEST(an_upgrade_leaves_the_last_spare_of_all_loops),
		LOOPS_TEST(who_waits_at_the_other_loop_gets_a_link_that_comes_here),
		LOOPS_TEST(who_waits_with_all_busy_gets_the_first_that_is_free),
		LOOPS_TEST(who_comes_across_waits_in_line),
		LOOPS_TEST(a_used_link_does_not_keep_a_post_from_a_fresh_one),
		LOOPS_TEST(who_waits_too_long_is_told_the_same_on_every_loop),
		LOOPS_TEST(a_device_that_is_silent_is_told_as_such_on_every_loop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
