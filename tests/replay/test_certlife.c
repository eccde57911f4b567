/* The life of certificates under a fake clock: gate/certs with its real files and database, a
 * steward that is a function, months in a second. */
#include "../unit/gate_tmp.h"

#include <errno.h>

#include "../unit/gate_lab.h"
#include "base/file.h"
#include "gate/certs.h"
#include "gate/certs_file.h"
#include "net/tls.h"
#include "store/db.h"

#define START INT64_C(1790000000)
#define DAY 86400
#define DOMAIN "home.example.com"

enum mood {
	ANSWER,  /* a good chain at once */
	SILENT,
	REFUSE,  /* STATE_FAIL_CA, next_at an hour ahead */
	PUT_OFF, /* STATE_FAIL_LIMIT, a minute ahead */
	DEAF,    /* the pipe is full */
};

struct world {
	char dir[64];
	struct db *db;
	struct certs *c;
	struct lab lab;
	struct certs_time now;
	enum mood mood;
	enum lab_fault fault;
	int64_t life_s;
	unsigned orders, forced, cancels, changes;
	uint64_t last_id;
	char last_name[254];
	/* What waits to be said to the gate. */
	struct answer {
		struct procmsg m;
		struct buf chain;
	} answers[16];
	unsigned n_answers;
};

static int on_send(void *ctx, const struct procmsg *m, struct err *e)
{
	struct world *w = ctx;
	if (w->mood == DEAF)
		return err_set(e, -ENOBUFS, "full");
	w->cancels += m->type == PROCMSG_CANCEL;
	if (m->type != PROCMSG_ORDER)
		return 0;
	w->orders++;
	w->forced += (m->flags & PROCMSG_FORCE) != 0;
	w->last_id = m->id;
	memcpy(w->last_name, m->names[0], sizeof(w->last_name));
	if (w->mood == SILENT)
		return 0;
	assert_true(w->n_answers < 16);
	struct answer *a = &w->answers[w->n_answers++];
	*a = (struct answer){.m = {.id = m->id}, .chain = BUF_INIT(1 << 20)};
	if (w->mood == ANSWER) {
		w->lab.now = w->now.unix_s;
		lab_sign(&w->lab, m->blob, m->blob_len, w->life_s, w->fault, &a->chain);
		a->m.type = PROCMSG_CHAIN;
		a->m.blob = a->chain.data;
		a->m.blob_len = a->chain.len;
	} else {
		a->m.type = PROCMSG_STATE;
		a->m.class = w->mood == REFUSE ? STATE_FAIL_CA : STATE_FAIL_LIMIT;
		a->m.next_at = w->now.unix_s + (w->mood == REFUSE ? 3600 : 60);
		strcpy(a->m.text, "no");
	}
	return 0;
}

static void on_changed(void *ctx)
{
	((struct world *)ctx)->changes++;
}

static const char *const devices[] = {"tv", "nas", "d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"};

static void follow(struct world *w, unsigned n)
{
	certs_follow(w->c,
		&(struct certs_plan){.domain = DOMAIN,
			.per_device = true,
			.devices = devices,
			.n_devices = n,
			.timeout_ms = 600000},
		w->now.unix_s);
}

static void open_certs(struct world *w)
{
	struct err e = {0};
	char *dir = xasprintf("%s/certs", w->dir);
	struct certs_opts o = {w->db, dir, on_send, on_changed, w};
	if (certs_open(&w->c, &o, &e) < 0)
		fail_msg("%s", e.text);
	free(dir);
}

/* Tick; say what the steward answers; again until nothing more is to be said. */
static uint64_t turn(struct world *w)
{
	uint64_t in = certs_tick(w->c, &w->now);
	while (w->n_answers) {
		struct answer a = w->answers[0];
		memmove(w->answers, w->answers + 1, --w->n_answers * sizeof(a));
		assert_true(certs_message(w->c, &a.m, &w->now));
		buf_done(&a.chain);
		in = certs_tick(w->c, &w->now);
	}
	return in;
}

