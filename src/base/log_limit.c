/* See log_limit.h. A token bucket a kind; kinds beyond the table share its last one. */
#include "base/log_limit.h"

#include <stdatomic.h>
#include <string.h>

#define KINDS_MAX 32

struct bucket {
	const char *area, *event;
	unsigned tokens;
	uint64_t at_ms; /* when the tokens were counted */
	uint64_t left_out;
};

/* With the level the only state of the log, and like it for the whole process. */
static struct bucket buckets[KINDS_MAX];
static atomic_flag taken = ATOMIC_FLAG_INIT;

static struct bucket *find(const char *area, const char *event, uint64_t now_ms)
{
	struct bucket *b = buckets;
	for (unsigned i = 0; i < KINDS_MAX; i++, b++) {
		if (!b->event || i + 1 == KINDS_MAX)
			break;
		if (strcmp(b->event, event) == 0 && strcmp(b->area, area) == 0)
			return b;
	}
	if (!b->event)
		*b = (struct bucket){area, event, LOG_LIMIT_BURST, now_ms, 0};
	return b;
}

static void refill(struct bucket *b, uint64_t now_ms)
{
	uint64_t more = now_ms > b->at_ms ? (now_ms - b->at_ms) / LOG_LIMIT_EVERY_MS : 0;
	b->at_ms += more * LOG_LIMIT_EVERY_MS;
	b->tokens =
		more > LOG_LIMIT_BURST - b->tokens ? LOG_LIMIT_BURST : b->tokens + (unsigned)more;
	if (b->tokens == LOG_LIMIT_BURST)
		b->at_ms = now_ms;
}

bool log_limit_admits(const char *area, const char *event, uint64_t now_ms, uint64_t *left_out)
{
	while (atomic_flag_test_and_set_explicit(&taken, memory_order_acquire))
		; /* for some instructions, never across a system call */
	struct bucket *b = find(area, event, now_ms);
	refill(b, now_ms);
	bool admitted = b->tokens > 0;
	*left_out = admitted ? b->left_out : 0;
	b->left_out = admitted ? 0 : b->left_out + 1;
	b->tokens -= admitted;
	atomic_flag_clear_explicit(&taken, memory_order_release);
	return admitted;
}
