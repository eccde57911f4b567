/* What each program does to itself before it reads a byte from outside. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct landlock;

struct sandbox {
	bool calls;   /* system calls are limited */
	int landlock; /* version of the kernel's Landlock; 0: files are not limited */
};

/* No core file, nobody attaches, nothing gained by exec. Keeps across fork; exec makes a process
 * dumpable again. */
void sandbox_harden(void);
/* What came of it, for the log. */
const char *sandbox_calls(const struct sandbox *s);
const char *sandbox_files(const struct sandbox *s);

/* Is it in effect? `cap`: CAP_…, below 32. */
bool sandbox_has_capability(unsigned cap);
/* Give up all capabilities but those of `keep` (1 << CAP_…) that are there, and as far as the kernel
 * lets us the chance to gain others. Returns 0 or a negative errno. */
int sandbox_keep_capabilities(uint32_t keep);
/* Harden, give up all capabilities unless users may be changed (CALLS_USERS), and limit files
 * (NULL: not) and system calls (CALLS_…, see seccomp.h), for good. Takes `files`. What the kernel
 * does not have is no error. */
int sandbox_enter(struct sandbox *s, struct landlock *files, unsigned calls, struct err *e);
