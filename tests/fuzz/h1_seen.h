/* What the peer of an HTTP/1.1 connection makes of the bytes that it gets: read strictly, so that
 * whatever Lanthorn writes is known to be one message after another and nothing else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/msg.h"

struct h1_seen {
	struct msg *head; /* NULL: not whole yet */
	uint64_t sum;     /* of the body, order included */
	size_t body_len;
	bool whole; /* head and body; a body until the end of the connection never is */
};

#define H1_SUM(sum, byte) ((sum)*1099511628211u + (byte) + 1)
uint64_t h1_sum(uint64_t sum, const uint8_t *p, size_t n);

/* One message at the start of `p`; asserts that nothing in it is malformed. Returns the bytes used:
 * `n` when it is not whole. */
size_t h1_see_request(struct h1_seen *m, const uint8_t *p, size_t n);
size_t h1_see_response(struct h1_seen *m, const uint8_t *p, size_t n, enum method to);
void h1_seen_done(struct h1_seen *m);
