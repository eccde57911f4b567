/* A growable byte buffer with a cap. Appending past the cap, or out of memory, fails and
 * leaves the buffer as it was, so a peer's bytes can never grow it without limit. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* NULL while empty and never grown */
	size_t len;
	size_t size; /* allocated */
	size_t cap;  /* most that may ever be stored */
};

#define BUF_INIT(most) ((struct buf){.cap = (most)})

void buf_init(struct buf *b, size_t cap);
/* Free the memory; the buffer is empty and usable again. */
void buf_done(struct buf *b);
/* The same, overwriting first. */
void buf_done_secret(struct buf *b);

/* Append. 0, -ENOBUFS above the cap, -ENOMEM. */
int buf_append(struct buf *b, const void *p, size_t n);
int buf_puts(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Make room for `n` more bytes; write at data + len and add to len. 0 or as buf_append. */
int buf_reserve(struct buf *b, size_t n);
/* Drop `n` bytes (≤ len) from the front. */
void buf_consume(struct buf *b, size_t n);
/* The content as a C string; valid until the next change. NULL when that needs memory there is
 * not. Embedded NUL bytes are the caller's affair. */
const char *buf_str(struct buf *b);
