/* See resolve.h. */
#include "device-agent/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"

struct resolve {
	struct watch watch;
	pid_t pid;
	char addrs[RESOLVE_MAX][46];
	size_t got; /* bytes of `addrs` */
	resolve_done_fn done;
	void *ctx;
};

/* In the child. Links that the parent closes meanwhile must not stay open here. */
static void close_all_but(int fd)
{
	long most = sysconf(_SC_OPEN_MAX);
	for (int i = STDERR_FILENO + 1; i < (most > 0 && most < 1024 ? most : 1024); i++) {
		if (i != fd)
			close(i);
	}
}

/* In the child: whole entries, each in one write. */
static void ask(const char *name, int fd)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *list = NULL;
	int n = 0;
	if (getaddrinfo(name, NULL, &hints, &list) != 0)
		_exit(1);
	for (struct addrinfo *a = list; a && n < RESOLVE_MAX; a = a->ai_next, n++) {
		char text[46] = "";
		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0,
			    NI_NUMERICHOST) == 0 &&
			write(fd, text, sizeof(text)) < 0)
			_exit(1);
	}
	_exit(0);
}

/* The child may hang in the resolver; it has nothing to lose. */
static void reap(struct resolve *r)
{
	kill(r->pid, SIGKILL);
	while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void resolve_cancel(struct resolve *r)
{
	if (!r)
		return;
	loop_remove(&r->watch);
	close(r->watch.fd);
	reap(r);
	free(r);
}

static void finish(struct resolve *r, const char *why)
{
	struct err e = {0};
	char addrs[RESOLVE_MAX][46];
	unsigned n = (unsigned)(r->got / sizeof(r->addrs[0]));
	resolve_done_fn done = r->done;
	void *ctx = r->ctx;
	memcpy(addrs, r->addrs, sizeof(addrs));
	resolve_cancel(r);
	if (n == 0)
		err_set(&e, -EHOSTUNREACH, "the gateway's name %s", why);
	done(ctx, addrs, n, &e);
}

static void on_event(struct watch *w, short revents)
{
	struct resolve *r = container_of(w, struct resolve, watch);
	if (!revents) {
		finish(r, "was not found in time");
		return;
	}
	char *at = (char *)r->addrs + r->got;
	ssize_t n = read(w->fd, at, sizeof(r->addrs) - r->got);
	if (n > 0)
		r->got += (size_t)n;
	if (n == 0 || r->got == sizeof(r->addrs) || (n < 0 && errno != EAGAIN && errno != EINTR))
		finish(r, "is not known to the resolver");
}

static int spawn(struct resolve *r, const char *name)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r->pid = fork();
	if (r->pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		close_all_but(fds[1]);
		ask(name, fds[1]);
	}
	int rc = r->pid < 0 ? -errno : 0;
	close(fds[1]);
	if (rc < 0) {
		close(fds[0]);
		return rc;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	r->watch.fd = fds[0];
	return 0;
}

struct resolve *resolve_open(
	struct loop *l, const char *name, resolve_done_fn done, void *ctx, struct err *e)
{
	struct resolve *r = xcalloc(1, sizeof(*r));
	r->done = done;
	r->ctx = ctx;
	int rc = spawn(r, name);
	if (rc < 0) {
		err_sys(e, rc, "cannot look up %s", name);
		free(r);
		return NULL;
	}
	r->watch.events = POLLIN;
	r->watch.on_event = on_event;
	watch_after(&r->watch, RESOLVE_DEADLINE_MS);
	if (!loop_add(l, &r->watch)) {
		close(r->watch.fd);
		reap(r);
		free(r);
		err_set(e, -EMFILE, "too many things at once");
		return NULL;
	}
	return r;
}
