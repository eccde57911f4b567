/* store/ledger, published, attempts: whatever may stand in DNS because of us is known after a
 * crash, and so is how long to wait before the CA is asked again. */
#include "store_db.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/xalloc.h"
#include "store/attempts.h"
#include "store/ledger.h"
#include "store/published.h"

static struct ledger_row make_row(struct store *s, const char *value, uint64_t order)
{
	struct ledger_row r = {.name = "_acme-challenge.home.example.com",
		.zone = "example.com",
		.order_id = order,
		.created_at = 5};
	snprintf(r.value, sizeof(r.value), "%s", value);
	OK(s, ledger_add(s->db, &r, &s->e));
	return r;
}

static void a_crash_at_any_step_leaves_a_row(void **state)
{
	struct store *s = *state;
	struct ledger_row *rows, r = make_row(s, "one", 7);
	size_t n;
	static const enum ledger_state steps[] = {LEDGER_PRESENT, LEDGER_REMOVING};
	for (int i = 0; i < 2; i++) {
		store_crash(s);
		OK(s, ledger_list(s->db, 0, &rows, &n, &s->e));
		assert_int_equal(n, 1);
		assert_memory_equal(&rows[0], &r, sizeof(r));
		free(rows);
		OK(s, ledger_mark(s->db, r.id, steps[i], &s->e));
		r.state = steps[i];
	}
	OK(s, ledger_strike(s->db, r.id, &s->e));
	store_crash(s);
	OK(s, ledger_list(s->db, 0, &rows, &n, &s->e));
	assert_int_equal(n, 0);
}

static void values_of_one_name_stand_side_by_side(void **state)
{
	struct store *s = *state;
	struct ledger_row *rows;
	size_t n;
	struct ledger_row one = make_row(s, "one", 7), two = make_row(s, "two", 7);
	make_row(s, "three", 8);
	assert_int_not_equal(one.id, two.id);
	OK(s, ledger_list(s->db, 7, &rows, &n, &s->e));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].value, "one");
	assert_string_equal(rows[1].value, "two");
	free(rows);
	/* The same record for a later order is the same row. */
	OK(s, ledger_mark(s->db, one.id, LEDGER_PRESENT, &s->e));
	struct ledger_row again = make_row(s, "one", 9);
	assert_int_equal(again.id, one.id);
	assert_int_equal(again.state, LEDGER_ADDING);
	OK(s, ledger_list(s->db, 9, &rows, &n, &s->e));
	assert_int_equal(n, 1);
	free(rows);
	struct ledger_row empty = {.name = "x"};
	assert_int_equal(ledger_add(s->db, &empty, &s->e), -EINVAL);
	assert_int_equal(ledger_strike(s->db, 99, &s->e), -ENOENT);
	assert_int_equal(ledger_mark(s->db, 99, LEDGER_PRESENT, &s->e), -ENOENT);
}

/* Publish up to two addresses; NULL ends. */
static void want(struct store *s, const char *name, const char *a, const char *b)
{
	struct procmsg m = {.type = PROCMSG_PUBLISH, .n_names = 1};
	snprintf(m.names[0], sizeof(m.names[0]), "%s", name);
	if (a)
		snprintf(m.addrs[m.n_addrs++], sizeof(m.addrs[0]), "%s", a);
	if (b)
		snprintf(m.addrs[m.n_addrs++], sizeof(m.addrs[0]), "%s", b);
	OK(s, published_want(s->db, &m, &s->e));
}

static void an_old_address_is_remembered_until_gone(void **state)
{
	struct store *s = *state;
	struct published p;
	want(s, "tv.x.y", "192.168.1.1", "fd00::1");
	OK(s, published_get(s->db, "tv.x.y", &p, &s->e));
	assert_int_equal(p.n_addrs, 2);
	assert_false(p.done);
	OK(s, published_mark(s->db, "tv.x.y", "192.168.1.1", PUBLISHED_PRESENT, &s->e));
	OK(s, published_mark(s->db, "tv.x.y", "fd00::1", PUBLISHED_MAYBE, &s->e));
	OK(s, published_get(s->db, "tv.x.y", &p, &s->e));
	assert_false(p.done);
	OK(s, published_mark(s->db, "tv.x.y", "fd00::1", PUBLISHED_PRESENT, &s->e));
	OK(s, published_get(s->db, "tv.x.y", &p, &s->e));
	assert_true(p.done);

	want(s, "tv.x.y", "192.168.1.2", NULL);
	store_crash(s);
	OK(s, published_get(s->db, "tv.x.y", &p, &s->e));
	assert_int_equal(p.n_addrs, 3);
	assert_false(p.done);
	assert_string_equal(p.addrs[0].addr, "192.168.1.2");
	assert_true(p.addrs[0].wanted && p.addrs[0].state == PUBLISHED_ABSENT);
	assert_true(!p.addrs[1].wanted && p.addrs[1].state == PUBLISHED_PRESENT);
	OK(s, published_mark(s->db, "tv.x.y", "192.168.1.2", PUBLISHED_PRESENT, &s->e));
	OK(s, published_mark(s->db, "tv.x.y", "192.168.1.1", PUBLISHED_ABSENT, &s->e));
	OK(s, published_mark(s->db, "tv.x.y", "fd00::1", PUBLISHED_ABSENT, &s->e));
	OK(s, published_get(s->db, "tv.x.y", &p, &s->e));
	assert_true(p.done && p.n_addrs == 1);
	assert_int_equal(
		published_mark(s->db, "tv.x.y", "fd00::1", PUBLISHED_ABSENT, &s->e), -ENOENT);
}

