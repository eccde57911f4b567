/* Files that are whole or not there: bounded reads, durable replacement. Blocking; not on a loop
 * that serves traffic. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct buf;

/* Read a whole regular file of at most buf->cap bytes, appended to `out`. */
int file_read(const char *path, struct buf *out, struct err *e);
/* The same for a secret: also refuses a file that others may write or read. Final newline
 * dropped. */
int file_read_secret(const char *path, struct buf *out, struct err *e);
/* Replace `path` in one step: temporary file beside it, fsync, rename, fsync of the directory.
 * After a crash the old content or the new one is there, whole. */
int file_write_durable(const char *path, const void *p, size_t n, mode_t mode, struct err *e);
/* Remove and fsync the directory; a missing file is no error. */
int file_remove_durable(const char *path, struct err *e);
/* Remove what a crash in file_write_durable left in `path` and below. Only for a folder that
 * nobody else writes to now. */
void dir_sweep(const char *path);
/* mkdir -p with `mode` for what is made. */
int dir_make(const char *path, mode_t mode, struct err *e);
