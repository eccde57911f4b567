/* Which names this steward ever touches, by its own reading of the configuration. Pure. */
#pragma once

#include <stdbool.h>

/* `name` is `domain`, one label below it, or (where `wildcard`) "*." and `domain`. */
bool names_allowed(const char *domain, const char *name, bool wildcard);
