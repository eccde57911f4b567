/* How many connections all loops together may have to one place: SHARE_MOST. Each is reserved before it
 * is dialled, so there are never more.
 *
 * Who has less than its fair part and lacks some goes first: nobody with a fair part reserves then, and
 * whoever has more closes what comes free at it. What upgrades and event streams hold does not come
 * free, so parts are of what they leave; where that is less than one each, the loops take turns.
 *
 * Many a device takes four connections, or one, and refuses the next: then that is the most, and by and by
 * one more is tried.
 *
 * A struct share is for any thread, a struct share_part its loop's own. Pure. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#define SHARE_MOST 32u
#define SHARE_HELD_MOST 30u

struct share {
	atomic_uint n;       /* connections, those that are being dialled or closed, too */
	atomic_uint held;    /* of them by upgrades and event streams */
	atomic_uint parts;   /* loops that have or want some */
	atomic_uint lacking; /* that loops with less than their fair part wait for */
	atomic_uint giving;  /* that are being closed for them */
	atomic_uint taken;   /* so often one was reserved */
	atomic_uint dialling; /* of `n` */
	atomic_uint answers; /* so many requests ended on one */
	atomic_uint fewer;   /* than SHARE_MOST, as the device refused more */
	atomic_bool awaited; /* some loop waits for there to be fewer */
	atomic_bool hold_awaited; /* and for fewer to be held: nobody closes idle ones for that */
	atomic_int refs;
};

struct share_part {
	struct share *all;
	unsigned n, held, lacks, gives;
	bool counts;
	bool waits; /* somebody, set by who calls share_has() */
	bool lacked;      /* some that it does not lack any more, which the others do not know */
	bool gave;        /* one, not to be taken back before another loop had its turn */
	unsigned gave_at; /* `taken`, then */
};

struct share *share_new(void);
struct share *share_ref(struct share *s);
void share_unref(struct share *s);
/* Zeroed is fine for both but `all`, where nobody counts references. */

/* One more may be dialled, and is counted. */
bool share_reserve(struct share_part *p);
/* There are `n` now, no more than before. True: tell all other loops, some may reserve now. */
bool share_has(struct share_part *p, unsigned n);
/* So many requests wait for one that is not being dialled. Who waits says so, then tries to reserve once
 * more, and whoever has one less looks afterwards: so that one of the two sees the other. True: tell all
 * other loops. */
bool share_wants(struct share_part *p, unsigned waiting);
/* To be asked after reserving. True: it lacks none any more, tell all other loops, some may reserve
 * now. */
bool share_sated(struct share_part *p);
/* A request on one ended / so often one did, from all loops: who has had an answer knows that the device
 * is there. */
void share_answered(struct share_part *p);
unsigned share_answers(const struct share *s);
/* One that was reserved is being dialled, or no longer. */
void share_dials(struct share_part *p, bool begins);
/* One that was dialled is there: so many are taken. */
void share_opened(struct share_part *p);
/* A dial failed as where a device has no room, which `p` no longer counts. False: there is no connection
 * that could come free, so nothing is to be waited for. */
bool share_refused(struct share_part *p);
/* One more than the device last took may be tried. True: tell all other loops. */
bool share_more(struct share_part *p);
/* There is reason to. */
bool share_is_less(const struct share *s);
/* Some are held, so the device is there. */
bool share_is_held(const struct share *s);
/* No other loop could use one that is given up. */
bool share_is_enough(const struct share *s);
/* One that came free is to be closed for another loop, and counted as such. */
bool share_give(struct share_part *p);
/* One of them is held from now on: false when there are SHARE_HELD_MOST. */
bool share_hold(struct share_part *p);
/* Somebody waits who would hold one, and too many are held. True: no longer, look again. */
bool share_wants_hold(struct share_part *p);
/* True: tell all other loops. */
bool share_let_go(struct share_part *p);
bool share_may_hold(const struct share *s);
/* It has none and wants none any more. True: tell all other loops. */
bool share_leave(struct share_part *p);
