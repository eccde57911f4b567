/* See propagation.h. Rounds: ask every server that does not have the value yet, judge when all
 * answered or timed out, wait, again. Having it once is enough; asking the rest again is what finds
 * the laggard. */
#include "steward/propagation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/dnsask.h"
#include "net/loop.h"
#include "steward/judge.h"

#define ASK_MS 4000

struct one {
	struct propagation *p;
	unsigned i;
	struct dnsask *ask;
};

struct propagation {
	struct loop *loop;
	struct place place;
	enum dns_type type;
	char value[DNS_RDATA_MAX];
	uint16_t port;
	uint64_t started_ms;
	struct judge_times times;
	struct judge_server heard[PLACE_SERVERS_MAX];
	struct one asks[PLACE_SERVERS_MAX];
	unsigned open, round;
	bool told;
	struct timer timer;
	char text[512];
	propagation_fn fn;
	void *ctx;
};

static void finish(struct propagation *p, int rc)
{
	propagation_fn fn = p->fn;
	timer_cancel(&p->timer);
	fn(p->ctx, rc, p->text);
	free(p);
}

/* Once, when it takes long: whoever watches the log shall know what is waited for. */
static void tell_wait(struct propagation *p, const char *words)
{
	bool nobody = true;
	if (p->told || p->times.elapsed_ms < JUDGE_SILENT_MS)
		return;
	p->told = true;
	for (unsigned i = 0; i < p->place.n_servers; i++)
		nobody = nobody && p->heard[i].heard == HEARD_NOTHING;
	log_info("steward/propagation", "still waiting for name servers", "name", p->place.target,
		"why", words, "hint",
		nobody ? "port 53 outward may be blocked; it goes on without seeing the record "
			 "after two minutes, or the TTL if that is longer"
		       : NULL);
}

static void conclude(struct propagation *p)
{
	char words[400];
	p->times.elapsed_ms = loop_now_ms(p->loop) - p->started_ms;
	enum judge_verdict v = judge(&p->place, p->heard, &p->times, words, sizeof(words));
	snprintf(p->text, sizeof(p->text), "%s", words);
	switch (v) {
	case JUDGE_WAIT:
		tell_wait(p, words);
		timer_arm(&p->timer, judge_interval_ms(p->round++));
		return;
	case JUDGE_READY:
		finish(p, 0);
		return;
	case JUDGE_BLIND_READY:
		snprintf(p->text, sizeof(p->text),
			"no name server could be asked, waited instead: %s", words);
		finish(p, 0);
		return;
	case JUDGE_FAILED:
		finish(p, -ETIMEDOUT);
		return;
	}
}

static void on_answer(void *ctx, const struct dns_reply *reply, const struct err *e)
{
	struct one *one = ctx;
	struct propagation *p = one->p;
	(void)e; /* silence is judged, not reported */
	one->ask = NULL;
	if (reply)
		judge_hear(&p->heard[one->i], reply, p->place.target, p->type, p->value);
	if (--p->open == 0)
		conclude(p);
}

static void ask_all(struct timer *t)
{
	struct propagation *p = container_of(t, struct propagation, timer);
	for (unsigned i = 0; i < p->place.n_servers; i++)
		p->open += p->heard[i].heard != HEARD_VALUE;
	for (unsigned i = 0; i < p->place.n_servers; i++) {
		if (p->heard[i].heard == HEARD_VALUE)
			continue;
		p->asks[i].p = p;
		p->asks[i].i = i;
		p->asks[i].ask = dnsask_start(p->loop,
			&(struct dnsask_opts){.server = p->place.servers[i].addr,
				.port = p->port,
				.name = p->place.target,
				.type = p->type,
				.deadline_ms = ASK_MS},
			on_answer, &p->asks[i]);
	}
}

struct propagation *propagation_start(
	struct loop *loop, const struct propagation_opts *o, propagation_fn fn, void *ctx)
{
	struct propagation *p = xcalloc(1, sizeof(*p));
	p->loop = loop;
	p->place = *o->place;
	p->type = o->type;
	p->port = o->query_port;
	p->times.ttl_ms = o->ttl_ms;
	p->times.timeout_ms = o->timeout_ms;
	p->started_ms = loop_now_ms(loop);
	p->fn = fn;
	p->ctx = ctx;
	str_copy(p->value, sizeof(p->value), o->value);
	timer_init(&p->timer, loop, ask_all);
	timer_arm(&p->timer, 0);
	return p;
}

void propagation_cancel(struct propagation *p)
{
	if (!p)
		return;
	timer_cancel(&p->timer);
	for (unsigned i = 0; i < p->place.n_servers; i++) {
		if (p->asks[i].ask)
			dnsask_cancel(p->asks[i].ask);
	}
	free(p);
}

const char *propagation_text(const struct propagation *p)
{
	return p->text;
}
