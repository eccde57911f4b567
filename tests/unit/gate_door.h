/* A device without an agent: a listening port of the test's, and the route that leads there. */
#pragma once

#include "gate_rig.h"

#include <netinet/in.h>

#include "base/xalloc.h"
#include "gate/site.h"
#include "gate/snapshot.h"

struct door {
	int fd;
	uint16_t port;
	int taken[64];
	unsigned n;
	bool mute;
};

/* On `port`, once it is known. */
static inline void door_listen(struct door *d)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(d->port)};
	socklen_t n = sizeof(a);
	int on = 1;
	d->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(d->fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(d->fd, 64), 0);
	assert_int_equal(getsockname(d->fd, (struct sockaddr *)&a, &n), 0);
	d->port = ntohs(a.sin_port);
	d->mute = false;
}

static inline void open_door(struct door *d)
{
	*d = (struct door){0};
	door_listen(d);
}

/* It hears no one more: what fills its queue is in `fds`, and who asks then gets no answer. */
static inline void mute_door(struct door *d, int fds[static 8])
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(d->port)};
	d->mute = true;
	assert_int_equal(listen(d->fd, 0), 0);
	for (int i = 0; i < 8; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(fds[i], (struct sockaddr *)&a, sizeof(a));
	}
}

/* Connections stay; no more are taken until door_listen(). */
static inline void shut_door(struct door *d)
{
	close(d->fd);
	d->fd = -1;
}

static inline unsigned door_visits(struct door *d)
{
	int fd;
	while (!d->mute && d->n < 64 && (fd = accept(d->fd, NULL, NULL)) >= 0)
		d->taken[d->n++] = fd;
	return d->n;
}

static inline void close_door(struct door *d)
{
	for (unsigned i = 0; i < d->n; i++)
		close(d->taken[i]);
	shut_door(d);
}

static inline struct route *route_to(uint16_t port)
{
	struct route *r = route_new(ROUTE_UPSTREAM, "nas.home.test", "nas");
	r->site = site_new(r->host);
	r->site->addrs[r->site->n_addrs++] = xstrdup("127.0.0.1");
	r->site->port = port;
	return r;
}
