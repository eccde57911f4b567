/* See proof.h. */
#include "steward/proof.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/loop.h"
#include "steward/dnsop.h"
#include "steward/judge.h"
#include "steward/place.h"
#include "steward/propagation.h"
#include "steward/removal.h"
#include "store/conf.h"
#include "store/ledger.h"

#define AREA "steward/proof"
#define SET_TRIES 3
#define SET_AGAIN_MS 5000

struct proof {
	struct proof_tools *tools;
	struct resolvers resolvers; /* a reload may change the tools' */
	struct locate *locate;
	struct place place;
	struct ledger_row row; /* id 0: nothing in DNS because of it */
	struct dnsop *op;
	unsigned tries;
	struct timer timer;
	struct propagation *propagation;
	struct err failed;
	proof_fn fn;
	void *ctx;
};

static void proof_free(struct proof *p)
{
	timer_cancel(&p->timer);
	locate_cancel(p->locate);
	dnsop_cancel(p->op);
	propagation_cancel(p->propagation);
	free(p);
}

static void finish(struct proof *p, int rc, const char *text)
{
	if (rc < 0 && p->row.id)
		removals_add(p->tools->removals, &p->row);
	p->fn(p->ctx, rc, text);
	proof_free(p);
}

static void on_propagated(void *ctx, int rc, const char *text)
{
	struct proof *p = ctx;
	char words[600];
	p->propagation = NULL;
	if (rc < 0) {
		snprintf(words, sizeof(words),
			"the record %s is set, but not every name server answers "
			"it: %s",
			p->place.target, text);
		finish(p, rc, words);
		return;
	}
	if (text[0])
		log_warn(AREA, "not seen everywhere", "name", p->place.target, "why", text);
	finish(p, 0, "");
}

static void on_set(void *ctx, int rc, const char *message)
{
	struct proof *p = ctx;
	const struct conf *conf = p->tools->conf;
	char words[600];
	struct err e = {0};
	p->op = NULL;
	if ((rc == -EAGAIN || rc == -ETIMEDOUT) && ++p->tries < SET_TRIES) {
		log_warn(AREA, "plugin asks to try later", "name", p->place.target, "why", message);
		timer_arm(&p->timer, SET_AGAIN_MS * p->tries);
		return;
	}
	if (rc < 0) {
		snprintf(words, sizeof(words),
			"the DNS provider did not take the record %s: %s; check "
			"dns.provider and dns.settings",
			p->place.target, message);
		finish(p, rc, words);
		return;
	}
	if (ledger_mark(p->tools->db, p->row.id, LEDGER_PRESENT, &e) < 0)
		log_warn(AREA, "cannot mark in the ledger", "name", p->row.name, "why", e.text);
	log_info(AREA, "record set", "name", p->row.name, "zone", p->row.zone);
	p->propagation = propagation_start(p->tools->loop,
		&(struct propagation_opts){.place = &p->place,
			.type = DNS_TXT,
			.value = p->row.value,
			.query_port = conf->dns.query_port,
			.ttl_ms = conf->dns.ttl_ms,
			.timeout_ms = conf->dns.propagation_timeout_ms},
		on_propagated, p);
}

/* Sets the record, or tells why there was nothing to try. */
static void on_timer(struct timer *t)
{
	struct proof *p = container_of(t, struct proof, timer);
	if (p->failed.code) {
		finish(p, p->failed.code, p->failed.text);
		return;
	}
	p->op = dnsop_start(p->tools->ops,
		&(struct dnsop_opts){.op = PLUGIN_SET,
			.type = DNS_TXT,
			.name = p->row.name,
			.value = p->row.value},
		on_set, p);
}

static void on_located(void *ctx, const struct place *place, const struct err *e)
{
	struct proof *p = ctx;
	p->locate = NULL;
	if (!place) {
		finish(p, e->code, e->text);
		return;
	}
	p->place = *place;
	str_copy(p->row.name, sizeof(p->row.name), place->target);
	str_copy(p->row.zone, sizeof(p->row.zone), place->zone);
	p->row.state = LEDGER_ADDING;
	p->row.created_at = clock_unix();
	int rc = ledger_add(p->tools->db, &p->row, &p->failed);
	if (rc < 0) {
		err_prefix(&p->failed, "cannot write down what goes into DNS");
		p->row.id = 0;
	}
	on_timer(&p->timer);
}

struct proof *proof_start(struct proof_tools *tools, const char *name, const char *value,
	uint64_t order, proof_fn fn, void *ctx)
{
	struct proof *p = xcalloc(1, sizeof(*p));
	p->tools = tools;
	p->resolvers = tools->resolvers;
	p->row.order_id = order;
	p->fn = fn;
	p->ctx = ctx;
	timer_init(&p->timer, tools->loop, on_timer);
	if (str_copy(p->row.value, sizeof(p->row.value), value) < 0 ||
		str_copy(p->row.name, sizeof(p->row.name), name) < 0) {
		err_set(&p->failed, -EINVAL, "a name or value of impossible length");
		timer_arm(&p->timer, 0);
		return p;
	}
	p->locate = locate_start(tools->loop, &p->resolvers, name, on_located, p);
	return p;
}

uint64_t proof_most_ms(const struct conf *conf)
{
	uint64_t blind_ms = conf->dns.ttl_ms > JUDGE_BLIND_MS ? conf->dns.ttl_ms : JUDGE_BLIND_MS;
	uint64_t wait_ms = conf->dns.propagation_timeout_ms;
	if (wait_ms < blind_ms)
		wait_ms = blind_ms;
	return wait_ms + SET_TRIES * (conf->dns.timeout_ms + SET_AGAIN_MS * SET_TRIES);
}

void proof_cancel(struct proof *p)
{
	if (!p)
		return;
	struct proof_tools *tools = p->tools;
	struct ledger_row row = p->row;
	proof_free(p);
	if (row.id)
		removals_add(tools->removals, &row);
}
