/* Inside http/: the fields of an HTTP/2 header block become a struct msg (RFC 9113 §8.3), as if the
 * message had come by HTTP/1.1: cookies in one field, Host folded into the authority, and an
 * extended CONNECT for a WebSocket (RFC 8441) as the GET with Upgrade that it stands for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/msg.h"
#include "http/server.h"

enum h2_pseudo {
	H2_METHOD,
	H2_SCHEME,
	H2_AUTHORITY,
	H2_PATH,
	H2_PROTOCOL,
	H2_STATUS, /* of a response, which has no other */
	H2_HOST,   /* an ordinary field, which becomes the authority */
	H2_PSEUDO_KINDS,
};

/* One a connection: the frames of a header block follow one another. */
struct h2_head {
	struct msg *msg; /* the fields so far; NULL between blocks */
	struct buf text; /* of what `part` points into */
	struct buf cookie;
	struct {
		uint32_t at, len; /* a NUL follows */
		bool there;
	} part[H2_PSEUDO_KINDS];
	uint64_t length; /* of Content-Length */
	size_t bytes;    /* names and values so far, and 32 a field, as RFC 9113 §6.5.2 counts */
	unsigned fields;
	unsigned usual_text,
		usual_fields; /* of the block before: those of a connection are alike */
	int status;           /* of the answer when the block is bad, else 0 */
	bool has_length;
	bool expects_continue;
	bool of_response;
};

void h2_head_begin(struct h2_head *h);
void h2_head_begin_response(struct h2_head *h);
struct h2_field {
	const char *name, *value;
	size_t name_len, value_len;
};
/* One field, in order, names in lower case. What is wrong is noted in `status`; go on to the
 * block's end, because the state of the compression needs it. */
void h2_head_field(struct h2_head *h, const struct http_limits *l, const struct h2_field *f);
/* The block is complete: the request, which the caller takes. NULL: `status` is the answer that is
 * due. `ended`: no body follows. `h` stays until h2_head_done(). */
struct msg *h2_head_request(struct h2_head *h, const char *scheme, bool ended);
/* The block is complete: the response to a request of method `asked`, which the caller takes. NULL:
 * `status` is 431 when it is too large, else 400. `ended`: no body follows. */
struct msg *h2_head_response(struct h2_head *h, enum method asked, bool ended);
/* The block is complete and holds trailers, which the caller takes; NULL when they are bad. */
struct msg *h2_head_trailers(struct h2_head *h);
/* Idempotent; h2_head_begin() may follow. */
void h2_head_done(struct h2_head *h);
