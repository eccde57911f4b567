/* When to order which certificate: the decisions of gate/certs alone, pure. Wall time says when a
 * renewal is due; how long the steward has been silent is measured by the monotonic clock, so no
 * jump of the clock places an order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/certs.h"

#define CERTS_LOOK_MAX_MS 60000u /* look again at least so often: the clock may jump */
#define CERTS_OPEN_MAX 8u        /* orders with the steward at once */

struct certs_time {
	int64_t unix_s;
	uint64_t mono_ms;
	bool believable; /* schedule_clock_check() and schedule_clock_unsettled() agree */
};

/* What is known of one certificate beside its row; a restart forgets it. */
struct certs_order {
	bool sent;          /* since we and the steward started */
	uint64_t sent_ms;   /* monotonic */
	uint64_t retry_ms;  /* the steward or we said: not before; 0: under way */
	bool forced;        /* a person asked: an ORDER with PROCMSG_FORCE goes at once */
	bool was_forced;    /* the last one was that */
	bool put_off;       /* for a moment: the next, when that is over, is forced as well */
	uint64_t forced_ms; /* when a person last asked; 0: never */
};

enum certs_act {
	CERTS_WAIT,   /* nothing now; look again in `in_ms` */
	CERTS_ORDER,  /* fresh key, fresh id, ORDER */
	CERTS_RESEND, /* the same ORDER again */
};

struct certs_step {
	enum certs_act act;
	uint64_t in_ms;
};

struct certs_scene {
	struct certs_time now;
	bool base_held;     /* the bridge is there */
	unsigned open;      /* orders under way */
	uint64_t silent_ms; /* acme.timeout and five minutes */
};

/* What to do now for the certificate of `r`. */
struct certs_step certs_life_step(
	const struct certs_row *r, const struct certs_order *o, const struct certs_scene *s);

/* The order `id` was placed. */
void certs_life_ordered(struct certs_row *r, uint64_t id);
/* It was sent. */
void certs_life_sent(struct certs_order *o, const struct certs_time *now);
/* A certificate with these dates is held now and the order is over. */
void certs_life_held(struct certs_row *r, struct certs_order *o, int64_t now);
/* A failure. `next_at`: when the steward tries again, 0: it will not, so we do, with a back-off of
 * our own. The order stays open. */
void certs_life_failed(struct certs_row *r, struct certs_order *o, const struct procmsg *why,
	const struct certs_time *now);
/* What came back cannot be used (-EINVAL, -ERANGE: the CA's fault) or not be stored (ours): the
 * order is over, another one follows after a back-off. */
void certs_life_refused(
	struct certs_row *r, struct certs_order *o, const struct err *why, int64_t now);
/* A person wants it now. 0, or how many milliseconds to wait since the last time. */
uint64_t certs_life_force(struct certs_order *o, const struct certs_time *now);
