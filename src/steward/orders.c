/* See orders.h. */
#include "steward/orders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/csr.h"
#include "acme/driver.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "steward/backoff.h"
#include "steward/names.h"
#include "steward/proof.h"
#include "steward/removal.h"
#include "store/conf.h"

#define AREA "steward/orders"
#define CUT_SHORT_S 10
#define ORDERS_MAX 2048 /* a gate that orders more is out of its mind */

struct orders {
	struct proof_tools *tools;
	struct driver *driver;
	struct list all;
	unsigned n;
	report_fn report;
	void *ctx;
};

struct order {
	struct list node;
	struct orders *o;
	uint64_t id;
	char names[PROCMSG_NAMES_MAX][254];
	unsigned n_names;
	struct backoff backoff;
	uint8_t request[BACKOFF_REQUEST_LEN];
	struct obtain *obtain;
	int proof_rc; /* why the CA was never told to look */
	char proof_text[PROCMSG_TEXT_MAX];
};

static void tell(
	struct orders *o, uint64_t id, enum state_class class, const char *text, int64_t next_at)
{
	struct procmsg m = {.type = PROCMSG_STATE, .id = id, .class = class, .next_at = next_at};
	snprintf(m.text, sizeof(m.text), "%s", text);
	o->report(o->ctx, &m);
}

static void order_free(struct order *x)
{
	list_remove(&x->node);
	x->o->n--;
	free(x);
}

/* Ends it without a word. */
static void drop(struct order *x)
{
	struct orders *o = x->o;
	uint64_t id = x->id;
	o->driver->cancel(o->driver, x->obtain);
	order_free(x);
	removals_add_order(o->tools->removals, id, NULL);
}

/* ---- how it ended ---- */

static void save(struct order *x)
{
	struct err e = {0};
	if (backoff_save(&x->backoff, x->o->tools->db, &e) < 0)
		log_error(AREA, "cannot remember how an order ended", "name", x->names[0], "why",
			e.text);
}

static void on_chain(struct order *x, const struct obtain_result *r)
{
	struct procmsg m = {.type = PROCMSG_CHAIN,
		.id = x->id,
		.blob = (const uint8_t *)r->chain,
		.blob_len = r->chain_len};
	x->backoff.class = 0;
	x->backoff.text[0] = 0;
	memcpy(x->backoff.request, x->request, sizeof(x->request));
	schedule_record(&x->backoff.when, x->backoff.key, SCHEDULE_OK, clock_unix(), 0);
	save(x);
	log_info(AREA, "certificate issued", "name", x->names[0]);
	x->o->report(x->o->ctx, &m);
}

/* The reason that the proof gave goes before what uacme made of it. */
static void on_failure(struct order *x, const struct obtain_result *r)
{
	struct backoff *b = &x->backoff;
	b->class = r->class;
	str_copy(b->text, sizeof(b->text), r->text);
	if (x->proof_rc < 0) {
		b->class = x->proof_rc == -ENETUNREACH ? STATE_FAIL_NET : STATE_FAIL_DNS;
		str_copy(b->text, sizeof(b->text), x->proof_text);
	}
	schedule_record(&b->when, b->key,
		b->class == STATE_FAIL_LIMIT ? SCHEDULE_LIMITED : SCHEDULE_FAILED, clock_unix(),
		r->retry_after_s);
	save(x);
	log_warn(AREA, "no certificate", "name", x->names[0], "why", b->text, "again_in_s",
		LOG_NUM(b->when.next_at - clock_unix()));
	tell(x->o, x->id, b->class, b->text, b->when.next_at);
}

static void on_obtained(void *ctx, const struct obtain_result *r)
{
	struct order *x = ctx;
	struct orders *o = x->o;
	uint64_t id = x->id;
	x->obtain = NULL;
	if (r->chain)
		on_chain(x, r);
	else
		on_failure(x, r);
	order_free(x);
	removals_add_order(o->tools->removals, id, NULL);
}

/* ---- placing it ---- */

/* What makes an order impossible before anybody is asked. */
static int check(const struct orders *o, const struct procmsg *m, struct err *e)
{
	const struct conf *conf = o->tools->conf;
	for (unsigned i = 0; i < m->n_names; i++) {
		if (!names_allowed(conf->domain, m->names[i], true))
			return err_set(e, -EPERM, "refused: %s is not a name of %s", m->names[i],
				conf->domain);
	}
	if (!conf->dns.provider[0])
		return err_set(e, -EINVAL,
			"dns.provider is not set: the certificate authority wants a proof in DNS");
	if (conf->acme.key_id[0])
		return err_set(e, -EINVAL,
			"acme.key_id cannot be used: uacme takes the binding key on its "
			"command line only, where every local user could read it; choose a "
			"certificate authority without account binding");
	if (o->n >= ORDERS_MAX)
		return err_set(e, -ENOBUFS, "too many orders at once");
	return schedule_clock_check(clock_unix(), 0, e);
}

/* True when the very same is under way already; otherwise what stands in the way is dropped. */
static bool is_running(
	struct orders *o, const struct procmsg *m, const struct backoff *b, const uint8_t *request)
{
	list_each_safe(at, &o->all)
	{
		struct order *x = container_of(at, struct order, node);
		bool same_names = !strcmp(x->backoff.key, b->key);
		if (x->id == m->id && same_names &&
			!memcmp(x->request, request, sizeof(x->request)))
			return true;
		if (x->id == m->id || same_names)
			drop(x);
	}
	return false;
}

