/* Is a connection one of the LAN? For listen.c. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define LAN_PREFIXES_MAX 32

/* What the interfaces have, looked up again when it is older than ten seconds. Zeroed at first. */
struct lan_prefixes {
	uint64_t read_at_ms;
	unsigned n;
	struct {
		struct in6_addr addr; /* IPv4 as a mapped address */
		struct in6_addr mask;
	} prefixes[LAN_PREFIXES_MAX];
};

/* Is the local address of `fd` one of a LAN, or the peer on the link of one of our interfaces? A
 * Unix socket is local. */
bool lan_socket_is_local(struct lan_prefixes *p, int fd, uint64_t now_ms);
