/* See parent.h. Both ends of the pair stay open here, so that a child that ends and comes back
 * finds the messages that waited, and the other one never notices. */
#include "parent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/seccomp.h"
#include "base/xalloc.h"
#include "gate.h"
#include "gate_loops.h"
#include "net/listen.h"
#include "parent_priv.h"
#include "store/conf.h"

#define EXIT_CONFIG 78
#define STOP_MS 10000u
#define REST_MS 3600000
#define RESTART_MIN_MS 500u
#define RESTART_MAX_MS 30000u
#define STEADY_MS 60000u

struct child {
	const char *name;
	struct identity who;
	pid_t pid; /* 0: not running */
	uint64_t started_ms, restart_at_ms, delay_ms;
	const char *argv[2 * GATE_FDS_MAX + 8];
	int fds[GATE_FDS_MAX * 2 + 2]; /* become 3, 4, 5 … in the child */
	unsigned n_fds;
};

struct parent {
	const struct parent_opts *o;
	const struct conf *conf;
	struct child gate, steward;
	sigset_t signals;
	bool stopping;
	char api_path[PATH_MAX]; /* "" until it is ours */
};

/* ---- a child ---- */

static _Noreturn void child_fail(const char *what)
{
	fprintf(stderr, "lanthornd: %s: %s\n", what, strerror(errno));
	_exit(127);
}

/* Move the descriptors to 3, 4, … : first out of the way, then down. */
static void place_fds(struct child *c)
{
	int base = PARENT_FD_PEER + (int)c->n_fds + 64;
	for (unsigned i = 0; i < c->n_fds; i++) {
		c->fds[i] = fcntl_dup_above(c->fds[i], base);
		if (c->fds[i] < 0)
			child_fail("cannot hand over descriptors");
	}
	for (unsigned i = 0; i < c->n_fds; i++) {
		if (dup2(c->fds[i], PARENT_FD_PEER + (int)i) < 0)
			child_fail("cannot hand over descriptors");
	}
	close_from(PARENT_FD_PEER + (int)c->n_fds);
}

static _Noreturn void run_child(struct parent *p, struct child *c, pid_t parent)
{
	sigprocmask(SIG_UNBLOCK, &p->signals, NULL);
	place_fds(c);
	if (identity_become(&c->who) < 0)
		child_fail("cannot change to its own user");
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != parent)
		_exit(0); /* it died before it could be told */
	umask(077);
	execv(c->argv[0], (char *const *)c->argv);
	child_fail(c->argv[0]);
}

/* It failed: the next time waits twice as long, unless `anew`. */
static void back_off(struct child *c, bool anew)
{
	c->delay_ms = anew || !c->delay_ms ? RESTART_MIN_MS : c->delay_ms * 2;
	if (c->delay_ms > RESTART_MAX_MS)
		c->delay_ms = RESTART_MAX_MS;
	c->restart_at_ms = clock_mono_ms() + c->delay_ms;
}

static void start_child(struct parent *p, struct child *c)
{
	pid_t parent = getpid(), pid = fork();
	if (pid == 0)
		run_child(p, c, parent);
	if (pid < 0) {
		int code = errno;
		back_off(c, false);
		log_error("parent", "cannot start, will try again", "process", c->name, "why",
			strerror(code), "in_ms", LOG_NUM(c->delay_ms));
		return;
	}
	c->pid = pid;
	c->started_ms = clock_mono_ms();
	log_info("parent", "started", "process", c->name, "pid", LOG_NUM(pid));
}

static void child_ended(struct parent *p, struct child *c, int status)
{
	c->pid = 0;
	if (p->stopping)
		return;
	back_off(c, clock_mono_ms() - c->started_ms >= STEADY_MS);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		log_error("parent", "the kernel stopped a system call outside its list", "process",
			c->name);
	log_warn("parent", "ended and will be started again", "process", c->name,
		WIFSIGNALED(status) ? "signal" : "exit",
		LOG_NUM(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)), "in_ms",
		LOG_NUM(c->delay_ms));
}

static void reap(struct parent *p)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		if (pid == p->gate.pid)
			child_ended(p, &p->gate, status);
		else if (pid == p->steward.pid)
			child_ended(p, &p->steward, status);
	}
}

static void signal_children(struct parent *p, int signum)
{
	if (p->gate.pid)
		kill(p->gate.pid, signum);
	if (p->steward.pid)
		kill(p->steward.pid, signum);
}

/* ---- what is opened before privileges go ---- */

