/* Listening sockets. Binding is apart from accepting: the parent binds while it may, a worker
 * accepts from the descriptor it inherited. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct listener;
struct stream;

#define LISTEN_LAN_ONLY 1u /* close connections whose local address is not a LAN one (decision 1) */

/* Bind and listen on a TCP address ("0.0.0.0", "::" is v6 only) with SO_REUSEPORT. Returns a
 * close-on-exec descriptor or a negative error that names address and port. */
int listen_bind(const char *addr, uint16_t port, struct err *e);
/* 0 when nobody listens there yet; SO_REUSEPORT would silently share the port with another process
 * of the same user. -EADDRINUSE otherwise, in words that name address and port. */
int listen_try(const char *addr, uint16_t port, struct err *e);
/* Bind a Unix stream socket of `mode`, replacing a dead one; refuses one that answers. */
int listen_bind_unix(const char *path, unsigned mode, struct err *e);

/* Called for every accepted connection, already non-blocking; takes `fd`. */
typedef void (*accept_fn)(void *ctx, int fd);

/* Accept from `fd` (taken). When descriptors run out it pauses for 100 ms, never spins.
 * `flags`: LISTEN_*. */
int listener_open(struct listener **out, struct loop *loop, int fd, unsigned flags, accept_fn fn,
	void *ctx, struct err *e);
void listener_close(struct listener *l);

/* Pure: is this local address one of a LAN: RFC 1918, ULA, link-local, loopback? Takes the text form.
 * (On-link global addresses are told apart by listener_open with the interface's prefixes.) */
bool listen_addr_is_lan(const char *addr);
