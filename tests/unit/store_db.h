/* A database in a folder of its own, for the tests of the row modules. `store_reopen` closes and
 * opens it again; `store_crash` opens a copy of the files as they lie on the disk at that moment,
 * which is what a process that is killed leaves behind. */
#pragma once

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "store/db.h"

struct store {
	char dir[64];
	char path[96];
	enum db_kind kind;
	unsigned crashes;
	struct db *db;
	struct err e;
};

/* Ask that a call says 0, and print what it said instead. */
#define OK(s, call)                                                                                \
	do {                                                                                       \
		int ok_rc = (call);                                                                \
		if (ok_rc != 0)                                                                    \
			fail_msg("%s: %d %s", #call, ok_rc, (s)->e.text);                          \
	} while (0)

static inline void store_make(struct store *s, enum db_kind kind)
{
	*s = (struct store){.dir = "/tmp/lanthorn-store-XXXXXX", .kind = kind};
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/x.db", s->dir);
	OK(s, db_open(&s->db, s->path, kind, &s->e));
}

static inline void store_reopen(struct store *s)
{
	db_close(s->db);
	OK(s, db_open(&s->db, s->path, s->kind, &s->e));
}

static inline void store_copy(const char *from, const char *to)
{
	struct buf b = BUF_INIT(64u << 20);
	if (file_read(from, &b, NULL) == 0) {
		FILE *f = fopen(to, "w");
		assert_non_null(f);
		assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
		assert_int_equal(fclose(f), 0);
	}
	buf_done(&b);
}

static inline void store_crash(struct store *s)
{
	char from[128], to[128], path[96];
	static const char *const PARTS[] = {"", "-wal"};
	snprintf(path, sizeof(path), "%s/crash%u.db", s->dir, ++s->crashes);
	for (int i = 0; i < 2; i++) {
		snprintf(from, sizeof(from), "%s%s", s->path, PARTS[i]);
		snprintf(to, sizeof(to), "%s%s", path, PARTS[i]);
		store_copy(from, to);
	}
	db_close(s->db);
	memcpy(s->path, path, sizeof(s->path));
	OK(s, db_open(&s->db, s->path, s->kind, &s->e));
}

static inline void store_remove(struct store *s)
{
	db_close(s->db);
	DIR *d = opendir(s->dir);
	assert_non_null(d);
	for (struct dirent *f; (f = readdir(d));) {
		char path[400];
		snprintf(path, sizeof(path), "%s/%s", s->dir, f->d_name);
		unlink(path);
	}
	closedir(d);
	assert_int_equal(rmdir(s->dir), 0);
}

static inline int store_setup_gate(void **state)
{
	struct store *s = calloc(1, sizeof(*s));
	store_make(s, DB_GATE);
	*state = s;
	return 0;
}

static inline int store_setup_steward(void **state)
{
	struct store *s = calloc(1, sizeof(*s));
	store_make(s, DB_STEWARD);
	*state = s;
	return 0;
}

static inline int store_teardown(void **state)
{
	store_remove(*state);
	free(*state);
	return 0;
}

#define GATE_TEST(f) cmocka_unit_test_setup_teardown(f, store_setup_gate, store_teardown)
#define STEWARD_TEST(f) cmocka_unit_test_setup_teardown(f, store_setup_steward, store_teardown)
