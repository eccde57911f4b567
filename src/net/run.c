/* See run.h. The child leads a session and a process group of its own. Its stdin is a file in
 * memory, so nothing is ever written to a pipe that nobody reads. The leader is reaped last: as
 * long as it is a zombie, its number and the group's cannot mean anybody else. */
#include "net/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/xalloc.h"
#include "net/loop_int.h"

#define TERM_GRACE_MS 2000
#define DRAIN_MS 1000 /* for what the leader left in the pipes */

struct output {
	uv_pipe_t pipe;
	struct run *run;
	struct buf buf;
	bool open;
};

struct run {
	struct loop *loop;
	pid_t pid;
	run_done_fn fn; /* NULL: starting failed */
	void *ctx;
	struct run_result result;
	bool exited, ending, keep_end;
	struct output outs[2];
	uv_signal_t child_signal;
	unsigned n_handles;
	struct defer check;
	struct timer deadline, drain;
	struct loop_open open;
	char chunk[4096];
};

/* What the child needs, made before the fork. */
struct plan {
	const struct run_opts *o;
	int fds[3]; /* the child's 0, 1, 2 */
	int failed; /* takes an errno when there is no exec */
	pid_t parent;
};

/* ---- the child, between fork and exec: only async-signal-safe calls ---- */

static void close_from(int first)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)first, UINT_MAX, 0) == 0)
		return;
#endif
	long most = sysconf(_SC_OPEN_MAX);
	for (int fd = first; fd < (most > 0 && most < 65536 ? (int)most : 65536); fd++)
		close(fd);
}

static void reset_signals(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Against a child gone wild. No limit on memory or processes: the one would stop interpreters that
 * only reserve, the other counts all that runs under the user. */
static int limit_resources(void)
{
	static const struct {
		int what;
		rlim_t most;
	} limits[] = {
		{RLIMIT_CORE, 0}, /* it may have read secrets */
		{RLIMIT_FSIZE, RUN_FILE_MAX},
		{RLIMIT_NOFILE, RUN_FILES_MAX},
	};
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct rlimit l;
		if (getrlimit(limits[i].what, &l) < 0)
			return -1;
		if (l.rlim_max > limits[i].most)
			l.rlim_max = limits[i].most;
		l.rlim_cur = l.rlim_max;
		if (setrlimit(limits[i].what, &l) < 0)
			return -1;
	}
	return 0;
}

/* Lift a descriptor out of 0–3, where the four end up. */
static int lift(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 10);
}

__attribute__((noreturn)) static void be_child(const struct plan *p)
{
	static const char *const no_env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C",
		NULL};
	const struct run_opts *o = p->o;
	int failed = lift(p->failed), fds[3];
	setsid();
	/* What outlives us would go on, and undo what the next of us mends at its start. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != p->parent)
		_exit(126);
	reset_signals();
	for (int i = 0; i < 3; i++)
		fds[i] = lift(p->fds[i]);
	for (int i = 0; i < 3; i++) {
		if (fds[i] < 0 || dup2(fds[i], i) < 0)
			goto fail;
	}
	if (dup2(failed, 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC) < 0)
		goto fail;
	failed = 3;
	close_from(4);
	if (limit_resources() < 0 || chdir(o->dir ? o->dir : "/") < 0)
		goto fail;
	execve(o->argv[0], (char *const *)o->argv, (char *const *)(o->env ? o->env : no_env));
fail:;
	int why = errno;
	if (write(failed, &why, sizeof(why)) < 0)
		_exit(126);
	_exit(127);
}

/* ---- starting ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int make_input(const struct run_opts *o)
{
	if (!o->input_len)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fd = memfd_create("input", MFD_CLOEXEC);
	const char *p = o->input;
	for (size_t n = o->input_len; fd >= 0 && n;) {
		ssize_t k = write(fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			int why = errno;
			close_fd(&fd);
			errno = why;
			return -1;
		}
		p += k;
		n -= (size_t)k;
	}
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Returns the pid, or a negative error after the child's own words why it could not exec. */
static int fork_exec(const struct plan *p, int failed_rd)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t pid = fork();
	if (pid == 0)
		be_child(p);
	int why = -errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return why;
	close(p->failed);
	ssize_t n;
	do {
		n = read(failed_rd, &why, sizeof(why));
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(why))
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return -why;
}

