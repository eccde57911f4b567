/* See landlock.h. libc has no functions for it, and its headers may be older than the kernel; what
 * the kernel does not know is not asked of it. */
#include "base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/seccomp.h"

/* The same numbers everywhere but on MIPS. */
#if defined(__mips__)
#define NR_FIRST 4444
#else
#define NR_FIRST 444
#endif
enum { NR_CREATE = NR_FIRST, NR_ADD, NR_RESTRICT };

/* linux/landlock.h */
#define ASK_VERSION 1u
#define RULE_PATH 1
enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_MAKE_FIFO = 1 << 10,
	FS_MAKE_BLOCK = 1 << 11,
	FS_MAKE_SYM = 1 << 12,
	FS_REFER = 1 << 13,           /* version 2 */
	FS_TRUNCATE = 1 << 14,        /* 3 */
	FS_IOCTL_DEV = 1 << 15,       /* 5 */
	NET_BIND_TCP = 1 << 0,        /* 4 */
	SCOPE_ABSTRACT_UNIX = 1 << 0, /* 6 */
	SCOPE_SIGNAL = 1 << 1,        /* 6 */
};
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_rule {
	uint64_t may;
	int32_t fd;
} __attribute__((packed));

struct landlock {
	int fd, version;
	uint64_t fs; /* what is limited at all */
	bool alone;
	int failed; /* the first error */
	struct path_rule *rules;
	unsigned n, room;
};

struct landlock *landlock_new(void)
{
	long version = syscall(NR_CREATE, NULL, 0, ASK_VERSION);
	if (version < 1)
		return NULL;
	struct landlock *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->version = (int)version;
	l->fs = FS_REFER - 1;
	if (version >= 2)
		l->fs |= FS_REFER;
	if (version >= 3)
		l->fs |= FS_TRUNCATE;
	if (version >= 5)
		l->fs |= FS_IOCTL_DEV;
	if (seccomp_is_loose)
		landlock_allow(l, "/", LANDLOCK_READ);
	return l;
}

void landlock_free(struct landlock *l)
{
	for (unsigned i = 0; l && i < l->n; i++)
		close(l->rules[i].fd);
	if (l)
		free(l->rules);
	free(l);
}

static uint64_t rights(unsigned may)
{
	uint64_t fs = 0;
	if (may & (LANDLOCK_READ | LANDLOCK_WRITE))
		fs |= FS_READ_FILE | FS_READ_DIR;
	if (may & LANDLOCK_WRITE)
		fs |= FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |
		      FS_MAKE_SOCK | FS_MAKE_FIFO | FS_MAKE_SYM | FS_REFER | FS_TRUNCATE;
	if (may & LANDLOCK_RUN)
		fs |= FS_EXECUTE | FS_READ_FILE | FS_READ_DIR;
	if (may & LANDLOCK_DEVICE)
		fs |= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
	return fs;
}

static int add(struct landlock *l, struct path_rule rule)
{
	if (l->n == l->room) {
		unsigned room = l->room ? l->room * 2 : 32;
		struct path_rule *more = reallocarray(l->rules, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->rules = more;
		l->room = room;
	}
	l->rules[l->n++] = rule;
	return 0;
}

void landlock_allow(struct landlock *l, const char *path, unsigned may)
{
	struct stat st;
	if (!l || !*path)
		return;
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	int rc = fstat(fd, &st) < 0 ? -errno : 0;
	uint64_t fs = rights(may) & l->fs;
	if (rc == 0 && !S_ISDIR(st.st_mode))
		fs &= FS_OF_FILES;
	if (rc == 0)
		rc = add(l, (struct path_rule){.may = fs, .fd = fd});
	if (rc < 0) {
		close(fd);
		l->failed = rc;
	}
}

void landlock_allow_beside(struct landlock *l, const char *path, unsigned may)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	if (!*path || n >= sizeof(folder))
		return;
	memcpy(folder, path, n);
	folder[n] = 0;
	landlock_allow(l, n ? folder : slash ? "/" : ".", may);
}

/* Often a link to where a DHCP client writes, now and then anew. Two folders have more than that.
 */
static void allow_resolver(struct landlock *l)
{
	char path[PATH_MAX];
	if (!l || !realpath("/etc/resolv.conf", path))
		return;
	const char *slash = strrchr(path, '/');
	size_t n = (size_t)(slash - path);
	if (n == 4 && (memcmp(path, "/etc", n) == 0 || memcmp(path, "/tmp", n) == 0))
		landlock_allow(l, path, LANDLOCK_READ);
	else
		landlock_allow_beside(l, path, LANDLOCK_READ);
}

void landlock_allow_system(struct landlock *l)
{
	static const char *const readable[] = {"/usr", "/lib", "/lib32", "/lib64", "/etc/hosts",
		"/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/host.conf", "/etc/gai.conf",
		"/etc/services", "/etc/protocols", "/etc/passwd", "/etc/group", "/etc/localtime",
		"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/gnutls",
		"/etc/crypto-policies", "/etc/ld.so.cache", "/etc/ld.so.preload",
		"/run/systemd/resolve", "/proc", "/sys/devices/system/cpu"};
	static const char *const devices[] = {
		"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
	for (size_t i = 0; i < sizeof(readable) / sizeof(*readable); i++)
		landlock_allow(l, readable[i], LANDLOCK_READ);
	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++)
		landlock_allow(l, devices[i], LANDLOCK_DEVICE);
	allow_resolver(l);
}

void landlock_stay_alone(struct landlock *l)
{
	if (l)
		l->alone = true;
}

static int restrict_self(struct landlock *l)
{
	struct ruleset set = {.fs = l->fs};
	if (l->version >= 4)
		set.net = NET_BIND_TCP;
	if (l->version >= 6 && l->alone)
		set.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	size_t size = l->version >= 6 ? 24 : l->version >= 4 ? 16 : 8;
	int fd = (int)syscall(NR_CREATE, &set, size, 0);
	if (fd < 0)
		return -errno;
	int rc = 0;
	for (unsigned i = 0; i < l->n && rc == 0; i++) {
		const struct path_rule *rule = &l->rules[i];
		if (rule->may && syscall(NR_ADD, fd, RULE_PATH, rule, 0) < 0)
			rc = -errno;
	}
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = -errno;
	if (rc == 0 && syscall(NR_RESTRICT, fd, 0) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int landlock_limit(struct landlock *l, struct err *e)
{
	if (!l)
		return 0;
	int version = l->version, rc = l->failed ? l->failed : restrict_self(l);
	landlock_free(l);
	return rc < 0 ? err_sys(e, rc, "cannot limit the files in reach") : version;
}
