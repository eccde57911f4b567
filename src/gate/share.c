/* See share.h. The counts are read one after another while other loops change them: what is decided by
 * that may be one too many or too few, but `n` and `held` are exact. */
#include "gate/share.h"

#include <assert.h>
#include <stdlib.h>

#include "base/xalloc.h"

struct share *share_new(void)
{
	struct share *s = xcalloc(1, sizeof(*s));
	atomic_init(&s->refs, 1);
	return s;
}

struct share *share_ref(struct share *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void share_unref(struct share *s)
{
	if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
		free(s);
}

/* As many as the device takes, at least one. */
static unsigned most(const struct share *s)
{
	return SHARE_MOST - atomic_load(&s->fewer);
}

/* Of what is not held; 0: there is not one for each. */
static unsigned fair(const struct share *s)
{
	unsigned held = atomic_load(&s->held), parts = atomic_load(&s->parts), all = most(s);
	return held < all ? (all - held) / (parts ? parts : 1) : 0;
}

static unsigned fair_for(const struct share *s)
{
	unsigned n = fair(s);
	return n ? n : 1;
}

/* Below `limit`, one more. */
static bool take(atomic_uint *n, unsigned limit)
{
	unsigned had = atomic_load(n);
	while (had < limit)
		if (atomic_compare_exchange_weak(n, &had, had + 1))
			return true;
	return false;
}

static bool take_flag(atomic_bool *awaited)
{
	return atomic_load(awaited) && atomic_exchange(awaited, false);
}

static bool take_awaited(struct share *s)
{
	return take_flag(&s->awaited);
}

static bool held_less(struct share_part *p, unsigned n)
{
	p->held -= n;
	atomic_fetch_sub(&p->all->held, n);
	return n && take_flag(&p->all->hold_awaited);
}

static void count(struct share_part *p, bool counts)
{
	if (counts && !p->counts)
		atomic_fetch_add(&p->all->parts, 1);
	if (!counts && p->counts && atomic_fetch_sub(&p->all->parts, 1) == 1)
		atomic_store(&p->all->fewer, 0); /* how many it takes may be another matter next time */
	p->counts = counts;
}

static void lack(struct share_part *p, unsigned n)
{
	if (n > p->lacks)
		atomic_fetch_add(&p->all->lacking, n - p->lacks);
	if (n < p->lacks)
		atomic_fetch_sub(&p->all->lacking, p->lacks - n);
	p->lacked |= n < p->lacks;
	p->lacks = n;
}

/* Connections that requests come and go on. */
static unsigned in_use(const struct share_part *p)
{
	return p->n - p->held;
}

/* Nobody has taken what it gave. */
static bool gives_way(const struct share_part *p)
{
	return p->gave && p->gave_at == atomic_load(&p->all->taken);
}

/* Who lacks some never waits for others who do: it would be for ever where they wait for it, too. */
bool share_reserve(struct share_part *p)
{
	struct share *s = p->all;
	count(p, true);
	if (!p->lacks && (gives_way(p) || in_use(p) >= fair_for(s)) && atomic_load(&s->lacking))
		return false;
	if (!take(&s->n, most(s)))
		return false;
	atomic_fetch_add(&s->taken, 1);
	p->gave = false;
	p->n++;
	if (p->lacks)
		lack(p, p->lacks - 1);
	return true;
}

bool share_has(struct share_part *p, unsigned n)
{
	assert(n <= p->n);
	if (n == p->n)
		return false;
	unsigned fewer = p->n - n, given = fewer < p->gives ? fewer : p->gives;
	p->n = n;
	atomic_fetch_sub(&p->all->n, fewer);
	atomic_fetch_sub(&p->all->giving, given);
	p->gives -= given;
	count(p, n || p->lacks || p->waits);
	return take_awaited(p->all);
}

bool share_wants(struct share_part *p, unsigned waiting)
{
	struct share *s = p->all;
	count(p, p->n || waiting);
	unsigned part = gives_way(p) ? 0 : fair_for(s), use = in_use(p);
	unsigned room = use < part ? part - use : 0;
	lack(p, waiting < room ? waiting : room);
	bool sated = share_sated(p);
	return (waiting && !atomic_exchange(&s->awaited, true)) || sated;
}

bool share_sated(struct share_part *p)
{
	if (!p->lacked || p->lacks)
		return false;
	p->lacked = false;
	return take_awaited(p->all);
}

bool share_is_enough(const struct share *s)
{
	return !atomic_load(&s->awaited) || atomic_load(&s->n) < most(s);
}

bool share_give(struct share_part *p)
{
	struct share *s = p->all;
	unsigned lacking = atomic_load(&s->lacking);
	if (lacking <= p->lacks || in_use(p) <= p->gives + fair(s))
		return false;
	unsigned n = atomic_load(&s->n), all = most(s), room = n < all ? all - n : 0;
	if (lacking - p->lacks <= atomic_load(&s->giving) + room)
		return false;
	atomic_fetch_add(&s->giving, 1);
	p->gives++;
	lack(p, 0); /* its fair part may have become less than when it said so */
	p->gave = true;
	p->gave_at = atomic_load(&s->taken);
	return true;
}

void share_answered(struct share_part *p)
{
	atomic_fetch_add_explicit(&p->all->answers, 1, memory_order_relaxed);
}

unsigned share_answers(const struct share *s)
{
	return atomic_load_explicit(&s->answers, memory_order_relaxed);
}

void share_dials(struct share_part *p, bool begins)
{
	if (begins)
		atomic_fetch_add(&p->all->dialling, 1);
	else
		atomic_fetch_sub(&p->all->dialling, 1);
}

/* What was dialled, and is there. */
static unsigned open_now(const struct share *s)
{
	unsigned dialling = atomic_load(&s->dialling), n = atomic_load(&s->n);
	return n > dialling ? n - dialling : 0;
}

void share_opened(struct share_part *p)
{
	unsigned n = open_now(p->all), fewer = n < SHARE_MOST ? SHARE_MOST - n : 0;
	if (atomic_load(&p->all->fewer) > fewer)
		atomic_store(&p->all->fewer, fewer);
}

bool share_refused(struct share_part *p)
{
	struct share *s = p->all;
	unsigned n = open_now(s);
	bool some = n > atomic_load(&s->held), more = atomic_load(&s->dialling);
	if (some || more)
		atomic_store(&s->fewer, SHARE_MOST - (n ? n : 1));
	return some || more;
}

/* What is being dialled will tell. */
bool share_more(struct share_part *p)
{
	unsigned fewer = atomic_load(&p->all->fewer);
	return fewer && !atomic_load(&p->all->dialling) &&
	       atomic_compare_exchange_strong(&p->all->fewer, &fewer, fewer - 1) &&
	       take_awaited(p->all);
}

bool share_is_less(const struct share *s)
{
	return atomic_load(&s->fewer);
}

bool share_is_held(const struct share *s)
{
	return atomic_load(&s->held);
}

bool share_hold(struct share_part *p)
{
	if (!take(&p->all->held, SHARE_HELD_MOST))
		return false;
	p->held++;
	return true;
}

bool share_let_go(struct share_part *p)
{
	bool awaited = held_less(p, 1);
	return take_awaited(p->all) || awaited;
}

bool share_wants_hold(struct share_part *p)
{
	atomic_store(&p->all->hold_awaited, true);
	return share_may_hold(p->all);
}

bool share_may_hold(const struct share *s)
{
	return atomic_load(&s->held) < SHARE_HELD_MOST;
}

bool share_leave(struct share_part *p)
{
	bool awaited = held_less(p, p->held);
	lack(p, 0);
	awaited |= share_has(p, 0);
	count(p, false);
	return take_awaited(p->all) || awaited;
}
