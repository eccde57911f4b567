/* From the text of one value to what struct conf holds, and back. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/conf_schema.h"

struct conf_list;

/* Why a value was refused, where the type's own words do not say it; "" otherwise. */
struct conf_hint {
	char text[160];
};

/* Set a scalar of `k` in `base` (struct conf or struct conf_device). 0 or -EINVAL. */
int conf_value_set(const struct conf_key *k, void *base, const char *text, struct conf_hint *hint);
/* Append to a list of `k`. 0, -EINVAL, or -E2BIG when it is full. */
int conf_value_add(const struct conf_key *k, void *base, const char *text, struct conf_hint *hint);
/* Free what `k` holds: a string is then NULL, a list empty. */
void conf_value_clear(const struct conf_key *k, void *base);
/* Set the default. It is our own mistake if that does not parse. */
void conf_value_default(const struct conf_key *k, void *base);
/* True for types that are lists of scalars. */
bool conf_type_is_list(enum conf_type type);

void conf_list_free(struct conf_list *l);

/* The shortest way to write it: "10m", "32KiB". */
void conf_duration_text(uint64_t ms, char *out, size_t size);
void conf_size_text(uint64_t bytes, char *out, size_t size);
