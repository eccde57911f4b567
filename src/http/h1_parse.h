/* HTTP/1.1 heads and chunked bodies: pure, strict (RFC 9112). No obs-fold, no bare LF or CR, no NUL, no
 * white space before a colon or around the start line's single spaces, no repeated or conflicting
 * length, no Transfer-Encoding other than a lone "chunked", none beside Content-Length, none in
 * HTTP/1.0. What is doubtful is refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/msg.h"

struct h1_limits {
	size_t head_max, url_max;
	unsigned fields_max;
};

/* What was found besides the message. */
struct h1_head {
	struct msg *msg;  /* the caller frees */
	int minor;	  /* 0 or 1 */
	bool keep_alive;  /* by version and Connection */
	bool expects_continue;
	int status;	  /* on -EBADMSG of a request: the status to answer (400 414 431 501 505) */
};

/* Parse a request head at the start of `p`. Returns its length; 0: more bytes are needed (≤ limits, else
 * an error); -EBADMSG with `h->status` and words. `scheme` is what the connection is. The Host field must
 * be there once in HTTP/1.1, be a valid authority and agree with an absolute-form target; it becomes
 * msg_authority and stays out of the fields. One empty line before the request line is skipped. */
int h1_parse_request(struct h1_head *h, const uint8_t *p, size_t n, const struct h1_limits *l,
	const char *scheme, struct err *e);
/* Parse a response head. `to`: the method it answers (HEAD has no body; CONNECT is never sent). */
int h1_parse_response(struct h1_head *h, const uint8_t *p, size_t n, const struct h1_limits *l,
	enum method to, struct err *e);

/* Chunked decoding as a state machine that eats bytes and lends body slices. */
struct h1_chunks {
	uint8_t state;
	uint64_t left;	 /* of the current chunk */
	size_t line_len; /* of the current size line or trailer section */
	struct buf line; /* a trailer line that is not whole yet */
	struct msg *trailers; /* NULL until one came; the caller frees */
};
void h1_chunks_init(struct h1_chunks *c);
void h1_chunks_done(struct h1_chunks *c);
/* Use up to `n` bytes; `*body`/`*body_len` is a slice of `p` (len 0: none). Returns bytes used, or
 * -EBADMSG. `*end` is set with the last one. Call again while it makes progress. */
long h1_chunks_feed(struct h1_chunks *c, const uint8_t *p, size_t n, const uint8_t **body,
	size_t *body_len, bool *end);
