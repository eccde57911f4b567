/* Chunked bodies: fed whole and in pieces (the first byte says how large), the decoder must come to
 * the same end with the same bytes. */
#include "http/h1_parse.h"

#include <assert.h>
#include <string.h>

struct result {
	uint64_t sum; /* of the body, order and length included */
	size_t used;
	unsigned trailers;
	bool bad, end;
};

static void run(struct result *r, const uint8_t *p, size_t n, size_t step)
{
	struct h1_chunks c;
	h1_chunks_init(&c);
	*r = (struct result){.sum = 1};
	while (r->used < n && !r->bad && !r->end) {
		const uint8_t *body;
		size_t len, part = n - r->used < step ? n - r->used : step;
		long k = h1_chunks_feed(&c, p + r->used, part, &body, &len, &r->end);
		r->bad = k < 0;
		if (r->bad)
			break;
		assert(k > 0 && (size_t)k <= part);
		assert(!len || (body >= p + r->used && body + len <= p + r->used + k));
		for (size_t i = 0; i < len; i++)
			r->sum = r->sum * 1099511628211u + body[i] + 1;
		r->used += (size_t)k;
	}
	r->trailers = c.trailers ? msg_count(c.trailers) : 0;
	h1_chunks_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (!n)
		return 0;
	struct result whole, pieces;
	run(&whole, p + 1, n - 1, n);
	run(&pieces, p + 1, n - 1, p[0] % 16 + 1u);
	assert(whole.bad == pieces.bad && whole.end == pieces.end);
	if (!whole.bad)
		assert(whole.sum == pieces.sum && whole.used == pieces.used &&
			whole.trailers == pieces.trailers);
	return 0;
}
