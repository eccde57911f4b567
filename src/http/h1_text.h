/* Inside http/, and for the device agent: what an HTTP/1.1 client says, as text into a struct h1_out.
 * A head is always written anew from the message; framing fields that stand in it are left out in
 * favour of what the message says of its body. */
#pragma once

#include "http/h1_out.h"

#define H1_CHUNK_SIZE 20 /* the longest size line, with its NUL */

/* Host first, from msg_authority(); the body as msg_body() says. Flushed. */
void h1_text_request(struct h1_out *o, const struct msg *m);
/* The line before a chunk of `n` bytes (not 0), after which CRLF is due. Returns its length. */
unsigned h1_text_chunk_size(char out[H1_CHUNK_SIZE], size_t n);
/* What ends a chunked body; `trailers` may be NULL. Flushed. */
void h1_text_last_chunk(struct h1_out *o, const struct msg *trailers);
