/* See ifaddr.h. Addresses that a machine changes by itself (IPv6 privacy extensions) or may not
 * use (tentative, deprecated) are left out: they are published in DNS. */
#include "net/ifaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "net/listen.h"
#include "net/loop_int.h"

#define QUIET_MS 500
#define IPV6_UNFIT (IFA_F_TEMPORARY | IFA_F_DEPRECATED | IFA_F_TENTATIVE | IFA_F_DADFAILED)

struct ifwatch {
	uv_poll_t poll;
	int fd;
	ifwatch_fn fn;
	void *ctx;
	struct timer quiet;
	bool closed;
	struct loop_open open;
};

/* The kernel's flags of an IPv6 address; getifaddrs(3) does not tell them. */
static unsigned ipv6_flags(const struct in6_addr *a)
{
	char line[256], want[33];
	unsigned flags = 0;
	hex_encode(want, a, sizeof(*a));
	FILE *f = fopen("/proc/net/if_inet6", "re");
	while (f && fgets(line, sizeof(line), f)) {
		unsigned found;
		if (strncmp(line, want, 32) == 0 &&
			sscanf(line + 32, " %*x %*x %*x %x", &found) == 1)
			flags = found;
	}
	if (f)
		fclose(f);
	return flags;
}

static bool is_wanted_v4(const struct in_addr *a, bool loopback_too)
{
	uint32_t v = ntohl(a->s_addr);
	return v >> 16 != 0xa9fe && (loopback_too || v >> 24 != 127);
}

static bool is_wanted_v6(const struct in6_addr *a, bool loopback_too)
{
	if (IN6_IS_ADDR_LINKLOCAL(a) || (!loopback_too && IN6_IS_ADDR_LOOPBACK(a)))
		return false;
	return !(ipv6_flags(a) & IPV6_UNFIT);
}

static void add_if_wanted(struct ifaddrs_list *out, const struct sockaddr *sa, bool named)
{
	char text[INET6_ADDRSTRLEN];
	const void *raw = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	if (sa->sa_family == AF_INET)
		raw = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	if (sa->sa_family == AF_INET ? !is_wanted_v4(raw, named) : !is_wanted_v6(raw, named))
		return;
	inet_ntop(sa->sa_family, raw, text, sizeof(text));
	for (unsigned i = 0; i < out->n; i++) {
		if (strcmp(out->addrs[i], text) == 0)
			return;
	}
	if (listen_addr_is_lan(text) && out->n < IFADDR_MAX)
		str_copy(out->addrs[out->n++], sizeof(out->addrs[0]), text);
}

/* IPv4 addresses may have a label of their own: "br-lan:1". */
static bool is_on(const char *label, const char *name)
{
	size_t n = strcspn(label, ":");
	return strlen(name) == n && memcmp(label, name, n) == 0;
}

int ifaddr_list(struct ifaddrs_list *out, const char *name, struct err *e)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct ifaddrs *all;
	out->n = 0;
	if (name && if_nametoindex(name) == 0)
		return err_set(e, -ENODEV, "there is no network interface \"%s\"", name);
	if (getifaddrs(&all) < 0)
		return err_sys(e, -errno, "cannot list network addresses");
	for (size_t i = 0; i < 2; i++) {
		for (struct ifaddrs *a = all; a; a = a->ifa_next) {
			bool here = !name || is_on(a->ifa_name, name);
			if (here && (a->ifa_flags & IFF_UP) && a->ifa_addr &&
				a->ifa_addr->sa_family == families[i])
				add_if_wanted(out, a->ifa_addr, name != NULL);
		}
	}
	freeifaddrs(all);
	return 0;
}

static void on_quiet(struct timer *t)
{
	struct ifwatch *w = container_of(t, struct ifwatch, quiet);
	w->fn(w->ctx);
}

/* What exactly changed is not read from the message: the list is asked for anew. */
static void on_poll(uv_poll_t *h, int status, int events)
{
	struct ifwatch *w = container_of(h, struct ifwatch, poll);
	char drop[4096];
	(void)events;
	if (status < 0)
		return;
	bool lost = false;
	for (;;) {
		ssize_t n = recv(w->fd, drop, sizeof(drop), MSG_DONTWAIT);
		/* ENOBUFS: messages were lost, which is a change too. */
		if (n < 0 && (errno == EINTR || (errno == ENOBUFS && !lost))) {
			lost = errno == ENOBUFS;
			continue;
		}
		if (n <= 0)
			break;
	}
	if (!w->quiet.at_ms)
		timer_arm(&w->quiet, QUIET_MS);
}

static int open_netlink(void)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
	nl.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&nl, sizeof(nl)) < 0) {
		int rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static void on_loop_close(struct loop_open *o)
{
	ifwatch_close(container_of(o, struct ifwatch, open));
}

int ifwatch_open(struct ifwatch **out, struct loop *loop, ifwatch_fn fn, void *ctx, struct err *e)
{
	*out = NULL;
	int fd = open_netlink();
	if (fd < 0)
		return err_sys(e, fd, "cannot watch network addresses");
	struct ifwatch *w = xcalloc(1, sizeof(*w));
	int rc = uv_poll_init(loop_uv(loop), &w->poll, fd);
	if (rc < 0) {
		close(fd);
		free(w);
		return err_sys(e, rc, "cannot watch network addresses");
	}
	w->fd = fd;
	w->fn = fn;
	w->ctx = ctx;
	timer_init(&w->quiet, loop, on_quiet);
	w->open.close = on_loop_close;
	loop_add_open(loop, &w->open);
	uv_poll_start(&w->poll, UV_READABLE, on_poll);
	*out = w;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct ifwatch *w = container_of(h, struct ifwatch, poll);
	list_remove(&w->open.node);
	free(w);
}

void ifwatch_close(struct ifwatch *w)
{
	if (!w || w->closed)
		return;
	w->closed = true;
	timer_cancel(&w->quiet);
	uv_close((uv_handle_t *)&w->poll, on_closed);
	close(w->fd);
}
