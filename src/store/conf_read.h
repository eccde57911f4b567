/* From the tree of a file to struct conf, collecting everything that is wrong. */
#pragma once

#include "store/conf.h"

struct yaml;

/* Fill `c`, which is zeroed, from `root` (NULL: an empty file). What was wrong is in `errors`;
 * `c` is to be freed with conf_unref in any case. */
void conf_read(
	struct conf *c, const char *name, const struct yaml *root, struct conf_errors *errors);
