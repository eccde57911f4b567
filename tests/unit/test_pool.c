/* The pool of connections to one origin: who gets which connection, who waits, what is closed. */
#include "gate_rig.h"

#include "gate/pool.h"
#include "http/client.h"
#include "http/msg.h"

struct want {
	struct pool_want w;
	struct client *client;
	int code;
	unsigned called;
};

static unsigned needs, counts, last_count, first_uses;

static void on_need(void *ctx)
{
	(void)ctx;
	needs++;
}

static void on_count(void *ctx, unsigned n)
{
	(void)ctx;
	counts++;
	last_count = n;
}

static void on_first_use(void *ctx)
{
	(void)ctx;
	first_uses++;
}

static struct pool *new_pool(uint64_t idle_close_ms)
{
	needs = counts = last_count = first_uses = 0;
	return pool_new(&(struct pool_opts){.loop = rig_loop,
		.on_need = on_need,
		.on_count = on_count,
		.on_first_use = on_first_use,
		.idle_close_ms = idle_close_ms});
}

static const struct stream_cb no_cb;

static void add(struct pool *p, struct far *f)
{
	pool_add(p, stream_from_fd(rig_loop, far_open(f), &no_cb, NULL));
}

static void on_want(struct pool_want *pw, struct client *c, const struct err *why)
{
	struct want *w = container_of(pw, struct want, w);
	w->called++;
	w->client = c;
	w->code = c ? 0 : why->code;
}

static void take(struct pool *p, struct want *w, bool fresh, bool hold)
{
	*w = (struct want){0};
	pool_want_init(&w->w);
	w->w.fresh = fresh;
	w->w.hold = hold;
	w->w.fn = on_want;
	pool_take(p, &w->w);
	assert_int_equal(w->called, 0);
}

static struct call *call;
static unsigned ended, failed;

static void on_end(struct call *c, const struct msg *trailers, void *ctx)
{
	(void)c, (void)trailers, (void)ctx;
	ended++;
	call = NULL;
}

static void on_fail(struct call *c, const struct err *why, bool unsent, void *ctx)
{
	(void)c, (void)why, (void)unsent, (void)ctx;
	failed++;
	call = NULL;
}

static const struct call_cb call_cb = {.on_end = on_end, .on_fail = on_fail};

static void start(struct client *c)
{
	struct msg *m = msg_new_request("GET", "http", "tv", "/");
	call = client_start(c, m, &call_cb, NULL);
	assert_non_null(call);
	msg_free(m);
}

/* One request on the connection that the pool hands out; `f` must be its far end. */
static void use(struct pool *p, struct far *f)
{
	struct want w;
	unsigned before = ended;
	take(p, &w, false, false);
	UNTIL(w.called);
	assert_non_null(w.client);
	start(w.client);
	UNTIL(far_has(f, "\r\n\r\n"));
	far_forget(f);
	far_say(f, "HTTP/1.1 204 Fine\r\n\r\n");
	UNTIL(ended > before);
	rig_turns(3);
}

static void the_newest_idle_connection_goes_first(void **state)
{
	(void)state;
	struct far f[3];
	struct want w[3];
	struct pool *p = new_pool(0);
	for (int i = 0; i < 3; i++)
		add(p, &f[i]);
	assert_int_equal(pool_count(p), 3);
	assert_int_equal(last_count, 3);
	for (int i = 0; i < 3; i++) {
		take(p, &w[i], false, false);
		UNTIL(w[i].called);
		start(w[i].client);
		UNTIL(far_has(&f[2 - i], "GET / HTTP/1.1\r\n"));
		assert_int_equal(pool_idle(p), 2 - i);
	}
	pool_free(p);
	rig_turns(5);
	for (int i = 0; i < 3; i++) {
		assert_true(far_is_closed(&f[i]));
		far_done(&f[i]);
	}
}

static void the_first_use_of_each_connection_is_told(void **state)
{
	(void)state;
	struct far f[2];
	struct pool *p = new_pool(0);
	add(p, &f[0]);
	rig_turns(3);
	assert_int_equal(first_uses, 0);
	use(p, &f[0]);
	use(p, &f[0]);
	assert_int_equal(first_uses, 1);
	add(p, &f[1]);
	use(p, &f[1]);
	assert_int_equal(first_uses, 2);
	pool_free(p);
	rig_turns(5);
	far_done(&f[0]);
	far_done(&f[1]);
}

static void a_fresh_want_waits_for_a_connection_that_nobody_used(void **state)
{
	(void)state;
	struct far f[2];
	struct want w;
	struct pool *p = new_pool(0);
	add(p, &f[0]);
	use(p, &f[0]);
	take(p, &w, true, false);
	UNTIL(needs);
	rig_turns(5);
	assert_int_equal(w.called, 0);
	assert_int_equal(pool_waiting(p), 1);
	pool_drop_used(p);
	UNTIL(far_is_closed(&f[0]));
	far_close(&f[0]);
	UNTIL(pool_count(p) == 0);
	add(p, &f[1]);
	UNTIL(w.called);
	assert_non_null(w.client);
	assert_int_equal(w.client->served, 0);
	pool_free(p);
	for (int i = 0; i < 2; i++)
		far_done(&f[i]);
}

