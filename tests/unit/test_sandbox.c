/* The kernel is asked: each limit is put on a child of its own, which then tries what it may and
 * what it may not. */
#include "base/landlock.h"
#include "base/sandbox.h"
#include "base/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KILLED (-SIGSYS)
#define NO_FILTER 200 /* exit codes of a child beside errno */

typedef int (*try_fn)(void); /* 0, or -1 and errno */

static int end_of(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- system calls ---- */

static int open_file(void)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : close(fd);
}

static void *nothing(void *p)
{
	return p;
}

static int make_thread(void)
{
	pthread_t t;
	errno = pthread_create(&t, NULL, nothing, NULL);
	return errno ? -1 : pthread_join(t, NULL);
}

static int make_child(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid < 0 || waitpid(pid, NULL, 0) < 0 ? -1 : 0;
}

static int run_program(void)
{
	execl("/bin/true", "true", NULL);
	return -1;
}

static int trace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int mount_folder(void)
{
	return mount("none", "/proc/self", "tmpfs", 0, NULL);
}

static int make_namespace(void)
{
	return unshare(CLONE_NEWUTS);
}

static int clone_namespace(void)
{
	return (int)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
}

static int load_bpf(void)
{
	return (int)syscall(SYS_bpf, 9999, NULL, 0);
}

static int use_keys(void)
{
	return (int)syscall(SYS_keyctl, 9999, 0, 0, 0, 0);
}

static int set_clock(void)
{
	return (int)syscall(SYS_settimeofday, NULL, NULL);
}

static int use_io_uring(void)
{
	return (int)syscall(SYS_io_uring_setup, 0, NULL);
}

static int call_of_the_future(void)
{
	return (int)syscall(SYS_io_uring_setup + 500);
}

static int call_of_x32(void)
{
	return (int)syscall(0x40000000 | SYS_getpid);
}

static int become_somebody(void)
{
	/* For this thread alone, whatever others a sanitizer has. */
	return (int)syscall(SYS_setresuid, -1, -1, -1);
}

static int signal_itself(void)
{
	return kill(getpid(), 0);
}

static int socket_of(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);
	return fd < 0 ? -1 : close(fd);
}

static int socket_inet(void)
{
	return socket_of(AF_INET, SOCK_STREAM) < 0 || socket_of(AF_INET6, SOCK_DGRAM) < 0 ? -1 : 0;
}

static int socket_unix(void)
{
	return socket_of(AF_UNIX, SOCK_STREAM);
}

static int socket_netlink(void)
{
	return socket_of(AF_NETLINK, SOCK_RAW);
}

static int socket_packet(void)
{
	return socket_of(AF_PACKET, SOCK_RAW);
}

static int socket_alg(void)
{
	return socket_of(AF_ALG, SOCK_SEQPACKET);
}

static int map_code(void)
{
	void *p = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -1 : munmap(p, 4096);
}

static int map_data(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -1 : munmap(p, 4096);
}

static int be_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int type_into_terminal(void)
{
	return ioctl(0, TIOCSTI, "x");
}

#define GATE (CALLS_FILES | CALLS_NET | CALLS_THREADS)

