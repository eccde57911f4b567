/* See h2_budget.h. */
#include "http/h2_budget.h"

#include <string.h>

#define PREFACE_LEN 24u /* RFC 9113 §3.4 */
#define TYPE_SETTINGS 4
#define TYPE_PING 6

static const struct {
	int64_t most, a_second;
} rate[] = {
	[H2_COST_FRAME] = {20000,   5000     },
 /* A page that is left cancels all it waits for, at most a hundred streams. */
	[H2_COST_RESET] = {300,     30       },
	[H2_COST_HEAD] = {2 << 20, 512 << 10},
};

void h2_budget_init(struct h2_budget *b, uint64_t now_ms)
{
	for (int i = 0; i < H2_COST_KINDS; i++) {
		b->left[i] = rate[i].most;
		b->at_ms[i] = now_ms;
	}
	b->frame_left = PREFACE_LEN;
	b->head_len = 0;
}

void h2_budget_give(struct h2_budget *b, enum h2_cost kind, uint64_t n)
{
	int64_t room = rate[kind].most - b->left[kind];
	b->left[kind] += n < (uint64_t)room ? (int64_t)n : room;
}

static void refill(struct h2_budget *b, enum h2_cost kind, uint64_t now_ms)
{
	uint64_t ms = now_ms - b->at_ms[kind];
	uint64_t n = (ms < 60000 ? ms : 60000) * (uint64_t)rate[kind].a_second / 1000;
	if (!n)
		return; /* less than a token: let the time add up */
	b->at_ms[kind] = now_ms;
	h2_budget_give(b, kind, n);
}

bool h2_budget_take(struct h2_budget *b, enum h2_cost kind, uint64_t n, uint64_t now_ms)
{
	if (b->left[kind] < (int64_t)n)
		refill(b, kind, now_ms);
	if (b->left[kind] < (int64_t)n)
		return false;
	b->left[kind] -= (int64_t)n;
	return true;
}

/* Some frames are answered, or change a table. */
static uint64_t frame_cost(uint8_t type)
{
	switch (type) {
	case TYPE_SETTINGS:
		return 50;
	case TYPE_PING:
		return 10;
	default:
		return 1;
	}
}

bool h2_budget_input(struct h2_budget *b, const uint8_t *p, size_t n, uint64_t now_ms)
{
	while (n) {
		if (b->frame_left) {
			size_t k = n < b->frame_left ? n : b->frame_left;
			b->frame_left -= (uint32_t)k;
			p += k;
			n -= k;
			continue;
		}
		size_t want = sizeof(b->head) - b->head_len, k = n < want ? n : want;
		memcpy(b->head + b->head_len, p, k);
		b->head_len = (uint8_t)(b->head_len + k);
		p += k;
		n -= k;
		if (b->head_len < sizeof(b->head))
			break;
		b->head_len = 0;
		b->frame_left = (uint32_t)b->head[0] << 16 | (uint32_t)b->head[1] << 8 | b->head[2];
		if (!h2_budget_take(b, H2_COST_FRAME, frame_cost(b->head[3]), now_ms))
			return false;
	}
	return true;
}
