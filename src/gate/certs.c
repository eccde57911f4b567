/* See certs.h. Decisions are in certs_life, files in certs_file, cryptography in certs_key; here
 * they meet the database and the steward. */
#include "gate/certs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "gate/certs_entry.h"
#include "gate/certs_file.h"
#include "net/tls.h"
#include "store/db.h"

#define AREA "gate/certs"
#define SILENT_EXTRA_MS 300000u
#define RETRY_SEND_MS 2000u
#define KIN 4 /* an authority signs with one or two intermediates at a time */

struct certs {
	struct certs_opts o;
	char *dir;
	struct entries all;
	struct tls_cert *kin[KIN]; /* as many different chains, to share them */
	unsigned next_kin;
	uint64_t silent_ms;
	int64_t floor;                 /* certs_clock_floor() */
	int64_t calm_from, calm_until; /* nothing is due between the two */
};

static struct certs_place at_of(const struct certs *c, const struct certs_row *r)
{
	return (struct certs_place){c->dir, r->id};
}

static struct certs_names names_of(const struct certs_row *r)
{
	return (struct certs_names){r->names, r->n_names};
}

static int put_row(struct certs *c, struct entry *x)
{
	struct err e = {0};
	const struct certs_row *r = entry_row(x);
	int rc = certs_row_put(c->o.db, r, &e);
	if (rc < 0)
		log_error(AREA, "cannot remember a certificate", "id", r->id, "why", e.text);
	x->stored = rc == 0;
	entry_settle(x);
	return rc;
}

static struct entry *find_order(const struct certs *c, uint64_t id)
{
	for (unsigned i = 0; id && i < c->all.n; i++) {
		struct entry *x = c->all.at[i];
		if (x->row && x->row->order_id == id)
			return x;
	}
	return NULL;
}

static bool is_valid_at(const struct entry *x, int64_t now)
{
	return x->cert && entry_not_after(x) > now;
}

static void find_floor(struct certs *c)
{
	c->floor = 0;
	for (unsigned i = 0; i < c->all.n; i++)
		if (entry_not_before(c->all.at[i]) > c->floor)
			c->floor = entry_not_before(c->all.at[i]);
}

int certs_open(struct certs **out, const struct certs_opts *o, struct err *e)
{
	struct certs_row *rows = NULL;
	size_t n = 0;
	int rc = dir_make(o->dir, 0700, e);
	if (rc == 0)
		rc = certs_row_list(o->db, &rows, &n, e);
	if (rc < 0)
		return rc;
	struct certs *c = xcalloc(1, sizeof(*c));
	c->o = *o;
	c->dir = xstrdup(o->dir);
	c->o.dir = c->dir;
	entries_init(&c->all);
	for (size_t i = 0; i < n; i++) {
		struct entry *x = entries_add(&c->all, &rows[i]);
		x->stored = true;
		entry_settle(x);
	}
	free(rows);
	find_floor(c);
	*out = c;
	return 0;
}

void certs_free(struct certs *c)
{
	if (!c)
		return;
	entries_done(&c->all);
	for (unsigned i = 0; i < KIN; i++)
		tls_cert_unref(c->kin[i]);
	free(c->dir);
	free(c);
}

/* ---- the plan ---- */

/* Certificates of one authority have the same chain: it is held once. */
static void share_chain(struct certs *c, struct tls_cert *cert)
{
	for (unsigned i = 0; i < KIN; i++)
		if (c->kin[i] && tls_cert_share_chain(cert, c->kin[i]))
			return;
	tls_cert_unref(c->kin[c->next_kin]);
	c->kin[c->next_kin] = tls_cert_ref(cert);
	c->next_kin = (c->next_kin + 1) % KIN;
}

static struct certs_facts facts_of(const struct certs_row *r)
{
	struct certs_facts f = {.not_before = r->not_before, .not_after = r->not_after};
	memcpy(f.serial, r->serial, sizeof(f.serial));
	memcpy(f.file_sha256, r->file_sha256, sizeof(f.file_sha256));
	return f;
}

static void note_facts(struct certs_row *r, const struct certs_facts *f)
{
	r->not_before = f->not_before;
	r->not_after = f->not_after;
	memcpy(r->serial, f->serial, sizeof(f->serial));
	memcpy(r->file_sha256, f->file_sha256, sizeof(f->file_sha256));
}

