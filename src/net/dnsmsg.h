/* DNS messages on the wire (RFC 1035), dynamic updates (RFC 2136) and TSIG (RFC 8945): pure,
 * strict, bounded. Names are lower-case text without the final dot; the root is "". Blocking-free.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/crypto.h"

#define DNS_NAME_MAX 254
#define DNS_MSG_MAX 65535
#define DNS_RDATA_MAX 1024

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TSIG = 250,
	DNS_ANY = 255,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR,
	DNS_SERVFAIL,
	DNS_NXDOMAIN,
	DNS_NOTIMP,
	DNS_REFUSED,
	DNS_YXDOMAIN,
	DNS_YXRRSET,
	DNS_NXRRSET,
	DNS_NOTAUTH,
	DNS_NOTZONE,
	DNS_BADSIG = 16,
	DNS_BADKEY,
	DNS_BADTIME,
};

struct dns_rr {
	char name[DNS_NAME_MAX];
	uint16_t type, class;
	uint32_t ttl;
	/* A/AAAA: the literal; NS/CNAME/SOA(mname): the name; TXT: strings joined, "" when they
	 * do not fit or hold a NUL; else "" */
	char text[DNS_RDATA_MAX];
	uint8_t section; /* 1 answer, 2 authority, 3 additional */
};

#define DNS_RRS_MAX 64

struct dns_reply {
	uint16_t id;
	uint8_t rcode; /* with EDNS's upper bits; 255 and above: 255 */
	/* Truncated by the server: no records are given (RFC 2181 §9). */
	bool authoritative, truncated;
	unsigned n_rrs; /* further ones are left out and `truncated` set; OPT is not counted */
	struct dns_rr rrs[DNS_RRS_MAX];
};

/* A query with EDNS(0) of 1232 bytes. Returns the length or -EINVAL / -ENOBUFS. */
int dns_query_encode(uint8_t *out, size_t size, uint16_t id, const char *name, enum dns_type type,
	bool recursion_desired);
/* Parse a reply and check that it answers (id, name, type). Compression loops, bad lengths and
 * trailing rubbish are -EBADMSG. */
int dns_reply_decode(struct dns_reply *r, const uint8_t *p, size_t n, uint16_t id, const char *name,
	enum dns_type type, struct err *e);

/* One change to one RRset member (RFC 2136 §2.5). All changes of a message are in one zone. */
struct dns_update {
	const char *zone, *name;
	enum dns_type type; /* A, AAAA, TXT */
	uint32_t ttl;
	const char *value;
	enum { DNS_ADD, DNS_DELETE_VALUE, DNS_DELETE_RRSET } op;
};
/* Returns the length, -EINVAL for names, types or values that cannot be, or -ENOBUFS. */
int dns_update_encode(
	uint8_t *out, size_t size, uint16_t id, const struct dns_update *u, size_t n_updates);
/* id and rcode of an update's answer. */
int dns_update_reply(const uint8_t *p, size_t n, uint16_t id, uint8_t *rcode, struct err *e);
/* Words for people: "the server refused (REFUSED): …". */
const char *dns_rcode_text(unsigned rcode);

struct tsig_key {
	const char *name; /* lower case */
	enum hmac_alg alg;
	const uint8_t *secret;
	size_t secret_len;
};
/* Append a TSIG record to a request of `n` bytes; keeps its MAC for the answer. Returns the new
 * length. `now`: Unix seconds. */
int tsig_sign(uint8_t *msg, size_t n, size_t size, const struct tsig_key *key, int64_t now,
	uint8_t mac[64], size_t *mac_len);
/* Verify the answer's TSIG against the request's MAC (RFC 8945 §5.3). -EBADMSG: none, damaged or
 * forged; -EKEYREJECTED: the server says BADKEY or BADSIG (such answers are unsigned); -ETIME:
 * BADTIME or our own clock, with the difference in `e`. */
int tsig_verify(const uint8_t *msg, size_t n, const struct tsig_key *key, int64_t now,
	const uint8_t *req_mac, size_t req_mac_len, struct err *e);
