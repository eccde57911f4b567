/* base/file: whole or not there, no temporary left behind, secrets only from private files. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"

static char dir[64];

static const char *path_of(const char *name)
{
	static char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static unsigned entries(void)
{
	unsigned n = 0;
	DIR *d = opendir(dir);
	assert_non_null(d);
	for (struct dirent *x; (x = readdir(d));)
		n += x->d_name[0] != '.';
	closedir(d);
	return n;
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/lanthorn-file.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[128];
	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static void a_durable_write_leaves_no_temporary(void **state)
{
	struct buf b = BUF_INIT(100);
	struct stat st;
	(void)state;
	assert_int_equal(file_write_durable(path_of("a"), "one", 3, 0600, NULL), 0);
	assert_int_equal(file_write_durable(path_of("a"), "second", 6, 0640, NULL), 0);
	assert_int_equal(entries(), 1);
	assert_int_equal(stat(path_of("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(file_read(path_of("a"), &b, NULL), 0);
	assert_string_equal(buf_str(&b), "second");
	buf_done(&b);
}

static void a_failed_write_keeps_the_old(void **state)
{
	struct err e = {0};
	(void)state;
	assert_int_equal(mkdir(path_of("folder"), 0700), 0);
	assert_int_equal(mkdir(path_of("folder/x"), 0700), 0);
	assert_int_equal(file_write_durable(path_of("folder"), "x", 1, 0600, &e), -EISDIR);
	assert_non_null(strstr(e.text, "cannot write"));
	assert_int_equal(entries(), 1);
	assert_int_equal(file_write_durable(path_of("none/x"), "x", 1, 0600, &e), -ENOENT);
}

static void a_file_larger_than_the_cap_is_refused(void **state)
{
	char big[9000];
	struct err e = {0};
	struct buf fits = BUF_INIT(sizeof(big)), small = BUF_INIT(sizeof(big) - 1);
	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(file_write_durable(path_of("big"), big, sizeof(big), 0600, NULL), 0);
	assert_int_equal(file_read(path_of("big"), &fits, NULL), 0);
	assert_int_equal(fits.len, sizeof(big));
	assert_int_equal(file_read(path_of("big"), &small, &e), -EFBIG);
	assert_non_null(strstr(e.text, "larger than 8999 bytes"));
	buf_done(&fits);
	buf_done(&small);
}

static void only_private_files_are_secrets(void **state)
{
	struct buf b = BUF_INIT(100);
	struct err e = {0};
	static const mode_t bad[] = {0640, 0604, 0620, 0602, 0666};
	(void)state;
	assert_int_equal(file_write_durable(path_of("s"), "key\r\n\n", 6, 0600, NULL), 0);
	assert_int_equal(file_read_secret(path_of("s"), &b, NULL), 0);
	assert_string_equal(buf_str(&b), "key");
	buf_done_secret(&b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(chmod(path_of("s"), bad[i]), 0);
		assert_int_equal(file_read_secret(path_of("s"), &b, &e), -EPERM);
		assert_non_null(strstr(e.text, "chmod 600"));
		assert_int_equal(b.len, 0);
	}
	buf_done(&b);
}

static void only_regular_files_are_read(void **state)
{
	struct buf b = BUF_INIT(100);
	struct err e = {0};
	(void)state;
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(file_read(path_of("fifo"), &b, &e), -EINVAL);
	assert_int_equal(file_read(dir, &b, &e), -EINVAL);
	assert_int_equal(file_read(path_of("missing"), &b, &e), -ENOENT);
	assert_non_null(strstr(e.text, "missing: No such file"));
	assert_null(b.data);
}

static void removing_twice_is_no_error(void **state)
{
	(void)state;
	assert_int_equal(file_write_durable(path_of("gone"), "", 0, 0600, NULL), 0);
	assert_int_equal(file_remove_durable(path_of("gone"), NULL), 0);
	assert_int_equal(file_remove_durable(path_of("gone"), NULL), 0);
	assert_int_equal(entries(), 0);
	assert_int_equal(mkdir(path_of("d"), 0700), 0);
	assert_true(file_remove_durable(path_of("d"), NULL) < 0);
}

static void folders_are_made_with_their_parents(void **state)
{
	struct stat st;
	struct err e = {0};
	char deep[300];
	(void)state;
	snprintf(deep, sizeof(deep), "%s/a/b//c/", dir);
	assert_int_equal(dir_make(deep, 0700, NULL), 0);
	assert_int_equal(dir_make(deep, 0700, NULL), 0);
	assert_int_equal(stat(path_of("a/b/c"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(dir_make("", 0700, NULL) < 0);
	assert_int_equal(file_write_durable(path_of("plain"), "", 0, 0600, NULL), 0);
	assert_int_equal(dir_make(path_of("plain"), 0700, &e), -ENOTDIR);
	assert_int_equal(dir_make(path_of("plain/x"), 0700, &e), -ENOTDIR);
}

static void a_sweep_takes_only_what_a_crash_left(void **state)
{
	(void)state;
	assert_int_equal(dir_make(path_of("sub/deep"), 0700, NULL), 0);
	const char *const all[] = {
		"a.pem", "a.pem.x1.tmp~", "sub/b.x2.tmp~", "sub/deep/c.x3.tmp~", "tmp~"};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		FILE *f = fopen(path_of(all[i]), "we");
		assert_non_null(f);
		fclose(f);
	}
	assert_int_equal(symlink("/etc", path_of("out.tmp~")), 0);
	dir_sweep(dir);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		assert_int_equal(access(path_of(all[i]), F_OK) == 0, !strstr(all[i], ".x"));
	assert_int_equal(access(path_of("out.tmp~"), F_OK), 0);
	assert_int_equal(access("/etc", F_OK), 0);
	dir_sweep(path_of("nowhere"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_durable_write_leaves_no_temporary, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_write_keeps_the_old, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_file_larger_than_the_cap_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(only_private_files_are_secrets, setup, teardown),
		cmocka_unit_test_setup_teardown(only_regular_files_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_sweep_takes_only_what_a_crash_left, setup, teardown),
		cmocka_unit_test_setup_teardown(removing_twice_is_no_error, setup, teardown),
		cmocka_unit_test_setup_teardown(
			folders_are_made_with_their_parents, setup, teardown),
	};
	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