/* In what load() may change; the same serial and dates have the same file. */
static bool is_same(const struct certs_row *a, const struct certs_row *b)
{
	return a->state == b->state && a->order_id == b->order_id && a->next_at == b->next_at &&
	       a->not_after == b->not_after && a->fails == b->fails &&
	       memcmp(a->file_sha256, b->file_sha256, sizeof(a->file_sha256)) == 0;
}

/* The state of a row whose file was looked at. */
static void settle_state(struct certs *c, struct entry *x, int64_t now)
{
	struct certs_row *r = x->row;
	struct certs_place at = at_of(c, r);
	struct certs_names names = names_of(r);
	/* Also after a disk that failed when all was written: the row then tells of a failure. */
	if (x->cert && certs_file_key_exists(&at) && certs_file_is_for_key(&at, &names)) {
		certs_file_remove(&at, CERTS_FILE_KEY, NULL);
		certs_life_held(r, &x->order, now);
	} else if (r->state != CERTS_ORDERED) {
		enum certs_state was = r->state;
		r->state = x->cert ? CERTS_HELD : CERTS_WANTED;
		if (r->state != was)
			r->next_at = 0;
		if (x->cert && r->next_at == 0)
			certs_life_held(r, &x->order, r->issued_at);
	}
}

/* What the file says counts, the row is corrected: a crash may have come between the two. */
static int load(struct certs *c, struct entry *x, int64_t now)
{
	struct certs_row *r = entry_row(x), was = *r;
	struct certs_place at = at_of(c, r);
	struct certs_names names = names_of(r);
	struct certs_facts f = facts_of(r);
	struct err e = {0};
	int rc = certs_file_load(&at, &names, &f, &x->cert, &e);
	if (rc < 0 && rc != -ENOENT)
		log_error(AREA, "a certificate was damaged; a new one is ordered", "id", r->id,
			"why", e.text);
	if (x->cert)
		share_chain(c, x->cert);
	note_facts(r, &f);
	settle_state(c, x, now);
	x->loaded = true;
	x->served = is_valid_at(x, now);
	if (!x->stored || !is_same(r, &was))
		return put_row(c, x);
	entry_settle(x);
	return 0;
}

static void cancel(struct certs *c, const struct entry *x)
{
	struct procmsg m = {.type = PROCMSG_CANCEL, .id = x->row ? x->row->order_id : 0};
	if (m.id)
		c->o.send(c->o.ctx, &m, NULL);
}

static void withdraw(void *ctx, struct entry *x)
{
	struct certs *c = ctx;
	const struct certs_row *r = entry_row(x);
	struct certs_place at = at_of(c, r);
	struct err e = {0};
	cancel(c, x);
	if (certs_file_remove(&at, CERTS_FILE_KEY, &e) < 0 ||
		certs_file_remove(&at, CERTS_FILE_PEM, &e) < 0 ||
		certs_row_remove(c->o.db, r->id, &e) < 0)
		log_error(AREA, "cannot remove a certificate", "id", r->id, "why", e.text);
	log_info(AREA, "withdrawn", "id", r->id);
}

static bool same_names(const struct certs_row *a, const struct certs_row *b)
{
	if (a->n_names != b->n_names)
		return false;
	for (unsigned i = 0; i < a->n_names; i++)
		if (strcmp(a->names[i], b->names[i]) != 0)
			return false;
	return true;
}

/* Keeps, or makes, the entry for these names. 1 when it was loaded and there is a certificate. */
static int want(struct certs *c, const struct certs_row *r, int64_t now)
{
	struct entry *x = entries_find(&c->all, r->id);
	if (x && !same_names(entry_look(&c->all, x), r)) {
		withdraw(c, x);
		entries_drop(&c->all, x);
		x = NULL;
	}
	if (!x)
		x = entries_add(&c->all, r);
	x->wanted = true;
	if (x->loaded)
		return 0;
	int rc = load(c, x, now);
	return rc < 0 ? rc : x->cert != NULL;
}

static struct certs_row wanted_row(const char *id, const char *domain)
{
	struct certs_row r = {.state = CERTS_WANTED, .n_names = 1};
	snprintf(r.id, sizeof(r.id), "%s", id);
	if (strcmp(id, CERTS_BASE_ID) == 0) {
		r.n_names = 2;
		snprintf(r.names[0], sizeof(r.names[0]), "%s", domain);
		snprintf(r.names[1], sizeof(r.names[1]), "*.%s", domain);
	} else {
		snprintf(r.names[0], sizeof(r.names[0]), "%s.%s", id, domain);
	}
	return r;
}

