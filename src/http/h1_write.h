/* Inside http/: heads and chunks onto an HTTP/1.1 stream. A head is always written anew from the
 * message; framing fields that stand in it are left out in favour of what the connection decides.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/msg.h"

struct stream;

enum h1_frame {
	H1_FRAME_NONE, /* no body: HEAD, 1xx, 204, 304 */
	H1_FRAME_LENGTH,
	H1_FRAME_CHUNKED,
	H1_FRAME_CLOSE, /* the connection's end is the body's end */
};

struct h1_response_form {
	enum h1_frame frame;
	uint64_t length;         /* of H1_FRAME_LENGTH */
	bool http10, keep_alive; /* what the client speaks; what we tell it */
	const char *server_name; /* NULL: none */
};

/* 1xx: neither Date nor Connection, except for 101. */
void h1_write_response(struct stream *s, const struct msg *m, const struct h1_response_form *f);
/* Host first, from msg_authority(); the body as msg_body() says. */
void h1_write_request(struct stream *s, const struct msg *m);
/* Returns what is queued. `n` may be 0: nothing is written. */
size_t h1_write_chunk(struct stream *s, const void *p, size_t n);
/* `trailers` may be NULL. */
void h1_write_last_chunk(struct stream *s, const struct msg *trailers);
/* "Not Found"; "" when unknown. */
const char *h1_reason(int status);
