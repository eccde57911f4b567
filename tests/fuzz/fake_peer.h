/* The far end of one stream in a fuzz target: sends the input whole or in pieces, reads what comes,
 * and ends in the way that a byte of the input says. */
#pragma once

#include "fake_net.h"

/* Bits of `how`; 0-3 are the size of the pieces less one. */
#define PEER_FINS 16u
#define PEER_RESETS 32u
#define PEER_HASTY 64u      /* ends together with its last piece */
#define PEER_RELUCTANT 128u /* reads `sip` bytes at a time */

struct fake_peer {
	struct loop *loop;
	struct stream *s; /* NULL: gone */
	struct buf got;   /* what it has read */
	uint8_t how;
	size_t sip;
	void (*before_read)(struct fake_peer *p); /* may be NULL */
};

/* Fill in how, sip and before_read first. */
void fake_peer_open(struct fake_peer *p, struct loop *loop);
/* Say it all, end, and read what is there. */
void fake_peer_say(struct fake_peer *p, const uint8_t *bytes, size_t n, size_t piece);
void fake_peer_read_all(struct fake_peer *p);
