/* See listen.h. Accepting takes a bounded number of connections a turn, so that a flood does not
 * starve those that are open, and rests for a moment when descriptors or memory run out. */
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/xalloc.h"
#include "net/listen_lan.h"
#include "net/loop_int.h"

#define BACKLOG 1024
#define ACCEPTS_A_TURN 16
#define PAUSE_MS 100

struct listener {
	uv_poll_t poll;
	struct loop *loop;
	struct loop_open open;
	struct timer pause;
	accept_fn fn;
	void *ctx;
	unsigned flags;
	int fd;
	bool closed;
	struct lan_prefixes prefixes;
};

/* ---- binding ---- */

static int set_options(int fd, int family)
{
	int on = 1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return -errno;
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return 0;
}

union tcp_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* The length of the address, or a negative error. */
static int read_addr(union tcp_addr *a, const char *addr, uint16_t port, struct err *e)
{
	memset(a, 0, sizeof(*a));
	if (uv_ip4_addr(addr, port, &a->in) == 0)
		return (int)sizeof(a->in);
	if (uv_ip6_addr(addr, port, &a->in6) == 0)
		return (int)sizeof(a->in6);
	return err_set(e, -EINVAL, "\"%s\" is no IP address to listen on", addr);
}

int listen_bind(const char *addr, uint16_t port, struct err *e)
{
	union tcp_addr a;
	int n = read_addr(&a, addr, port, e);
	if (n < 0)
		return n;
	int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, -errno, "cannot make a socket for %s port %u", addr, port);
	int rc = set_options(fd, a.sa.sa_family);
	if (rc == 0 && (bind(fd, &a.sa, (socklen_t)n) < 0 || listen(fd, BACKLOG) < 0))
		rc = -errno;
	if (rc == 0)
		return fd;
	close(fd);
	return err_sys(e, rc, "cannot listen on %s port %u", addr, port);
}

int listen_try(const char *addr, uint16_t port, struct err *e)
{
	union tcp_addr a;
	int n = read_addr(&a, addr, port, e), off = 0;
	if (n < 0)
		return n;
	int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, -errno, "cannot make a socket for %s port %u", addr, port);
	int rc = set_options(fd, a.sa.sa_family);
	/* Old connections may linger on the port, another listener may not. */
	if (rc == 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off)) < 0 ||
			       bind(fd, &a.sa, (socklen_t)n) < 0))
		rc = -errno;
	close(fd);
	if (rc == -EADDRINUSE)
		return err_set(e, rc, "another program listens on %s port %u", addr, port);
	return rc < 0 ? err_sys(e, rc, "cannot listen on %s port %u", addr, port) : 0;
}

/* Is anybody behind the socket file? 1: yes, 0: no, and the file is gone now. */
static int clear_dead(const struct sockaddr_un *a)
{
	struct stat st;
	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int rc = connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 ? -errno : 0;
	close(fd);
	if (rc == 0 || rc == -EAGAIN)
		return 1;
	if (rc != -ECONNREFUSED)
		return rc;
	return unlink(a->sun_path) < 0 ? -errno : 0;
}

int listen_bind_unix(const char *path, unsigned mode, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG, "the socket path %s is too long", path);
	memcpy(a.sun_path, path, strlen(path));
	int rc = clear_dead(&a);
	if (rc == 1)
		return err_set(e, -EADDRINUSE, "another process answers on %s", path);
	if (rc < 0)
		return err_sys(e, rc, "cannot replace %s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, -errno, "cannot make a socket for %s", path);
	/* The file takes the mode that the descriptor has, so it is never more open than this;
	 * chmod undoes what the umask took away. */
	if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0) {
		rc = -errno;
		close(fd);
		return err_sys(e, rc, "cannot listen on %s", path);
	}
	return fd;
}

/* ---- accepting ---- */

static void on_readable(uv_poll_t *h, int status, int events);

static void on_pause_over(struct timer *t)
{
	struct listener *l = container_of(t, struct listener, pause);
	uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void rest(struct listener *l)
{
	uv_poll_stop(&l->poll);
	timer_arm(&l->pause, PAUSE_MS);
}

static bool is_welcome(struct listener *l, int fd)
{
	return !(l->flags & LISTEN_LAN_ONLY) ||
	       lan_socket_is_local(&l->prefixes, fd, loop_now_ms(l->loop));
}

/* False: no more now. */
static bool accept_one(struct listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		if (is_welcome(l, fd))
			l->fn(l->ctx, fd);
		else
			close(fd);
		return !l->closed;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		rest(l);
		return false;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EOPNOTSUPP:
		uv_poll_stop(&l->poll);
		return false;
	default:
		return true; /* that connection is gone already (accept(2)) */
	}
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	struct listener *l = container_of(h, struct listener, poll);
	(void)events;
	if (l->closed)
		return;
	if (status < 0) {
		rest(l);
		return;
	}
	for (unsigned i = 0; i < ACCEPTS_A_TURN && accept_one(l); i++)
		;
}

static void on_loop_free(struct loop_open *o)
{
	listener_close(container_of(o, struct listener, open));
}

int listener_open(struct listener **out, struct loop *loop, int fd, unsigned flags, accept_fn fn,
	void *ctx, struct err *e)
{
	struct listener *l = xcalloc(1, sizeof(*l));
	int rc = uv_poll_init(loop_uv(loop), &l->poll, fd);
	if (rc < 0) {
		free(l);
		close(fd);
		return err_set(e, rc, "cannot watch a listening socket: %s", uv_strerror(rc));
	}
	l->loop = loop;
	l->fd = fd;
	l->flags = flags;
	l->fn = fn;
	l->ctx = ctx;
	l->open.close = on_loop_free;
	timer_init(&l->pause, loop, on_pause_over);
	loop_add_open(loop, &l->open);
	uv_poll_start(&l->poll, UV_READABLE, on_readable);
	*out = l;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct listener *l = container_of((uv_poll_t *)h, struct listener, poll);
	list_remove(&l->open.node);
	free(l);
}

void listener_close(struct listener *l)
{
	if (!l || l->closed)
		return;
	l->closed = true;
	timer_cancel(&l->pause);
	uv_close((uv_handle_t *)&l->poll, on_closed);
	close(l->fd);
}