static bool want_all(struct certs *c, const struct certs_plan *p, int64_t now)
{
	struct certs_row r = wanted_row(CERTS_BASE_ID, p->domain);
	bool changed = want(c, &r, now) == 1;
	for (unsigned i = 0; p->per_device && i < p->n_devices; i++) {
		r = wanted_row(p->devices[i], p->domain);
		changed |= want(c, &r, now) == 1;
	}
	return changed;
}

/* One transaction: thousands of rows are not worth thousands of waits for the disk. */
void certs_follow(struct certs *c, const struct certs_plan *p, int64_t now)
{
	struct err e = {0};
	c->silent_ms = p->timeout_ms + SILENT_EXTRA_MS;
	for (unsigned i = 0; i < c->all.n; i++)
		c->all.at[i]->wanted = false;
	bool begun = db_begin(c->o.db, &e) == 0;
	bool changed = want_all(c, p, now);
	changed |= entries_drop_unwanted(&c->all, withdraw, c);
	if (begun && db_commit(c->o.db, &e) < 0)
		log_error(AREA, "cannot remember certificates", "why", e.text);
	c->calm_until = INT64_MIN;
	find_floor(c);
	if (changed)
		c->o.changed(c->o.ctx);
}

/* ---- orders ---- */

static int send_order(struct certs *c, struct entry *x, const struct certs_time *now, struct err *e)
{
	const struct certs_row *r = entry_row(x);
	struct certs_place at = at_of(c, r);
	struct certs_names names = names_of(r);
	struct buf key = BUF_INIT(CERTS_KEY_MAX), csr = BUF_INIT(16384);
	int rc = certs_file_key(&at, &key, e);
	if (rc == 0)
		rc = certs_csr_new(&csr, &key, &names, e);
	if (rc < 0) {
		rc = -EINVAL;
		goto out;
	}
	struct procmsg m = {.type = PROCMSG_ORDER,
		.id = r->order_id,
		.flags = x->order.forced || x->order.put_off ? PROCMSG_FORCE : 0,
		.n_names = r->n_names,
		.blob = csr.data,
		.blob_len = csr.len};
	memcpy(m.names, r->names, sizeof(m.names));
	rc = c->o.send(c->o.ctx, &m, e);
	if (rc == 0) {
		certs_life_sent(&x->order, now);
		log_info(AREA, "ordered", "id", r->id, "name", r->names[0]);
	}
out:
	buf_done_secret(&key);
	buf_done(&csr);
	return rc;
}

/* The key is on the disk before the CA hears of it. */
static int new_order(struct certs *c, struct entry *x, struct err *e)
{
	struct certs_row *r = entry_row(x), was;
	struct certs_place at = at_of(c, r);
	struct buf key = BUF_INIT(CERTS_KEY_MAX);
	uint64_t id = 0;
	int rc = certs_key_new(&key, e);
	if (rc == 0)
		rc = certs_file_write(&at, CERTS_FILE_KEY, &key, e);
	if (rc == 0)
		rc = certs_order_id(c->o.db, &id, e);
	buf_done_secret(&key);
	if (rc < 0)
		return rc;
	was = *r;
	certs_life_ordered(r, id);
	rc = certs_row_put(c->o.db, r, e);
	if (rc < 0)
		*r = was;
	return rc;
}

/* Our own disk or database says no: like any failure, with a cause and a back-off. */
static void fail_ours(
	struct certs *c, struct entry *x, const char *why, const struct certs_time *now)
{
	struct procmsg m = {.class = STATE_FAIL_OURS};
	snprintf(m.text, sizeof(m.text), "%s", why);
	log_error(AREA, "cannot order", "id", entry_row(x)->id, "why", why);
	x->order.forced = false;
	certs_life_failed(entry_row(x), &x->order, &m, now);
	put_row(c, x);
}

