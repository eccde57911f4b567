/* Content codings of RFC 9110 §8.4.1 as streams: the home of zlib and, where it was there at
 * configure time, brotli. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum coding { CODING_NONE, CODING_GZIP, CODING_BR };
enum coder_step { CODER_MORE, CODER_FLUSH, CODER_END };

struct coder;
/* A piece of what is coded, lent. */
typedef void (*coder_fn)(void *ctx, const void *p, size_t n);

bool coding_is_built(enum coding c);
/* "gzip", "br", "identity". */
const char *coding_name(enum coding c);

/* About 100 KiB (gzip) or 155 KiB (br); NULL when there is no memory. */
struct coder *coder_new(enum coding c);
void coder_free(struct coder *c);
/* Code `n` bytes; FLUSH: all that came so far can be decoded from what was put out, END: and
 * nothing follows. 0, or -ENOMEM: the stream is lost. */
struct coder_sink {
	coder_fn fn;
	void *ctx;
};
int coder_put(struct coder *c, const void *p, size_t n, enum coder_step step,
	const struct coder_sink *out);