/* The agent needs a moment for its replacement; the other used ones are good for everybody else. */
static void one_fresh_want_costs_one_used_connection(void **state)
{
	(void)state;
	struct far f[3];
	struct want w, more;
	struct pool *p = new_pool(0);
	for (int i = 0; i < 3; i++) {
		add(p, &f[i]);
		use(p, &f[i]);
	}
	take(p, &w, true, false);
	for (int i = 0; i < 3; i++) {
		pool_drop_used(p);
		assert_int_equal(pool_idle(p), 2);
	}
	UNTIL(far_is_closed(&f[0])); /* the oldest */
	far_close(&f[0]);
	UNTIL(pool_count(p) == 2);
	pool_drop_used(p);
	rig_turns(5);
	assert_false(far_is_closed(&f[1]) || far_is_closed(&f[2]));
	take(p, &more, true, false);
	pool_drop_used(p);
	UNTIL(far_is_closed(&f[1]));
	pool_cancel(&w.w);
	pool_cancel(&more.w);
	pool_free(p);
	for (int i = 0; i < 3; i++)
		far_done(&f[i]);
}

/* What becomes free goes to whoever waits, so none is ever idle. */
static void a_fresh_want_gets_its_turn_under_load(void **state)
{
	(void)state;
	struct far f[2];
	struct want busy, fresh, more;
	struct pool *p = new_pool(0);
	add(p, &f[0]);
	use(p, &f[0]);
	take(p, &busy, false, false);
	UNTIL(busy.called);
	start(busy.client);
	UNTIL(far_has(&f[0], "\r\n\r\n"));
	take(p, &fresh, true, false);
	take(p, &more, false, false);
	rig_turns(3);
	pool_drop_used(p);
	assert_false(far_is_closed(&f[0]));
	far_say(&f[0], "HTTP/1.1 204 Fine\r\n\r\n");
	UNTIL(far_is_closed(&f[0]));
	far_close(&f[0]);
	UNTIL(pool_count(p) == 0);
	add(p, &f[1]);
	UNTIL(fresh.called);
	assert_non_null(fresh.client);
	assert_int_equal(more.called, 0);
	pool_cancel(&more.w);
	pool_free(p);
	for (int i = 0; i < 2; i++)
		far_done(&f[i]);
}

static void an_upgrade_leaves_the_last_spare(void **state)
{
	(void)state;
	struct far f[2];
	struct want w[3];
	struct pool *p = new_pool(0);
	add(p, &f[0]);
	add(p, &f[1]);
	take(p, &w[0], false, true);
	UNTIL(w[0].called);
	start(w[0].client);
	take(p, &w[1], false, true);
	rig_turns(5);
	assert_int_equal(w[1].called, 0);
	take(p, &w[2], false, false); /* the spare is for such */
	UNTIL(w[2].called);
	assert_int_equal(w[1].called, 0);
	pool_cancel(&w[1].w);
	pool_cancel(&w[1].w);
	assert_int_equal(pool_waiting(p), 0);
	pool_free(p);
	rig_turns(5);
	far_done(&f[0]);
	far_done(&f[1]);
}

/* What the origin closed, or what is being closed, is no spare. */
static void upgrades_leave_two_of_what_an_agent_may_have(void **state)
{
	(void)state;
	struct far f[6];
	struct want w[4];
	struct pool *p = pool_new(&(struct pool_opts){.loop = rig_loop, .hold_max = 2});
	for (int i = 0; i < 6; i++)
		add(p, &f[i]);
	for (int i = 0; i < 2; i++) {
		take(p, &w[i], false, true);
		UNTIL(w[i].called);
	}
	take(p, &w[2], false, true); /* four are idle, yet not for this one */
	rig_turns(5);
	assert_int_equal(w[2].called, 0);
	take(p, &w[3], false, false);
	UNTIL(w[3].called);
	client_close(w[0].client); /* an upgrade ends: the next may begin */
	UNTIL(w[2].called);
	pool_free(p);
	rig_turns(5);
	for (int i = 0; i < 6; i++)
		far_done(&f[i]);
}

static void a_dead_idle_connection_is_not_counted_as_a_spare(void **state)
{
	(void)state;
	struct far f[3];
	struct want w;
	struct pool *p = new_pool(0);
	for (int i = 0; i < 2; i++)
		add(p, &f[i]);
	use(p, &f[1]);
	struct want busy;
	take(p, &busy, true, false); /* takes 0, which nobody used */
	UNTIL(busy.called);
	start(busy.client);
	add(p, &f[2]);
	take(p, &w, true, false);
	pool_drop_used(p); /* 1; its far end does not close yet */
	assert_int_equal(pool_idle(p), 1);
	pool_cancel(&w.w);
	take(p, &w, false, true);
	rig_turns(5);
	assert_int_equal(w.called, 0);
	pool_cancel(&w.w);
	pool_free(p);
	rig_turns(3);
	for (int i = 0; i < 3; i++)
		far_done(&f[i]);
}

