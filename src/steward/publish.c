/* See publish.h. One struct entry per name that has work or a check under way: sets come before
 * unsets, so that a name is never without an address in between. */
#include "steward/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/loop.h"
#include "steward/dnsop.h"
#include "steward/names.h"
#include "steward/place.h"
#include "steward/proof.h"
#include "steward/propagation.h"
#include "store/conf.h"
#include "store/published.h"

#define AREA "steward/publish"
#define CHECK_NEW_MS 60000 /* servers may lag behind what the plugin just did */
#define CHECK_OLD_MS 10000

struct publisher {
	struct proof_tools *tools;
	struct list entries;
	report_fn report;
	void *ctx;
};

struct entry {
	struct list node;
	struct publisher *p;
	char name[254];
	struct timer timer;
	unsigned tries;
	struct dnsop *op;
	char addr[46]; /* that `op` sets or unsets, or that is checked */
	bool setting;
	bool told, checked, healed, changed;
	struct resolvers resolvers;
	struct locate *locate;
	struct place place;
	struct published wish; /* being checked */
	unsigned check_at;
	struct propagation *propagation;
};

static void step(struct timer *t);

static enum dns_type type_of(const char *addr)
{
	return strchr(addr, ':') ? DNS_AAAA : DNS_A;
}

static void check_stop(struct entry *n)
{
	locate_cancel(n->locate);
	propagation_cancel(n->propagation);
	n->locate = NULL;
	n->propagation = NULL;
}

static void entry_free(struct entry *n)
{
	check_stop(n);
	dnsop_cancel(n->op);
	timer_cancel(&n->timer);
	list_remove(&n->node);
	free(n);
}

static void tell(struct entry *n, enum state_class class, const char *text, int64_t next_at)
{
	struct procmsg m = {
		.type = PROCMSG_STATE, .class = class, .next_at = next_at, .n_names = 1};
	str_copy(m.names[0], sizeof(m.names[0]), n->name);
	snprintf(m.text, sizeof(m.text), "%s", text);
	n->p->report(n->p->ctx, &m);
}

static void fail(struct entry *n, enum state_class class, const char *text)
{
	static const unsigned wait_s[] = {5, 15, 60, 600, 3600};
	unsigned last = sizeof(wait_s) / sizeof(wait_s[0]) - 1;
	unsigned s = wait_s[n->tries < last ? n->tries : last];
	n->tries++;
	log_warn(AREA, "not published yet", "name", n->name, "why", text, "again_s", LOG_NUM(s));
	tell(n, class, text, clock_unix() + s);
	timer_arm(&n->timer, (uint64_t)s * 1000);
}

/* ---- is it really there? ---- */

static void check_next(struct entry *n);

/* Somebody took our record out, or the plugin's word was not true: set it again, once. */
static void on_missing(struct entry *n, const char *text)
{
	char words[600];
	struct err e = {0};
	const char *addr = n->wish.addrs[n->check_at].addr;
	if (n->healed) {
		snprintf(words, sizeof(words),
			"the address is set, but not every name server answers "
			"it: %s",
			text);
		n->healed = false;
		fail(n, STATE_FAIL_DNS, words);
		return;
	}
	n->healed = true;
	n->told = false;
	log_warn(AREA, "address is not in DNS, setting it again", "name", n->name, "addr", addr,
		"why", text);
	if (published_mark(n->p->tools->db, n->name, addr, PUBLISHED_MAYBE, &e) < 0)
		fail(n, STATE_FAIL_OURS, e.text);
	else
		timer_arm(&n->timer, 0);
}

static void on_checked(void *ctx, int rc, const char *text)
{
	struct entry *n = ctx;
	n->propagation = NULL;
	if (rc < 0) {
		on_missing(n, text);
		return;
	}
	n->check_at++;
	check_next(n);
}

static void check_next(struct entry *n)
{
	const struct conf *conf = n->p->tools->conf;
	while (n->check_at < n->wish.n_addrs && !n->wish.addrs[n->check_at].wanted)
		n->check_at++;
	if (n->check_at == n->wish.n_addrs) {
		log_debug(AREA, "checked", "name", n->name);
		n->checked = true;
		timer_arm(&n->timer, 0);
		return;
	}
	const char *addr = n->wish.addrs[n->check_at].addr;
	n->propagation = propagation_start(n->p->tools->loop,
		&(struct propagation_opts){.place = &n->place,
			.type = type_of(addr),
			.value = addr,
			.query_port = conf->dns.query_port,
			.ttl_ms = conf->dns.ttl_ms,
			.timeout_ms = n->changed ? CHECK_NEW_MS : CHECK_OLD_MS},
		on_checked, n);
}

static void on_located(void *ctx, const struct place *place, const struct err *e)
{
	struct entry *n = ctx;
	n->locate = NULL;
	if (!place) {
		log_warn(AREA, "cannot check", "name", n->name, "why", e->text);
		n->checked = true;
		timer_arm(&n->timer, 0);
		return;
	}
	n->place = *place;
	check_next(n);
}

static void check(struct entry *n, const struct published *row)
{
	n->wish = *row;
	n->check_at = 0;
	n->resolvers = n->p->tools->resolvers;
	n->locate = locate_start(n->p->tools->loop, &n->resolvers, n->name, on_located, n);
}

