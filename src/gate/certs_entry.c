/* See certs_entry.h. */
#include "gate/certs_entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/xalloc.h"
#include "net/tls.h"

struct packed_row {
	int64_t not_before, not_after, issued_at, next_at;
	uint8_t file_sha256[32];
	char serial[CERTS_SERIAL_MAX + 1];
	uint8_t n_names;
	char text[]; /* id, then the names, each with its NUL */
};

static bool is_plain(const struct certs_row *r)
{
	return r->state == CERTS_HELD && !r->order_id && !r->fails && !r->fail_class &&
	       !r->fail_text[0] && !r->failed_at;
}

static char *put(char *at, const char *text)
{
	return stpcpy(at, text) + 1;
}

static struct packed_row *pack(const struct certs_row *r)
{
	size_t len = strlen(r->id) + 1;
	for (unsigned i = 0; i < r->n_names; i++)
		len += strlen(r->names[i]) + 1;
	struct packed_row *p = xcalloc(1, sizeof(*p) + len);
	p->not_before = r->not_before;
	p->not_after = r->not_after;
	p->issued_at = r->issued_at;
	p->next_at = r->next_at;
	p->n_names = (uint8_t)r->n_names;
	memcpy(p->file_sha256, r->file_sha256, sizeof(p->file_sha256));
	memcpy(p->serial, r->serial, sizeof(p->serial));
	char *at = put(p->text, r->id);
	for (unsigned i = 0; i < r->n_names; i++)
		at = put(at, r->names[i]);
	return p;
}

static void unpack(struct certs_row *r, const struct packed_row *p)
{
	const char *at = p->text;
	*r = (struct certs_row){.state = CERTS_HELD,
		.not_before = p->not_before,
		.not_after = p->not_after,
		.issued_at = p->issued_at,
		.next_at = p->next_at,
		.n_names = p->n_names};
	memcpy(r->file_sha256, p->file_sha256, sizeof(r->file_sha256));
	memcpy(r->serial, p->serial, sizeof(r->serial));
	snprintf(r->id, sizeof(r->id), "%s", at);
	for (unsigned i = 0; i < p->n_names; i++) {
		at += strlen(at) + 1;
		snprintf(r->names[i], sizeof(r->names[i]), "%s", at);
	}
}

struct certs_row *entry_row(struct entry *x)
{
	if (!x->row) {
		x->row = xcalloc(1, sizeof(*x->row));
		unpack(x->row, x->packed);
		free(x->packed);
		x->packed = NULL;
	}
	return x->row;
}

void entry_settle(struct entry *x)
{
	if (!x->row || !is_plain(x->row))
		return;
	x->packed = pack(x->row);
	free(x->row);
	x->row = NULL;
}

const struct certs_row *entry_look(struct entries *all, const struct entry *x)
{
	if (x->row)
		return x->row;
	unpack(&all->shown, x->packed);
	return &all->shown;
}

static const char *id_of(const struct entry *x)
{
	return x->row ? x->row->id : x->packed->text;
}

int64_t entry_not_before(const struct entry *x)
{
	return x->row ? x->row->not_before : x->packed->not_before;
}

int64_t entry_not_after(const struct entry *x)
{
	return x->row ? x->row->not_after : x->packed->not_after;
}

int64_t entry_due_at(const struct entry *x)
{
	return x->row || x->order.forced ? INT64_MIN : x->packed->next_at;
}

/* ---- all of them ---- */

static void entry_free(struct entry *x)
{
	tls_cert_unref(x->cert);
	free(x->row);
	free(x->packed);
	free(x);
}

void entries_init(struct entries *all)
{
	*all = (struct entries){.by_id = map_new()};
}

void entries_done(struct entries *all)
{
	for (unsigned i = 0; i < all->n; i++)
		entry_free(all->at[i]);
	free(all->at);
	map_free(all->by_id, NULL);
}

struct entry *entries_add(struct entries *all, const struct certs_row *row)
{
	struct entry *x = xcalloc(1, sizeof(*x));
	x->row = xcalloc(1, sizeof(*x->row));
	*x->row = *row;
	if (all->n == all->size) {
		all->size = all->size ? all->size * 2 : 16;
		all->at = xrealloc(all->at, all->size, sizeof(*all->at));
	}
	all->at[all->n++] = x;
	if (strcmp(row->id, CERTS_BASE_ID) == 0) {
		memmove(all->at + 1, all->at, (all->n - 1) * sizeof(*all->at));
		all->at[0] = x;
	}
	map_put(all->by_id, row->id, x);
	return x;
}

struct entry *entries_find(const struct entries *all, const char *id)
{
	return map_get(all->by_id, id);
}

void entries_drop(struct entries *all, struct entry *x)
{
	unsigned n = 0;
	for (unsigned i = 0; i < all->n; i++)
		if (all->at[i] != x)
			all->at[n++] = all->at[i];
	all->n = n;
	map_remove(all->by_id, id_of(x));
	entry_free(x);
}

bool entries_drop_unwanted(struct entries *all, void (*gone)(void *, struct entry *), void *ctx)
{
	unsigned n = 0, was = all->n;
	for (unsigned i = 0; i < was; i++) {
		struct entry *x = all->at[i];
		if (x->wanted) {
			all->at[n++] = x;
			continue;
		}
		gone(ctx, x);
		map_remove(all->by_id, id_of(x));
		entry_free(x);
	}
	all->n = n;
	return n < was;
}
