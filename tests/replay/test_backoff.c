/* Back-off and ledger in a real database, under a fake clock, with a restart between any two steps.
 */
#include "steward/backoff.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/db.h"
#include "store/ledger.h"

#define DAY INT64_C(86400)
#define NOW INT64_C(1800000000)

struct world {
	char dir[64], path[96];
	struct db *db;
};

static void restart(struct world *w)
{
	struct err e = {0};
	db_close(w->db);
	w->db = NULL;
	if (db_open(&w->db, w->path, DB_STEWARD, &e) < 0)
		fail_msg("%s", e.text);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "/tmp/lanthorn-replay.XXXXXX");
	if (!w || !mkdtemp(w->dir))
		return -1;
	snprintf(w->path, sizeof(w->path), "%s/steward.db", w->dir);
	restart(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	struct world *w = *state;
	db_close(w->db);
	for (size_t i = 0; i < 3; i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s%s", w->path, ends[i]);
		unlink(path);
	}
	int rc = rmdir(w->dir);
	free(w);
	return rc;
}

static const struct procmsg order = {
	.type = PROCMSG_ORDER, .n_names = 2, .names = {"*.home.example", "home.example"}
};
static const struct procmsg swapped = {
	.type = PROCMSG_ORDER, .n_names = 2, .names = {"home.example", "*.home.example"}
};

static void load(struct world *w, struct backoff *b, const struct procmsg *m)
{
	struct err e = {0};
	if (backoff_load(b, w->db, m, &e) < 0)
		fail_msg("%s", e.text);
}

static void save(struct world *w, const struct backoff *b)
{
	struct err e = {0};
	if (backoff_save(b, w->db, &e) < 0)
		fail_msg("%s", e.text);
}

static void restart_loop_does_not_burn_the_limits(void **state)
{
	struct world *w = *state;
	unsigned tries = 0;
	for (int64_t now = NOW; now < NOW + DAY; now += 60) {
		struct backoff b;
		if (now % 1200 == 0)
			restart(w);
		load(w, &b, (now / 60) % 2 ? &order : &swapped);
		if (schedule_next(&b.when, now, false) != now)
			continue;
		tries++;
		b.class = STATE_FAIL_CA;
		snprintf(b.text, sizeof(b.text), "the authority hangs");
		schedule_record(&b.when, b.key, SCHEDULE_FAILED, now, 0);
		save(w, &b);
	}
	assert_int_equal(tries, 4);
	struct backoff b;
	load(w, &b, &order);
	assert_int_equal(b.when.failures, 4);
	assert_int_equal(b.class, STATE_FAIL_CA);
	assert_string_equal(b.text, "the authority hangs");
}

static void success_forgets_failures_and_remembers_the_request(void **state)
{
	struct world *w = *state;
	struct backoff b;
	load(w, &b, &order);
	schedule_record(&b.when, b.key, SCHEDULE_LIMITED, NOW, 9000);
	save(w, &b);
	restart(w);
	load(w, &b, &order);
	assert_int_equal(b.when.next_at, NOW + 9000);
	memset(b.request, 7, sizeof(b.request));
	schedule_record(&b.when, b.key, SCHEDULE_OK, NOW + 9000, 0);
	save(w, &b);
	restart(w);
	memset(&b, 0xff, sizeof(b));
	load(w, &b, &order);
	assert_int_equal(b.when.failures, 0);
	assert_int_equal(b.when.issued, 1);
	assert_int_equal(b.when.last_at, NOW + 9000);
	assert_int_equal(b.request[31], 7);
	assert_int_equal(b.text[0], 0);
}

static void other_names_have_their_own_backoff(void **state)
{
	struct world *w = *state;
	static const struct procmsg tv = {
		.type = PROCMSG_ORDER, .n_names = 1, .names = {"tv.home.example"}};
	struct backoff b;
	load(w, &b, &order);
	schedule_record(&b.when, b.key, SCHEDULE_FAILED, NOW, 0);
	save(w, &b);
	load(w, &b, &tv);
	assert_int_equal(schedule_next(&b.when, NOW, false), NOW);
}

static size_t count(struct world *w, uint64_t id)
{
	struct ledger_row *rows = NULL;
	size_t n = 0;
	assert_int_equal(ledger_list(w->db, id, &rows, &n, NULL), 0);
	free(rows);
	return n;
}

/* Whatever step a crash follows, the next start knows every record that may stand in DNS. */
static void ledger_knows_after_every_crash(void **state)
{
	struct world *w = *state;
	struct ledger_row base = {.name = "_acme-challenge.home.example",
		.value = "one",
		.zone = "home.example",
		.order_id = 7,
		.created_at = NOW};
	struct ledger_row wild = base;
	snprintf(wild.value, sizeof(wild.value), "two");
	wild.order_id = 8;
	assert_int_equal(ledger_add(w->db, &base, NULL), 0);
	restart(w);
	assert_int_equal(count(w, 0), 1);
	assert_int_equal(ledger_add(w->db, &wild, NULL), 0);
	assert_int_equal(ledger_mark(w->db, base.id, LEDGER_PRESENT, NULL), 0);
	restart(w);
	assert_int_equal(count(w, 0), 2);
	assert_int_equal(count(w, 7), 1);
	assert_int_equal(ledger_mark(w->db, base.id, LEDGER_REMOVING, NULL), 0);
	restart(w);
	assert_int_equal(count(w, 0), 2);
	assert_int_equal(ledger_strike(w->db, base.id, NULL), 0);
	restart(w);
	assert_int_equal(count(w, 0), 1);
	assert_int_equal(ledger_strike(w->db, base.id, NULL), -ENOENT);
	assert_int_equal(ledger_strike(w->db, wild.id, NULL), 0);
	assert_int_equal(count(w, 0), 0);
}

int main(void)
{
#define WITH_DB(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DB(restart_loop_does_not_burn_the_limits),
		WITH_DB(success_forgets_failures_and_remembers_the_request),
		WITH_DB(other_names_have_their_own_backoff),
		WITH_DB(ledger_knows_after_every_crash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
