/* Chunked decoding: each case whole, split at every byte, and one byte at a time. */
#include "http/h1_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BAD "(bad)"
#define MORE "(more)"

/* What decodes to what: body, "|", trailers, and "+rest" for bytes left over. */
static const struct {
	const char *in, *out;
	size_t n;
} cases[] = {
#define C(in, out)                                                                                 \
	{                                                                                          \
		in, out, sizeof(in) - 1                                                            \
	}
	C("0\r\n\r\n", "|"),
	C("5\r\nhello\r\n0\r\n\r\n", "hello|"),
	C("005\r\nhello\r\n000\r\n\r\n", "hello|"),
	C("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET", "abcde|+GET"),
	C("a\r\n0123456789\r\n0\r\n\r\n", "0123456789|"),
	C("A\r\n0123456789\r\n0\r\n\r\n", "0123456789|"),
	C("5;x\r\nhello\r\n0;y=\"z\"\r\n\r\n", "hello|"),
	C("5; name=value ; n2\r\nhello\r\n0\r\n\r\n", "hello|"),
	C("2\r\n\r\n\r\n0\r\n\r\n", "\r\n|"),
	C("0\r\nA: b\r\nc:d\r\n\r\n", "|a=b;c=d;"),
	C("1\r\nx\r\n0\r\nA: b\r\n\r\n\r\n", "x|a=b;+\r\n"),
	C("", MORE),
	C("5", MORE),
	C("5\r\nhell", MORE),
	C("5\r\nhello\r\n", MORE),
	C("0\r\n", MORE),
	C("0\r\nA: b\r\n", MORE),
	C("\r\n", BAD),
	C(" 5\r\nhello\r\n0\r\n\r\n", BAD),
	C("5 \r\nhello\r\n0\r\n\r\n", BAD),
	C("5\t;x\r\nhello\r\n", BAD),
	C("+5\r\nhello\r\n", BAD),
	C("-5\r\nhello\r\n", BAD),
	C("0x5\r\nhello\r\n", BAD),
	C("5\nhello\r\n", BAD),
	C("5\rhello", BAD),
	C("5;a\nhello\r\n", BAD),
	C("5;a\rb\r\nhello\r\n", BAD),
	C("5;a\0b\r\nhello\r\n", BAD),
	C("5\r\nhello0\r\n", BAD),
	C("5\r\nhello\n0\r\n\r\n", BAD),
	C("5\r\nhello\rx", BAD),
	C("5\r\nhelloo\r\n0\r\n\r\n", BAD),
	C("g\r\n", BAD),
	C("fffffffffffffffff\r\n", BAD),
	C("0000000000000005\r\nhello\r\n", BAD),
	C("0\r\nA : b\r\n\r\n", BAD),
	C("0\r\nA: b\n\r\n", BAD),
	C("0\r\n A: b\r\n\r\n", BAD),
	C("0\r\nA: b\r\n c\r\n\r\n", BAD),
	C("0\r\nno colon\r\n\r\n", BAD),
	C("0\r\nContent-Length: 5\r\n\r\n", BAD),
	C("0\r\nTransfer-Encoding: chunked\r\n\r\n", BAD),
	C("0\r\nHost: evil\r\n\r\n", BAD),
	C("0\r\nA: b\rc\r\n\r\n", BAD),
	C("0\r\n\n", BAD),
#undef C
};

struct run {
	struct h1_chunks c;
	char out[256];
	size_t n;
	bool bad, end;
};

static size_t feed(struct run *r, const char *p, size_t n)
{
	size_t used = 0;
	while (!r->bad && !r->end) {
		const uint8_t *body;
		size_t body_len;
		long k = h1_chunks_feed(
			&r->c, (const uint8_t *)p + used, n - used, &body, &body_len, &r->end);
		if (k < 0)
			r->bad = true;
		if (k <= 0)
			break;
		memcpy(r->out + r->n, body ? body : (const uint8_t *)"", body_len);
		r->n += body_len;
		used += (size_t)k;
	}
	return used;
}

static const char *finish(struct run *r, const char *rest, size_t n)
{
	if (r->bad)
		return BAD;
	if (!r->end)
		return MORE;
	size_t at = r->n + (size_t)sprintf(r->out + r->n, "|");
	for (unsigned i = 0; r->c.trailers && i < msg_count(r->c.trailers); i++) {
		struct field f = msg_field(r->c.trailers, i);
		at += (size_t)sprintf(r->out + at, "%s=%s;", f.name, f.value);
	}
	if (n)
		sprintf(r->out + at, "+%.*s", (int)n, rest);
	return r->out;
}

static void check(size_t i, size_t split, size_t step)
{
	struct run r = {.n = 0};
	h1_chunks_init(&r.c);
	const char *in = cases[i].in;
	size_t at = 0;
	while (at < cases[i].n && !r.bad && !r.end) {
		size_t n = at < split ? split - at : step ? step : cases[i].n - at;
		at += feed(&r, in + at, n);
	}
	const char *got = finish(&r, in + at, cases[i].n - at);
	if (strcmp(got, cases[i].out))
		fail_msg("case %zu split %zu step %zu: %s, expected %s", i, split, step, got,
			cases[i].out);
	h1_chunks_done(&r.c);
}

static void every_case_decodes_however_it_is_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check(i, 0, 1);
		for (size_t split = 0; split <= cases[i].n; split++)
			check(i, split, 0);
	}
}

static void extensions_and_trailers_are_bounded(void **state)
{
	(void)state;
	static const char *const start[] = {"5;", "0\r\na:"};
	for (unsigned i = 0; i < 2; i++) {
		struct run r = {.n = 0};
		h1_chunks_init(&r.c);
		feed(&r, start[i], strlen(start[i]));
		size_t n = 0;
		for (; n < 100000 && !r.bad; n++)
			feed(&r, "x", 1);
		assert_true(r.bad);
		assert_in_range(n, 100, 9000);
		h1_chunks_done(&r.c);
	}
	struct run r = {.n = 0};
	h1_chunks_init(&r.c);
	feed(&r, "0\r\n", 3);
	unsigned n = 0;
	for (; n < 1000 && !r.bad; n++)
		feed(&r, "a:b\r\n", 5);
	assert_true(r.bad);
	assert_in_range(n, 8, 64);
	h1_chunks_done(&r.c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_decodes_however_it_is_split),
		cmocka_unit_test(extensions_and_trailers_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
