/* See place.h. Four kinds of question in a row: CNAME at the name until there is none, SOA walking
 * up, NS of the zone, A and AAAA of every server. */
#include "steward/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "steward/resolver.h"

struct locate {
	struct loop *loop;
	const struct resolvers *from;
	struct resolve *ask;
	struct place place;
	char hops[PLACE_HOPS_MAX + 1][DNS_NAME_MAX];
	unsigned n_hops;
	char at[DNS_NAME_MAX]; /* the name asked for its SOA */
	char ns[PLACE_NAMES_MAX][DNS_NAME_MAX];
	unsigned n_ns, ns_at;
	bool ns_v6; /* AAAA of ns[ns_at] is asked */
	struct err last;
	locate_fn fn;
	void *ctx;
};

const char *place_cname(const struct dns_reply *reply, const char *name)
{
	for (unsigned i = 0; i < reply->n_rrs; i++) {
		const struct dns_rr *rr = &reply->rrs[i];
		if (rr->section == 1 && rr->type == DNS_CNAME && !strcmp(rr->name, name))
			return rr->text;
	}
	return NULL;
}

const char *place_zone(const struct dns_reply *reply, const char *name)
{
	if (reply->rcode != DNS_NOERROR && reply->rcode != DNS_NXDOMAIN)
		return NULL;
	for (unsigned i = 0; i < reply->n_rrs; i++) {
		const struct dns_rr *rr = &reply->rrs[i];
		if (rr->type != DNS_SOA || rr->section > 2)
			continue;
		if (rr->section == 1 ? !strcmp(rr->name, name)
				     : rr->name[0] && name_is_within(name, rr->name))
			return rr->name;
	}
	return NULL;
}

static void finish(struct locate *l, const struct err *e)
{
	l->fn(l->ctx, e ? NULL : &l->place, e);
	free(l);
}

static void fail(struct locate *l, int code, const char *fmt, const char *a, const char *b)
{
	struct err e;
	err_set(&e, code, "%s%s%s", a, fmt, b);
	finish(l, &e);
}

static void no_resolver(struct locate *l, const struct err *e)
{
	struct err out;
	err_set(&out, -ENETUNREACH,
		"no resolver answers; check the Internet connection, or set "
		"dns.resolvers: %s",
		e ? e->text : "no answer");
	finish(l, &out);
}

static void ask(struct locate *l, const char *name, enum dns_type type, resolve_fn fn)
{
	l->ask = resolve_start(l->loop, l->from, name, type, fn, l);
}

/* ---- addresses of the servers ---- */

static void on_addr(void *ctx, const struct dns_reply *reply, const struct err *e);

static void ask_addr(struct locate *l)
{
	if (l->ns_at == l->n_ns) {
		if (l->place.n_servers)
			finish(l, NULL);
		else
			fail(l, -ENOENT, ": none of its name servers has an address", l->place.zone,
				"");
		return;
	}
	ask(l, l->ns[l->ns_at], l->ns_v6 ? DNS_AAAA : DNS_A, on_addr);
}

static void on_addr(void *ctx, const struct dns_reply *reply, const struct err *e)
{
	struct locate *l = ctx;
	(void)e; /* a server without an address is one that nobody can ask */
	l->ask = NULL;
	for (unsigned i = 0; reply && i < reply->n_rrs; i++) {
		const struct dns_rr *rr = &reply->rrs[i];
		struct place_server *s = &l->place.servers[l->place.n_servers];
		if (rr->section != 1 || rr->type != (l->ns_v6 ? DNS_AAAA : DNS_A))
			continue;
		if (l->place.n_servers == PLACE_SERVERS_MAX)
			break;
		if (str_copy(s->name, sizeof(s->name), l->ns[l->ns_at]) == 0 &&
			str_copy(s->addr, sizeof(s->addr), rr->text) == 0)
			l->place.n_servers++;
	}
	l->ns_at += l->ns_v6;
	l->ns_v6 = !l->ns_v6;
	ask_addr(l);
}

