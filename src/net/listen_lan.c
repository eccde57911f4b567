/* See listen_lan.h. All addresses are treated as IPv6, IPv4 as mapped ones. A global address of
 * ours is no invitation by itself: there the peer must be on the same link. */
#include "net/listen_lan.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "net/listen.h"

#define KEEP_MS 10000

static struct in6_addr mapped(struct in_addr a)
{
	struct in6_addr out = {0};
	out.s6_addr[10] = out.s6_addr[11] = 0xff;
	memcpy(&out.s6_addr[12], &a, 4);
	return out;
}

static bool v4_is_lan(const uint8_t *a)
{
	return a[0] == 10 || a[0] == 127 || (a[0] == 172 && (a[1] & 0xf0) == 16) ||
	       (a[0] == 192 && a[1] == 168) || (a[0] == 169 && a[1] == 254);
}

static bool is_lan(const struct in6_addr *a)
{
	if (IN6_IS_ADDR_V4MAPPED(a))
		return v4_is_lan(&a->s6_addr[12]);
	return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_LINKLOCAL(a) ||
	       (a->s6_addr[0] & 0xfe) == 0xfc;
}

bool listen_addr_is_lan(const char *addr)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (inet_pton(AF_INET, addr, &v4) == 1)
		v6 = mapped(v4);
	else if (inet_pton(AF_INET6, addr, &v6) != 1)
		return false;
	return is_lan(&v6);
}

/* False: neither IPv4 nor IPv6. */
static bool address_of(const struct sockaddr *sa, struct in6_addr *out)
{
	if (sa && sa->sa_family == AF_INET)
		*out = mapped(((const struct sockaddr_in *)sa)->sin_addr);
	else if (sa && sa->sa_family == AF_INET6)
		*out = ((const struct sockaddr_in6 *)sa)->sin6_addr;
	else
		return false;
	return true;
}

static void add_prefix(struct lan_prefixes *p, const struct ifaddrs *i)
{
	struct in6_addr addr, mask;
	if (p->n == LAN_PREFIXES_MAX || !address_of(i->ifa_addr, &addr) ||
		!address_of(i->ifa_netmask, &mask) || i->ifa_flags & IFF_POINTOPOINT)
		return;
	if (IN6_IS_ADDR_V4MAPPED(&addr))
		memset(mask.s6_addr, 0xff, 12);
	p->prefixes[p->n].addr = addr;
	p->prefixes[p->n++].mask = mask;
}

static void read_prefixes(struct lan_prefixes *p, uint64_t now_ms)
{
	if (p->read_at_ms && now_ms - p->read_at_ms < KEEP_MS)
		return;
	struct ifaddrs *all;
	p->read_at_ms = now_ms ? now_ms : 1;
	p->n = 0;
	if (getifaddrs(&all) < 0)
		return;
	for (struct ifaddrs *i = all; i; i = i->ifa_next)
		add_prefix(p, i);
	freeifaddrs(all);
}

static bool is_on_link(const struct lan_prefixes *p, const struct in6_addr *peer)
{
	for (unsigned k = 0; k < p->n; k++) {
		uint8_t differ = 0;
		for (unsigned i = 0; i < 16; i++)
			differ |= (uint8_t)((peer->s6_addr[i] ^ p->prefixes[k].addr.s6_addr[i]) &
					    p->prefixes[k].mask.s6_addr[i]);
		if (!differ)
			return true;
	}
	return false;
}

bool lan_socket_is_local(struct lan_prefixes *p, int fd, uint64_t now_ms)
{
	struct sockaddr_storage ss;
	struct in6_addr addr;
	socklen_t n = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &n) < 0)
		return false;
	if (ss.ss_family == AF_UNIX)
		return true;
	if (!address_of((struct sockaddr *)&ss, &addr))
		return false;
	if (is_lan(&addr))
		return true;
	n = sizeof(ss);
	if (getpeername(fd, (struct sockaddr *)&ss, &n) < 0 ||
		!address_of((struct sockaddr *)&ss, &addr))
		return false;
	read_prefixes(p, now_ms);
	return is_on_link(p, &addr);
}
