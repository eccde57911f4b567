/* Codings undone by their own libraries: what comes out is what went in, at every flush. */
#include "gate/coder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_BROTLIDEC
#include <brotli/decode.h>
#endif

#include "base/buf.h"

#define MOST (4u << 20)

/* What was coded so far, and undone. */
struct wire {
	enum coding coding;
	struct buf plain;
	z_stream z;
	void *br;
	size_t coded;
};

static void undo_gzip(struct wire *w, const uint8_t *p, size_t n)
{
	w->z.next_in = (uint8_t *)(uintptr_t)p;
	w->z.avail_in = (uInt)n;
	while (w->z.avail_in) {
		uint8_t piece[4096];
		w->z.next_out = piece;
		w->z.avail_out = sizeof(piece);
		int rc = inflate(&w->z, Z_SYNC_FLUSH);
		assert_true(rc == Z_OK || rc == Z_STREAM_END);
		buf_append(&w->plain, piece, sizeof(piece) - w->z.avail_out);
		if (rc == Z_STREAM_END)
			assert_int_equal(w->z.avail_in, 0);
	}
}

static void undo_br(struct wire *w, const uint8_t *p, size_t n)
{
#ifdef HAVE_BROTLIDEC
	BrotliDecoderResult rc;
	do {
		uint8_t piece[4096], *to = piece;
		size_t room = sizeof(piece);
		rc = BrotliDecoderDecompressStream(w->br, &n, &p, &room, &to, NULL);
		assert_int_not_equal(rc, BROTLI_DECODER_RESULT_ERROR);
		buf_append(&w->plain, piece, sizeof(piece) - room);
	} while (rc == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT ||
		 BrotliDecoderHasMoreOutput(w->br));
#else
	(void)w, (void)p, (void)n;
#endif
}

static void on_piece(void *ctx, const void *p, size_t n)
{
	struct wire *w = ctx;
	w->coded += n;
	if (w->coding == CODING_GZIP)
		undo_gzip(w, p, n);
	else
		undo_br(w, p, n);
}

static void wire_init(struct wire *w, enum coding c)
{
	*w = (struct wire){.coding = c, .plain = BUF_INIT(MOST)};
	assert_int_equal(inflateInit2(&w->z, 15 + 16), Z_OK);
#ifdef HAVE_BROTLIDEC
	w->br = BrotliDecoderCreateInstance(NULL, NULL, NULL);
#endif
}

static void wire_done(struct wire *w)
{
	inflateEnd(&w->z);
	buf_done(&w->plain);
#ifdef HAVE_BROTLIDEC
	BrotliDecoderDestroyInstance(w->br);
#endif
}

/* Half words, half noise. */
static void fill(uint8_t *p, size_t n, unsigned seed)
{
	static const char words[] = "{\"state\": \"on\", \"brightness\": 128}\n";
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245u + 12345u;
		p[i] = i / 512 % 2 ? (uint8_t)(seed >> 16)
				   : (uint8_t)words[i % (sizeof(words) - 1)];
	}
}

static bool can_undo(enum coding c)
{
#ifdef HAVE_BROTLIDEC
	return coding_is_built(c);
#else
	return c == CODING_GZIP;
#endif
}

static void code_in_steps(enum coding c, const uint8_t *p, size_t n, size_t step)
{
	struct wire w;
	wire_init(&w, c);
	struct coder_sink sink = {on_piece, &w};
	struct coder *k = coder_new(c);
	for (size_t at = 0, turn = 0; at < n; at += step, turn++) {
		size_t part = n - at < step ? n - at : step;
		bool flush = turn % 3 == 2;
		assert_int_equal(
			coder_put(k, p + at, part, flush ? CODER_FLUSH : CODER_MORE, &sink), 0);
		if (flush)
			assert_int_equal(w.plain.len, at + part);
	}
	assert_int_equal(coder_put(k, NULL, 0, CODER_FLUSH, &sink), 0);
	assert_int_equal(w.plain.len, n);
	assert_int_equal(coder_put(k, NULL, 0, CODER_END, &sink), 0);
	assert_int_equal(w.plain.len, n);
	if (n)
		assert_memory_equal(w.plain.data, p, n);
	if (n > 100000 && step > 1000)
		assert_true(w.coded < n * 6 / 10);
	coder_free(k);
	wire_done(&w);
}

static void what_comes_out_is_what_went_in(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 100, 8191, 8192, 8193, 300000},
			    steps[] = {1, 7, 1000, 16384, 65536};
	static uint8_t text[300000];
	fill(text, sizeof(text), 7);
	for (enum coding c = CODING_GZIP; c <= CODING_BR; c++) {
		if (!can_undo(c))
			continue;
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			for (size_t k = 0; k < sizeof(steps) / sizeof(*steps); k++)
				if (sizes[i] / steps[k] < 20000)
					code_in_steps(c, text, sizes[i], steps[k]);
	}
}

static void codings_have_their_names(void **state)
{
	(void)state;
	assert_string_equal(coding_name(CODING_GZIP), "gzip");
	assert_string_equal(coding_name(CODING_BR), "br");
	assert_true(coding_is_built(CODING_GZIP));
	assert_false(coding_is_built(CODING_NONE));
	coder_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_out_is_what_went_in),
		cmocka_unit_test(codings_have_their_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
