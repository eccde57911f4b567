/* Where a record has to stand: the name after CNAMEs, its zone, and every authoritative server of
 * it. */
#pragma once

#include "base/err.h"
#include "net/dnsmsg.h"

struct loop;
struct locate;
struct resolvers;

#define PLACE_SERVERS_MAX 32
#define PLACE_NAMES_MAX 16
#define PLACE_HOPS_MAX 8

struct place_server {
	char name[DNS_NAME_MAX];
	char addr[46];
};

struct place {
	char target[DNS_NAME_MAX];
	char zone[DNS_NAME_MAX];
	struct place_server servers[PLACE_SERVERS_MAX];
	unsigned n_servers;
};

/* `place` is lent; NULL and `e` (-ENOENT: DNS says that there is no such zone; -ELOOP;
 * -ENETUNREACH: no resolver answers). Exactly once unless cancelled. */
typedef void (*locate_fn)(void *ctx, const struct place *place, const struct err *e);

/* `r` is lent until the end, `name` for the call. */
struct locate *locate_start(
	struct loop *loop, const struct resolvers *r, const char *name, locate_fn fn, void *ctx);
/* NULL is accepted. No callback follows. */
void locate_cancel(struct locate *l);

/* --- pure steps, for tests -----------------------------------------------------------------------
 */

/* The CNAME that `reply` has at `name`, or NULL. Lent. */
const char *place_cname(const struct dns_reply *reply, const char *name);
/* The zone that a SOA reply about `name` names: its own, or the one that holds it; NULL: ask one
 * label up. Lent. */
const char *place_zone(const struct dns_reply *reply, const char *name);
