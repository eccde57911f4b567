/* The messages between gate and steward: fixed layout, ≤ 64 KiB, one a datagram on a
 * SOCK_SEQPACKET pair. Pure encoding and strict decoding; net/msgpipe moves them.
 *
 *   gate → steward   ORDER{id,flags,names,blob=CSR DER}   PUBLISH{id,names[0],addrs} (no addrs:
 *                    take the name out of DNS)   CANCEL{id}   SET_SECRET{text=key,blob=value}
 *                    DNS_TEST{id}   RELOAD{} (read the configuration again)
 *   steward → gate   CHAIN{id,blob=PEM}   STATE{id,class,text,next_at,names[0] where it is about
 *                    a published name}
 *
 * A STATE has the id of what it answers, for a name its last PUBLISH; 0: what the steward did by itself. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PROCMSG_MAX 65536
#define PROCMSG_NAMES_MAX 8
#define PROCMSG_ADDRS_MAX 8
#define PROCMSG_TEXT_MAX 1024

enum procmsg_type {
	PROCMSG_ORDER = 1,
	PROCMSG_PUBLISH,
	PROCMSG_CANCEL,
	PROCMSG_SET_SECRET,
	PROCMSG_DNS_TEST,
	PROCMSG_RELOAD,
	PROCMSG_CHAIN = 64,
	PROCMSG_STATE,
};

/* ORDER flags */
#define PROCMSG_FORCE 1u /* a person asked: do not wait for the back-off */

/* What a STATE is about. The failure classes say whose fault it is, so that a person knows where
 * to look; see class_remedy() in gate/certs. */
enum state_class {
	STATE_STARTED = 1, /* the steward (re)started: send every PUBLISH and open ORDER again */
	STATE_WORKING,	   /* progress of order `id` */
	STATE_PUBLISHED,   /* names[0] is in DNS as asked */
	STATE_TESTED,	   /* DNS_TEST `id` passed */
	STATE_FAIL_OURS,   /* our configuration, disk or program */
	STATE_FAIL_DNS,	   /* the DNS provider refused or did not answer, or the zone is wrong */
	STATE_FAIL_CA,	   /* the CA refused or did not answer */
	STATE_FAIL_LIMIT,  /* the CA's rate limit */
	STATE_FAIL_NET,	   /* no way out */
	STATE_LOG,	   /* a log line of the steward, for the ring that people read */
};

struct procmsg {
	enum procmsg_type type;
	uint64_t id;
	uint32_t flags;
	enum state_class class;
	int64_t next_at; /* Unix seconds of the next try; 0: none planned */
	unsigned n_names, n_addrs;
	char names[PROCMSG_NAMES_MAX][254]; /* host names, or "*." and one */
	char addrs[PROCMSG_ADDRS_MAX][46];  /* IP literals */
	char text[PROCMSG_TEXT_MAX];
	const uint8_t *blob; /* lent */
	size_t blob_len;
};

/* Encode into out[PROCMSG_MAX]. Returns the length or -EMSGSIZE / -EINVAL. */
int procmsg_encode(const struct procmsg *m, uint8_t *out);
/* Decode; `m->blob` points into `p`. Strict: unknown types, lengths that do not add up, names or
 * addresses that are not ones are -EBADMSG. */
int procmsg_decode(struct procmsg *m, const uint8_t *p, size_t n, struct err *e);
/* "order", "state" … for logs. */
const char *procmsg_name(enum procmsg_type type);