static int bind_port(
	struct parent *p, uint16_t port, const char *option, unsigned *n_args, struct err *e)
{
	struct child *g = &p->gate;
	const struct conf_list *addrs = &p->conf->listen.addresses;
	unsigned loops = gate_loops_wanted(p->conf);
	for (unsigned i = 0; port && i < addrs->n * loops; i++) {
		const char *addr = addrs->v[i / loops];
		int fd = i % loops ? 0 : listen_try(addr, port, e);
		if (fd == 0)
			fd = listen_bind(addr, port, e);
		if (fd == -EAFNOSUPPORT && addrs->n > 1)
			continue; /* a machine without IPv6 */
		if (fd < 0)
			return fd;
		if (g->n_fds == GATE_FDS_MAX) {
			close(fd);
			return err_set(e, -EMFILE,
				"%u listen.addresses for %u workers are too many ports", addrs->n, loops);
		}
		g->argv[(*n_args)++] = xasprintf("--%s=%d", option, PARENT_FD_PEER + (int)g->n_fds);
		g->fds[g->n_fds++] = fd;
	}
	return 0;
}

static int make_dirs(struct parent *p, struct err *e)
{
	const struct {
		const char *top, *sub;
		const struct identity *who;
	} dirs[] = {
		{p->conf->state_dir, "gate",    &p->gate.who   },
		{p->conf->state_dir, "steward", &p->steward.who},
		{p->conf->run_dir,   "steward", &p->steward.who},
	};
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		char path[PATH_MAX];
		if (snprintf(path, sizeof(path), "%s/%s", dirs[i].top, dirs[i].sub) >=
			(int)sizeof(path))
			return err_set(e, -ENAMETOOLONG, "%s: path too long", dirs[i].top);
		int rc = dir_make(dirs[i].top, 0755, e);
		if (rc == 0)
			rc = dir_make(path, 0700, e);
		if (rc == 0)
			rc = identity_own(dirs[i].who, path, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Held until this process ends, however it does: two of us on one state would ruin it. The children
 * do not inherit it. */
static int lock_state(struct parent *p, struct err *e)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof(path), "%s/lock", p->conf->state_dir) >= (int)sizeof(path))
		return err_set(e, -ENAMETOOLONG, "%s: path too long", p->conf->state_dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, -errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	int rc = -errno;
	close(fd);
	if (rc == -EWOULDBLOCK)
		return err_set(e, rc, "another lanthornd runs on %s", p->conf->state_dir);
	return err_sys(e, rc, "cannot lock %s", path);
}

static int open_pair(struct parent *p, struct err *e)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "cannot make a socket pair");
	p->gate.fds[p->gate.n_fds++] = pair[0];
	p->steward.fds[p->steward.n_fds++] = pair[1];
	return 0;
}

static int open_all(struct parent *p, struct err *e)
{
	struct child *g = &p->gate;
	unsigned n = 0;
	g->argv[n++] = "/proc/self/exe";
	g->argv[n++] = "--gate";
	g->argv[n++] = "--config";
	g->argv[n++] = p->o->conf_path;
	int rc = open_pair(p, e);
	if (rc < 0)
		return rc;
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/api.sock", p->conf->run_dir);
	int fd = listen_bind_unix(path, 0600, e);
	if (fd < 0)
		return fd;
	memcpy(p->api_path, path, sizeof(path));
	g->fds[g->n_fds++] = fd;
	rc = bind_port(p, p->conf->listen.port, "tls", &n, e);
	if (rc == 0)
		rc = bind_port(p, p->conf->listen.http_port, "plain", &n, e);
	return rc;
}

static int name_steward(struct parent *p, struct err *e)
{
	static char path[PATH_MAX];
	if (snprintf(path, sizeof(path), "%s/lanthorn-steward", p->o->libexec) >= (int)sizeof(path))
		return err_set(e, -ENAMETOOLONG, "%s: path too long", p->o->libexec);
	if (access(path, X_OK) < 0)
		return err_sys(e, -errno, "cannot run %s", path);
	p->steward.argv[0] = path;
	p->steward.argv[1] = "--config";
	p->steward.argv[2] = p->o->conf_path;
	return 0;
}

