/* Outgoing connections and streams over descriptors that exist already. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "net/stream.h"

struct tls_client;
struct tls_server;

/* A plain stream over an accepted or paired socket; takes `fd`. Never fails: errors come by
 * on_close. */
struct stream *stream_from_fd(struct loop *loop, int fd, const struct stream_cb *cb, void *ctx);

/* The server's end of TLS over an accepted socket; takes `fd`; refs `server`. on_open comes when the
 * handshake and the certificate checks are done; a handshake not done within `deadline_ms` is
 * closed with -ETIMEDOUT. */
struct stream *tls_accept(struct loop *loop, int fd, struct tls_server *server, uint64_t deadline_ms,
	const struct stream_cb *cb, void *ctx);

/* Connect to `host` (IP literal, or a name for the system's resolver; every address is tried in
 * turn, the next one after 250 ms without an answer), or else to one of `more`, and open TLS when `tls` is not NULL (refs it; verifies as it says; SNI and name = `name`,
 * or `host` when NULL). on_open, or on_close with the reason, within `deadline_ms`. */
struct dial_opts {
	const char *host;
	uint16_t port;
	struct tls_client *tls;
	const char *name;
	uint64_t deadline_ms;
	const char *const *more; /* further hosts with the same port; lent */
	unsigned n_more;
};
struct stream *dial(struct loop *loop, const struct dial_opts *o, const struct stream_cb *cb,
	void *ctx);
