/* See dial.h. */
#include "device-agent/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "device-agent/resolve.h"
#include "device-agent/tls.h"

struct dial {
	struct watch watch; /* the socket's; a timer between two addresses */
	struct loop *loop;
	struct gateway *gw;
	struct tls_ctx *ctx;
	struct tls *tls;
	struct resolve *resolve;
	char addrs[IDENTITY_ADDRS_MAX][46]; /* still to try, from `at` */
	unsigned n, at;
	bool asked; /* DNS was */
	bool connected;
	struct err why;
	int rank; /* of `why`: the further an attempt came, the more it tells */
	dial_done_fn done;
	void *done_ctx;
};

enum rank { RANK_NONE, RANK_DNS, RANK_TCP, RANK_TLS, RANK_STRANGER };

void gateway_set(struct gateway *g, const struct identity *id)
{
	memcpy(g->addrs, id->addrs, sizeof(g->addrs));
	g->n_addrs = id->n_addrs;
	g->port = id->port;
	memcpy(g->dns_name, id->dns_name, sizeof(g->dns_name));
}

void gateway_prefer(struct gateway *g, const char *addr)
{
	char first[46];
	unsigned i = 0;
	str_copy(first, sizeof(first), addr);
	while (i < g->n_addrs && strcmp(g->addrs[i], first) != 0)
		i++;
	if (i == g->n_addrs && g->n_addrs < IDENTITY_ADDRS_MAX)
		g->n_addrs++;
	if (i == IDENTITY_ADDRS_MAX)
		i--;
	memmove(g->addrs + 1, g->addrs, i * sizeof(g->addrs[0]));
	memcpy(g->addrs[0], first, sizeof(first));
}

void socket_set_patience(int fd, unsigned user_ms)
{
	int on = 1, idle = 15, every = 5, count = 2;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void drop_socket(struct dial *d)
{
	loop_remove(&d->watch);
	tls_free(d->tls);
	d->tls = NULL;
	if (d->watch.fd >= 0)
		close(d->watch.fd);
	d->watch.fd = -1;
	d->connected = false;
}

void dial_cancel(struct dial *d)
{
	if (!d)
		return;
	drop_socket(d);
	resolve_cancel(d->resolve);
	free(d);
}

static void remember(struct dial *d, enum rank rank, const struct err *e)
{
	if ((int)rank < d->rank)
		return;
	d->rank = (int)rank;
	d->why = *e;
}

static void finish(struct dial *d)
{
	struct err e = d->why;
	struct tls *tls = d->tls;
	int fd = d->watch.fd;
	dial_done_fn done = d->done;
	void *ctx = d->done_ctx;
	loop_remove(&d->watch);
	if (!tls && e.code == 0)
		err_set(&e, -EHOSTUNREACH, "no address of the gateway is known");
	resolve_cancel(d->resolve);
	free(d);
	done(ctx, tls, fd, tls ? NULL : &e);
}

static void try_next(struct dial *d);

static void on_resolved(void *ctx, char (*addrs)[46], unsigned n, const struct err *e)
{
	struct dial *d = ctx;
	d->resolve = NULL;
	d->n = d->at = 0;
	if (n == 0)
		remember(d, RANK_DNS, e);
	for (unsigned i = 0; i < n; i++)
		memcpy(d->addrs[d->n++], addrs[i], sizeof(d->addrs[0]));
	try_next(d);
}

static bool ask_dns(struct dial *d)
{
	struct err e = {0};
	if (d->asked || !d->gw->dns_name[0])
		return false;
	d->asked = true;
	d->resolve = resolve_open(d->loop, d->gw->dns_name, on_resolved, d, &e);
	if (!d->resolve)
		remember(d, RANK_DNS, &e);
	return d->resolve != NULL;
}

/* Failed at this address: say so in `why`, go on with the next. */
static void failed(struct dial *d, enum rank rank, struct err *e)
{
	err_prefix(e, "%s", d->addrs[d->at - 1]);
	remember(d, rank, e);
	drop_socket(d);
	try_next(d);
}

static void handshake(struct dial *d)
{
	struct err e = {0};
	int rc = tls_handshake(d->tls, &e);
	if (rc == TLS_WANT_READ || rc == TLS_WANT_WRITE) {
		d->watch.events = rc == TLS_WANT_READ ? POLLIN : POLLOUT;
		return;
	}
	if (rc < 0) {
		failed(d, rc == TLS_STRANGER ? RANK_STRANGER : RANK_TLS, &e);
		return;
	}
	gateway_prefer(d->gw, d->addrs[d->at - 1]);
	finish(d);
}

static void on_connected(struct dial *d)
{
	struct err e = {0};
	int code = 0;
	socklen_t n = sizeof(code);
	getsockopt(d->watch.fd, SOL_SOCKET, SO_ERROR, &code, &n);
	if (code) {
		err_set(&e, -code, "%s", strerror(code));
		failed(d, RANK_TCP, &e);
		return;
	}
	d->connected = true;
	d->tls = tls_open(d->ctx, d->watch.fd, &e);
	if (!d->tls) {
		failed(d, RANK_TLS, &e);
		return;
	}
	watch_after(&d->watch, DIAL_HANDSHAKE_MS);
	handshake(d);
}

static void on_event(struct watch *w, short revents)
{
	struct dial *d = container_of(w, struct dial, watch);
	struct err e = {0};
	if (w->fd < 0) {
		try_next(d);
	} else if (!revents) {
		err_set(&e, -ETIMEDOUT, "no answer%s", d->connected ? " to the TLS handshake" : "");
		failed(d, d->connected ? RANK_TLS : RANK_TCP, &e);
	} else if (d->connected) {
		handshake(d);
	} else {
		on_connected(d);
	}
}

static socklen_t to_sockaddr(struct sockaddr_storage *out, const char *addr, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, addr, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, addr, &v6->sin6_addr) != 1)
		return 0;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