static const struct trial {
	const char *what;
	unsigned calls;
	try_fn fn;
	int end;     /* 0: done; an errno; KILLED */
	bool strict; /* builds with sanitizers leave it open */
} trials[] = {
	{"files",                 GATE,                       open_file,          0,            false},
	{"threads",               GATE,                       make_thread,        0,            false},
	{"data",		  GATE,		       map_data,           0,            false},
	{"inet",		  GATE,		       socket_inet,        0,            false},
	{"netlink",               GATE,                       socket_netlink,     0,            false},
	{"fork",		  GATE,		       make_child,         EPERM,        true },
	{"exec",		  GATE,		       run_program,        KILLED,       true },
	{"ptrace",                GATE,                       trace,              KILLED,       true },
	{"mount",                 GATE,                       mount_folder,       KILLED,       false},
	{"unshare",               GATE,                       make_namespace,     KILLED,       false},
	{"namespace",             GATE,                       clone_namespace,    EPERM,        true },
	{"bpf",		   GATE,		       load_bpf,           KILLED,       false},
	{"keyctl",                GATE,                       use_keys,           KILLED,       false},
	{"settimeofday",          GATE,                       set_clock,          KILLED,       false},
	{"io_uring",              GATE,                       use_io_uring,       ENOSYS,       false},
	{"future",                GATE,                       call_of_the_future, ENOSYS,       false},
	{"x32",		   GATE,		       call_of_x32,        ENOSYS,       false},
	{"setuid",                GATE,                       become_somebody,    EPERM,        false},
	{"kill",		  GATE,		       signal_itself,      EPERM,        true },
	{"packet socket",         GATE,                       socket_packet,      EAFNOSUPPORT, false},
	{"crypto socket",         GATE,                       socket_alg,         EAFNOSUPPORT, false},
	{"code in data",          GATE,                       map_code,           EPERM,        true },
	{"dumpable",              GATE,                       be_dumpable,        EPERM,        true },
	{"terminal",              GATE,                       type_into_terminal, EPERM,        true },
	{"hook: unix",            CALLS_UNIX,                 socket_unix,        0,            false},
	{"hook: inet",            CALLS_UNIX,                 socket_inet,        EAFNOSUPPORT, false},
	{"hook: files",           CALLS_UNIX,                 open_file,          EPERM,        true },
	{"hook: exec",            CALLS_UNIX,                 run_program,        KILLED,       true },
	{"agent: fork",           GATE | CALLS_CHILDREN,      make_child,         0,            false},
	{"agent: exec",           GATE | CALLS_CHILDREN,      run_program,        KILLED,       true },
	{"others: exec",          CALLS_OTHERS,               run_program,        0,            false},
	{"others: fork",          CALLS_OTHERS,               make_child,         0,            false},
	{"others: code",          CALLS_OTHERS,               map_code,           0,            false},
	{"others: ptrace",        CALLS_OTHERS,               trace,              EPERM,        true },
	{"others: mount",         CALLS_OTHERS,               mount_folder,       EPERM,        false},
	{"others: unshare",       CALLS_OTHERS,               make_namespace,     EPERM,        false},
	{"others: namespace",     CALLS_OTHERS,               clone_namespace,    EPERM,        true },
	{"others: io_uring",      CALLS_OTHERS,               use_io_uring,       ENOSYS,       false},
	{"others: x32",           CALLS_OTHERS,               call_of_x32,        ENOSYS,       false},
	{"others: packet socket", CALLS_OTHERS,               socket_packet,      EAFNOSUPPORT, false},
	{"others: setuid",        CALLS_OTHERS,               become_somebody,    EPERM,        false},
	{"parent: setuid",        CALLS_OTHERS | CALLS_USERS, become_somebody,    0,            false},
	{"parent: mount",         CALLS_OTHERS | CALLS_USERS, mount_folder,       EPERM,        false},
};

static int limited(const struct trial *t)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (seccomp_limit(t->calls, NULL) < 0)
			_exit(NO_FILTER);
		_exit(t->fn() < 0 ? errno : 0);
	}
	return end_of(pid);
}

/* What the kernel says of itself, whatever the module makes of it; emulators have no filters. */
static bool kernel_has_filters(void)
{
	uint32_t kill_process = 0x80000000u;
	return syscall(SYS_seccomp, 2u /* GET_ACTION_AVAIL */, 0, &kill_process) == 0;
}

static void each_call_ends_as_promised(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(trials) / sizeof(*trials); i++) {
		const struct trial *t = &trials[i];
		if (t->strict && seccomp_is_loose)
			continue;
		int end = limited(t);
		if (end == NO_FILTER && !kernel_has_filters())
			skip();
		if (end != t->end)
			fail_msg("%s: %d, expected %d", t->what, end, t->end);
	}
}

