/* Hashing on its own thread: blobs, what counts as a match, how many may wait, and the end. */
#include "gate_rig.h"

#include "base/list.h"
#include "base/str.h"
#include "gate/password.h"
#include "net/crypto.h"

struct job_of {
	struct hash_work w;
	unsigned called;
};

static struct hasher *hasher;

static void on_hashed(struct hash_work *w)
{
	struct job_of *j = container_of(w, struct job_of, w);
	assert_null(w->password);
	j->called++;
}

static int begin(void **state)
{
	struct err e;
	if (rig_begin(state) < 0)
		return -1;
	return hasher_start(&hasher, rig_loop, &e);
}

static int end(void **state)
{
	hasher_stop(hasher);
	hasher = NULL;
	return rig_end(state);
}

#define HASH_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

static bool check(const uint8_t *blob, size_t n, const char *password)
{
	struct job_of j = {.w.fn = on_hashed, .w.blob_len = n};
	memcpy(j.w.blob, blob, n);
	assert_int_equal(hasher_check(hasher, &j.w, password), 0);
	UNTIL(j.called);
	return j.w.ok;
}

static void a_blob_matches_its_password_alone(void **state)
{
	(void)state;
	struct job_of j[2] = {{.w.fn = on_hashed}, {.w.fn = on_hashed}};
	uint8_t hash[32], bad[PASSWORD_BLOB_MAX];
	for (int i = 0; i < 2; i++) {
		assert_int_equal(hasher_make(hasher, &j[i].w, "correct horse"), 0);
		assert_int_equal(j[i].called, 0);
	}
	UNTIL(j[0].called && j[1].called);
	const uint8_t *blob = j[0].w.blob;
	assert_true(j[0].w.ok && j[1].w.ok);
	assert_int_equal(j[0].w.blob_len, 53);
	assert_memory_equal(blob, "s1\x0e\x08\x05", 5);
	assert_memory_not_equal(blob + 5, j[1].w.blob + 5, 16); /* a salt of its own */
	assert_int_equal(scrypt(hash, 32, "correct horse", blob + 5, 16, 1 << 14, 8, 5), 0);
	assert_memory_equal(hash, blob + 21, 32);
	assert_true(check(blob, 53, "correct horse"));
	assert_false(check(blob, 53, "correct horsf"));
	assert_false(check(blob, 53, ""));
	for (size_t n = 0; n <= PASSWORD_BLOB_MAX; n += n == 52 ? 2 : 26)
		assert_false(check(blob, n, "correct horse")); /* 0, 26, 52, 54, 80 */
	static const struct {
		int at, to;
	} wrong[] = {
		{0,  'S'},
                {1,  '2'},
                {2,  9  },
                {2,  19 },
                {3,  0  },
                {3,  33 },
                {4,  0  },
                {4,  17 },
                {2,  13 },
		{20, -1 },
                {52, -1 }
        };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		memcpy(bad, blob, 53);
		bad[wrong[i].at] = (uint8_t)(wrong[i].to < 0 ? ~bad[wrong[i].at] : wrong[i].to);
		if (check(bad, 53, "correct horse"))
			fail_msg("row %zu", i);
	}
}

/* The hash of nobody's salt is known; it must open nothing. */
static void an_empty_blob_never_matches(void **state)
{
	(void)state;
	uint8_t blob[53] = {'s', '1', 14, 8, 5};
	assert_false(check(blob, 0, ""));
	assert_false(check(blob, 0, "x"));
	assert_false(check(blob, 53, ""));
}

static void the_ninth_is_refused(void **state)
{
	(void)state;
	static struct job_of j[PASSWORD_QUEUE_MAX + 1];
	memset(j, 0, sizeof(j));
	for (unsigned i = 0; i <= PASSWORD_QUEUE_MAX; i++) {
		j[i].w.fn = on_hashed;
		int rc = hasher_make(hasher, &j[i].w, "x");
		assert_int_equal(rc, i < PASSWORD_QUEUE_MAX ? 0 : -EBUSY);
	}
	for (unsigned i = 0; i < PASSWORD_QUEUE_MAX; i++)
		UNTIL(j[i].called);
	assert_int_equal(j[PASSWORD_QUEUE_MAX].called, 0);
	assert_null(j[PASSWORD_QUEUE_MAX].w.password);
	assert_int_equal(hasher_make(hasher, &j[0].w, "x"), 0); /* room again */
	UNTIL(j[0].called == 2);
}

static void the_end_drops_what_waits(void **state)
{
	(void)state;
	static struct job_of j[PASSWORD_QUEUE_MAX];
	memset(j, 0, sizeof(j));
	for (unsigned i = 0; i < PASSWORD_QUEUE_MAX; i++) {
		j[i].w.fn = on_hashed;
		assert_int_equal(hasher_make(hasher, &j[i].w, "secret"), 0);
	}
	loop_stop(rig_loop);
	hasher_stop(hasher);
	hasher = NULL;
	for (unsigned i = 0; i < PASSWORD_QUEUE_MAX; i++) {
		assert_null(j[i].w.password); /* wiped, not leaked */
		assert_int_equal(j[i].called, 0);
	}
	hasher_stop(NULL);
}

static void passwords_are_judged_by_characters(void **state)
{
	(void)state;
	static char long_ok[257], long_bad[258], wide_ok[513];
	memset(long_ok, 'x', 256);
	memset(long_bad, 'x', 257);
	for (int i = 0; i < 256; i++)
		memcpy(wide_ok + 2 * i, "\xc3\xa4", 2);
	const struct {
		const char *password, *user;
		bool good;
	} rows[] = {
		{"12345678",                         "ann",      true },
		{"1234567",                          "ann",      false},
		{"",				 "ann",      false},
		{"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", "ann",      false},
		{"annabell",                         "annabell", false},
		{"AnnaBell",                         "annabell", false},
		{"annabell1",                        "annabell", true },
		{long_ok,			    "ann",      true },
		{long_bad,			   "ann",      false},
		{wide_ok,			    "ann",      true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct err e = {0};
		int rc = password_judge(rows[i].password, rows[i].user, &e);
		if ((rc == 0) != rows[i].good)
			fail_msg("row %zu: %d", i, rc);
		assert_true(rc == 0 || e.text[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HASH_TEST(a_blob_matches_its_password_alone),
		HASH_TEST(an_empty_blob_never_matches),
		HASH_TEST(the_ninth_is_refused),
		HASH_TEST(the_end_drops_what_waits),
		cmocka_unit_test(passwords_are_judged_by_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
