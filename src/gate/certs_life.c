/* See certs_life.h. */
#include "gate/certs_life.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acme/schedule.h"

static uint64_t capped(uint64_t ms)
{
	return ms < CERTS_LOOK_MAX_MS ? ms : CERTS_LOOK_MAX_MS;
}

static struct certs_step wait(uint64_t ms)
{
	return (struct certs_step){CERTS_WAIT, capped(ms)};
}

static struct certs_step step_open(const struct certs_order *o, const struct certs_scene *s)
{
	uint64_t now = s->now.mono_ms;
	uint64_t due = o->retry_ms ? o->retry_ms : o->sent_ms + s->silent_ms;
	if (!o->sent || o->forced || now >= due)
		return (struct certs_step){CERTS_RESEND, 0};
	return wait(due - now);
}

static struct certs_step step_idle(
	const struct certs_row *r, const struct certs_order *o, const struct certs_scene *s)
{
	bool is_base = strcmp(r->id, CERTS_BASE_ID) == 0;
	if (o->forced)
		return (struct certs_step){CERTS_ORDER, 0};
	if ((!is_base && !s->base_held) || s->open >= CERTS_OPEN_MAX)
		return wait(CERTS_LOOK_MAX_MS);
	if (s->now.unix_s >= r->next_at)
		return (struct certs_step){CERTS_ORDER, 0};
	int64_t left = r->next_at - s->now.unix_s;
	return wait(left > CERTS_LOOK_MAX_MS / 1000 ? CERTS_LOOK_MAX_MS : (uint64_t)left * 1000);
}

struct certs_step certs_life_step(
	const struct certs_row *r, const struct certs_order *o, const struct certs_scene *s)
{
	if (!s->now.believable)
		return wait(CERTS_LOOK_MAX_MS);
	switch (r->state) {
	case CERTS_ORDERED:
		return step_open(o, s);
	case CERTS_WANTED:
	case CERTS_HELD:
		return step_idle(r, o, s);
	}
	return wait(CERTS_LOOK_MAX_MS);
}

void certs_life_ordered(struct certs_row *r, uint64_t id)
{
	r->state = CERTS_ORDERED;
	r->order_id = id;
	r->next_at = 0;
}

void certs_life_sent(struct certs_order *o, const struct certs_time *now)
{
	o->sent = true;
	o->sent_ms = now->mono_ms;
	o->retry_ms = 0;
	o->was_forced = o->forced;
	o->forced = o->put_off = false;
}

static void order_over(struct certs_row *r, struct certs_order *o)
{
	r->order_id = 0;
	o->sent = o->forced = o->was_forced = o->put_off = false;
	o->retry_ms = 0;
}

void certs_life_held(struct certs_row *r, struct certs_order *o, int64_t now)
{
	order_over(r, o);
	r->state = CERTS_HELD;
	r->issued_at = now;
	r->fails = 0;
	r->fail_class = 0;
	r->fail_text[0] = 0;
	r->failed_at = 0;
	r->next_at = schedule_renew_at(r->id, r->not_before, r->not_after);
}

static void note_failure(struct certs_row *r, enum state_class class, const char *why, int64_t now)
{
	r->fails++;
	r->failed_at = now;
	r->fail_class = class;
	snprintf(r->fail_text, sizeof(r->fail_text), "%s", why);
}

/* When we try again by ourselves, after the failure that was just counted. */
static int64_t own_backoff(const struct certs_row *r, int64_t now)
{
	struct schedule_backoff b = {.failures = r->fails - 1};
	schedule_record(&b, r->id,
		r->fail_class == STATE_FAIL_LIMIT ? SCHEDULE_LIMITED : SCHEDULE_FAILED, now, 0);
	return b.next_at;
}

void certs_life_failed(struct certs_row *r, struct certs_order *o, const struct procmsg *why,
	const struct certs_time *now)
{
	/* A steward that is asked during its back-off says again what failed then: no new failure.
	 */
	if (!why->next_at || why->next_at != r->next_at || why->class != r->fail_class)
		note_failure(r, why->class, why->text, now->unix_s);
	r->next_at = why->next_at ? why->next_at : own_backoff(r, now->unix_s);
	int64_t left = r->next_at - now->unix_s;
	/* Who just told a person when it will be must not find another reason then. */
	o->put_off = o->was_forced && why->next_at && left <= SCHEDULE_FORCE_GAP_S;
	if (left < 1)
		left = 1;
	if (left > SCHEDULE_WAIT_MAX_S)
		left = SCHEDULE_WAIT_MAX_S;
	o->retry_ms = now->mono_ms + (uint64_t)left * 1000;
}

void certs_life_refused(
	struct certs_row *r, struct certs_order *o, const struct err *why, int64_t now)
{
	bool judged = why->code == -EINVAL || why->code == -ERANGE;
	order_over(r, o);
	note_failure(r, judged ? STATE_FAIL_CA : STATE_FAIL_OURS, why->text, now);
	r->state = r->not_after ? CERTS_HELD : CERTS_WANTED;
	r->next_at = own_backoff(r, now);
}

uint64_t certs_life_force(struct certs_order *o, const struct certs_time *now)
{
	uint64_t gap = SCHEDULE_FORCE_GAP_S * 1000;
	if (o->forced_ms && now->mono_ms < o->forced_ms + gap)
		return o->forced_ms + gap - now->mono_ms;
	o->forced = true;
	o->forced_ms = now->mono_ms ? now->mono_ms : 1;
	return 0;
}
