/* See judge.h. */
#include "steward/judge.h"

#include <stdio.h>
#include <string.h>

uint64_t judge_interval_ms(unsigned round)
{
	return round < 8 ? 1000 + 500 * round : 5000;
}

void judge_hear(struct judge_server *s, const struct dns_reply *reply, const char *name,
	enum dns_type type, const char *value)
{
	bool has = false;
	s->rcode = reply->rcode;
	s->n_values = 0;
	for (unsigned i = 0; i < reply->n_rrs; i++) {
		const struct dns_rr *rr = &reply->rrs[i];
		if (rr->section != 1 || rr->type != type || strcmp(rr->name, name) != 0)
			continue;
		has |= !strcmp(rr->text, value);
		s->n_values++;
	}
	if (reply->rcode != DNS_NOERROR && reply->rcode != DNS_NXDOMAIN)
		s->heard = HEARD_ERROR;
	else if (!reply->authoritative)
		s->heard = HEARD_OTHER;
	else
		s->heard = has ? HEARD_VALUE : HEARD_LACKS;
}

static void describe(
	const struct place_server *p, const struct judge_server *s, char *out, size_t size)
{
	switch (s->heard) {
	case HEARD_NOTHING:
		snprintf(out, size, "%s (%s) does not answer", p->name, p->addr);
		return;
	case HEARD_OTHER:
		snprintf(out, size,
			"something else answers in place of %s (%s): the router or the "
			"provider intercepts port 53",
			p->name, p->addr);
		return;
	case HEARD_ERROR:
		snprintf(out, size, "%s (%s): %s", p->name, p->addr, dns_rcode_text(s->rcode));
		return;
	case HEARD_LACKS:
		snprintf(out, size,
			s->n_values ? "%s (%s) still answers with %u older value%s only"
				    : "%s (%s) does not have the record yet",
			p->name, p->addr, s->n_values, s->n_values == 1 ? "" : "s");
		return;
	case HEARD_VALUE:
		snprintf(out, size, "%s (%s) has it", p->name, p->addr);
		return;
	}
}

/* A name server is many addresses; one that the local network cannot reach (v6 without a route)
 * does not matter where another of the same name answers. */
static bool sibling_has(const struct place *place, const struct judge_server *s, unsigned i)
{
	for (unsigned k = 0; k < place->n_servers; k++) {
		if (s[k].heard == HEARD_VALUE &&
			!strcmp(place->servers[k].name, place->servers[i].name))
			return true;
	}
	return false;
}

struct tally {
	unsigned has, silent, foreign, lag;
	unsigned first_lag, first_silent;
};

static struct tally count(const struct place *place, const struct judge_server *s)
{
	struct tally t = {0};
	for (unsigned i = 0; i < place->n_servers; i++) {
		bool silent = s[i].heard == HEARD_NOTHING;
		bool foreign = s[i].heard == HEARD_OTHER;
		bool lags = s[i].heard == HEARD_LACKS || s[i].heard == HEARD_ERROR;
		if (silent && sibling_has(place, s, i))
			continue;
		if (lags && !t.lag++)
			t.first_lag = i;
		if ((silent || foreign) && !(t.silent + t.foreign))
			t.first_silent = i;
		t.has += s[i].heard == HEARD_VALUE;
		t.silent += silent;
		t.foreign += foreign;
	}
	return t;
}

enum judge_verdict judge(const struct place *place, const struct judge_server *servers,
	const struct judge_times *t, char *text, size_t size)
{
	struct tally n = count(place, servers);
	unsigned worst = n.lag ? n.first_lag : n.first_silent;
	text[0] = 0;
	if (n.lag || n.silent || n.foreign)
		describe(&place->servers[worst], &servers[worst], text, size);
	if (n.has && !n.lag && !n.silent && !n.foreign)
		return JUDGE_READY;
	if (n.has && !n.lag && t->elapsed_ms >= JUDGE_SILENT_MS)
		return JUDGE_READY;
	uint64_t blind_ms = t->ttl_ms > JUDGE_BLIND_MS ? t->ttl_ms : JUDGE_BLIND_MS;
	if (!n.has && !n.lag && t->elapsed_ms >= JUDGE_SILENT_MS) {
		if (t->elapsed_ms >= blind_ms)
			return JUDGE_BLIND_READY;
		return JUDGE_WAIT;
	}
	return t->elapsed_ms >= t->timeout_ms ? JUDGE_FAILED : JUDGE_WAIT;
}
