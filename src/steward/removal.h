/* Taking our TXT records out of DNS, and striking them from the ledger only when they are gone.
 * What fails is tried again for as long as it takes; what a crash left is found at start. */
#pragma once

#include "store/ledger.h"

struct dnsops;
struct loop;
struct removals;

/* `db` and `ops` must outlive it. */
struct removals *removals_new(struct loop *loop, struct db *db, struct dnsops *ops);
/* NULL is accepted. Rows that are not removed yet stay in the ledger. */
void removals_free(struct removals *r);
/* Remove one row; no effect while that is under way. */
void removals_add(struct removals *r, const struct ledger_row *row);
/* Remove every row of `order` (0: all there are) whose value is `value` (NULL: any). */
void removals_add_order(struct removals *r, uint64_t order, const char *value);
