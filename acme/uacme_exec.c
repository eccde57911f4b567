/* See uacme_exec.h. Runs alone in a fresh process: plain system calls, no loop, no allocation. */
#include "acme/uacme_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

#define SYSTEM_CAS "/etc/ssl/certs/ca-certificates.crt"
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

static int write_map(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	int saved = errno;
	close(fd);
	errno = saved;
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* Without privileges the mount namespace needs a user namespace around it, in which we stay
 * ourselves. Root may be without them too. */
static int enter_namespaces(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];
	if (uid == 0 && unshare(CLONE_NEWNS) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	if (write_map("/proc/self/setgroups", "deny") < 0)
		return -1;
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	if (write_map("/proc/self/uid_map", map) < 0)
		return -1;
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	return write_map("/proc/self/gid_map", map);
}

static int show_ca(const char *file)
{
	struct stat st;
	if (stat(file, &st) < 0 || !S_ISREG(st.st_mode))
		return fail("acme.ca_file: cannot use", file);
	if (access(file, R_OK) < 0)
		return fail("acme.ca_file: cannot read", file);
	if (stat(SYSTEM_CAS, &st) < 0)
		return fail(
			"acme.ca_file needs the package ca-certificates; cannot find", SYSTEM_CAS);
	if (enter_namespaces() < 0)
		return fail(
			"acme.ca_file needs user namespaces, which this system does not allow; add the "
			"authority to the system's CAs instead, cannot show",
			file);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail("cannot make private the mounts under", "/");
	if (mount(file, SYSTEM_CAS, NULL, MS_BIND, NULL) < 0)
		return fail("acme.ca_file: cannot show it as", SYSTEM_CAS);
	if (setenv("UACME_CAINFO", file, 1) < 0)
		return fail("cannot set", "UACME_CAINFO");
	return 0;
}

/* After the namespaces: a change of credentials would take the death signal away. */
static int tie_to_parent(const char *parent)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail("cannot set", "no_new_privs");
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
	if (!rc)
		rc = tie_to_parent(parent);
	if (rc)
		return rc;
	execvp(argv[i + 1], argv + i + 1);
	if (errno == ENOENT)
		return fail("acme.uacme: install the package uacme; cannot find", argv[i + 1]);
	return fail("acme.uacme: cannot run", argv[i + 1]);
}