static void the_65th_waiting_is_refused_at_once(void **state)
{
	(void)state;
	static struct want w[POOL_WAIT_MAX + 2];
	struct pool *p = new_pool(0);
	for (unsigned i = 0; i < POOL_WAIT_MAX + 2; i++)
		take(p, &w[i], false, false);
	UNTIL(w[POOL_WAIT_MAX].called && w[POOL_WAIT_MAX + 1].called);
	assert_int_equal(w[POOL_WAIT_MAX].code, -EBUSY);
	assert_int_equal(pool_waiting(p), POOL_WAIT_MAX);
	for (unsigned i = 0; i < POOL_WAIT_MAX; i++) {
		assert_int_equal(w[i].called, 0);
		uint64_t left = w[i].w.deadline.at_ms - loop_now_ms(rig_loop);
		assert_true(left <= POOL_WAIT_MS && left > POOL_WAIT_MS - 5000);
	}
	struct err e;
	err_set(&e, -ECONNREFUSED, "refused");
	pool_fail_waiting(p, &e);
	for (unsigned i = 0; i < POOL_WAIT_MAX; i++)
		assert_int_equal(w[i].code, -ECONNREFUSED);
	pool_free(p);
}

/* Loops to which a request is sent one after another do not each let it wait as long. */
static void what_waited_elsewhere_waits_for_the_rest(void **state)
{
	(void)state;
	struct want w[2];
	struct pool *p = new_pool(0);
	for (unsigned i = 0; i < 2; i++)
		take(p, &w[i], false, false);
	w[0].w.since_ms = loop_now_ms(rig_loop) - POOL_WAIT_MS + 100;
	UNTIL(w[0].called);
	assert_int_equal(w[0].code, -ETIMEDOUT);
	assert_int_equal(w[1].called, 0);
	assert_true(w[1].w.deadline.at_ms > loop_now_ms(rig_loop));
	pool_free(p);
}

static void a_pool_that_ends_tells_everybody_once(void **state)
{
	(void)state;
	static struct want w[POOL_WAIT_MAX + 1];
	struct far f[1];
	struct want busy;
	struct pool *p = new_pool(0);
	add(p, &f[0]);
	take(p, &busy, false, false);
	UNTIL(busy.called);
	start(busy.client);
	failed = 0;
	for (unsigned i = 0; i <= POOL_WAIT_MAX; i++)
		take(p, &w[i], true,
			false); /* the last one is to be refused, and was not told yet */
	counts = 0;
	pool_free(p);
	for (unsigned i = 0; i <= POOL_WAIT_MAX; i++)
		assert_int_equal(w[i].code, -ECANCELED);
	assert_int_equal(failed, 0); /* not from inside */
	UNTIL(failed == 1);
	rig_turns(5);
	for (unsigned i = 0; i <= POOL_WAIT_MAX; i++)
		assert_int_equal(w[i].called, 1);
	assert_int_equal(counts, 0);
	far_done(&f[0]);
	pool_free(NULL);
}

static void a_used_connection_closes_after_a_silence(void **state)
{
	(void)state;
	struct far f[2];
	struct pool *p = new_pool(30);
	add(p, &f[0]);
	use(p, &f[0]);
	add(p, &f[1]); /* never used: stays */
	UNTIL(far_is_closed(&f[0]));
	far_close(&f[0]);
	UNTIL(pool_count(p) == 1);
	assert_false(far_is_closed(&f[1]));
	assert_int_equal(last_count, 1);
	pool_free(p);
	rig_turns(3);
	far_done(&f[0]);
	far_done(&f[1]);
}

static void an_unused_one_too_where_we_dialled(void **state)
{
	(void)state;
	struct far f;
	struct pool *p = pool_new(&(struct pool_opts){
		.loop = rig_loop, .idle_close_ms = 30, .close_unused = true});
	add(p, &f);
	UNTIL(far_is_closed(&f));
	far_close(&f);
	UNTIL(pool_count(p) == 0);
	pool_free(p);
	far_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(the_newest_idle_connection_goes_first),
		RIG_TEST(the_first_use_of_each_connection_is_told),
		RIG_TEST(a_fresh_want_waits_for_a_connection_that_nobody_used),
		RIG_TEST(one_fresh_want_costs_one_used_connection),
		RIG_TEST(a_fresh_want_gets_its_turn_under_load),
		RIG_TEST(an_upgrade_leaves_the_last_spare),
		RIG_TEST(upgrades_leave_two_of_what_an_agent_may_have),
		RIG_TEST(a_dead_idle_connection_is_not_counted_as_a_spare),
		RIG_TEST(the_65th_waiting_is_refused_at_once),
		RIG_TEST(what_waited_elsewhere_waits_for_the_rest),
		RIG_TEST(a_pool_that_ends_tells_everybody_once),
		RIG_TEST(a_used_connection_closes_after_a_silence),
		RIG_TEST(an_unused_one_too_where_we_dialled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
