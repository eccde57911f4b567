/* The machine's LAN addresses, and word when they change (rtnetlink). */
#pragma once

#include "base/err.h"

struct loop;
struct ifwatch;

#define IFADDR_MAX 8

struct ifaddrs_list {
	unsigned n;
	char addrs[IFADDR_MAX][46];
};

/* The LAN addresses (listen_addr_is_lan, no loopback unless nothing else was asked for by name) of
 * interface `name`, or of all interfaces when NULL; IPv4 first, no link-local. */
int ifaddr_list(struct ifaddrs_list *out, const char *name, struct err *e);

/* `fn` is called on the loop, at most once in 500 ms, after an address came or went. */
typedef void (*ifwatch_fn)(void *ctx);
int ifwatch_open(struct ifwatch **out, struct loop *loop, ifwatch_fn fn, void *ctx, struct err *e);
void ifwatch_close(struct ifwatch *w);
