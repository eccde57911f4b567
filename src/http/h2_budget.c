/* See h2_budget.h. */
#include "http/h2_budget.h"

#include <string.h>

#define TYPE_DATA     0
#define TYPE_SETTINGS 4
#define TYPE_PING 6
#define FLAG_PADDED 8

static const struct {
	int64_t most, a_second;
} rate[] = {
	[H2_COST_FRAME] = {20000,   5000     },
	[H2_COST_DATA] = {20000,    5000     },
 /* A page that is left cancels all it waits for, at most a hundred streams. */
	[H2_COST_RESET] = {300,     30       },
	[H2_COST_HEAD] = {2 << 20, 512 << 10},
};

void h2_budget_init(struct h2_budget *b, uint64_t now_ms, uint32_t preface_len)
{
	for (int i = 0; i < H2_COST_KINDS; i++) {
		b->left[i] = rate[i].most;
		b->at_ms[i] = now_ms;
	}
	b->frame_left = preface_len;
	b->head_len = 0;
}

void h2_budget_give(struct h2_budget *b, enum h2_cost kind, uint64_t n)
{
	int64_t room = rate[kind].most - b->left[kind];
	b->left[kind] += n < (uint64_t)room ? (int64_t)n : room;
}

void h2_budget_earn(struct h2_budget *b, uint64_t n)
{
	h2_budget_give(b, H2_COST_FRAME, n);
	h2_budget_give(b, H2_COST_DATA, n);
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

static uint32_t length_of(const uint8_t head[9])
{
	return (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
}

/* Of one that is padded, up to 256 bytes are none. */
static bool is_data(const uint8_t head[9])
{
	return head[3] == TYPE_DATA && length_of(head) > (head[4] & FLAG_PADDED ? 256u : 0u);
}

static enum h2_admission admit(struct h2_budget *b, uint64_t now_ms)
{
	if (is_data(b->head))
		return h2_budget_take(b, H2_COST_DATA, 1, now_ms) ? H2_ADMITTED : H2_TOO_FAST;
	return h2_budget_take(b, H2_COST_FRAME, frame_cost(b->head[3]), now_ms) ? H2_ADMITTED
										: H2_TOO_MUCH;
}

size_t h2_budget_admit(
	struct h2_budget *b, const uint8_t *p, size_t n, uint64_t now_ms, enum h2_admission *is)
{
	*is = H2_ADMITTED;
	for (size_t at = 0; at < n;) {
		if (b->frame_left) {
			size_t k = n - at < b->frame_left ? n - at : b->frame_left;
			b->frame_left -= (uint32_t)k;
			at += k;
			continue;
		}
		size_t had = b->head_len, want = sizeof(b->head) - had;
		size_t k = n - at < want ? n - at : want;
		memcpy(b->head + had, p + at, k);
		b->head_len = (uint8_t)(had + k);
		if (b->head_len < sizeof(b->head))
			break;
		*is = admit(b, now_ms);
		if (*is != H2_ADMITTED) {
			b->head_len = (uint8_t)had; /* as if these bytes had not come yet */
			return at;
		}
		at += k;
		b->head_len = 0;
		b->frame_left = length_of(b->head);
	}
	return n;
}
