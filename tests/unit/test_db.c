/* store/db: a file of the right kind, mode and version; transactions that are whole; a full disk
 * told apart from a broken one. */
#include "store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "store/audit.h"
#include "store/meta.h"

static void the_file_is_private_and_logged_ahead(void **state)
{
	struct store *s = *state;
	struct stat st;
	char wal[128];
	OK(s, meta_set(s->db, "a", "1", &s->e));
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(wal, sizeof(wal), "%s-wal", s->path);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void what_was_set_is_there_after_a_crash(void **state)
{
	struct store *s = *state;
	char value[16];
	int64_t n;
	OK(s, meta_set(s->db, "a", "one", &s->e));
	OK(s, meta_set_int(s->db, "n", INT64_MIN, &s->e));
	OK(s, db_begin(s->db, &s->e));
	OK(s, meta_set(s->db, "a", "two", &s->e));
	store_crash(s);
	OK(s, meta_get(s->db, "a", value, sizeof(value), &s->e));
	assert_string_equal(value, "one");
	OK(s, meta_get_int(s->db, "n", 7, &n, &s->e));
	assert_true(n == INT64_MIN);
	OK(s, meta_get_int(s->db, "missing", 7, &n, &s->e));
	assert_int_equal(n, 7);
	assert_int_equal(meta_get(s->db, "missing", value, sizeof(value), &s->e), -ENOENT);
	assert_int_equal(meta_get(s->db, "a", value, 3, &s->e), -ENOBUFS);
	assert_string_equal(value, "");
}

static void a_rollback_inside_undoes_the_whole(void **state)
{
	struct store *s = *state;
	char value[16];
	OK(s, db_begin(s->db, &s->e));
	OK(s, meta_set(s->db, "outer", "1", &s->e));
	OK(s, db_begin(s->db, &s->e));
	OK(s, meta_set(s->db, "inner", "1", &s->e));
	db_rollback(s->db);
	assert_int_equal(db_commit(s->db, &s->e), -ECANCELED);
	assert_int_equal(meta_get(s->db, "outer", value, sizeof(value), &s->e), -ENOENT);
	OK(s, db_begin(s->db, &s->e));
	OK(s, db_begin(s->db, &s->e));
	OK(s, meta_set(s->db, "outer", "2", &s->e));
	OK(s, db_commit(s->db, &s->e));
	OK(s, db_commit(s->db, &s->e));
	OK(s, meta_get(s->db, "outer", value, sizeof(value), &s->e));
	assert_string_equal(value, "2");
}

long long sqlite3_memory_used(void); /* its header is at home in store/ */

static void shrinking_gives_memory_back_and_nothing_else(void **state)
{
	struct store *s = *state;
	char value[16];
	long long before = sqlite3_memory_used(), after;
	OK(s, meta_set(s->db, "a", "one", &s->e));
	OK(s, meta_get(s->db, "a", value, sizeof(value), &s->e));
	db_shrink(s->db);
	after = sqlite3_memory_used();
	if (after + 30000 > before)
		fail_msg("%lld bytes before, %lld after", before, after);
	OK(s, db_begin(s->db, &s->e));
	OK(s, meta_set(s->db, "b", "two", &s->e));
	db_shrink(s->db);
	OK(s, meta_get(s->db, "b", value, sizeof(value), &s->e));
	assert_string_equal(value, "two");
	OK(s, db_commit(s->db, &s->e));
	OK(s, meta_get(s->db, "a", value, sizeof(value), &s->e));
	assert_string_equal(value, "one");
}

static void a_full_disk_is_said_so_and_passes(void **state)
{
	struct store *s = *state;
	static char big[META_VALUE_MAX + 1], back[META_VALUE_MAX + 1];
	int rc = 0, i = 0;
	memset(big, 'x', META_VALUE_MAX);
	OK(s, db_limit_pages(s->db, 40, &s->e));
	for (; i < 200 && rc == 0; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		rc = meta_set(s->db, key, big, &s->e);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_string_equal(s->e.text, "database: the disk is full");
	assert_true(i > 2);
	/* What was there stays readable, and a transaction that fails leaves nothing open. */
	OK(s, meta_get(s->db, "k0", back, sizeof(back), &s->e));
	assert_string_equal(back, big);
	OK(s, db_begin(s->db, &s->e));
	rc = meta_set(s->db, "again", big, &s->e);
	assert_int_equal(db_settle(s->db, rc, &s->e), -ENOSPC);
	OK(s, db_limit_pages(s->db, 0, &s->e));
	OK(s, meta_set(s->db, "again", big, &s->e));
}

static void a_second_writer_is_told_to_wait(void **state)
{
	struct store *s = *state;
	struct db *other;
	OK(s, db_open(&other, s->path, DB_GATE, &s->e));
	OK(s, db_begin(s->db, &s->e));
	assert_int_equal(db_begin(other, &s->e), -EBUSY);
	OK(s, db_commit(s->db, &s->e));
	OK(s, db_begin(other, &s->e));
	db_close(other);
	OK(s, meta_set(s->db, "a", "1", &s->e));
}

static void foreign_files_stay_untouched(void **state)
{
	struct store *s = *state;
	struct db *db;
	char path[128];
	assert_int_equal(db_open(&db, s->path, DB_STEWARD, &s->e), -EINVAL);
	assert_non_null(strstr(s->e.text, "another kind"));
	assert_null(db);

	snprintf(path, sizeof(path), "%s/garbage.db", s->dir);
	static const char garbage[4096] = "this is not a database at all, only a text file";
	assert_int_equal(file_write_durable(path, garbage, sizeof(garbage), 0600, NULL), 0);
	assert_int_equal(db_open(&db, path, DB_GATE, &s->e), -EBADMSG);
	struct buf b = BUF_INIT(8192);
	OK(s, file_read(path, &b, &s->e));
	assert_int_equal(b.len, sizeof(garbage));
	assert_memory_equal(b.data, garbage, sizeof(garbage));
	buf_done(&b);

	snprintf(path, sizeof(path), "%s/missing/x.db", s->dir);
	assert_int_equal(db_open(&db, path, DB_GATE, &s->e), -ENOENT);
	snprintf(path, sizeof(path), "%s/link.db", s->dir);
	assert_int_equal(symlink(s->path, path), 0);
	assert_int_equal(db_open(&db, path, DB_GATE, &s->e), -ELOOP);
}

static void a_newer_file_is_refused(void **state)
{
	struct store *s = *state;
	struct db *db;
	/* The version is a big-endian number at offset 60 of the file (SQLite file format §1.3). */
	static const char version[4] = {0, 0, 0, 99};
	db_close(s->db);
	s->db = NULL;
	int fd = open(s->path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, version, 4, 60), 4);
	close(fd);
	assert_int_equal(db_open(&db, s->path, DB_GATE, &s->e), -EINVAL);
	assert_non_null(strstr(s->e.text, "a newer version"));
}

static void the_audit_keeps_the_newest(void **state)
{
	struct store *s = *state;
	static char text[400];
	memset(text, 'o', sizeof(text) - 1);
	memcpy(text + 127, "\xc3\xa4", 2); /* straddles the cut of `outcome` */
	struct audit a = {1, "anna", "device.remove", "tv", "ok"};
	OK(s, db_begin(s->db, &s->e));
	for (int i = 0; i < AUDIT_ROWS_MAX + 5; i++, a.at++) {
		if (i == AUDIT_ROWS_MAX + 4)
			a.outcome = text;
		OK(s, audit_add(s->db, &a, &s->e));
	}
	OK(s, db_commit(s->db, &s->e));
	struct audit_row *rows;
	size_t n = 2;
	OK(s, audit_list(s->db, 0, &rows, &n, &s->e));
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].at, AUDIT_ROWS_MAX + 5);
	assert_int_equal(strlen(rows[0].outcome), 127);
	assert_string_equal(rows[1].action, "device.remove");
	int64_t before = rows[1].id;
	free(rows);
	n = SIZE_MAX;
	OK(s, audit_list(s->db, before, &rows, &n, &s->e));
	assert_int_equal(n, AUDIT_ROWS_MAX - 2);
	assert_int_equal(rows[n - 1].at, 6);
	free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GATE_TEST(the_file_is_private_and_logged_ahead),
		GATE_TEST(what_was_set_is_there_after_a_crash),
		GATE_TEST(a_rollback_inside_undoes_the_whole),
		GATE_TEST(shrinking_gives_memory_back_and_nothing_else),
		GATE_TEST(a_full_disk_is_said_so_and_passes),
		GATE_TEST(a_second_writer_is_told_to_wait),
		GATE_TEST(foreign_files_stay_untouched),
		GATE_TEST(a_newer_file_is_refused),
		GATE_TEST(the_audit_keeps_the_newest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
