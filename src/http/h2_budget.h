/* What a peer may cost on one HTTP/2 connection beyond the requests it is served: token buckets for
 * frames, resets and header bytes. A request that was answered whole gives back what its head took,
 * and data that moved pays for the frames and window updates that it needs; so a client at work
 * never runs dry, and a flood does within milliseconds. Pure: time is given. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum h2_cost {
	H2_COST_FRAME, /* one that came, and is none of the next */
	H2_COST_DATA,  /* one with data in it: has to wait when this is used up */
	H2_COST_RESET, /* a stream reset by the peer, or by us for its fault */
	H2_COST_HEAD,  /* bytes of fields, uncompressed */
	H2_COST_KINDS,
};

#define H2_PREFACE_LEN 24u /* of a client, RFC 9113 §3.4; a server has none */

struct h2_budget {
	uint64_t at_ms[H2_COST_KINDS]; /* of the last refill */
	int64_t left[H2_COST_KINDS];
	uint32_t frame_left; /* until the next frame's head */
	uint8_t head[9], head_len;
};

/* `preface_len`: bytes that come before the first frame. */
void h2_budget_init(struct h2_budget *b, uint64_t now_ms, uint32_t preface_len);
/* False when it is used up: the connection must end with ENHANCE_YOUR_CALM (RFC 9113 §10.5). */
bool h2_budget_take(struct h2_budget *b, enum h2_cost kind, uint64_t n, uint64_t now_ms);
enum h2_admission {
	H2_ADMITTED,
	H2_TOO_FAST, /* there is data in the frame that is too many: who sends it has to wait */
	H2_TOO_MUCH,
};
/* Bytes of the connection, in order, from its preface on: every frame costs, also those that nobody
 * knows. Returns how many come before the frame that is too many; the rest comes again. */
size_t h2_budget_admit(
	struct h2_budget *b, const uint8_t *p, size_t n, uint64_t now_ms, enum h2_admission *is);
void h2_budget_give(struct h2_budget *b, enum h2_cost kind, uint64_t n);
/* Work was done that took so many frames of either kind. */
void h2_budget_earn(struct h2_budget *b, uint64_t n);
