/* A and AAAA records of the gateway's names: what is wanted is durable, made true through the
 * plugin, checked at the authoritative servers, and tried again until it is true. */
#pragma once

#include "base/procmsg.h"

struct proof_tools;
struct publisher;

/* `m` is lent. */
typedef void (*report_fn)(void *ctx, const struct procmsg *m);

/* Goes on with what an earlier run left. `tools` must outlive it. */
struct publisher *publisher_new(struct proof_tools *tools, report_fn report, void *ctx);
/* NULL is accepted. What is not done yet stays in the database. */
void publisher_free(struct publisher *p);
/* The wish of a PUBLISH; replaces an earlier one of that name. */
void publisher_want(struct publisher *p, const struct procmsg *m);
/* After a reload: names that are no longer ours are taken out, failures are tried again at once. */
void publisher_reload(struct publisher *p);
