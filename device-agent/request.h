/* One short request to the gateway, from dialling to the whole answer. */
#pragma once

#include "device-agent/dial.h"
#include "device-agent/http_short.h"

struct request;

#define REQUEST_DEADLINE_MS 30000 /* from the open connection to the whole answer */

struct request_settings {
	struct loop *loop;
	struct gateway *gw;  /* outlives the request */
	struct tls_ctx *tls; /* likewise */
	/* Called once TLS is up and the peer is known: append the request to `out`. 0 or a
	 * negative code. */
	int (*print)(void *ctx, struct tls *tls, struct buf *out);
	/* Called once. `r` is lent; NULL on failure, and `e` says why. */
	void (*done)(void *ctx, const struct http_short *r, const struct err *e);
	void *ctx;
};

/* NULL: too many things at once. */
struct request *request_open(const struct request_settings *s);
void request_cancel(struct request *r);
