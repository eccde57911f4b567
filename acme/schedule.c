/* See schedule.h. The ladder of waits is the one that Let's Encrypt recommends: 1, 10 and 100
 * minutes, then daily. */
#include "acme/schedule.h"

#include <errno.h>
#include <stddef.h>

#define DAY_S 86400
#define JUMP_S 3600
#define HOLD_MS (10 * 60 * 1000u)
/* Let's Encrypt's limit on the same set of names; beyond it, orders slow down. */
#define ISSUED_WINDOW_S (7 * DAY_S)
#define ISSUED_FREE 5

static const int64_t ladder_s[] = {60, 600, 6000, DAY_S};

/* FNV-1a: stable across restarts and machines, which base/map's seeded hash is not. */
static uint64_t hash(const char *s, unsigned salt)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ salt;
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
	return h ^ h >> 29;
}

/* 0 … most, both included. */
static int64_t jitter(const char *name, unsigned salt, int64_t most)
{
	return most > 0 ? (int64_t)(hash(name, salt) % ((uint64_t)most + 1)) : 0;
}

int schedule_clock_check(int64_t now, int64_t floor, struct err *e)
{
	if (now < SCHEDULE_EPOCH)
		return err_set(e, -ERANGE,
			"the clock of this machine is wrong: it stands before "
			"this program was made; set it, or wait for time synchronisation");
	if (now < floor)
		return err_set(e, -ERANGE,
			"the clock of this machine is wrong: it is %lld s behind a "
			"moment that has already passed",
			(long long)(floor - now));
	if (floor && now - floor > SCHEDULE_AHEAD_MAX_S)
		return err_set(e, -ERANGE,
			"the clock of this machine is wrong: it is %lld years ahead of the last "
			"certificate; set it, or, if it is right, remove the old certificates",
			(long long)((now - floor) / (365 * DAY_S)));
	return 0;
}

bool schedule_clock_unsettled(struct schedule_clock *c, int64_t now, uint64_t mono_ms)
{
	if (c->wall) {
		int64_t drift = now - c->wall - (int64_t)((mono_ms - c->mono_ms) / 1000);
		if (drift > JUMP_S || drift < -JUMP_S)
			c->hold_until_ms = mono_ms + HOLD_MS;
	}
	c->wall = now;
	c->mono_ms = mono_ms;
	return mono_ms < c->hold_until_ms;
}

int64_t schedule_renew_at(const char *name, int64_t not_before, int64_t not_after)
{
	int64_t life = not_after - not_before;
	if (life <= 0)
		return not_before;
	int64_t left = life < 10 * DAY_S ? life / 2 : life / 3;
	return not_after - left - jitter(name, 0, life / 30);
}

static int64_t ladder(unsigned step)
{
	unsigned last = sizeof(ladder_s) / sizeof(ladder_s[0]) - 1;
	return ladder_s[step < last ? step : last];
}

void schedule_record(struct schedule_backoff *b, const char *name, enum schedule_outcome outcome,
	int64_t now, int64_t retry_after_s)
{
	int64_t wait;
	if (outcome == SCHEDULE_OK) {
		int64_t since = now - b->last_at;
		if (since > ISSUED_WINDOW_S || since < -ISSUED_WINDOW_S)
			b->issued = 0;
		wait = ladder(b->issued < ISSUED_FREE ? 0 : b->issued - ISSUED_FREE + 1);
		b->issued++;
		b->failures = 0;
	} else {
		wait = ladder(b->failures++);
	}
	if (outcome == SCHEDULE_LIMITED && wait < 3600)
		wait = 3600;
	wait += jitter(name, b->failures, wait / 10);
	if (wait < retry_after_s)
		wait = retry_after_s;
	if (wait > SCHEDULE_WAIT_MAX_S)
		wait = SCHEDULE_WAIT_MAX_S;
	b->last_at = now;
	b->next_at = now + wait;
}

int64_t schedule_next(struct schedule_backoff *b, int64_t now, bool forced)
{
	if (now < b->last_at) {
		b->next_at -= b->last_at - now;
		b->last_at = now;
	}
	int64_t at = forced && b->last_at ? b->last_at + SCHEDULE_FORCE_GAP_S : b->next_at;
	if (forced && at > b->next_at)
		at = b->next_at;
	return at > now ? at : now;
}
