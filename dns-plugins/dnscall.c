/* See dnscall.h. Sockets are connected, so only the server that was asked can answer. */
#include "dns-plugins/dnscall.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

#define UDP_TRY_MS 2000
#define TCP_TRY_MS 3000 /* while other addresses remain */
#define UDP_MOST 1232
#define TCP_MOST 4096

/* "[v6]:port", "v6", "host:port" or "host". */
static int split(struct dnscall *c, const char *server)
{
	const char *host = server, *port = "53", *colon = strrchr(server, ':');
	size_t n = strlen(server);
	if (server[0] == '[') {
		const char *end = strchr(server, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		host = server + 1;
		n = (size_t)(end - host);
		if (end[1])
			port = end + 2;
	} else if (colon && colon == strchr(server, ':')) {
		n = (size_t)(colon - server);
		port = colon + 1;
	}
	uint64_t number;
	if (n < 1 || n >= sizeof(c->host) || str_to_u64(port, 65535, &number) < 0 || !number)
		return -EINVAL;
	memcpy(c->host, host, n);
	c->host[n] = 0;
	return str_copy(c->port, sizeof(c->port), port);
}

int dnscall_open(struct dnscall *c, const char *server, uint64_t budget_ms, struct err *e)
{
	c->addrs = NULL;
	c->deadline_ms = clock_mono_ms() + budget_ms;
	if (split(c, server) < 0)
		return err_set(e, -EPERM,
			"\"%s\" is no server: give a host or an IP address, with "
			":PORT behind it unless it is 53 ([IPV6]:PORT)",
			server);
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
	int rc = getaddrinfo(c->host, c->port, &hints, &c->addrs);
	if (rc == EAI_NONAME)
		return err_set(e, -EPERM, "the server's name %s does not exist", c->host);
	if (rc)
		return err_set(e, -EAGAIN, "cannot look up the server's name %s: %s", c->host,
			gai_strerror(rc));
	return 0;
}

void dnscall_close(struct dnscall *c)
{
	if (c->addrs)
		freeaddrinfo(c->addrs);
	c->addrs = NULL;
}

/* Wait for `events` until `until_ms`: 0, -ETIMEDOUT or another error. */
static int wait_for(int fd, short events, uint64_t until_ms)
{
	for (;;) {
		uint64_t now = clock_mono_ms();
		if (now >= until_ms)
			return -ETIMEDOUT;
		struct pollfd p = {.fd = fd, .events = events};
		int rc = poll(&p, 1, (int)(until_ms - now));
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return -errno;
	}
}

static int open_socket(const struct addrinfo *a, int kind)
{
	int fd = socket(a->ai_family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0 || errno == EINPROGRESS)
		return fd;
	int rc = -errno;
	close(fd);
	return rc;
}

static bool is_answer(const uint8_t *reply, size_t n, const uint8_t *msg)
{
	return n >= 12 && reply[0] == msg[0] && reply[1] == msg[1] && (reply[2] & 0x80);
}

/* One datagram out, the first that answers it in. */
static int try_udp(struct dnscall *c, int fd, const uint8_t *msg, size_t n, uint64_t until_ms)
{
	if (send(fd, msg, n, MSG_NOSIGNAL) < 0)
		return -errno;
	for (;;) {
		int rc = wait_for(fd, POLLIN, until_ms);
		if (rc < 0)
			return rc;
		ssize_t k = recv(fd, c->reply, sizeof(c->reply), 0);
		if (k < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (k > 0 && is_answer(c->reply, (size_t)k, msg))
			return (int)k;
	}
}

static int move_all(int fd, uint8_t *p, size_t n, bool out, uint64_t until_ms)
{
	while (n) {
		int rc = wait_for(fd, out ? POLLOUT : POLLIN, until_ms);
		if (rc < 0)
			return rc;
		ssize_t k = out ? send(fd, p, n, MSG_NOSIGNAL) : recv(fd, p, n, 0);
		if (k < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -ECONNRESET;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static int exchange_tcp(struct dnscall *c, int fd, const uint8_t *msg, size_t n, uint64_t until_ms)
{
	uint8_t framed[2 + TCP_MOST] = {(uint8_t)(n >> 8), (uint8_t)n}, head[2];
	memcpy(framed + 2, msg, n);
	int rc = move_all(fd, framed, 2 + n, true, until_ms);
	if (rc == 0)
		rc = move_all(fd, head, sizeof(head), false, until_ms);
	if (rc < 0)
		return rc;
	size_t len = (size_t)head[0] << 8 | head[1];
	rc = move_all(fd, c->reply, len, false, until_ms);
	if (rc < 0)
		return rc;
	return is_answer(c->reply, len, msg) ? (int)len : -EBADMSG;
}

static uint64_t soonest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int ask_udp(struct dnscall *c, const struct addrinfo *a, const uint8_t *msg, size_t n)
{
	int rc = -ETIMEDOUT, fd = open_socket(a, SOCK_DGRAM);
	if (fd < 0)
		return fd;
	for (int i = 0; i < 2 && rc == -ETIMEDOUT; i++)
		rc = try_udp(c, fd, msg, n, soonest(clock_mono_ms() + UDP_TRY_MS, c->deadline_ms));
	close(fd);
	return rc;
}

static int ask_tcp(struct dnscall *c, const struct addrinfo *a, const uint8_t *msg, size_t n)
{
	uint64_t until = c->deadline_ms;
	if (a->ai_next)
		until = soonest(until, clock_mono_ms() + TCP_TRY_MS);
	int fd = open_socket(a, SOCK_STREAM);
	if (fd < 0)
		return fd;
	int rc = exchange_tcp(c, fd, msg, n, until);
	close(fd);
	return rc;
}

int dnscall_ask(struct dnscall *c, const uint8_t *msg, size_t n, struct err *e)
{
	int rc = -ETIMEDOUT;
	if (n > TCP_MOST)
		return err_set(e, -EPERM, "a DNS message that is too long");
	for (struct addrinfo *a = c->addrs; a; a = a->ai_next) {
		rc = n > UDP_MOST ? -EMSGSIZE : ask_udp(c, a, msg, n);
		if (rc > 0 && !(c->reply[2] & 2)) /* not TC */
			return rc;
		rc = ask_tcp(c, a, msg, n);
		if (rc > 0)
			return rc;
	}
	return err_set(e, -EAGAIN, "no answer from DNS server %s port %s: %s", c->host, c->port,
		rc == -ETIMEDOUT ? "time is up" : strerror(-rc));
}
