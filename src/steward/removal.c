/* See removal.h. */
#include "steward/removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "net/loop.h"
#include "steward/dnsop.h"

#define AREA "steward/removal"

struct removals {
	struct loop *loop;
	struct db *db;
	struct dnsops *ops;
	struct list all;
};

struct removal {
	struct list node;
	struct removals *r;
	struct ledger_row row;
	struct dnsop *op;
	struct timer again;
	unsigned tries;
};

static void removal_free(struct removal *m)
{
	dnsop_cancel(m->op);
	timer_cancel(&m->again);
	list_remove(&m->node);
	free(m);
}

static void retry_later(struct removal *m)
{
	static const uint64_t wait_s[] = {5, 60, 600, 3600};
	unsigned last = sizeof(wait_s) / sizeof(wait_s[0]) - 1;
	timer_arm(&m->again, wait_s[m->tries < last ? m->tries : last] * 1000);
	m->tries++;
}

static void on_removed(void *ctx, int rc, const char *message)
{
	struct removal *m = ctx;
	struct err e = {0};
	m->op = NULL;
	if (rc < 0) {
		log_warn(AREA, "cannot take a proof out of DNS, trying again later", "name",
			m->row.name, "why", message);
		retry_later(m);
		return;
	}
	rc = ledger_strike(m->r->db, m->row.id, &e);
	if (rc < 0 && rc != -ENOENT) {
		log_error(
			AREA, "cannot strike from the ledger", "name", m->row.name, "why", e.text);
		retry_later(m);
		return;
	}
	log_info(AREA, "proof taken out of DNS", "name", m->row.name);
	removal_free(m);
}

static void attempt(struct timer *t)
{
	struct removal *m = container_of(t, struct removal, again);
	m->op = dnsop_start(m->r->ops,
		&(struct dnsop_opts){.op = PLUGIN_UNSET,
			.type = DNS_TXT,
			.name = m->row.name,
			.value = m->row.value},
		on_removed, m);
}

struct removals *removals_new(struct loop *loop, struct db *db, struct dnsops *ops)
{
	struct removals *r = xcalloc(1, sizeof(*r));
	r->loop = loop;
	r->db = db;
	r->ops = ops;
	list_init(&r->all);
	return r;
}

void removals_free(struct removals *r)
{
	if (!r)
		return;
	list_each_safe(n, &r->all) removal_free(container_of(n, struct removal, node));
	free(r);
}

void removals_add(struct removals *r, const struct ledger_row *row)
{
	struct err e = {0};
	list_each(n, &r->all)
	{
		if (container_of(n, struct removal, node)->row.id == row->id)
			return;
	}
	struct removal *m = xcalloc(1, sizeof(*m));
	m->r = r;
	m->row = *row;
	list_init(&m->node);
	list_push_back(&r->all, &m->node);
	timer_init(&m->again, r->loop, attempt);
	if (ledger_mark(r->db, row->id, LEDGER_REMOVING, &e) < 0)
		log_warn(AREA, "cannot mark in the ledger", "name", row->name, "why", e.text);
	attempt(&m->again);
}

void removals_add_order(struct removals *r, uint64_t order, const char *value)
{
	struct err e = {0};
	struct ledger_row *rows = NULL;
	size_t n = 0;
	if (ledger_list(r->db, order, &rows, &n, &e) < 0) {
		log_error(AREA, "cannot read the ledger", "why", e.text);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (!value || !strcmp(rows[i].value, value))
			removals_add(r, &rows[i]);
	}
	free(rows);
}