static void no_call_is_named_in_two_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < seccomp_n_rows; i++) {
		unsigned groups = 0;
		for (size_t k = 0; k < seccomp_n_rows; k++)
			groups |= seccomp_rows[k].number == seccomp_rows[i].number
					  ? seccomp_rows[k].groups
					  : 0;
		unsigned kinds = !!(groups & CALLS_ALWAYS) + !!(groups & CALLS_DANGER) +
				 !!(groups & CALLS_ABSENT) +
				 !!(groups & (CALLS_FILES | CALLS_NET | CALLS_THREADS |
						     CALLS_CHILDREN | CALLS_EXEC | CALLS_USERS));
		if (kinds > 1)
			fail_msg("call %d: groups %x", seccomp_rows[i].number, groups);
	}
}

/* ---- files ---- */

struct folders {
	char top[64];
	char mine[80], theirs[80], other[80];
};

static void put(const char *folder, const char *name)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static int make_folders(void **state)
{
	struct folders *f = calloc(1, sizeof(*f));
	strcpy(f->top, "/tmp/lanthorn-sandbox.XXXXXX");
	assert_non_null(mkdtemp(f->top));
	snprintf(f->mine, sizeof(f->mine), "%s/mine", f->top);
	snprintf(f->theirs, sizeof(f->theirs), "%s/theirs", f->top);
	snprintf(f->other, sizeof(f->other), "%s/other", f->top);
	const char *const all[] = {f->mine, f->theirs, f->other};
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mkdir(all[i], 0700), 0);
		put(all[i], "file");
	}
	*state = f;
	return 0;
}

static int remove_folders(void **state)
{
	struct folders *f = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", f->top);
	int rc = system(command);
	free(f);
	return rc;
}

enum deed { READ, CHANGE, MAKE, REMOVE, LIST, MOVE_HERE, CUT };

static int do_deed(enum deed deed, const struct folders *f, const char *folder)
{
	char path[128], here[128];
	snprintf(path, sizeof(path), "%s/%s", folder, deed == MAKE ? "new" : "file");
	snprintf(here, sizeof(here), "%s/moved", f->mine);
	switch (deed) {
	case READ:
		return open(path, O_RDONLY | O_CLOEXEC);
	case CHANGE:
		return open(path, O_WRONLY | O_CLOEXEC);
	case MAKE:
		return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	case REMOVE:
		return unlink(path);
	case LIST:
		return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case MOVE_HERE:
		return rename(path, here);
	case CUT:
		return truncate(path, 0);
	}
	return -1;
}

static struct landlock *rules_for(const struct folders *f)
{
	struct landlock *l = landlock_new();
	char file[128];
	snprintf(file, sizeof(file), "%s/file", f->theirs);
	landlock_allow_system(l);
	landlock_allow(l, f->mine, LANDLOCK_WRITE);
	landlock_allow_beside(l, file, LANDLOCK_READ);
	landlock_allow(l, "/nowhere/at/all", LANDLOCK_WRITE);
	landlock_allow(l, "", LANDLOCK_WRITE);
	return l;
}

/* What the kernel says of itself, whatever the module makes of it; emulators have neither. */
static bool kernel_has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* VERSION */) > 0;
}

static int version(void)
{
	struct landlock *l = landlock_new();
	int found = 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(landlock_limit(l, NULL));
	found = end_of(pid);
	landlock_free(l);
	return found;
}

static int deed_in_child(const struct folders *f, enum deed deed, const char *folder)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (landlock_limit(rules_for(f), NULL) < 1)
			_exit(NO_FILTER);
		_exit(do_deed(deed, f, folder) < 0 ? errno : 0);
	}
	return end_of(pid);
}

