/* See publish.h. One struct entry per name that has work or a check under way: sets come before
 * unsets, so that a name is never without an address in between. Plugins are bounded by dnsop,
 * checks here: a gate that starts asks for all its names at once, and the resolver of a house is
 * not there for thousands of questions. */
#include "steward/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
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
#define CHECKS_MAX 8 /* at once */

struct publisher {
	struct proof_tools *tools;
	struct map *entries; /* by name */
	struct list waiting; /* to be checked */
	unsigned checks;
	report_fn report;
	void *ctx;
};

/* Is it really there? */
struct check {
	struct resolvers resolvers;
	struct locate *locate;
	struct place place;
	struct published wish;
	unsigned at; /* of wish.addrs */
	struct propagation *propagation;
};

struct entry {
	struct list node; /* in `waiting`, or unlinked */
	struct publisher *p;
	struct timer timer;
	uint64_t id; /* of the last PUBLISH; 0: it is only looked after */
	unsigned tries;
	struct dnsop *op;
	struct check *check;
	char addr[46]; /* that `op` sets or unsets */
	bool setting;
	bool told, checked, healed, changed;
	char name[];
};

static void step(struct timer *t);

static enum dns_type type_of(const char *addr)
{
	return strchr(addr, ':') ? DNS_AAAA : DNS_A;
}

/* Where there is room for a check, the next that waits looks whether it still needs one. */
static void admit(struct publisher *p)
{
	if (p->checks >= CHECKS_MAX || list_empty(&p->waiting))
		return;
	struct entry *next = container_of(p->waiting.next, struct entry, node);
	list_remove(&next->node);
	timer_arm(&next->timer, 0);
}

static void check_stop(struct entry *n)
{
	list_remove(&n->node);
	if (!n->check)
		return;
	locate_cancel(n->check->locate);
	propagation_cancel(n->check->propagation);
	free(n->check);
	n->check = NULL;
	n->p->checks--;
	admit(n->p);
}

static void entry_done(void *entry)
{
	struct entry *n = entry;
	check_stop(n);
	dnsop_cancel(n->op);
	timer_cancel(&n->timer);
	free(n);
}

static void entry_free(struct entry *n)
{
	map_remove(n->p->entries, n->name);
	entry_done(n);
}

static void tell(struct entry *n, enum state_class class, const char *text, int64_t next_at)
{
	struct procmsg m = {.type = PROCMSG_STATE,
		.id = n->id,
		.class = class,
		.next_at = next_at,
		.n_names = 1};
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
	char addr[sizeof(n->addr)];
	memcpy(addr, n->check->wish.addrs[n->check->at].addr, sizeof(addr));
	check_stop(n);
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
	n->check->propagation = NULL;
	if (rc < 0) {
		on_missing(n, text);
		return;
	}
	n->check->at++;
	check_next(n);
}

static void check_over(struct entry *n)
{
	check_stop(n);
	n->checked = true;
	timer_arm(&n->timer, 0);
}

static void check_next(struct entry *n)
{
	const struct conf *conf = n->p->tools->conf;
	struct check *k = n->check;
	while (k->at < k->wish.n_addrs && !k->wish.addrs[k->at].wanted)
		k->at++;
	if (k->at == k->wish.n_addrs) {
		log_debug(AREA, "checked", "name", n->name);
		check_over(n);
		return;
	}
	const char *addr = k->wish.addrs[k->at].addr;
	k->propagation = propagation_start(n->p->tools->loop,
		&(struct propagation_opts){.place = &k->place,
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
	n->check->locate = NULL;
	if (!place) {
		log_warn_limited(AREA, "cannot check", "name", n->name, "why", e->text);
		check_over(n);
		return;
	}
	n->check->place = *place;
	check_next(n);
}

static void check(struct entry *n, const struct published *row)
{
	struct publisher *p = n->p;
	if (p->checks >= CHECKS_MAX) {
		list_remove(&n->node);
		list_push_back(&p->waiting, &n->node);
		return;
	}
	p->checks++;
	n->check = xcalloc(1, sizeof(*n->check));
	n->check->wish = *row;
	n->check->resolvers = p->tools->resolvers;
	n->check->locate =
		locate_start(p->tools->loop, &n->check->resolvers, n->name, on_located, n);
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

static void step_one(struct entry *n)
{
	struct published row = {0};
	struct err e = {0};
	if (n->op || n->check)
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

static void step(struct timer *t)
{
	struct entry *n = container_of(t, struct entry, timer);
	struct publisher *p = n->p;
	step_one(n);
	admit(p);
}

/* Start, or start over: what is under way with the plugin goes on, checks of old wishes end. */
static struct entry *kick(struct publisher *p, const char *name)
{
	struct entry *n = map_get(p->entries, name);
	if (!n) {
		size_t len = strlen(name) + 1;
		n = xcalloc(1, sizeof(*n) + len);
		n->p = p;
		memcpy(n->name, name, len);
		timer_init(&n->timer, p->tools->loop, step);
		list_init(&n->node);
		map_put(p->entries, name, n);
	}
	check_stop(n);
	n->tries = 0;
	n->told = n->checked = n->healed = n->changed = false;
	timer_arm(&n->timer, 0);
	return n;
}

void publisher_want(struct publisher *p, const struct procmsg *m)
{
	struct err e = {0};
	struct entry *n = kick(p, m->names[0]);
	if (m->id)
		n->id = m->id;
	if (published_want(p->tools->db, m, &e) < 0)
		fail(n, STATE_FAIL_OURS, e.text);
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
	p->entries = map_new();
	list_init(&p->waiting);
	publisher_reload(p);
	return p;
}

void publisher_free(struct publisher *p)
{
	if (!p)
		return;
	map_free(p->entries, entry_done);
	free(p);
}
