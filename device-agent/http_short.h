/* A minimal, strict HTTP/1.1 client for the agent's own short requests: one request a connection,
 * small answers held whole. Pure: bytes come and go by the caller. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define HTTP_SHORT_HEAD_MAX 4096
#define HTTP_SHORT_BODY_MAX 16384

struct http_short {
	int status;
	unsigned retry_after; /* seconds, 0: not said */
	const uint8_t *body;  /* points into the parsed bytes */
	size_t body_len;
};

/* Append a request; `body` NULL: a GET, else a POST of text/plain. 0 or as buf_append. */
int http_short_print(struct buf *out, const char *host, const char *path, const struct buf *body);
/* Look at all that came so far; `ended`: the peer closed in order. 1: `r` is whole; 0: more is
 * needed; -EBADMSG or -EMSGSIZE: not an answer to accept (RFC 9112: no chunks here, no 1xx, no
 * folded lines, no bare LF, one length at most). */
int http_short_parse(struct http_short *r, const uint8_t *p, size_t n, bool ended, struct err *e);