static int start_connect(struct dial *d, const char *addr)
{
	struct sockaddr_storage to;
	socklen_t n = to_sockaddr(&to, addr, d->gw->port);
	if (n == 0)
		return -EAFNOSUPPORT;
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	socket_set_patience(fd, 25000);
	if (connect(fd, (struct sockaddr *)&to, n) < 0 && errno != EINPROGRESS) {
		int rc = -errno;
		close(fd);
		return rc;
	}
	d->watch.fd = fd;
	d->watch.events = POLLOUT;
	watch_after(&d->watch, DIAL_CONNECT_MS);
	return 0;
}

static void try_next(struct dial *d)
{
	while (d->at < d->n) {
		struct err e = {0};
		const char *addr = d->addrs[d->at++];
		int rc = start_connect(d, addr);
		if (rc == 0 && (d->watch.loop || loop_add(d->loop, &d->watch)))
			return;
		err_sys(&e, rc < 0 ? rc : -EMFILE, "%s", addr);
		remember(d, RANK_TCP, &e);
		drop_socket(d);
	}
	if (!ask_dns(d))
		finish(d);
}

struct dial *dial_open(
	struct loop *l, struct gateway *gw, struct tls_ctx *tls, dial_done_fn done, void *ctx)
{
	struct dial *d = xcalloc(1, sizeof(*d));
	d->loop = l;
	d->gw = gw;
	d->ctx = tls;
	d->done = done;
	d->done_ctx = ctx;
	d->n = gw->n_addrs;
	memcpy(d->addrs, gw->addrs, sizeof(d->addrs));
	d->watch.fd = -1;
	d->watch.on_event = on_event;
	watch_after(&d->watch, 0); /* begin after this call has returned */
	if (!loop_add(l, &d->watch)) {
		free(d);
		return NULL;
	}
	return d;
}