/* ---- making it true ---- */

static void on_done(void *ctx, int rc, const char *message)
{
	struct entry *n = ctx;
	char words[600];
	struct err e = {0};
	n->op = NULL;
	if (rc < 0) {
		snprintf(words, sizeof(words), "the DNS provider did not %s the address %s: %s",
			n->setting ? "take" : "remove", n->addr, message);
		fail(n, rc == -EINVAL ? STATE_FAIL_OURS : STATE_FAIL_DNS, words);
		return;
	}
	rc = published_mark(n->p->tools->db, n->name, n->addr,
		n->setting ? PUBLISHED_PRESENT : PUBLISHED_ABSENT, &e);
	if (rc < 0 && rc != -ENOENT) {
		fail(n, STATE_FAIL_OURS, e.text);
		return;
	}
	log_info(AREA, n->setting ? "address set" : "address removed", "name", n->name, "addr",
		n->addr);
	timer_arm(&n->timer, 0);
}

/* The next address to change: sets first. NULL: none. */
static const struct published_addr *next_change(const struct published *row)
{
	for (unsigned i = 0; i < row->n_addrs; i++) {
		if (row->addrs[i].wanted && row->addrs[i].state != PUBLISHED_PRESENT)
			return &row->addrs[i];
	}
	for (unsigned i = 0; i < row->n_addrs; i++) {
		if (!row->addrs[i].wanted && row->addrs[i].state != PUBLISHED_ABSENT)
			return &row->addrs[i];
	}
	return NULL;
}

static void change(struct entry *n, const struct published_addr *a)
{
	struct err e = {0};
	if (published_mark(n->p->tools->db, n->name, a->addr, PUBLISHED_MAYBE, &e) < 0) {
		fail(n, STATE_FAIL_OURS, e.text);
		return;
	}
	str_copy(n->addr, sizeof(n->addr), a->addr);
	n->setting = a->wanted;
	n->checked = false;
	n->changed = true;
	n->op = dnsop_start(n->p->tools->ops,
		&(struct dnsop_opts){.op = a->wanted ? PLUGIN_SET : PLUGIN_UNSET,
			.type = type_of(a->addr),
			.name = n->name,
			.value = a->addr},
		on_done, n);
}

static void step(struct timer *t)
{
	struct entry *n = container_of(t, struct entry, timer);
	struct published row = {0};
	struct err e = {0};
	if (n->op || n->locate || n->propagation)
		return;
	int rc = published_get(n->p->tools->db, n->name, &row, &e);
	if (rc < 0 && rc != -ENOENT) {
		fail(n, STATE_FAIL_OURS, e.text);
		return;
	}
	const struct published_addr *a = rc ? NULL : next_change(&row);
	if (a) {
		change(n, a);
		return;
	}
	if (!n->told)
		tell(n, STATE_PUBLISHED, rc ? "removed" : "published", 0);
	n->told = true;
	if (rc == 0 && !n->checked)
		check(n, &row);
	else
		entry_free(n);
}

static struct entry *find(struct publisher *p, const char *name)
{
	list_each(at, &p->entries)
	{
		struct entry *n = container_of(at, struct entry, node);
		if (!strcmp(n->name, name))
			return n;
	}
	return NULL;
}

/* Start, or start over: what is under way with the plugin goes on, checks of old wishes end. */
static void kick(struct publisher *p, const char *name)
{
	struct entry *n = find(p, name);
	if (!n) {
		n = xcalloc(1, sizeof(*n));
		n->p = p;
		str_copy(n->name, sizeof(n->name), name);
		timer_init(&n->timer, p->tools->loop, step);
		list_init(&n->node);
		list_push_back(&p->entries, &n->node);
	}
	check_stop(n);
	n->tries = 0;
	n->told = n->checked = n->healed = n->changed = false;
	timer_arm(&n->timer, 0);
}

void publisher_want(struct publisher *p, const struct procmsg *m)
{
	struct err e = {0};
	kick(p, m->names[0]);
	if (published_want(p->tools->db, m, &e) < 0)
		fail(find(p, m->names[0]), STATE_FAIL_OURS, e.text);
}

void publisher_reload(struct publisher *p)
{
	struct err e = {0};
	struct published *rows = NULL;
	size_t n = 0;
	if (published_list(p->tools->db, &rows, &n, &e) < 0)
		log_error(AREA, "cannot read what is published", "why", e.text);
	for (size_t i = 0; i < n; i++) {
		struct procmsg none = {.type = PROCMSG_PUBLISH, .n_names = 1};
		str_copy(none.names[0], sizeof(none.names[0]), rows[i].name);
		if (!names_allowed(p->tools->conf->domain, rows[i].name, true))
			publisher_want(p, &none);
		else if (!rows[i].done)
			kick(p, rows[i].name);
	}
	free(rows);
}

struct publisher *publisher_new(struct proof_tools *tools, report_fn report, void *ctx)
{
	struct publisher *p = xcalloc(1, sizeof(*p));
	p->tools = tools;
	p->report = report;
	p->ctx = ctx;
	list_init(&p->entries);
	publisher_reload(p);
	return p;
}

void publisher_free(struct publisher *p)
{
	if (!p)
		return;
	list_each_safe(at, &p->entries) entry_free(container_of(at, struct entry, node));
	free(p);
}
