/* Questions to the resolvers of dns.resolvers (default: those of /etc/resolv.conf), each tried in
 * turn. They are asked where zones and name servers are, never whether a proof is visible. */
#pragma once

#include "base/err.h"
#include "net/dnsmsg.h"

struct conf;
struct loop;
struct resolve;

#define RESOLVERS_MAX 8

struct resolver {
	char addr[46];
	uint16_t port;
};

struct resolvers {
	struct resolver v[RESOLVERS_MAX];
	unsigned n;
};

/* "IP", "IP:port", "[v6]:port" or a bare v6 literal. 0 or -EINVAL. */
int resolver_parse(struct resolver *r, const char *text);
/* Pure: the nameserver lines of a resolv.conf. */
void resolvers_parse_system(struct resolvers *r, const char *resolv_conf);
/* From the configuration, else the system, else 127.0.0.1. Never none. */
void resolvers_load(struct resolvers *r, const struct conf *conf);

/* As dnsask_fn: `reply` NULL and `e` when no resolver gave a useful answer. Lent. */
typedef void (*resolve_fn)(void *ctx, const struct dns_reply *reply, const struct err *e);

/* `r` is lent for the whole question, `name` for the call. SERVFAIL and REFUSED count as "ask the
 * next one"; the last reply is given even so. */
struct resolve *resolve_start(struct loop *loop, const struct resolvers *r, const char *name,
	enum dns_type type, resolve_fn fn, void *ctx);
/* NULL is accepted. No callback follows. */
void resolve_cancel(struct resolve *q);
