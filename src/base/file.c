/* See file.h. Temporary names end in ".tmp~" so that a start can tell and remove them. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#define TMP_END ".tmp~"

static int read_all(int fd, const char *path, struct buf *out, struct err *e)
{
	for (;;) {
		size_t want = out->cap - out->len < 4096 ? out->cap - out->len : 4096;
		char probe;
		if (want == 0)
			return read(fd, &probe, 1) == 0
				       ? 0
				       : err_set(e, -EFBIG, "%s is larger than %zu bytes", path,
						 out->cap);
		int rc = buf_reserve(out, want);
		if (rc < 0)
			return err_sys(e, rc, "cannot read %s", path);
		ssize_t n = read(fd, out->data + out->len, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, -errno, "cannot read %s", path);
		if (n == 0)
			return 0;
		out->len += (size_t)n;
	}
}

static int read_file(const char *path, struct buf *out, bool secret, struct err *e)
{
	int rc = 0;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, -errno, "cannot open %s", path);
	if (fstat(fd, &st) < 0)
		rc = err_sys(e, -errno, "cannot read %s", path);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(e, -EINVAL, "%s is not a regular file", path);
	else if (secret && (st.st_mode & 077))
		rc = err_set(e, -EPERM, "%s is a secret that others may read; run: chmod 600 %s",
			path, path);
	else
		rc = read_all(fd, path, out, e);
	close(fd);
	return rc;
}

int file_read(const char *path, struct buf *out, struct err *e)
{
	return read_file(path, out, false, e);
}

int file_read_secret(const char *path, struct buf *out, struct err *e)
{
	int rc = read_file(path, out, true, e);
	while (rc == 0 && out->len &&
		(out->data[out->len - 1] == '\n' || out->data[out->len - 1] == '\r'))
		out->len--;
	return rc;
}

static int sync_dir_of(const char *path, struct err *e)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 1;
	if (n >= sizeof(dir))
		return err_set(e, -ENAMETOOLONG, "%s: path too long", path);
	memcpy(dir, slash ? path : ".", n);
	dir[n] = 0;
	int fd = open(n ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "cannot open %s", dir);
	int rc = fsync(fd) < 0 ? err_sys(e, -errno, "cannot sync %s", dir) : 0;
	close(fd);
	return rc;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t k = write(fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int file_write_durable(const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	char tmp[PATH_MAX];
	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.XXXXXX" TMP_END, path) >= sizeof(tmp))
		return err_set(e, -ENAMETOOLONG, "%s: path too long", path);
	int fd = mkostemps(tmp, 5, O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "cannot write beside %s", path);
	int rc = fchmod(fd, mode) < 0 ? -errno : write_all(fd, p, n);
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(tmp, path) < 0)
		rc = -errno;
	if (rc < 0) {
		unlink(tmp);
		return err_sys(e, rc, "cannot write %s", path);
	}
	return sync_dir_of(path, e);
}

int file_remove_durable(const char *path, struct err *e)
{
	if (unlink(path) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "cannot remove %s", path);
	return sync_dir_of(path, e);
}

static int sweep_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	size_t n = strlen(path), k = strlen(TMP_END);
	(void)st;
	(void)at;
	if (kind == FTW_F && n > k && !strcmp(path + n - k, TMP_END))
		unlink(path);
	return 0;
}

void dir_sweep(const char *path)
{
	nftw(path, sweep_one, 8, FTW_PHYS | FTW_MOUNT);
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
	char dir[PATH_MAX];
	if (!*path || strlen(path) >= sizeof(dir))
		return err_set(e, -ENAMETOOLONG, "not a usable folder name: %s", path);
	strcpy(dir, path);
	for (char *p = dir + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char was = *p;
		*p = 0;
		struct stat st;
		int rc = mkdir(dir, mode) < 0 ? -errno : 0;
		if (rc == -EEXIST && stat(dir, &st) == 0)
			rc = S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
		else if (rc == 0 && (rc = sync_dir_of(dir, e)) < 0)
			return rc;
		if (rc < 0)
			return err_sys(e, rc, "cannot make folder %s", dir);
		*p = was;
		if (!was)
			return 0;
	}
}