/* ---- servers of the zone ---- */

static void on_ns(void *ctx, const struct dns_reply *reply, const struct err *e)
{
	struct locate *l = ctx;
	l->ask = NULL;
	if (!reply) {
		no_resolver(l, e);
		return;
	}
	for (unsigned i = 0; i < reply->n_rrs && l->n_ns < PLACE_NAMES_MAX; i++) {
		const struct dns_rr *rr = &reply->rrs[i];
		if (rr->section == 1 && rr->type == DNS_NS && !strcmp(rr->name, l->place.zone))
			str_copy(l->ns[l->n_ns++], DNS_NAME_MAX, rr->text);
	}
	if (!l->n_ns) {
		fail(l, -ENOENT, ": the resolver names no name server of this zone", l->place.zone,
			"");
		return;
	}
	ask_addr(l);
}

/* ---- the zone ---- */

static void on_soa(void *ctx, const struct dns_reply *reply, const struct err *e)
{
	struct locate *l = ctx;
	const char *zone = reply ? place_zone(reply, l->at) : NULL;
	l->ask = NULL;
	if (!reply) {
		no_resolver(l, e);
		return;
	}
	const char *up = strchr(l->at, '.');
	if (!zone && up) {
		memmove(l->at, up + 1, strlen(up + 1) + 1);
		ask(l, l->at, DNS_SOA, on_soa);
		return;
	}
	if (!zone && reply->rcode != DNS_NOERROR && reply->rcode != DNS_NXDOMAIN) {
		fail(l, -ENOENT, ": the resolver cannot look its zone up: ", l->place.target,
			dns_rcode_text(reply->rcode));
		return;
	}
	if (!zone || !strchr(zone, '.')) {
		fail(l, -ENOENT,
			" is in no zone of its own: the domain does not exist, or is not "
			"delegated to its name servers; the nearest zone is ",
			l->place.target, zone ? zone : "the root");
		return;
	}
	str_copy(l->place.zone, sizeof(l->place.zone), zone);
	ask(l, l->place.zone, DNS_NS, on_ns);
}

/* ---- CNAMEs ---- */

static void on_cname(void *ctx, const struct dns_reply *reply, const struct err *e)
{
	struct locate *l = ctx;
	const char *to = reply ? place_cname(reply, l->place.target) : NULL;
	l->ask = NULL;
	if (!reply) {
		no_resolver(l, e);
		return;
	}
	if (!to) {
		str_copy(l->at, sizeof(l->at), l->place.target);
		ask(l, l->at, DNS_SOA, on_soa);
		return;
	}
	bool loops = l->n_hops == PLACE_HOPS_MAX;
	for (unsigned i = 0; i <= l->n_hops && !loops; i++)
		loops = !strcmp(l->hops[i], to);
	if (loops) {
		fail(l, -ELOOP,
			": its CNAMEs go in a circle or on for too long; the last one leads to ",
			l->hops[0], to);
		return;
	}
	str_copy(l->hops[++l->n_hops], DNS_NAME_MAX, to);
	str_copy(l->place.target, sizeof(l->place.target), to);
	ask(l, l->place.target, DNS_CNAME, on_cname);
}

struct locate *locate_start(
	struct loop *loop, const struct resolvers *r, const char *name, locate_fn fn, void *ctx)
{
	struct locate *l = xcalloc(1, sizeof(*l));
	l->loop = loop;
	l->from = r;
	l->fn = fn;
	l->ctx = ctx;
	str_copy(l->place.target, sizeof(l->place.target), name);
	str_copy(l->hops[0], sizeof(l->hops[0]), name);
	ask(l, name, DNS_CNAME, on_cname);
	return l;
}

void locate_cancel(struct locate *l)
{
	if (!l)
		return;
	resolve_cancel(l->ask);
	free(l);
}
