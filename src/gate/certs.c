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
#include "gate/certs_file.h"
#include "net/tls.h"
#include "store/db.h"

#define AREA "gate/certs"
#define SILENT_EXTRA_MS 300000u
#define RETRY_SEND_MS 2000u

struct entry {
	struct certs_row row;
	struct certs_order order;
	struct tls_cert *cert;
	bool served; /* what the last tick saw: not expired */
	bool wanted; /* by the plan */
	bool loaded; /* its files were looked at */
};

struct certs {
	struct certs_opts o;
	char *dir;
	struct entry **entries; /* "@base" first */
	unsigned n;
	uint64_t silent_ms;
};

static struct certs_place at_of(const struct certs *c, const struct certs_row *r)
{
	return (struct certs_place){c->dir, r->id};
}

static struct certs_names names_of(const struct certs_row *r)
{
	return (struct certs_names){r->names, r->n_names};
}

static void entry_free(struct entry *x)
{
	if (!x)
		return;
	tls_cert_unref(x->cert);
	free(x);
}

static void put_row(struct certs *c, const struct entry *x)
{
	struct err e = {0};
	if (certs_row_put(c->o.db, &x->row, &e) < 0)
		log_error(AREA, "cannot remember a certificate", "id", x->row.id, "why", e.text);
}

static struct entry *find(const struct certs *c, const char *id)
{
	for (unsigned i = 0; i < c->n; i++)
		if (strcmp(c->entries[i]->row.id, id) == 0)
			return c->entries[i];
	return NULL;
}

static struct entry *find_order(const struct certs *c, uint64_t id)
{
	for (unsigned i = 0; id && i < c->n; i++)
		if (c->entries[i]->row.order_id == id)
			return c->entries[i];
	return NULL;
}

static void append(struct certs *c, struct entry *x)
{
	c->entries = xrealloc(c->entries, c->n + 1, sizeof(*c->entries));
	c->entries[c->n++] = x;
	if (strcmp(x->row.id, CERTS_BASE_ID) == 0) {
		memmove(c->entries + 1, c->entries, (c->n - 1) * sizeof(*c->entries));
		c->entries[0] = x;
	}
}

static bool is_valid_at(const struct entry *x, int64_t now)
{
	return x->cert && x->row.not_after > now;
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
	for (size_t i = 0; i < n; i++) {
		struct entry *x = xcalloc(1, sizeof(*x));
		x->row = rows[i];
		append(c, x);
	}
	free(rows);
	*out = c;
	return 0;
}

void certs_free(struct certs *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->n; i++)
		entry_free(c->entries[i]);
	free(c->entries);
	free(c->dir);
	free(c);
}

/* ---- the plan ---- */

/* What the file says counts, the row is corrected: a crash may have come between the two. */
static void load(struct certs *c, struct entry *x, int64_t now)
{
	struct certs_place at = at_of(c, &x->row);
	struct certs_names names = names_of(&x->row);
	struct certs_facts f = {0};
	struct err e = {0};
	int rc = certs_file_load(&at, &names, &f, &x->cert, &e);
	if (rc < 0 && rc != -ENOENT)
		log_error(AREA, "a certificate was damaged; a new one is ordered", "id", x->row.id,
			"why", e.text);
	x->row.not_before = f.not_before;
	x->row.not_after = f.not_after;
	memcpy(x->row.serial, f.serial, sizeof(f.serial));
	/* Also after a disk that failed when all was written: the row then tells of a failure. */
	if (x->cert && certs_file_is_for_key(&at, &names)) {
		certs_file_remove(&at, CERTS_FILE_KEY, NULL);
		certs_life_held(&x->row, &x->order, now);
	} else if (x->row.state != CERTS_ORDERED) {
		enum certs_state was = x->row.state;
		x->row.state = x->cert ? CERTS_HELD : CERTS_WANTED;
		if (x->row.state != was)
			x->row.next_at = 0;
		if (x->cert && x->row.next_at == 0)
			certs_life_held(&x->row, &x->order, x->row.issued_at);
	}
	x->loaded = true;
	x->served = is_valid_at(x, now);
	put_row(c, x);
}

static void cancel(struct certs *c, struct entry *x)
{
	struct procmsg m = {.type = PROCMSG_CANCEL, .id = x->row.order_id};
	if (m.id)
		c->o.send(c->o.ctx, &m, NULL);
}

