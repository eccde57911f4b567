/* A strict, bounded reader of YAML: one document of mappings, sequences and scalars, as a tree with
 * line numbers. What makes YAML surprising (anchors, aliases, tags, duplicate keys, several
 * documents, keys that are no scalars) is refused with file, line, column and words. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define YAML_FILE_MAX (4 * 1024 * 1024)
#define YAML_DEPTH_MAX 8
#define YAML_NODES_MAX 100000
#define YAML_KEYS_MAX 1000 /* in one map: each new one is compared with all before it */

enum yaml_kind { YAML_SCALAR, YAML_MAP, YAML_LIST };

/* Children hang in file order on `first` → `next`. A child of a map has its `key`. */
struct yaml {
	enum yaml_kind kind;
	unsigned line, column; /* from 1; of the key, where there is one */
	char *key;
	char *text;       /* of a scalar; "" for an empty one. Never holds a NUL byte inside */
	bool plain;       /* a scalar without quotes */
	unsigned n_items; /* children */
	struct yaml *first, *next;
};

/* Parse `n` bytes; `name` stands for the file in messages, which read "NAME:LINE:COLUMN: words".
 * `*out` is NULL for an empty document. 0, -EINVAL, or -E2BIG for a limit. */
int yaml_tree_parse(struct yaml **out, const char *name, const void *p, size_t n, struct err *e);
/* Not "yaml_free": libyaml exports that name itself. NULL is accepted. */
void yaml_tree_free(struct yaml *y);

/* The child of map `y` under `key`, or NULL. */
struct yaml *yaml_get(const struct yaml *y, const char *key);
/* True for a plain scalar that says nothing: empty, `~` or `null`. */
bool yaml_is_null(const struct yaml *y);
