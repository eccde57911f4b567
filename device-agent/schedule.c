/* See schedule.h. */
#include "device-agent/schedule.h"

#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

uint32_t backoff_next(struct backoff *b, uint32_t random)
{
	uint64_t most = b->fails < 20 ? (uint64_t)b->base_ms << b->fails : b->cap_ms;
	uint32_t least = b->base_ms / 10;
	if (most > b->cap_ms)
		most = b->cap_ms;
	b->fails++;
	return least + (uint32_t)(random % (most - least + 1));
}

void backoff_reset(struct backoff *b)
{
	b->fails = 0;
}

bool gwtime_learn(struct gwtime *g, int64_t unix_now, uint64_t mono_ms)
{
	if (unix_now < g->floor)
		return false;
	g->at = unix_now;
	g->learnt_ms = mono_ms;
	return true;
}

int64_t gwtime_now(const struct gwtime *g, uint64_t mono_ms)
{
	return g->at ? g->at + (int64_t)((mono_ms - g->learnt_ms) / 1000) : 0;
}

int64_t renew_at(int64_t not_before, int64_t not_after)
{
	return not_after - (not_after - not_before) / 3;
}

uint64_t wait_until(int64_t when, int64_t now, uint64_t most_ms)
{
	if (when <= now)
		return 0;
	uint64_t secs = (uint64_t)(when - now);
	return secs > most_ms / 1000 ? most_ms : secs * 1000;
}

uint32_t jitter_random(void)
{
	uint32_t v;
	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) == sizeof(v))
		return v;
	uint64_t x = clock_mono_ms() * 0x9e3779b97f4a7c15u + (uint64_t)getpid();
	return (uint32_t)(x >> 32 ^ x);
}