static int spawn(const struct run_opts *o, int outs[2])
{
	int failed[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
	struct plan p = {
		.o = o, .fds = {make_input(o), -1, -1}, .parent = getpid()
        };
	int rc = -1;
	if (p.fds[0] >= 0 && pipe2(failed, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0)
		rc = pipe2(err, O_CLOEXEC);
	if (rc == 0) {
		p.fds[1] = out[1];
		p.fds[2] = err[1];
		p.failed = failed[1];
		rc = fork_exec(&p, failed[0]);
		failed[1] = rc > 0 ? -1 : failed[1];
	} else {
		rc = -errno;
	}
	close_fd(&failed[0]);
	close_fd(&failed[1]);
	close_fd(&p.fds[0]);
	close_fd(&out[1]);
	close_fd(&err[1]);
	if (rc < 0) {
		close_fd(&out[0]);
		close_fd(&err[0]);
	}
	outs[0] = out[0];
	outs[1] = err[0];
	return rc;
}

/* ---- ending ---- */

static const char *text_of(struct buf *b)
{
	const char *s = buf_str(b);
	return s ? s : "";
}

static void finish(struct run *r)
{
	struct run_result *res = &r->result;
	list_remove(&r->open.node);
	res->out = text_of(&r->outs[0].buf);
	res->errs = text_of(&r->outs[1].buf);
	res->out_len = r->outs[0].buf.len;
	res->errs_len = r->outs[1].buf.len;
	if (r->fn)
		r->fn(r->ctx, res);
	buf_done_secret(&r->outs[0].buf);
	buf_done_secret(&r->outs[1].buf);
	free(r);
}

static void on_output_close(uv_handle_t *h)
{
	struct run *r = container_of(h, struct output, pipe)->run;
	if (--r->n_handles == 0)
		finish(r);
}

static void on_signal_close(uv_handle_t *h)
{
	struct run *r = container_of(h, struct run, child_signal);
	if (--r->n_handles == 0)
		finish(r);
}

static void close_output(struct output *out)
{
	if (!out->open)
		return;
	out->open = false;
	uv_close((uv_handle_t *)&out->pipe, on_output_close);
}

/* The leader is dead. Kill what is left of its group, then let its number go. */
static void end(struct run *r)
{
	if (r->ending)
		return;
	r->ending = true;
	kill(-r->pid, SIGKILL);
	while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
		;
	timer_cancel(&r->deadline);
	timer_cancel(&r->drain);
	defer_cancel(&r->check);
	close_output(&r->outs[0]);
	close_output(&r->outs[1]);
	uv_close((uv_handle_t *)&r->child_signal, on_signal_close);
}

static void on_drained(struct timer *t)
{
	end(container_of(t, struct run, drain));
}

static void end_if_all_came(struct run *r)
{
	if (r->exited && !r->outs[0].open && !r->outs[1].open)
		end(r);
}

static void check_exit(struct run *r)
{
	siginfo_t info = {.si_pid = 0};
	if (r->exited)
		return;
	int rc = waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT);
	if (rc == 0 && info.si_pid == 0)
		return;
	r->exited = true;
	r->result.exit_code = -1;
	if (rc == 0 && info.si_code == CLD_EXITED)
		r->result.exit_code = info.si_status;
	else
		r->result.signal = rc == 0 ? info.si_status : SIGKILL;
	timer_cancel(&r->deadline);
	timer_arm(&r->drain, DRAIN_MS);
	end_if_all_came(r);
}

static void on_child_signal(uv_signal_t *h, int signum)
{
	(void)signum;
	check_exit(container_of(h, struct run, child_signal));
}

/* It may have ended before anybody listened for the signal. */
static void on_check(struct defer *d)
{
	check_exit(container_of(d, struct run, check));
}

static void on_deadline(struct timer *t)
{
	struct run *r = container_of(t, struct run, deadline);
	if (r->result.timed_out) {
		kill(-r->pid, SIGKILL);
		return;
	}
	r->result.timed_out = 1;
	kill(-r->pid, SIGTERM);
	timer_arm(&r->deadline, TERM_GRACE_MS);
}

/* ---- output ---- */

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
	(void)hint;
	struct run *r = container_of(h, struct output, pipe)->run;
	*b = uv_buf_init(r->chunk, sizeof(r->chunk));
}