static void withdraw(struct certs *c, unsigned i)
{
	struct entry *x = c->entries[i];
	struct certs_place at = at_of(c, &x->row);
	struct err e = {0};
	cancel(c, x);
	if (certs_file_remove(&at, CERTS_FILE_KEY, &e) < 0 ||
		certs_file_remove(&at, CERTS_FILE_PEM, &e) < 0 ||
		certs_row_remove(c->o.db, x->row.id, &e) < 0)
		log_error(AREA, "cannot remove a certificate", "id", x->row.id, "why", e.text);
	log_info(AREA, "withdrawn", "id", x->row.id);
	entry_free(x);
	memmove(c->entries + i, c->entries + i + 1, (c->n - i - 1) * sizeof(*c->entries));
	c->n--;
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

/* Keeps, or makes, the entry for these names. */
static bool want(struct certs *c, const struct certs_row *r, int64_t now)
{
	struct entry *x = find(c, r->id);
	if (x && !same_names(&x->row, r)) {
		for (unsigned i = 0; i < c->n; i++)
			if (c->entries[i] == x) {
				withdraw(c, i);
				break;
			}
		x = NULL;
	}
	if (!x) {
		x = xcalloc(1, sizeof(*x));
		x->row = *r;
		append(c, x);
	}
	x->wanted = true;
	if (x->loaded)
		return false;
	load(c, x, now);
	return x->cert != NULL;
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

void certs_follow(struct certs *c, const struct certs_plan *p, int64_t now)
{
	bool changed = false;
	c->silent_ms = p->timeout_ms + SILENT_EXTRA_MS;
	for (unsigned i = 0; i < c->n; i++)
		c->entries[i]->wanted = false;
	struct certs_row r = wanted_row(CERTS_BASE_ID, p->domain);
	changed |= want(c, &r, now);
	for (unsigned i = 0; p->per_device && i < p->n_devices; i++) {
		r = wanted_row(p->devices[i], p->domain);
		changed |= want(c, &r, now);
	}
	for (unsigned i = c->n; i-- > 0;) {
		if (c->entries[i]->wanted)
			continue;
		withdraw(c, i);
		changed = true;
	}
	if (changed)
		c->o.changed(c->o.ctx);
}

/* ---- orders ---- */

static int send_order(struct certs *c, struct entry *x, const struct certs_time *now, struct err *e)
{
	struct certs_place at = at_of(c, &x->row);
	struct certs_names names = names_of(&x->row);
	struct buf key = BUF_INIT(CERTS_KEY_MAX), csr = BUF_INIT(16384);
	int rc = certs_file_key(&at, &key, e);
	if (rc == 0)
		rc = certs_csr_new(&csr, &key, &names, e);
	if (rc < 0) {
		rc = -EINVAL;
		goto out;
	}
	struct procmsg m = {.type = PROCMSG_ORDER,
		.id = x->row.order_id,
		.flags = x->order.forced ? PROCMSG_FORCE : 0,
		.n_names = x->row.n_names,
		.blob = csr.data,
		.blob_len = csr.len};
	memcpy(m.names, x->row.names, sizeof(m.names));
	rc = c->o.send(c->o.ctx, &m, e);
	if (rc == 0) {
		certs_life_sent(&x->order, now);
		log_info(AREA, "ordered", "id", x->row.id, "name", x->row.names[0]);
	}
out:
	buf_done_secret(&key);
	buf_done(&csr);
	return rc;
}

/* The key is on the disk before the CA hears of it. */
static int new_order(struct certs *c, struct entry *x, struct err *e)
{
	struct certs_place at = at_of(c, &x->row);
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
	struct certs_row was = x->row;
	certs_life_ordered(&x->row, id);
	rc = certs_row_put(c->o.db, &x->row, e);
	if (rc < 0)
		x->row = was;
	return rc;
}

/* Our own disk or database says no: like any failure, with a cause and a back-off. */
static void fail_ours(
	struct certs *c, struct entry *x, const char *why, const struct certs_time *now)
{
	struct procmsg m = {.class = STATE_FAIL_OURS};
	snprintf(m.text, sizeof(m.text), "%s", why);
	log_error(AREA, "cannot order", "id", x->row.id, "why", why);
	x->order.forced = false;
	certs_life_failed(&x->row, &x->order, &m, now);
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
	for (unsigned i = 0; i < c->n; i++)
		n += c->entries[i]->row.state == CERTS_ORDERED && !c->entries[i]->order.retry_ms;
	return n;
}

/* An expired certificate leaves the snapshot, so that the bridge covers its host. */
static bool note_expiry(struct certs *c, int64_t now)
{
	bool changed = false;
	for (unsigned i = 0; i < c->n; i++) {
		struct entry *x = c->entries[i];
		bool serves = is_valid_at(x, now);
		if (x->served && !serves)
			log_error(AREA, "expired", "id", x->row.id, "name", x->row.names[0]);
		changed |= x->served != serves;
		x->served = serves;
	}
	return changed;
}

uint64_t certs_tick(struct certs *c, const struct certs_time *now)
{
	uint64_t soonest = CERTS_LOOK_MAX_MS;
	for (unsigned i = 0; i < c->n; i++) {
		struct entry *x = c->entries[i];
		struct certs_scene scene = {.now = *now,
			.base_held = is_valid_at(c->entries[0], now->unix_s),
			.open = open_orders(c),
			.silent_ms = c->silent_ms};
		struct certs_step step = certs_life_step(&x->row, &x->order, &scene);
		uint64_t in = step.act == CERTS_WAIT ? step.in_ms : act(c, x, now, step.act);
		if (in < soonest)
			soonest = in;
	}
	if (now->believable && note_expiry(c, now->unix_s))
		c->o.changed(c->o.ctx);
	return soonest;
}

void certs_restart(struct certs *c)
{
	for (unsigned i = 0; i < c->n; i++)
		c->entries[i]->order.sent = false;
}

/* ---- answers ---- */

/* Key and chain go into one file in one step; only then the old certificate is given up. */
static int store_chain(
	struct certs *c, struct entry *x, const struct procmsg *m, int64_t now, struct err *e)
{
	struct certs_place at = at_of(c, &x->row);
	struct certs_names names = names_of(&x->row);
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
		tls_cert_unref(x->cert);
		x->cert = cert;
		cert = NULL;
		x->row.not_before = f.not_before;
		x->row.not_after = f.not_after;
		memcpy(x->row.serial, f.serial, sizeof(f.serial));
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
	struct err e = {0};
	if (store_chain(c, x, m, now->unix_s, &e) < 0) {
		certs_life_refused(&x->row, &x->order, &e, now->unix_s);
		log_error(AREA, "refused what was issued", "id", x->row.id, "why", e.text);
		put_row(c, x);
		return;
	}
	certs_life_held(&x->row, &x->order, now->unix_s);
	x->served = is_valid_at(x, now->unix_s);
	log_info(AREA, "issued", "id", x->row.id, "name", x->row.names[0], "serial", x->row.serial);
	put_row(c, x);
	c->o.changed(c->o.ctx);
}

static void on_state(
	struct certs *c, struct entry *x, const struct procmsg *m, const struct certs_time *now)
{
	if (m->class >= STATE_FAIL_OURS && m->class <= STATE_FAIL_NET) {
		certs_life_failed(&x->row, &x->order, m, now);
		log_warn(AREA, "order failed", "id", x->row.id, "fault", class_word(m->class),
			"why", m->text);
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
	if (m->type == PROCMSG_CHAIN)
		on_chain(c, x, m, now);
	else if (m->type == PROCMSG_STATE)
		on_state(c, x, m, now);
	return true;
}

int certs_renew(struct certs *c, const char *id, const struct certs_time *now, struct err *e)
{
	struct entry *x = find(c, id);
	if (!x)
		return err_set(e, -ENOENT, "there is no certificate \"%s\"", id);
	uint64_t wait = certs_life_force(&x->order, now);
	if (wait)
		return err_set(e, -EAGAIN, "asked for a moment ago; try again in %u s",
			(unsigned)(wait / 1000 + 1));
	return 0;
}

/* ---- looking ---- */

struct tls_cert *certs_serving(const struct certs *c, const char *id, int64_t now)
{
	const struct entry *x = find(c, id);
	return x && is_valid_at(x, now) ? x->cert : NULL;
}

int64_t certs_clock_floor(const struct certs *c)
{
	int64_t floor = 0;
	for (unsigned i = 0; i < c->n; i++)
		if (c->entries[i]->row.not_before > floor)
			floor = c->entries[i]->row.not_before;
	return floor;
}

unsigned certs_count(const struct certs *c)
{
	return c->n;
}

const struct certs_row *certs_at(const struct certs *c, unsigned i)
{
	return &c->entries[i]->row;
}

const struct certs_row *certs_find(const struct certs *c, const char *id)
{
	const struct entry *x = find(c, id);
	return x ? &x->row : NULL;
}
