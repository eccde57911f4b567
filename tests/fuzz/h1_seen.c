/* See h1_seen.h. */
#include "h1_seen.h"

#include <assert.h>

#include "http/h1_parse.h"

static const struct h1_limits wide = {.head_max = 1u << 20, .url_max = 1u << 20, .fields_max = 500};

uint64_t h1_sum(uint64_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum = H1_SUM(sum, p[i]);
	return sum;
}

static void add_body(struct h1_seen *m, const uint8_t *p, size_t n)
{
	m->sum = h1_sum(m->sum, p, n);
	m->body_len += n;
}

static size_t see_chunks(struct h1_seen *m, const uint8_t *p, size_t n)
{
	struct h1_chunks c;
	size_t used = 0;
	h1_chunks_init(&c);
	while (used < n && !m->whole) {
		const uint8_t *body;
		size_t len;
		long k = h1_chunks_feed(&c, p + used, n - used, &body, &len, &m->whole);
		assert(k > 0);
		add_body(m, body, len);
		used += (size_t)k;
	}
	h1_chunks_done(&c);
	return used;
}

static size_t see_counted(struct h1_seen *m, const uint8_t *p, size_t n, uint64_t length)
{
	size_t used = length < n ? (size_t)length : n;
	add_body(m, p, used);
	m->whole = used == length;
	return used;
}

static size_t see_body(struct h1_seen *m, const uint8_t *p, size_t n)
{
	switch (msg_body(m->head)) {
	case BODY_NONE:
		m->whole = true;
		return 0;
	case BODY_LENGTH:
		return see_counted(m, p, n, msg_body_length(m->head));
	case BODY_CHUNKED:
		return see_chunks(m, p, n);
	case BODY_UNTIL_CLOSE:
		add_body(m, p, n);
		break;
	}
	return n;
}

static size_t see(
	struct h1_seen *m, int head_len, const struct h1_head *h, const uint8_t *p, size_t n)
{
	*m = (struct h1_seen){.head = h->msg, .sum = 1};
	assert(head_len >= 0);
	if (head_len == 0)
		return n;
	return (size_t)head_len + see_body(m, p + head_len, n - (size_t)head_len);
}

size_t h1_see_request(struct h1_seen *m, const uint8_t *p, size_t n)
{
	struct h1_head h = {0};
	int rc = h1_parse_request(&h, p, n, &wide, "http", NULL);
	return see(m, rc, &h, p, n);
}

size_t h1_see_response(struct h1_seen *m, const uint8_t *p, size_t n, enum method to)
{
	struct h1_head h = {0};
	int rc = h1_parse_response(&h, p, n, &wide, to, NULL);
	return see(m, rc, &h, p, n);
}

void h1_seen_done(struct h1_seen *m)
{
	msg_free(m->head);
	m->head = NULL;
}
