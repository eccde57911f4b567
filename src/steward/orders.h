/* Orders between gate and driver: checked against the configuration, held back by the back-off,
 * placed, and answered with CHAIN or STATE. Nothing is retried here: the gate asks again at
 * next_at. */
#pragma once

#include <stdbool.h>

#include "base/procmsg.h"
#include "steward/publish.h"

struct driver;
struct orders;
struct proof_tools;

/* `tools` must outlive it. Takes `driver`. */
struct orders *orders_new(
	struct proof_tools *tools, struct driver *driver, report_fn report, void *ctx);
/* NULL is accepted. What runs is killed; its records are removed at the next start. */
void orders_free(struct orders *o);
struct driver *orders_driver(struct orders *o);
/* An ORDER. Replaces one of the same id or the same names, unless it asks for the very same. */
void orders_place(struct orders *o, const struct procmsg *m);
void orders_cancel(struct orders *o, uint64_t id);
/* For challenges: is `ident` part of the running order, and how its proof went. */
bool orders_has(struct orders *o, uint64_t id, const char *ident);
void orders_proof_began(struct orders *o, uint64_t id, uint64_t ms);
void orders_proof_said(struct orders *o, uint64_t id, int rc, const char *text);
