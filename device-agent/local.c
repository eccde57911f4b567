/* See local.h. */
#include "device-agent/local.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

struct idle {
	struct watch watch; /* readable: the service has closed it, or spoke unasked */
	struct list node;
	struct local_pool *pool;
};

bool local_would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

bool local_is_accepted(int fd)
{
	int code = 0;
	socklen_t n = sizeof(code);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &n);
	return code == 0;
}

int local_connect(const struct sockaddr_storage *to)
{
	int on = 1;
	socklen_t n = to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						: sizeof(struct sockaddr_in);
	int fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)to, n) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -ECONNREFUSED;
	}
	return fd;
}

/* Returns its descriptor. */
static int unlink_idle(struct idle *i)
{
	int fd = i->watch.fd;
	loop_remove(&i->watch);
	list_remove(&i->node);
	i->pool->n--;
	free(i);
	return fd;
}

static void on_idle(struct watch *w, short revents)
{
	(void)revents;
	close(unlink_idle(container_of(w, struct idle, watch)));
}

void local_pool_init(struct local_pool *p, struct loop *l)
{
	*p = (struct local_pool){.loop = l};
	list_init(&p->idle);
}

void local_pool_done(struct local_pool *p)
{
	while (!list_empty(&p->idle))
		close(unlink_idle(container_of(p->idle.next, struct idle, node)));
}

static bool is_quiet(int fd)
{
	char c;
	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

int local_pool_take(struct local_pool *p, const struct sockaddr_storage *to)
{
	if (memcmp(to, &p->to, sizeof(*to)) != 0)
		local_pool_done(p);
	while (!list_empty(&p->idle)) {
		int fd = unlink_idle(container_of(p->idle.next, struct idle, node));
		if (is_quiet(fd))
			return fd;
		close(fd);
	}
	return -1;
}

void local_pool_give(struct local_pool *p, int fd, const struct sockaddr_storage *to)
{
	if (memcmp(to, &p->to, sizeof(*to)) != 0) {
		local_pool_done(p);
		p->to = *to;
	}
	if (p->n == LOCAL_IDLE_MOST) {
		close(fd);
		return;
	}
	struct idle *i = xcalloc(1, sizeof(*i));
	i->pool = p;
	i->watch = (struct watch){.fd = fd, .events = POLLIN, .on_event = on_idle};
	watch_after(&i->watch, LOCAL_IDLE_MS);
	list_push_front(&p->idle, &i->node);
	p->n++;
	if (!loop_add(p->loop, &i->watch))
		close(unlink_idle(i));
}