static uint64_t act(
	struct certs *c, struct entry *x, const struct certs_time *now, enum certs_act what)
{
	struct err e = {0};
	int rc = 0;
	if (what == CERTS_ORDER)
		rc = new_order(c, x, &e);
	if (rc == 0) {
		rc = send_order(c, x, now, &e);
		if (rc == -ENOBUFS || rc == -EPIPE)
			return RETRY_SEND_MS;
		/* The pending key is gone or damaged: begin anew. */
		if (rc == -EINVAL && what == CERTS_RESEND) {
			cancel(c, x);
			rc = new_order(c, x, &e);
			if (rc == 0)
				return RETRY_SEND_MS;
		}
	}
	if (rc < 0)
		fail_ours(c, x, e.text, now);
	return CERTS_LOOK_MAX_MS;
}

static unsigned open_orders(const struct certs *c)
{
	unsigned n = 0;
	for (unsigned i = 0; i < c->all.n; i++) {
		const struct entry *x = c->all.at[i];
		n += x->row && x->row->state == CERTS_ORDERED && !x->order.retry_ms;
	}
	return n;
}

/* An expired certificate leaves the snapshot, so that the bridge covers its host. */
static bool note_expiry(struct certs *c, int64_t now)
{
	bool changed = false;
	for (unsigned i = 0; i < c->all.n; i++) {
		struct entry *x = c->all.at[i];
		bool serves = is_valid_at(x, now);
		if (x->served && !serves) {
			const struct certs_row *r = entry_look(&c->all, x);
			log_error(AREA, "expired", "id", r->id, "name", r->names[0]);
		}
		changed |= x->served != serves;
		x->served = serves;
	}
	return changed;
}

static uint64_t until(int64_t due, int64_t now)
{
	return due - now < CERTS_LOOK_MAX_MS / 1000 ? (uint64_t)(due - now) * 1000
						    : CERTS_LOOK_MAX_MS;
}

/* What is due for one; in how many milliseconds the next thing is. */
static uint64_t turn_one(struct certs *c, struct entry *x, struct certs_scene *scene)
{
	const struct certs_time *now = &scene->now;
	int64_t due = entry_due_at(x);
	if (due > now->unix_s || (due != INT64_MIN && !now->believable))
		return now->believable ? until(due, now->unix_s) : CERTS_LOOK_MAX_MS;
	struct certs_step step = certs_life_step(entry_row(x), &x->order, scene);
	uint64_t in = step.in_ms;
	if (step.act != CERTS_WAIT) {
		in = act(c, x, now, step.act);
		scene->open = open_orders(c);
	}
	entry_settle(x);
	return in;
}

/* Until when nothing can become due by the clock alone. */
static void find_calm(struct certs *c, const struct certs_time *now)
{
	int64_t end = INT64_MAX;
	for (unsigned i = 0; i < c->all.n; i++) {
		const struct entry *x = c->all.at[i];
		int64_t due = entry_due_at(x), expiry = entry_not_after(x);
		if (due < end)
			end = due;
		if (x->served && expiry < end)
			end = expiry;
	}
	c->calm_from = now->unix_s;
	c->calm_until = now->believable ? end : INT64_MIN;
}

/* Each message of the steward leads here, and at thousands of certificates hardly one matters. */
static bool is_calm(const struct certs *c, const struct certs_time *now)
{
	return now->believable && now->unix_s >= c->calm_from && now->unix_s < c->calm_until;
}

uint64_t certs_tick(struct certs *c, const struct certs_time *now)
{
	if (is_calm(c, now))
		return until(c->calm_until, now->unix_s);
	uint64_t soonest = CERTS_LOOK_MAX_MS;
	struct certs_scene scene = {.now = *now, .open = open_orders(c), .silent_ms = c->silent_ms};
	for (unsigned i = 0; i < c->all.n; i++) {
		scene.base_held = is_valid_at(c->all.at[0], now->unix_s);
		uint64_t in = turn_one(c, c->all.at[i], &scene);
		if (in < soonest)
			soonest = in;
	}
	if (now->believable && note_expiry(c, now->unix_s))
		c->o.changed(c->o.ctx);
	find_calm(c, now);
	return soonest;
}

void certs_restart(struct certs *c)
{
	for (unsigned i = 0; i < c->all.n; i++)
		c->all.at[i]->order.sent = false;
}

/* ---- answers ---- */

