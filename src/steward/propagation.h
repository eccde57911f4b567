/* Waiting until every authoritative server of a zone answers a record. Asks each of them directly,
 * never the LAN's resolver, and only after the plugin has finished, so that no negative answer is
 * cached early. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "net/dnsmsg.h"
#include "steward/place.h"

struct loop;
struct propagation;

struct propagation_opts {
	const struct place *place; /* copied */
	enum dns_type type;
	const char *value;   /* copied */
	uint16_t query_port; /* of the authoritative servers */
	uint64_t ttl_ms, timeout_ms;
};

/* 0; or -ETIMEDOUT, and `text` says which server lags and what it answers. With 0 and a `text` that
 * is not empty, not everybody could be asked. Lent. Exactly once unless cancelled. */
typedef void (*propagation_fn)(void *ctx, int rc, const char *text);

struct propagation *propagation_start(
	struct loop *loop, const struct propagation_opts *o, propagation_fn fn, void *ctx);
/* NULL is accepted. No callback follows. */
void propagation_cancel(struct propagation *p);
/* Who lags now, for people; valid until the next turn. */
const char *propagation_text(const struct propagation *p);