static off_t log_size(const struct store *s)
{
	struct stat st;
	char *path = xasprintf("%s-wal", s->path);
	assert_int_equal(stat(path, &st), 0);
	free(path);
	return st.st_size;
}

/* A gate that starts asks for all its names again; each write is a wait for the disk. */
static void what_is_wanted_already_is_not_written(void **state)
{
	struct store *s = *state;
	want(s, "tv.x.y", "192.168.1.1", "fd00::1");
	want(s, "nas.x.y", "192.168.1.1", NULL);
	off_t before = log_size(s);
	want(s, "tv.x.y", "fd00::1", "192.168.1.1");
	want(s, "nas.x.y", "192.168.1.1", NULL);
	want(s, "never.x.y", NULL, NULL);
	assert_int_equal(log_size(s), before);
	want(s, "tv.x.y", "fd00::1", NULL);
	assert_true(log_size(s) > before);
	before = log_size(s);
	want(s, "tv.x.y", "fd00::2", NULL);
	assert_true(log_size(s) > before);
}

static void a_name_taken_out_goes_when_dns_is_clean(void **state)
{
	struct store *s = *state;
	struct published p, *list;
	size_t n;
	want(s, "a.x.y", "10.0.0.1", NULL);
	want(s, "b.x.y", "10.0.0.1", "10.0.0.2");
	OK(s, published_mark(s->db, "a.x.y", "10.0.0.1", PUBLISHED_MAYBE, &s->e));
	OK(s, published_list(s->db, &list, &n, &s->e));
	assert_int_equal(n, 2);
	assert_string_equal(list[0].name, "a.x.y");
	assert_int_equal(list[1].n_addrs, 2);
	free(list);
	want(s, "a.x.y", NULL, NULL);
	OK(s, published_get(s->db, "a.x.y", &p, &s->e));
	assert_true(!p.done && p.n_addrs == 1 && !p.addrs[0].wanted);
	OK(s, published_mark(s->db, "a.x.y", "10.0.0.1", PUBLISHED_ABSENT, &s->e));
	assert_int_equal(published_get(s->db, "a.x.y", &p, &s->e), -ENOENT);
	/* What never reached DNS needs no cleaning. */
	want(s, "b.x.y", NULL, NULL);
	OK(s, published_list(s->db, &list, &n, &s->e));
	assert_int_equal(n, 0);
	assert_null(list);
}

static void the_back_off_survives_a_restart(void **state)
{
	struct store *s = *state;
	struct procmsg m =
			       {
				       .n_names = 2, .names = {"x.y", "*.x.y"}
        },
		       turned = {.n_names = 2};
	struct attempt a = {.fails = 4,
			       .class = STATE_FAIL_LIMIT,
			       .text = "too many certificates",
			       .last_at = 10,
			       .next_at = 999},
		       got, *list;
	char key[ATTEMPT_KEY_MAX];
	size_t n;
	strcpy(turned.names[0], "*.x.y");
	strcpy(turned.names[1], "x.y");
	attempts_key(&m, a.key);
	attempts_key(&turned, key);
	assert_string_equal(a.key, "*.x.y,x.y");
	assert_string_equal(a.key, key);
	assert_int_equal(attempts_get(s->db, key, &got, &s->e), -ENOENT);
	OK(s, attempts_put(s->db, &a, &s->e));
	store_crash(s);
	OK(s, attempts_get(s->db, key, &got, &s->e));
	assert_memory_equal(&got, &a, sizeof(a));
	a.fails++;
	OK(s, attempts_put(s->db, &a, &s->e));
	OK(s, attempts_list(s->db, &list, &n, &s->e));
	assert_int_equal(n, 1);
	assert_int_equal(list[0].fails, 5);
	free(list);
	OK(s, attempts_clear(s->db, key, &s->e));
	OK(s, attempts_clear(s->db, key, &s->e));
	assert_int_equal(attempts_get(s->db, key, &got, &s->e), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STEWARD_TEST(a_crash_at_any_step_leaves_a_row),
		STEWARD_TEST(values_of_one_name_stand_side_by_side),
		STEWARD_TEST(an_old_address_is_remembered_until_gone),
		STEWARD_TEST(what_is_wanted_already_is_not_written),
		STEWARD_TEST(a_name_taken_out_goes_when_dns_is_clean),
		STEWARD_TEST(the_back_off_survives_a_restart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
