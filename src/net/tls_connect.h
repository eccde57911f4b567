/* A TLS client's stream that has no descriptor yet, for dial.c. */
#pragma once

#include "net/tls.h"

struct loop;
struct stream_cb;

/* Refs `client`; `name` is the SNI and the name to be verified. When it cannot be made the stream
 * fails by on_close. */
struct stream *tls_connect_new(struct loop *loop, struct tls_client *client, const char *name,
	const struct stream_cb *cb, void *ctx);
