/* Ask one DNS server one question on a loop: UDP with one resend, TCP when the answer is truncated.
 * The reply must come from the server asked. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "net/dnsmsg.h"

struct loop;
struct dnsask;

/* `reply` is lent; NULL with `e` on timeout or network error. Exactly once unless cancelled. */
typedef void (*dnsask_fn)(void *ctx, const struct dns_reply *reply, const struct err *e);

struct dnsask_opts {
	const char *server; /* IP literal */
	uint16_t port;
	const char *name;
	enum dns_type type;
	bool recursion_desired;
	uint64_t deadline_ms;
};
struct dnsask *dnsask_start(
	struct loop *loop, const struct dnsask_opts *o, dnsask_fn fn, void *ctx);
/* No callback follows. */
void dnsask_cancel(struct dnsask *q);
