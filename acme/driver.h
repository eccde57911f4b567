/* ACME behind one call: obtain(CSR) → chain, or what went wrong. A driver lives on one loop. It
 * neither schedules nor retries: the caller asks schedule.h first. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/procmsg.h"

struct driver;
struct obtain;

struct obtain_opts {
	uint64_t id;              /* the order, also for the hook */
	const char (*names)[254]; /* what the CSR asks for; the first one names the lock */
	unsigned n_names;
	const uint8_t *csr; /* PKCS #10, DER */
	size_t csr_len;
};

/* Everything is lent. */
struct obtain_result {
	const char *chain; /* PEM, leaf first; NULL on failure */
	size_t chain_len;
	enum state_class class; /* STATE_FAIL_… on failure */
	const char *text;       /* for people: what went wrong and what to do; NULL on success */
	int64_t retry_after_s;  /* what the CA asked for; 0: nothing */
};
/* Comes exactly once unless cancelled; the obtain is gone afterwards. Never before obtain returned.
 */
typedef void (*obtain_fn)(void *ctx, const struct obtain_result *result);

/* One implementation. Embed it first in the driver's own struct. */
struct driver {
	struct obtain *(*obtain)(
		struct driver *d, const struct obtain_opts *o, obtain_fn fn, void *ctx);
	/* No callback follows; what runs is killed. */
	void (*cancel)(struct driver *d, struct obtain *o);
	/* Something outside is under way for this obtain that may take `ms`: that time is not the
	 * CA's, the deadline moves. 0: it has ended. */
	void (*extend)(struct driver *d, struct obtain *o, uint64_t ms);
	/* Cancels what is under way. */
	void (*free)(struct driver *d);
};