static void on_output(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct output *out = container_of(s, struct output, pipe);
	if (n < 0) {
		close_output(out);
		end_if_all_came(out->run);
		return;
	}
	if (out->run->keep_end && out->buf.len + (size_t)n > RUN_OUTPUT_MAX)
		buf_consume(&out->buf, out->buf.len / 2);
	size_t room = RUN_OUTPUT_MAX - out->buf.len, len = (size_t)n < room ? (size_t)n : room;
	if (len)
		buf_append(&out->buf, b->base, len); /* out of memory: dropped, as the rest is */
	wipe(b->base, (size_t)n);
}

static int open_output(struct run *r, struct output *out, int fd)
{
	int rc = uv_pipe_init(loop_uv(r->loop), &out->pipe, 0);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	r->n_handles++;
	out->open = true;
	rc = uv_pipe_open(&out->pipe, fd);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return uv_read_start((uv_stream_t *)&out->pipe, on_alloc, on_output);
}

static void on_loop_close(struct loop_open *o)
{
	run_kill(container_of(o, struct run, open));
}

static struct run *make_run(struct loop *loop, run_done_fn fn, void *ctx)
{
	struct run *r = xcalloc(1, sizeof(*r));
	r->loop = loop;
	r->fn = fn;
	r->ctx = ctx;
	for (int i = 0; i < 2; i++) {
		r->outs[i].run = r;
		buf_init(&r->outs[i].buf, RUN_OUTPUT_MAX);
	}
	timer_init(&r->deadline, loop, on_deadline);
	timer_init(&r->drain, loop, on_drained);
	defer_init(&r->check, on_check);
	r->open.close = on_loop_close;
	loop_add_open(loop, &r->open);
	return r;
}

int run_start(struct run **out, struct loop *loop, const struct run_opts *o, run_done_fn fn,
	void *ctx, struct err *e)
{
	struct run *r = make_run(loop, fn, ctx);
	int fds[2], rc = uv_signal_init(loop_uv(loop), &r->child_signal);
	*out = NULL;
	if (rc < 0) {
		list_remove(&r->open.node);
		free(r);
		return err_sys(e, rc, "cannot run %s", o->argv[0]);
	}
	r->n_handles = 1;
	rc = spawn(o, fds);
	if (rc < 0) {
		r->fn = NULL;
		r->ending = true;
		uv_close((uv_handle_t *)&r->child_signal, on_signal_close);
		return err_sys(e, rc, "cannot run %s", o->argv[0]);
	}
	r->pid = rc;
	r->keep_end = o->keep_end;
	rc = uv_signal_start(&r->child_signal, on_child_signal, SIGCHLD);
	int rc_out = open_output(r, &r->outs[0], fds[0]);
	int rc_err = open_output(r, &r->outs[1], fds[1]);
	if (rc < 0 || rc_out < 0 || rc_err < 0) {
		r->fn = NULL;
		end(r);
		return err_set(e, -EIO, "cannot watch %s", o->argv[0]);
	}
	timer_arm(&r->deadline, o->deadline_ms);
	loop_defer(loop, &r->check);
	*out = r;
	return 0;
}

void run_kill(struct run *r)
{
	if (!r->ending)
		kill(-r->pid, SIGKILL);
}

int run_pid(const struct run *r)
{
	return r->pid;
}
