/* How many links a device may open, on all loops together: as many as requests use, and some. A
 * handshake with a client certificate costs the gateway as much as dozens of requests, so who begins
 * anew again and again would take the processor from all others. What a request used is given back;
 * what nobody needed counts, and a link that broke the rules of HTTP/2 counts LINK_QUOTA_BROKEN times.
 *
 * Who has spent it is turned away at the ClientHello, but only under an address that has shown the
 * device's certificate: a name alone can be claimed by anyone. Handshakes that come to nothing
 * count for their address. Any thread may call, and a lock is held meanwhile; times are given, in
 * milliseconds of one monotonic clock, as each loop last read it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Eight beginnings of an agent with eight spares, the most that it may have. */
#define LINK_QUOTA_MOST 64u
#define LINK_QUOTA_MS 16000u
#define LINK_QUOTA_BROKEN 16u
/* Who has many addresses in one network of IPv6; but those who proved a device lately are let on. */
#define LINK_QUOTA_NET 1024u
#define LINK_QUOTA_PROVED_MS 3600000u

struct link_quota;

struct link_quota *link_quota_new(void);
void link_quota_free(struct link_quota *q);
/* A ClientHello under the device's name: may the handshake go on? */
bool link_quota_admits(
	struct link_quota *q, const char *device, const char *addr, uint64_t now_ms);
enum link_quota_verdict {
	LINK_QUOTA_FINE,
	LINK_QUOTA_SPENT, /* by this one: take it, and say so */
	LINK_QUOTA_OVER,  /* end it */
};
/* A handshake proved that it is the device. */
enum link_quota_verdict link_quota_opened(
	struct link_quota *q, const char *device, const char *addr, uint64_t now_ms);
/* One under a device's name proved nothing. True: `addr` has now spent what it may. */
bool link_quota_failed(struct link_quota *q, const char *addr, uint64_t now_ms);
/* A request was the first on one of the device's links. */
void link_quota_used(struct link_quota *q, const char *device);
/* One of its links broke the rules of HTTP/2, by a flood, say. True: it has now spent all. */
bool link_quota_broken(struct link_quota *q, const char *device, uint64_t now_ms);
/* The name is somebody else's from now on. */
void link_quota_forget(struct link_quota *q, const char *device);
