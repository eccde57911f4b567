/* Reaching the gateway: TCP and TLS to its addresses in turn, the last good one first, then to
 * what its DNS name says now. One call ends with one open connection or the most telling error. */
#pragma once

#include "base/err.h"
#include "device-agent/identity.h"
#include "device-agent/loop.h"

struct tls;
struct tls_ctx;
struct dial;

#define DIAL_CONNECT_MS 5000
#define DIAL_HANDSHAKE_MS                                                                          \
	15000 /* a slow device signs for a second, and may do so for ten at once */

/* Where the gateway may be. Shared by all dials; a success moves its address to the front. */
struct gateway {
	char addrs[IDENTITY_ADDRS_MAX][46];
	unsigned n_addrs;
	uint16_t port;
	char dns_name[254];
};

void gateway_set(struct gateway *g, const struct identity *id);
/* Put `addr` first, forgetting the last one if there is no room. */
void gateway_prefer(struct gateway *g, const char *addr);

/* `tls` and `fd` become the callee's; NULL and -1 on failure, and `e` says why. */
typedef void (*dial_done_fn)(void *ctx, struct tls *tls, int fd, const struct err *e);

/* Calls `done` once, later, unless cancelled. `gw` and `tls` outlive the dial. */
struct dial *dial_open(
	struct loop *l, struct gateway *gw, struct tls_ctx *tls, dial_done_fn done, void *ctx);
void dial_cancel(struct dial *d);

/* How long a silent peer counts as alive: `user_ms` for bytes unacknowledged. */
void socket_set_patience(int fd, unsigned user_ms);
