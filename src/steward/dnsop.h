/* The steward's queue of plugin calls: one at a time for a name (providers that replace a whole
 * RRset would lose a sibling's value), a few at once in all. Reads secret files freshly for each
 * call. */
#pragma once

#include <stdint.h>

#include "dns-plugins/run.h"

struct conf;
struct dnsop;
struct dnsops;
struct loop;

/* `conf` is kept by reference until dnsops_configure or _free. `program`: path of lanthorn-dns,
 * copied. */
struct dnsops *dnsops_new(struct loop *loop, const struct conf *conf, const char *program);
void dnsops_configure(struct dnsops *q, const struct conf *conf);
/* NULL is accepted. Cancels all. */
void dnsops_free(struct dnsops *q);

/* Strings are copied. */
struct dnsop_opts {
	enum plugin_op op;
	enum dns_type type; /* TXT, A, AAAA */
	const char *name, *value;
};

/* As plugin_done_fn; also -EINVAL for a configuration that cannot work. Never before dnsop_start
 * returned. */
struct dnsop *dnsop_start(
	struct dnsops *q, const struct dnsop_opts *o, plugin_done_fn fn, void *ctx);
/* NULL is accepted. No callback follows. */
void dnsop_cancel(struct dnsop *op);
