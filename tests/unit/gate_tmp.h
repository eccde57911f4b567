/* A directory of its own for each test, removed with all it holds. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"

static inline void tmp_make(char dir[64])
{
	strcpy(dir, "/tmp/lanthorn-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
}

/* `depth`: of folders inside. */
static inline void tmp_empty(const char *dir, int depth)
{
	struct dirent *d;
	DIR *at = opendir(dir);
	while (at && (d = readdir(at))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		char *path = xasprintf("%s/%s", dir, d->d_name);
		if (unlink(path) != 0 && depth > 0) {
			tmp_empty(path, depth - 1);
			rmdir(path);
		}
		free(path);
	}
	if (at)
		closedir(at);
}

static inline void tmp_remove(const char *dir)
{
	tmp_empty(dir, 4);
	rmdir(dir);
}
