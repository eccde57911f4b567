/* What each program does to itself before it reads a byte from outside. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

struct landlock;

struct sandbox {
	bool calls;   /* system calls are limited */
	int landlock; /* version of the kernel's Landlock; 0: files are not limited */
};

/* No core file, nobody attaches, nothing gained by exec. Keeps across fork; exec makes a process
 * dumpable again. */
void sandbox_harden(void);
/* Harden, and limit files (NULL: not) and system calls (CALLS_…, see seccomp.h), for good. Takes
 * `files`. What the kernel does not have is no error. */
int sandbox_enter(struct sandbox *s, struct landlock *files, unsigned calls, struct err *e);