static bool held_back(
	struct orders *o, const struct procmsg *m, struct backoff *b, const uint8_t *request)
{
	int64_t now = clock_unix();
	int64_t at = schedule_next(&b->when, now, m->flags & PROCMSG_FORCE);
	char text[PROCMSG_TEXT_MAX];
	bool asked_before = !memcmp(b->request, request, BACKOFF_REQUEST_LEN);
	if (at == now || (!b->when.failures && asked_before))
		return false;
	if (b->when.failures) {
		tell(o, m->id, b->class, b->text, at);
		return true;
	}
	snprintf(text, sizeof(text),
		"a certificate for these names was issued %lld s ago; the next order "
		"waits, to spare the certificate authority's limits",
		(long long)(now - b->when.last_at));
	tell(o, m->id, STATE_FAIL_LIMIT, text, at);
	return true;
}

/* Written down before the CA is asked: a try that a crash cuts short counts as a failed one, so
 * that a crash loop climbs the same ladder; the first time it may go on soon. */
static int note_start(struct orders *o, const struct backoff *before, struct err *e)
{
	struct backoff b = *before;
	int64_t now = clock_unix();
	b.class = STATE_FAIL_OURS;
	str_copy(b.text, sizeof(b.text), "an earlier try was cut short");
	schedule_record(&b.when, b.key, SCHEDULE_FAILED, now, 0);
	if (!before->when.failures)
		b.when.next_at = now + CUT_SHORT_S;
	return backoff_save(&b, o->tools->db, e);
}

static void place(
	struct orders *o, const struct procmsg *m, const struct backoff *b, const uint8_t *request)
{
	struct order *x = xcalloc(1, sizeof(*x));
	x->o = o;
	x->id = m->id;
	x->n_names = m->n_names;
	memcpy(x->names, m->names, sizeof(x->names));
	x->backoff = *b;
	memcpy(x->request, request, sizeof(x->request));
	list_init(&x->node);
	list_push_back(&o->all, &x->node);
	o->n++;
	log_info(AREA, "order", "name", x->names[0], "names", LOG_NUM(x->n_names));
	x->obtain = o->driver->obtain(o->driver,
		&(struct obtain_opts){.id = x->id,
			.names = (const char(*)[254])x->names,
			.n_names = x->n_names,
			.csr = m->blob,
			.csr_len = m->blob_len},
		on_obtained, x);
}

void orders_place(struct orders *o, const struct procmsg *m)
{
	struct backoff b;
	struct err e = {0};
	uint8_t request[BACKOFF_REQUEST_LEN];
	int rc = check(o, m, &e);
	if (!rc && csr_digest(request, m->blob, m->blob_len) < 0)
		rc = err_set(&e, -EBADMSG, "the certificate request is damaged");
	if (!rc)
		rc = backoff_load(&b, o->tools->db, m, &e);
	if (rc < 0) {
		log_warn(AREA, "order refused", "name", m->names[0], "why", e.text);
		tell(o, m->id, STATE_FAIL_OURS, e.text, 0);
		return;
	}
	if (is_running(o, m, &b, request) || held_back(o, m, &b, request))
		return;
	if (note_start(o, &b, &e) < 0)
		tell(o, m->id, STATE_FAIL_OURS, e.text, clock_unix() + SCHEDULE_FORCE_GAP_S);
	else
		place(o, m, &b, request);
}

static struct order *find(struct orders *o, uint64_t id)
{
	list_each(at, &o->all)
	{
		struct order *x = container_of(at, struct order, node);
		if (x->id == id)
			return x;
	}
	return NULL;
}

void orders_cancel(struct orders *o, uint64_t id)
{
	struct order *x = find(o, id);
	if (x)
		drop(x);
}

bool orders_has(struct orders *o, uint64_t id, const char *ident)
{
	struct order *x = find(o, id);
	for (unsigned i = 0; x && i < x->n_names; i++) {
		const char *name = x->names[i];
		if (!strcmp(str_starts(name, "*.") ? name + 2 : name, ident))
			return true;
	}
	return false;
}

void orders_proof_began(struct orders *o, uint64_t id, uint64_t ms)
{
	struct order *x = find(o, id);
	if (!x)
		return;
	o->driver->extend(o->driver, x->obtain, ms);
	tell(o, id, STATE_WORKING, "a proof goes into DNS", 0);
}

void orders_proof_said(struct orders *o, uint64_t id, int rc, const char *text)
{
	struct order *x = find(o, id);
	if (!x)
		return;
	o->driver->extend(o->driver, x->obtain, 0);
	if (rc < 0) {
		x->proof_rc = rc;
		str_copy(x->proof_text, sizeof(x->proof_text), text);
		return;
	}
	tell(o, id, STATE_WORKING, "the proof stands in DNS, the certificate authority looks at it",
		0);
}

struct driver *orders_driver(struct orders *o)
{
	return o->driver;
}

struct orders *orders_new(
	struct proof_tools *tools, struct driver *driver, report_fn report, void *ctx)
{
	struct orders *o = xcalloc(1, sizeof(*o));
	o->tools = tools;
	o->driver = driver;
	o->report = report;
	o->ctx = ctx;
	list_init(&o->all);
	return o;
}

void orders_free(struct orders *o)
{
	if (!o)
		return;
	o->driver->free(o->driver);
	list_each_safe(at, &o->all) order_free(container_of(at, struct order, node));
	free(o);
}
