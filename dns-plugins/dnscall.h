/* Blocking questions to one DNS server, for providers that speak DNS: UDP, sent twice, then TCP,
 * all of them within one budget of time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/dnsmsg.h"

struct addrinfo;

struct dnscall {
	char host[256], port[6];
	struct addrinfo *addrs;
	uint64_t deadline_ms; /* clock_mono_ms() */
	uint8_t reply[DNS_MSG_MAX];
};

/* `server`: HOST, HOST:PORT, an IP literal, or [IPV6]:PORT; port 53 by default. The budget starts
 * here. -EPERM for what is no server, -EAGAIN when it has no address now. */
int dnscall_open(struct dnscall *c, const char *server, uint64_t budget_ms, struct err *e);
void dnscall_close(struct dnscall *c);

/* Send a message of at most 4 KiB and wait for one with its id that is an answer, in c->reply.
 * Returns its length or -EAGAIN. */
int dnscall_ask(struct dnscall *c, const uint8_t *msg, size_t n, struct err *e);
