/* What the agent does to itself before it speaks to anybody. */
#pragma once

#include "base/err.h"

/* For good: no other program, no port of its own, and of the files only the state folder, /etc, the
 * folder of the settings (read again by SIGHUP; "": none) and the system's libraries. */
int close_in(const char *state, const char *conf_path, struct err *e);
