/* See coder.h. Levels are for a LAN, where the gateway's processor is dearer than bytes (16 KiB a
 * flush, a page script of 900 KB): gzip 3 with a window of 8 KiB makes 18 % at 92 MB/s, brotli 1
 * 22 % at 190 MB/s, brotli 4 16 % at 58 MB/s with 1 MiB a stream. */
#include "gate/coder.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>
#ifdef HAVE_BROTLI
#include <brotli/encode.h>
#endif

#include "base/xalloc.h"

#define GZIP_LEVEL 3
#define GZIP_WINDOW (13 + 16) /* 8 KiB; 16: with gzip's own head */
#define GZIP_MEMORY 7
#define BR_QUALITY 1
#define BR_WINDOW 16
#define PIECE 8192u

struct coder {
	z_stream z;
	void *br; /* NULL: gzip */
};

const char *coding_name(enum coding c)
{
	switch (c) {
	case CODING_GZIP:
		return "gzip";
	case CODING_BR:
		return "br";
	case CODING_NONE:
		break;
	}
	return "identity";
}

#ifdef HAVE_BROTLI
static void *br_new(void)
{
	BrotliEncoderState *s = BrotliEncoderCreateInstance(NULL, NULL, NULL);
	if (s) {
		BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, BR_QUALITY);
		BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, BR_WINDOW);
	}
	return s;
}

static void br_free(void *s)
{
	BrotliEncoderDestroyInstance(s);
}

static int br_put(
	void *s, const uint8_t *p, size_t n, enum coder_step step, const struct coder_sink *out)
{
	static const BrotliEncoderOperation ops[] = {[CODER_MORE] = BROTLI_OPERATION_PROCESS,
		[CODER_FLUSH] = BROTLI_OPERATION_FLUSH,
		[CODER_END] = BROTLI_OPERATION_FINISH};
	do {
		uint8_t piece[PIECE], *to = piece;
		size_t room = sizeof(piece);
		if (!BrotliEncoderCompressStream(s, ops[step], &n, &p, &room, &to, NULL))
			return -ENOMEM;
		if (to > piece)
			out->fn(out->ctx, piece, (size_t)(to - piece));
	} while (n || BrotliEncoderHasMoreOutput(s));
	return 0;
}

bool coding_is_built(enum coding c)
{
	return c != CODING_NONE;
}
#else
static void *br_new(void)
{
	return NULL;
}

static void br_free(void *s)
{
	(void)s;
}

static int br_put(
	void *s, const uint8_t *p, size_t n, enum coder_step step, const struct coder_sink *out)
{
	(void)s, (void)p, (void)n, (void)step, (void)out;
	return -ENOMEM;
}

bool coding_is_built(enum coding c)
{
	return c == CODING_GZIP;
}
#endif

static int gzip_put(
	z_stream *z, const uint8_t *p, size_t n, enum coder_step step, const struct coder_sink *out)
{
	static const int ops[] = {
		[CODER_MORE] = Z_NO_FLUSH, [CODER_FLUSH] = Z_SYNC_FLUSH, [CODER_END] = Z_FINISH};
	z->next_in = (uint8_t *)(uintptr_t)p;
	z->avail_in = (uInt)n;
	do {
		uint8_t piece[PIECE];
		z->next_out = piece;
		z->avail_out = sizeof(piece);
		int rc = deflate(z, ops[step]);
		if (rc < 0 && rc != Z_BUF_ERROR)
			return -ENOMEM;
		if (z->avail_out < sizeof(piece))
			out->fn(out->ctx, piece, sizeof(piece) - z->avail_out);
	} while (!z->avail_out);
	return 0;
}

struct coder *coder_new(enum coding coding)
{
	struct coder *c = xcalloc(1, sizeof(*c));
	if (coding == CODING_BR) {
		c->br = br_new();
		if (c->br)
			return c;
	} else if (deflateInit2(&c->z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
			   Z_DEFAULT_STRATEGY) == Z_OK) {
		return c;
	}
	free(c);
	return NULL;
}

void coder_free(struct coder *c)
{
	if (!c)
		return;
	if (c->br)
		br_free(c->br);
	else
		deflateEnd(&c->z);
	free(c);
}

int coder_put(struct coder *c, const void *p, size_t n, enum coder_step step,
	const struct coder_sink *out)
{
	return c->br ? br_put(c->br, p, n, step, out) : gzip_put(&c->z, p, n, step, out);
}