/* Let time pass in steps of what was asked for, but at least `step_s`. */
static void pass(struct world *w, int64_t seconds, int64_t step_s)
{
	for (int64_t t = 0; t < seconds; t += step_s) {
		w->now.unix_s += step_s;
		w->now.mono_ms += (uint64_t)step_s * 1000;
		turn(w);
	}
}

static const struct certs_row *row(struct world *w, const char *id)
{
	const struct certs_row *r = certs_find(w->c, id);
	assert_non_null(r);
	return r;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err e = {0};
	tmp_make(w->dir);
	char *path = xasprintf("%s/gate.db", w->dir);
	assert_int_equal(db_open(&w->db, path, DB_GATE, &e), 0);
	free(path);
	w->now = (struct certs_time){START, 5000, true};
	w->life_s = 90 * DAY;
	lab_init(&w->lab, START);
	open_certs(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	certs_free(w->c);
	db_close(w->db);
	lab_done(&w->lab);
	tmp_remove(w->dir);
	free(w);
	return 0;
}

static void restart(struct world *w, unsigned n)
{
	certs_free(w->c);
	open_certs(w);
	follow(w, n);
}

static void a_year_renews_with_a_third_left(void **state)
{
	struct world *w = *state;
	follow(w, 1);
	turn(w);
	turn(w);
	assert_int_equal(w->orders, 2);
	int64_t least = 90 * DAY;
	for (int day = 0; day < 365 * 4; day++) {
		pass(w, DAY / 4, DAY / 4);
		int64_t left = row(w, "tv")->not_after - w->now.unix_s;
		if (left < least)
			least = left;
	}
	assert_true(least > 29 * DAY);
	/* 365 / 60 days, with jitter towards earlier, for two certificates. */
	assert_true(w->orders >= 2 * 6 && w->orders <= 2 * 8);
}

static void devices_wait_for_the_bridge(void **state)
{
	struct world *w = *state;
	w->mood = REFUSE;
	follow(w, 2);
	pass(w, 3 * 3600, 60);
	assert_true(w->orders >= 3);
	assert_string_equal(w->last_name, DOMAIN);
	assert_int_equal(row(w, "tv")->state, CERTS_WANTED);
	w->mood = ANSWER;
	pass(w, 3700, 60);
	assert_int_equal(row(w, "tv")->state, CERTS_HELD);
	assert_int_equal(row(w, "nas")->state, CERTS_HELD);
}

static void a_refused_order_waits_as_told_and_keeps_its_key(void **state)
{
	struct world *w = *state;
	w->mood = REFUSE;
	follow(w, 0);
	turn(w);
	uint64_t id = w->last_id;
	assert_int_equal(w->orders, 1);
	pass(w, 3540, 60);
	assert_int_equal(w->orders, 1);
	pass(w, 120, 60);
	assert_int_equal(w->orders, 2);
	assert_int_equal(w->last_id, id);
	assert_int_equal(row(w, "@base")->fails, 2);
	assert_int_equal(row(w, "@base")->fail_class, STATE_FAIL_CA);
}

static void an_unanswered_order_is_sent_again(void **state)
{
	struct world *w = *state;
	w->mood = SILENT;
	follow(w, 0);
	turn(w);
	uint64_t id = w->last_id;
	pass(w, 14 * 60, 60);
	assert_int_equal(w->orders, 1);
	pass(w, 120, 60);
	assert_int_equal(w->orders, 2);
	assert_int_equal(w->last_id, id);
	certs_restart(w->c);
	turn(w);
	assert_int_equal(w->orders, 3);
	assert_int_equal(w->last_id, id);
}

static void a_restart_keeps_back_off_order_and_certificate(void **state)
{
	struct world *w = *state;
	follow(w, 1);
	turn(w);
	turn(w);
	unsigned orders = w->orders;
	restart(w, 1);
	assert_non_null(certs_serving(w->c, "tv", w->now.unix_s));
	pass(w, DAY, 3600);
	assert_int_equal(w->orders, orders);
	/* A chain that cannot be used: our own back-off, over a restart too. */
	w->fault = LAB_NAME_MORE;
	pass(w, 70 * DAY, DAY);
	const struct certs_row *r = row(w, "tv");
	assert_true(r->fails > 0);
	assert_int_equal(r->state, CERTS_HELD);
	orders = w->orders;
	restart(w, 1);
	turn(w);
	assert_int_equal(w->orders, orders);
	assert_true(row(w, "tv")->next_at > w->now.unix_s);
	assert_non_null(certs_serving(w->c, "tv", w->now.unix_s));
}

static void a_ca_that_is_away_is_asked_a_few_times_then_daily(void **state)
{
	struct world *w = *state;
	follow(w, 0);
	turn(w);
	w->fault = LAB_EXPIRED;
	int64_t due = row(w, "@base")->next_at;
	pass(w, due - w->now.unix_s + 60, 3600);
	unsigned before = w->orders;
	pass(w, 20 * DAY, 60);
	assert_true(w->orders - before <= 26);
	assert_true(w->orders - before >= 18);
	assert_non_null(certs_serving(w->c, "@base", w->now.unix_s));
}

static void an_expired_certificate_is_not_shown(void **state)
{
	struct world *w = *state;
	follow(w, 1);
	turn(w);
	turn(w);
	w->mood = SILENT;
	unsigned changes = w->changes;
	pass(w, 91 * DAY, DAY);
	assert_null(certs_serving(w->c, "tv", w->now.unix_s));
	assert_true(w->changes > changes);
}

static void a_clock_that_nobody_believes_expires_nothing(void **state)
{
	struct world *w = *state;
	follow(w, 1);
	turn(w);
	turn(w);
	unsigned changes = w->changes;
	w->now.believable = false;
	pass(w, 12 * 365 * DAY, 30 * DAY);
	assert_int_equal(w->changes, changes);
	assert_non_null(certs_serving(w->c, "tv", certs_clock_floor(w->c)));
	assert_non_null(certs_serving(w->c, "@base", certs_clock_floor(w->c)));
}

static void a_clock_that_nobody_believes_orders_nothing(void **state)
{
	struct world *w = *state;
	follow(w, 2);
	w->now.believable = false;
	w->now.unix_s = 1000;
	pass(w, 100 * DAY, DAY);
	assert_int_equal(w->orders, 0);
	w->now.believable = true;
	turn(w);
	assert_true(w->orders > 0);
}

static void jumps_of_the_clock_make_no_storm(void **state)
{
	struct world *w = *state;
	follow(w, 2);
	pass(w, 600, 60);
	unsigned orders = w->orders;
	assert_int_equal(orders, 3);
	for (int i = 0; i < 20; i++) {
		w->now.unix_s += (i & 1 ? -1 : 1) * 20 * DAY;
		pass(w, 600, 60);
	}
	assert_int_equal(w->orders, orders);
}

static void a_full_pipe_loses_no_order(void **state)
{
	struct world *w = *state;
	w->mood = DEAF;
	follow(w, 0);
	assert_true(turn(w) <= 2000);
	assert_int_equal(w->orders, 0);
	w->mood = ANSWER;
	pass(w, 4, 2);
	assert_int_equal(w->orders, 1);
	assert_int_equal(row(w, "@base")->state, CERTS_HELD);
}

static void only_eight_orders_are_open_at_once(void **state)
{
	struct world *w = *state;
	follow(w, 0);
	turn(w);
	w->mood = SILENT;
	follow(w, 10);
	pass(w, 300, 60);
	assert_int_equal(w->orders, 1 + CERTS_OPEN_MAX);
}

static void a_lost_key_begins_anew(void **state)
{
	struct world *w = *state;
	w->mood = SILENT;
	follow(w, 0);
	turn(w);
	uint64_t id = w->last_id;
	char *path = xasprintf("%s/certs/@base.key", w->dir);
	assert_int_equal(unlink(path), 0);
	free(path);
	certs_restart(w->c);
	turn(w);
	pass(w, 4, 2);
	assert_int_equal(w->orders, 2);
	assert_true(w->last_id != id);
	assert_int_equal(w->cancels, 1);
}

/* Readers of PEM pass over a block whose first line they do not know. */
static void a_chain_cut_short_by_damage_is_ordered_anew(void **state)
{
	struct world *w = *state;
	struct buf pem = BUF_INIT(65536);
	follow(w, 0);
	turn(w);
	char *path = xasprintf("%s/certs/@base.pem", w->dir);
	assert_int_equal(file_read(path, &pem, NULL), 0);
	char *text = strdup(buf_str(&pem)), *leaf = strstr(text, "-----BEGIN CERT");
	char *issuer = leaf ? strstr(leaf + 1, "-----BEGIN CERT") : NULL;
	assert_non_null(issuer);
	issuer[7] ^= 1;
	assert_int_equal(file_write_durable(path, text, strlen(text), 0600, NULL), 0);
	unsigned orders = w->orders;
	restart(w, 0);
	turn(w);
	assert_int_equal(w->orders, orders + 1);
	char *aside = xasprintf("%s.damaged", path);
	assert_int_equal(access(aside, F_OK), 0);
	free(aside);
	free(text);
	free(path);
	buf_done(&pem);
}

/* Restart with `hash` as what the row knows of the file. */
static void restart_knowing(struct world *w, const uint8_t hash[32])
{
	struct certs_row r;
	certs_free(w->c);
	assert_int_equal(certs_row_get(w->db, CERTS_BASE_ID, &r, NULL), 0);
	memcpy(r.file_sha256, hash, sizeof(r.file_sha256));
	assert_int_equal(certs_row_put(w->db, &r, NULL), 0);
	open_certs(w);
	follow(w, 0);
}

static void a_file_is_judged_until_it_is_known(void **state)
{
	struct world *w = *state;
	struct buf pem = BUF_INIT(65536);
	uint8_t known[32], none[32] = {0};
	follow(w, 0);
	turn(w);
	memcpy(known, row(w, CERTS_BASE_ID)->file_sha256, sizeof(known));
	assert_memory_not_equal(known, none, sizeof(none));
	/* a row of an older version */
	restart_knowing(w, none);
	assert_memory_equal(row(w, CERTS_BASE_ID)->file_sha256, known, sizeof(known));
	assert_non_null(certs_serving(w->c, CERTS_BASE_ID, w->now.unix_s));
	/* what no judge would let pass shows that a known file meets none */
	char *path = xasprintf("%s/certs/@base.pem", w->dir);
	assert_int_equal(file_read(path, &pem, NULL), 0);
	assert_int_equal(buf_puts(&pem, "and more"), 0);
	assert_int_equal(file_write_durable(path, pem.data, pem.len, 0600, NULL), 0);
	certs_file_hash(known, &pem);
	restart_knowing(w, known);
	assert_non_null(certs_serving(w->c, CERTS_BASE_ID, w->now.unix_s));
	restart_knowing(w, none);
	assert_null(certs_serving(w->c, CERTS_BASE_ID, w->now.unix_s));
	assert_int_equal(row(w, CERTS_BASE_ID)->state, CERTS_WANTED);
	free(path);
	buf_done(&pem);
}

/* As it was when ID.pem had been renamed into place and nothing more had been done: by a crash
 * while the row said `state`, or by a disk that failed then. */
static void stored_half_way(struct world *w, enum certs_state state)
{
	struct certs_row ordered;
	w->mood = SILENT;
	follow(w, 0);
	turn(w);
	ordered = *row(w, "@base");
	char *key = xasprintf("%s/certs/@base.key", w->dir);
	char *kept = xasprintf("%s/kept", w->dir);
	assert_int_equal(link(key, kept), 0);
	w->mood = ANSWER;
	certs_restart(w->c);
	turn(w);
	assert_int_equal(row(w, "@base")->state, CERTS_HELD);
	ordered.state = state;
	assert_int_equal(rename(kept, key), 0);
	assert_int_equal(certs_row_put(w->db, &ordered, NULL), 0);
	unsigned orders = w->orders;
	restart(w, 0);
	turn(w);
	assert_int_equal(w->orders, orders);
	assert_int_equal(row(w, "@base")->state, CERTS_HELD);
	assert_int_equal(access(key, F_OK), -1);
	free(key);
	free(kept);
}

static void a_crash_between_the_steps_of_storing_is_mended(void **state)
{
	stored_half_way(*state, CERTS_ORDERED);
}

static void a_disk_that_failed_when_all_was_stored_is_mended(void **state)
{
	stored_half_way(*state, CERTS_WANTED);
}

static void renew_now_is_forced_and_limited(void **state)
{
	struct world *w = *state;
	follow(w, 0);
	turn(w);
	char serial[41];
	snprintf(serial, sizeof(serial), "%s", row(w, "@base")->serial);
	assert_int_equal(certs_renew(w->c, "@base", &w->now, NULL), 0);
	assert_int_equal(certs_renew(w->c, "@base", &w->now, NULL), -EAGAIN);
	assert_int_equal(certs_renew(w->c, "tv", &w->now, NULL), -ENOENT);
	turn(w);
	assert_int_equal(w->forced, 1);
	assert_string_not_equal(serial, row(w, "@base")->serial);
	pass(w, 61, 61);
	assert_int_equal(certs_renew(w->c, "@base", &w->now, NULL), 0);
}

/* Asked again after that moment as by nobody, the steward would find another reason to wait. */
static void what_a_person_asked_for_is_put_off_for_a_moment_once(void **state)
{
	struct world *w = *state;
	follow(w, 0);
	turn(w);
	w->mood = PUT_OFF;
	assert_int_equal(certs_renew(w->c, "@base", &w->now, NULL), 0);
	turn(w);
	assert_int_equal(w->forced, 1);
	pass(w, 58, 58);
	assert_int_equal(w->orders, 2);
	pass(w, 3, 3);
	assert_int_equal(w->orders, 3);
	assert_int_equal(w->forced, 2);
	pass(w, 61, 61);
	assert_int_equal(w->orders, 4);
	assert_int_equal(w->forced, 2);
	w->mood = ANSWER;
	pass(w, 61, 61);
	assert_int_equal(row(w, "@base")->state, CERTS_HELD);
}

static void a_failed_renewal_keeps_the_old_certificate(void **state)
{
	struct world *w = *state;
	follow(w, 0);
	turn(w);
	struct tls_cert *was = certs_serving(w->c, "@base", w->now.unix_s);
	static const enum lab_fault faults[] = {
		LAB_OTHER_KEY, LAB_NAME_LESS, LAB_EXPIRED, LAB_FORGED, LAB_GARBAGE, LAB_CUT};
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		w->fault = faults[i];
		pass(w, 120, 120);
		unsigned fails = row(w, "@base")->fails;
		assert_int_equal(certs_renew(w->c, "@base", &w->now, NULL), 0);
		turn(w);
		assert_ptr_equal(certs_serving(w->c, "@base", w->now.unix_s), was);
		assert_true(row(w, "@base")->fails > fails);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_year_renews_with_a_third_left),
		T(devices_wait_for_the_bridge),
		T(a_refused_order_waits_as_told_and_keeps_its_key),
		T(an_unanswered_order_is_sent_again),
		T(a_restart_keeps_back_off_order_and_certificate),
		T(a_ca_that_is_away_is_asked_a_few_times_then_daily),
		T(an_expired_certificate_is_not_shown),
		T(a_clock_that_nobody_believes_expires_nothing),
		T(a_clock_that_nobody_believes_orders_nothing),
		T(jumps_of_the_clock_make_no_storm),
		T(a_full_pipe_loses_no_order),
		T(only_eight_orders_are_open_at_once),
		T(a_lost_key_begins_anew),
		T(a_chain_cut_short_by_damage_is_ordered_anew),
		T(a_file_is_judged_until_it_is_known),
		T(a_crash_between_the_steps_of_storing_is_mended),
		T(a_disk_that_failed_when_all_was_stored_is_mended),
		T(renew_now_is_forced_and_limited),
		T(what_a_person_asked_for_is_put_off_for_a_moment_once),
		T(a_failed_renewal_keeps_the_old_certificate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