/* Key and chain go into one file in one step; only then the old certificate is given up. */
static int store_chain(
	struct certs *c, struct entry *x, const struct procmsg *m, int64_t now, struct err *e)
{
	struct certs_row *r = entry_row(x);
	struct certs_place at = at_of(c, r);
	struct certs_names names = names_of(r);
	struct buf pem = BUF_INIT(CERTS_FILE_MAX), key = BUF_INIT(CERTS_KEY_MAX);
	struct certs_facts f;
	struct tls_cert *cert = NULL;
	struct certs_judge j = {&key, &names, now, &pem};
	int rc = certs_file_key(&at, &key, e);
	if (rc == 0)
		rc = buf_append(&pem, key.data, key.len);
	if (rc == 0)
		rc = buf_puts(&pem, "\n");
	if (rc == 0)
		rc = certs_chain_judge(&j, m->blob, m->blob_len, &f, e);
	if (rc == 0)
		rc = tls_cert_new(&cert, pem.data, pem.len, e);
	if (rc == 0)
		rc = certs_file_write(&at, CERTS_FILE_PEM, &pem, e);
	if (rc == 0) {
		share_chain(c, cert);
		tls_cert_unref(x->cert);
		x->cert = cert;
		cert = NULL;
		certs_file_hash(f.file_sha256, &pem);
		note_facts(r, &f);
		certs_file_remove(&at, CERTS_FILE_KEY, NULL);
	}
	tls_cert_unref(cert);
	buf_done_secret(&pem);
	buf_done_secret(&key);
	return rc;
}

static void on_chain(
	struct certs *c, struct entry *x, const struct procmsg *m, const struct certs_time *now)
{
	struct certs_row *r = entry_row(x);
	struct err e = {0};
	if (store_chain(c, x, m, now->unix_s, &e) < 0) {
		certs_life_refused(r, &x->order, &e, now->unix_s);
		log_error(AREA, "refused what was issued", "id", r->id, "why", e.text);
		put_row(c, x);
		return;
	}
	certs_life_held(r, &x->order, now->unix_s);
	x->served = is_valid_at(x, now->unix_s);
	log_info(AREA, "issued", "id", r->id, "name", r->names[0], "serial", r->serial);
	put_row(c, x);
	find_floor(c);
	c->o.changed(c->o.ctx);
}

static void on_state(
	struct certs *c, struct entry *x, const struct procmsg *m, const struct certs_time *now)
{
	if (m->class >= STATE_FAIL_OURS && m->class <= STATE_FAIL_NET) {
		certs_life_failed(entry_row(x), &x->order, m, now);
		log_warn(AREA, "order failed", "id", entry_row(x)->id, "fault",
			class_word(m->class), "why", m->text);
		put_row(c, x);
	} else if (m->class == STATE_WORKING) {
		certs_life_sent(&x->order, now);
	}
}

bool certs_message(struct certs *c, const struct procmsg *m, const struct certs_time *now)
{
	struct entry *x = find_order(c, m->id);
	if (!x)
		return false;
	c->calm_until = INT64_MIN;
	if (m->type == PROCMSG_CHAIN)
		on_chain(c, x, m, now);
	else if (m->type == PROCMSG_STATE)
		on_state(c, x, m, now);
	return true;
}

int certs_renew(struct certs *c, const char *id, const struct certs_time *now, struct err *e)
{
	struct entry *x = entries_find(&c->all, id);
	if (!x)
		return err_set(e, -ENOENT, "there is no certificate \"%s\"", id);
	c->calm_until = INT64_MIN;
	uint64_t wait = certs_life_force(&x->order, now);
	if (wait)
		return err_set(e, -EAGAIN, "asked for a moment ago; try again in %u s",
			(unsigned)(wait / 1000 + 1));
	return 0;
}

/* ---- looking ---- */

struct tls_cert *certs_serving(const struct certs *c, const char *id, int64_t now)
{
	const struct entry *x = entries_find(&c->all, id);
	return x && is_valid_at(x, now) ? x->cert : NULL;
}

int64_t certs_clock_floor(const struct certs *c)
{
	return c->floor;
}

unsigned certs_count(const struct certs *c)
{
	return c->all.n;
}

const struct certs_row *certs_at(struct certs *c, unsigned i)
{
	return entry_look(&c->all, c->all.at[i]);
}

const struct certs_row *certs_find(struct certs *c, const char *id)
{
	const struct entry *x = entries_find(&c->all, id);
	return x ? entry_look(&c->all, x) : NULL;
}