/* The children inherit all of it, so this is what none of them may do. */
static int close_in(const struct parent *p, struct err *e)
{
	const char *const writable[] = {
		p->conf->state_dir, p->conf->run_dir, "/tmp", "/var/tmp", "/dev/shm"};
	struct landlock *l = landlock_new();
	struct sandbox s;
	for (size_t i = 0; i < sizeof(writable) / sizeof(*writable); i++)
		landlock_allow(l, writable[i], LANDLOCK_WRITE);
	landlock_allow(l, "/", LANDLOCK_READ | LANDLOCK_RUN);
	landlock_allow_system(l);
	int rc = sandbox_enter(&s, l, CALLS_OTHERS | CALLS_USERS, e);
	if (rc == 0 && (!s.calls || !s.landlock))
		log_warn("parent", "this kernel cannot close us in fully", "calls",
			sandbox_calls(&s), "files", sandbox_files(&s));
	return rc;
}

static int prepare(struct parent *p, struct err *e)
{
	int rc = identity_find(&p->gate.who, p->conf->run_as.gate, e);
	if (rc == 0)
		rc = identity_find(&p->steward.who, p->conf->run_as.steward, e);
	if (rc == 0)
		rc = name_steward(p, e);
	if (rc == 0)
		rc = make_dirs(p, e);
	if (rc == 0)
		rc = lock_state(p, e);
	if (rc == 0)
		rc = open_all(p, e);
	if (rc == 0)
		rc = identity_drop_capabilities(e);
	if (rc == 0)
		rc = close_in(p, e);
	return rc;
}

/* ---- supervision ---- */

/* Milliseconds until the next restart is due; all else comes as a signal. */
static long start_due(struct parent *p)
{
	struct child *both[] = {&p->steward, &p->gate};
	long wait = REST_MS;
	for (int i = 0; i < 2; i++) {
		struct child *c = both[i];
		uint64_t now = clock_mono_ms();
		if (!c->pid && c->restart_at_ms <= now)
			start_child(p, c);
		if (!c->pid && (long)(c->restart_at_ms - now) < wait)
			wait = (long)(c->restart_at_ms - now);
	}
	return wait;
}

static int wait_signal(struct parent *p, long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	return sigtimedwait(&p->signals, NULL, &ts);
}

static void supervise(struct parent *p)
{
	while (!p->stopping) {
		long wait = start_due(p);
		switch (wait_signal(p, wait)) {
		case SIGTERM:
		case SIGINT:
			p->stopping = true;
			break;
		case SIGHUP:
			signal_children(p, SIGHUP);
			break;
		default:
			break;
		}
		reap(p);
	}
}

/* Held open until now for the next gate. Who comes while this one finishes is refused at once, not left
 * in a queue that nobody serves. */
static void close_ports(struct parent *p)
{
	while (p->gate.n_fds > 1) /* the first is the pair's end */
		close(p->gate.fds[--p->gate.n_fds]);
}

static void end_children(struct parent *p)
{
	uint64_t until = clock_mono_ms() + STOP_MS;
	close_ports(p);
	signal_children(p, SIGTERM);
	while (p->gate.pid || p->steward.pid) {
		if (clock_mono_ms() >= until) {
			signal_children(p, SIGKILL);
			until += STOP_MS;
		}
		wait_signal(p, 100);
		reap(p);
	}
}

static int load(struct parent *p)
{
	struct conf_errors errors = {0};
	struct conf *c = NULL;
	int rc = conf_load(&c, p->o->conf_path, &errors);
	for (unsigned i = 0; i < errors.n; i++)
		fprintf(stderr, "%s\n", errors.text[i]);
	p->conf = c;
	if (rc == 0)
		log_setup(c->log.level, c->log.format == CONF_LOG_JSON);
	return rc;
}

static void free_parent(struct parent *p)
{
	for (const char **a = p->gate.argv; *a; a++) {
		if (strncmp(*a, "--tls=", 6) == 0 || strncmp(*a, "--plain=", 8) == 0)
			free((char *)*a);
	}
	conf_unref(p->conf);
}

int parent_run(const struct parent_opts *o)
{
	struct parent p = {.o = o, .gate = {.name = "gate"}, .steward = {.name = "steward"}};
	struct err e = {0};
	if (load(&p) < 0)
		return EXIT_CONFIG;
	sigemptyset(&p.signals);
	sigaddset(&p.signals, SIGTERM);
	sigaddset(&p.signals, SIGINT);
	sigaddset(&p.signals, SIGHUP);
	sigaddset(&p.signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &p.signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	int rc = prepare(&p, &e);
	if (rc < 0) {
		log_error("parent", "cannot start", "why", e.text);
	} else {
		supervise(&p);
		end_children(&p);
	}
	unlink(p.api_path);
	free_parent(&p);
	return rc < 0 ? 1 : 0;
}
