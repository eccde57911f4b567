/* What gate/certs knows of its certificates, by id. A row is large (names, the words of a failure);
 * of thousands most are held, and nothing is to be said of them: those are kept packed. Part of
 * gate/certs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/certs_life.h"
#include "store/certs.h"

struct map;
struct packed_row;
struct tls_cert;

struct entry {
	struct packed_row *packed; /* one of the two */
	struct certs_row *row;
	struct certs_order order;
	struct tls_cert *cert;
	bool served; /* what the last tick saw: not expired */
	bool wanted; /* by the plan */
	bool loaded; /* its files were looked at */
	bool stored; /* the database has the row */
};

struct entries {
	struct entry **at; /* "@base" first */
	unsigned n, size;
	struct map *by_id;
	struct certs_row shown; /* of entry_look() */
};

void entries_init(struct entries *all);
void entries_done(struct entries *all);
/* A new one with a copy of `row`. */
struct entry *entries_add(struct entries *all, const struct certs_row *row);
struct entry *entries_find(const struct entries *all, const char *id);
/* Free all that are not wanted, each after `gone` was told. True when there was one. */
bool entries_drop_unwanted(struct entries *all, void (*gone)(void *, struct entry *), void *ctx);
void entries_drop(struct entries *all, struct entry *x);

/* To read and change; entry_settle() afterwards. */
struct certs_row *entry_row(struct entry *x);
/* Pack it again, if there is nothing but a certificate held. */
void entry_settle(struct entry *x);
/* To read; lent until the next one is looked at. */
const struct certs_row *entry_look(struct entries *all, const struct entry *x);
int64_t entry_not_before(const struct entry *x);
int64_t entry_not_after(const struct entry *x);
/* When something is due for an entry that is packed: then nothing else can be. INT64_MIN for one
 * that is not. */
int64_t entry_due_at(const struct entry *x);
