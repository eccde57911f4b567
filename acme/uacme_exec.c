/* See uacme_exec.h. Runs alone in a fresh process: plain system calls, no loop, no allocation. */
#include "acme/uacme_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/landlock.h"
#include "base/sandbox.h"
#include "base/seccomp.h"

#define HELPER "lanthorn-uacme.so" /* beside this program */
static const char *const programs[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"};
#define LOCK_TRIES 100 /* of 50 ms */

static int fail(const char *what, const char *object)
{
	fprintf(stderr, "lanthorn-steward: %s %s: %s\n", what, object, strerror(errno));
	return 2;
}

/* Within the parent's process group nobody else is: killing the holder's group cannot hit a
 * stranger, because only uacme runs of ours ever lock these files and each leads a group of its
 * own. */
static void kill_holder(int fd)
{
	struct flock held = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(fd, F_GETLK, &held) < 0 || held.l_type == F_UNLCK || held.l_pid <= 1)
		return;
	if (getpgid(held.l_pid) == held.l_pid)
		kill(-held.l_pid, SIGKILL);
}

static int hold(const char *path)
{
	struct flock want = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	/* Not close-on-exec: closing any descriptor of the file would drop the lock. */
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail("cannot open the lock", path);
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (fcntl(fd, F_SETLK, &want) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return fail("cannot lock", path);
		kill_holder(fd);
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	errno = EBUSY;
	return fail("another run still holds the lock", path);
}

static int show_ca(const char *file)
{
	struct stat st;
	if (stat(file, &st) < 0 || !S_ISREG(st.st_mode))
		return fail("acme.ca_file: cannot use", file);
	if (access(file, R_OK) < 0)
		return fail("acme.ca_file: cannot read", file);
	if (setenv("UACME_CAINFO", file, 1) < 0)
		return fail("cannot set", "UACME_CAINFO");
	return 0;
}

/* The folder of this program, where the helper and the hook are too; "" when it is not known. */
static void find_own_folder(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	while (n > 0 && path[n - 1] != '/')
		n--;
	path[n > 0 ? n : 0] = 0;
}

static int load_helper(const char *folder)
{
	char path[PATH_MAX + sizeof(HELPER)];
	snprintf(path, sizeof(path), "%s" HELPER, folder);
	if (access(path, R_OK) < 0)
		return fail("cannot read", path);
	if (setenv("LD_PRELOAD", path, 1) < 0)
		return fail("cannot set", "LD_PRELOAD");
	return 0;
}

/* It reads what a certificate authority sends, so the DNS credentials are out of its reach. */
static int close_in(const char *folder, const char *ca, const char *program)
{
	struct landlock *l = landlock_new();
	struct sandbox s;
	struct err e;
	landlock_allow_system(l);
	landlock_allow(l, folder, LANDLOCK_RUN);
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
		landlock_allow(l, programs[i], LANDLOCK_RUN);
	landlock_allow(l, ca ? ca : "", LANDLOCK_READ);
	landlock_allow(l, strchr(program, '/') ? program : "", LANDLOCK_RUN);
	landlock_allow(l, ".", LANDLOCK_WRITE);
	if (sandbox_enter(&s, l, CALLS_OTHERS, &e) == 0)
		return 0;
	fprintf(stderr, "lanthorn-steward: %s\n", e.text);
	return 2;
}

static int tie_to_parent(const char *parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return fail("cannot set", "the death signal");
	char now[24];
	snprintf(now, sizeof(now), "%ld", (long)getppid());
	if (parent && strcmp(now, parent) != 0) {
		errno = ESRCH;
		return fail("the parent is gone:", parent);
	}
	return 0;
}

int uacme_exec(int argc, char *const argv[])
{
	const char *ca = NULL, *parent = NULL;
	char folder[PATH_MAX];
	int i = 0, rc = 0;
	for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
		if (!strcmp(argv[i], "--ca"))
			ca = argv[i + 1];
		else if (!strcmp(argv[i], "--parent"))
			parent = argv[i + 1];
		else if (!strcmp(argv[i], "--lock"))
			rc = hold(argv[i + 1]);
		else
			rc = 2;
		if (rc)
			return rc;
	}
	if (i + 1 >= argc || strcmp(argv[i], "--") != 0) {
		fputs("lanthorn-steward: --exec-uacme: no program given\n", stderr);
		return 2;
	}
	umask(077);
	if (ca)
		rc = show_ca(ca);
	find_own_folder(folder);
	if (!rc)
		rc = load_helper(folder);
	if (!rc)
		rc = tie_to_parent(parent);
	if (!rc)
		rc = close_in(folder, ca, argv[i + 1]);
	if (rc)
		return rc;
	execvp(argv[i + 1], argv + i + 1);
	if (errno == ENOENT)
		return fail("acme.uacme: install the package uacme; cannot find", argv[i + 1]);
	return fail("acme.uacme: cannot run", argv[i + 1]);
}