static void only_its_own_files_are_in_reach(void **state)
{
	const struct folders *f = *state;
	const struct {
		enum deed deed;
		const char *folder;
		int end, since;
		bool strict;
	} cases[] = {
		{READ,      f->mine,   0,      1, false},
		{CHANGE,    f->mine,   0,      1, false},
		{MAKE,      f->mine,   0,      1, false},
		{LIST,      f->mine,   0,      1, false},
		{CUT,       f->mine,   0,      1, false},
		{MOVE_HERE, f->mine,   0,      1, false},
		{READ,      f->theirs, 0,      1, false},
		{LIST,      f->theirs, 0,      1, false},
		{CHANGE,    f->theirs, EACCES, 1, false},
		{MAKE,      f->theirs, EACCES, 1, false},
		{REMOVE,    f->theirs, EACCES, 1, false},
		{MOVE_HERE, f->theirs, EACCES, 2, false},
		{CUT,       f->theirs, EACCES, 3, false},
		{READ,      f->other,  EACCES, 1, true },
		{LIST,      f->other,  EACCES, 1, true },
		{CHANGE,    f->other,  EACCES, 1, false},
		{REMOVE,    f->other,  EACCES, 1, false},
	};
	int has = version();
	if (!kernel_has_landlock())
		skip();
	assert_int_not_equal(has, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (has < cases[i].since || (cases[i].strict && seccomp_is_loose))
			continue;
		int end = deed_in_child(f, cases[i].deed, cases[i].folder);
		if (end != cases[i].end)
			fail_msg("case %zu in %s: %d, expected %d", i, cases[i].folder, end,
				cases[i].end);
	}
}

static int open_settings_of_others(void)
{
	return open("/etc/shells", O_RDONLY | O_CLOEXEC);
}

static int open_hosts(void)
{
	return open("/etc/hosts", O_RDONLY | O_CLOEXEC);
}

static int bind_tcp(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(fd, (struct sockaddr *)&sa, sizeof(sa));
}

static int bind_udp(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return bind(fd, (struct sockaddr *)&sa, sizeof(sa));
}

static int signal_parent(void)
{
	return kill(getppid(), 0);
}

static void programs_ports_signals_and_etc_are_out_of_reach(void **state)
{
	const struct folders *f = *state;
	const struct {
		try_fn fn;
		int end, since;
		bool strict;
	} cases[] = {
		{open_hosts,              0,      1, false},
		{open_settings_of_others, EACCES, 1, true },
		{run_program,             EACCES, 1, false},
		{bind_tcp,                EACCES, 4, false},
		{bind_udp,                0,      4, false},
		{signal_parent,           EPERM,  6, false},
		{signal_itself,           0,      6, false},
	};
	int has = version();
	if (!kernel_has_landlock())
		skip();
	assert_int_not_equal(has, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (has < cases[i].since || (cases[i].strict && seccomp_is_loose))
			continue;
		pid_t pid = fork();
		if (pid == 0) {
			struct landlock *l = rules_for(f);
			landlock_stay_alone(l);
			if (landlock_limit(l, NULL) < 1)
				_exit(NO_FILTER);
			_exit(cases[i].fn() < 0 ? errno : 0);
		}
		int end = end_of(pid);
		if (end != cases[i].end)
			fail_msg("case %zu: %d, expected %d", i, end, cases[i].end);
	}
}

/* ---- all of it ---- */

static bool status_says(const char *line)
{
	char text[4096] = "";
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && strstr(text, line);
}

static int faults_after_entering(const struct folders *f, int has)
{
	struct sandbox s = {0};
	struct rlimit core;
	struct err e;
	if (sandbox_enter(&s, rules_for(f), GATE, &e) < 0)
		return 1;
	if (s.landlock != has)
		return 2;
	if (prctl(PR_GET_DUMPABLE) != 0 || getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max)
		return 4;
	if (!status_says("\nNoNewPrivs:\t1\n"))
		return 8;
	return s.calls != status_says("\nSeccomp:\t2\n") ? 16 : 0;
}

static void entering_closes_everything(void **state)
{
	int has = version();
	pid_t pid = fork();
	if (pid == 0)
		_exit(faults_after_entering(*state, has));
	assert_int_equal(end_of(pid), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_ends_as_promised),
		cmocka_unit_test(no_call_is_named_in_two_ways),
		cmocka_unit_test_setup_teardown(
			only_its_own_files_are_in_reach, make_folders, remove_folders),
		cmocka_unit_test_setup_teardown(programs_ports_signals_and_etc_are_out_of_reach,
			make_folders, remove_folders),
		cmocka_unit_test_setup_teardown(
			entering_closes_everything, make_folders, remove_folders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
