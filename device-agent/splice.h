/* One busy link: bytes between the gateway's TLS connection and one connection to the local
 * service, both ways, in two buffers of SPLICE_BUF. A full buffer stops the reading behind it.
 * Either end closing closes both, after what came from it has been delivered; where the service
 * cannot be reached the gateway gets a fixed 502. No HTTP is parsed. */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "device-agent/loop.h"

struct tls;
struct splice;

#define SPLICE_BUF 16384
#define SPLICE_FLUSH_MS 60000  /* without a byte moved, once an end has closed */
#define SPLICE_LINGER_MS 2000  /* for the gateway to close, once it was told */

struct splice_settings {
	struct loop *loop;
	struct tls *tls; /* taken, as is fd */
	int fd;
	const struct sockaddr_storage *service;
	uint8_t first; /* the byte that woke the link */
	/* Called once, later; the splice is gone then. `moved`: bytes both ways; `why` NULL, or
	 * why the service could not be reached. */
	void (*done)(void *ctx, uint64_t moved, const char *why);
	void *ctx;
};

struct splice *splice_open(const struct splice_settings *s);
/* Drop both ends at once; `done` is not called. */
void splice_cancel(struct splice *s);
