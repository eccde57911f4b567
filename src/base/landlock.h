/* The files that a process may still touch, and no TCP port of its own, by Landlock where the
 * kernel has it: files from Linux 5.13, ports 6.7, signals and abstract sockets 6.12. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

enum {
	LANDLOCK_READ = 1 << 0,   /* read files and folders */
	LANDLOCK_WRITE = 1 << 1,  /* change, make, rename and remove as well; no devices */
	LANDLOCK_RUN = 1 << 2,    /* execute */
	LANDLOCK_DEVICE = 1 << 3, /* read and write what is there */
};

struct landlock; /* rules being collected */

/* NULL where the kernel has no Landlock; every function accepts that and does nothing. */
struct landlock *landlock_new(void);
void landlock_free(struct landlock *l);

/* Allow `path` and all below it. One that does not exist, or is "", is left out. */
void landlock_allow(struct landlock *l, const char *path, unsigned may);
/* Allow the folder that `path` is in, so that it may be replaced by another file. */
void landlock_allow_beside(struct landlock *l, const char *path, unsigned may);
/* Read what any program needs: libraries, time zones, and how names are looked up. Files in /etc that
 * are replaced meanwhile are out of reach: a process that stays allows /etc itself. */
void landlock_allow_system(struct landlock *l);

/* No signals to processes outside, and no abstract sockets of theirs. */
void landlock_stay_alone(struct landlock *l);

/* Allow this thread and what it starts nothing but that, for good; limits add up. Takes `l`. Sets
 * no_new_privs. To be called before there are threads. Returns the version of the kernel's
 * Landlock, 0 when it has none, or an error. */
int landlock_limit(struct landlock *l, struct err *e);
