/* Small facts of either database that are no rows of their own, by key. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct db;

#define META_VALUE_MAX 4096

/* Text. -ENOENT when unset, -ENOBUFS when `size` is too small. */
int meta_get(struct db *db, const char *key, char *dst, size_t size, struct err *e);
int meta_set(struct db *db, const char *key, const char *value, struct err *e);
/* `*out` is `missing` when unset. */
int meta_get_int(struct db *db, const char *key, int64_t missing, int64_t *out, struct err *e);
int meta_set_int(struct db *db, const char *key, int64_t value, struct err *e);
