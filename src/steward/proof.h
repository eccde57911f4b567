/* One TXT record on its way into DNS: find the place, write the ledger, run the plugin, wait until
 * every authoritative server answers it. Used for challenges and for the DNS test. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "steward/resolver.h"

struct conf;
struct db;
struct dnsops;
struct loop;
struct proof;
struct removals;

/* What proofs work with; outlives them. */
struct proof_tools {
	struct loop *loop;
	const struct conf *conf;
	struct resolvers resolvers;
	struct db *db;
	struct dnsops *ops;
	struct removals *removals;
};

/* `rc` 0: the record is visible and stays until removed by the ledger. Negative: `text` says why,
 * for people, and what may have been set is being removed. `text` is lent. Exactly once unless
 * cancelled. */
typedef void (*proof_fn)(void *ctx, int rc, const char *text);

/* `name` and `value` are copied; `order` owns the ledger's row. */
struct proof *proof_start(struct proof_tools *tools, const char *name, const char *value,
	uint64_t order, proof_fn fn, void *ctx);
/* The longest that one may take, as configured. */
uint64_t proof_most_ms(const struct conf *conf);
/* NULL is accepted. No callback follows; the record is removed. */
void proof_cancel(struct proof *p);
