/* store/certs: what is known of a certificate survives a crash whole, and order ids are fresh. */
#include "store_db.h"

#include <errno.h>

#include "store/certs.h"

static struct certs_row sample(void)
{
	struct certs_row r = {
		.id = CERTS_BASE_ID,
		.names = {"home.example.com", "*.home.example.com"},
		.n_names = 2,
		.state = CERTS_ORDERED,
		.not_before = 100,
		.not_after = 900,
		.serial = "04ab",
		.issued_at = 101,
		.fails = 3,
		.fail_class = STATE_FAIL_DNS,
		.fail_text = "the zone’s server ns1.example.com does not answer",
		.next_at = 500,
		.order_id = UINT64_MAX,
		.file_sha256 = {1, 2, 3}
        };
	return r;
}

static void a_row_comes_back_whole(void **state)
{
	struct store *s = *state;
	struct certs_row r = sample(), got;
	OK(s, certs_row_put(s->db, &r, &s->e));
	store_crash(s);
	OK(s, certs_row_get(s->db, CERTS_BASE_ID, &got, &s->e));
	assert_memory_equal(&got, &r, sizeof(r));
	OK(s, certs_row_by_order(s->db, UINT64_MAX, &got, &s->e));
	assert_memory_equal(&got, &r, sizeof(r));
	assert_int_equal(certs_row_by_order(s->db, 7, &got, &s->e), -ENOENT);
	r.state = CERTS_HELD;
	r.fails = 0;
	r.order_id = 0;
	OK(s, certs_row_put(s->db, &r, &s->e));
	assert_int_equal(certs_row_by_order(s->db, 0, &got, &s->e), -ENOENT);
	OK(s, certs_row_get(s->db, CERTS_BASE_ID, &got, &s->e));
	assert_int_equal(got.state, CERTS_HELD);
}

static void all_are_listed_until_removed(void **state)
{
	struct store *s = *state;
	struct certs_row r = sample(), *list;
	size_t n;
	OK(s, certs_row_put(s->db, &r, &s->e));
	strcpy(r.id, "tv");
	strcpy(r.names[0], "tv.home.example.com");
	r.n_names = 1;
	OK(s, certs_row_put(s->db, &r, &s->e));
	OK(s, certs_row_list(s->db, &list, &n, &s->e));
	assert_int_equal(n, 2);
	assert_string_equal(list[1].names[0], "tv.home.example.com");
	assert_int_equal(list[1].n_names, 1);
	free(list);
	OK(s, certs_row_remove(s->db, "tv", &s->e));
	assert_int_equal(certs_row_remove(s->db, "tv", &s->e), -ENOENT);
}

static void names_that_are_none_are_refused(void **state)
{
	struct store *s = *state;
	static const char *const bad[] = {"", "a,b", "*.", "a b.c", "*.*.x.y", "A.b"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct certs_row r = sample();
		snprintf(r.names[1], sizeof(r.names[1]), "%s", bad[i]);
		assert_int_equal(certs_row_put(s->db, &r, &s->e), -EINVAL);
	}
	struct certs_row none = sample();
	none.n_names = 0;
	assert_int_equal(certs_row_put(s->db, &none, &s->e), -EINVAL);
	/* Eight of the longest fit. */
	struct certs_row most = sample();
	most.n_names = PROCMSG_NAMES_MAX;
	for (unsigned i = 0; i < most.n_names; i++) {
		char *name = most.names[i];
		memset(name, 'a', 253);
		name[253] = 0;
		for (int dot = 50; dot < 250; dot += 50)
			name[dot] = '.';
		name[0] = (char)('a' + i);
	}
	struct certs_row got;
	OK(s, certs_row_put(s->db, &most, &s->e));
	OK(s, certs_row_get(s->db, most.id, &got, &s->e));
	assert_memory_equal(&got, &most, sizeof(most));
}

static void order_ids_never_repeat(void **state)
{
	struct store *s = *state;
	uint64_t a, b, c;
	OK(s, certs_order_id(s->db, &a, &s->e));
	OK(s, certs_order_id(s->db, &b, &s->e));
	store_crash(s);
	OK(s, certs_order_id(s->db, &c, &s->e));
	assert_true(a > 0 && b > a && c > b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GATE_TEST(a_row_comes_back_whole),
		GATE_TEST(all_are_listed_until_removed),
		GATE_TEST(names_that_are_none_are_refused),
		GATE_TEST(order_ids_never_repeat),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
