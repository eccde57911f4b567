/* The system calls that a process may still make, whatever takes it over: a filter of the kernel,
 * built from the groups of seccomp_calls.txt. Linux. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	CALLS_FILES = 1 << 0,    /* open, make, rename and remove files */
	CALLS_NET = 1 << 1,      /* sockets: Internet, Unix, netlink; no others */
	CALLS_UNIX = 1 << 2,     /* Unix sockets as a client */
	CALLS_THREADS = 1 << 3,  /* new threads */
	CALLS_CHILDREN = 1 << 4, /* fork, wait, kill; no exec */
	CALLS_EXEC = 1 << 5,
	CALLS_USERS = 1 << 6,  /* change user, groups, capabilities */
	CALLS_OTHERS = 1 << 7, /* for programs of others too: whatever is not in a group */
	/* Not for callers: how the table marks the rest. */
	CALLS_ALWAYS = 1 << 8,
	CALLS_SANITIZER = 1 << 9,
	CALLS_ABSENT = 1 << 10,
	CALLS_DANGER = 1 << 11,
};

/* Let this thread and what it starts make only the calls of these groups, for good; limits add up.
 * Others return EPERM, calls that nobody has listed ENOSYS, so that a newer libc falls back. Calls
 * that only an attacker would make here (exec among them) end the process with SIGSYS; in programs
 * of others (CALLS_OTHERS) they are refused too.
 *
 * Sets no_new_privs. To be called before there are threads. Returns -ENOSYS where the kernel, or an
 * emulator, has no filters. */
int seccomp_limit(unsigned calls, struct err *e);

/* Built with a sanitizer, whose runtime forks, traces and reads files: those calls stay open. */
extern const bool seccomp_is_loose;

/* The table, for seccomp.c and its test. */
struct seccomp_row {
	int number;
	unsigned groups;
};
extern const struct seccomp_row seccomp_rows[];
extern const size_t seccomp_n_rows;
