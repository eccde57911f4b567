/* See buf.h. A block is at least twice as large as the one before, and 256 bytes at first. */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

void buf_init(struct buf *b, size_t cap)
{
	*b = BUF_INIT(cap);
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->cap);
}

void buf_done_secret(struct buf *b)
{
	if (b->data)
		wipe(b->data, b->size);
	buf_done(b);
}

static int grow(struct buf *b, size_t want)
{
	size_t size = b->size ? 2 * b->size : 256;
	if (size < want)
		size = (want + 63) & ~(size_t)63;
	uint8_t *p = realloc(b->data, size);
	if (!p)
		return -ENOMEM;
	b->data = p;
	b->size = size;
	return 0;
}

int buf_reserve(struct buf *b, size_t n)
{
	if (n > b->cap || b->len > b->cap - n)
		return -ENOBUFS;
	if (b->len + n + 1 <= b->size)
		return 0;
	return grow(b, b->len + n + 1);
}

int buf_append(struct buf *b, const void *p, size_t n)
{
	int rc = buf_reserve(b, n);
	if (rc < 0)
		return rc;
	if (n)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	return 0;
}

int buf_puts(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	int rc = buf_reserve(b, (size_t)n);
	if (rc < 0)
		return rc;
	va_start(ap, fmt);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n >= b->len) {
		b->len = 0;
		return;
	}
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

const char *buf_str(struct buf *b)
{
	if (b->len + 1 > b->size && grow(b, b->len + 1) < 0)
		return NULL;
	b->data[b->len] = 0;
	return (const char *)b->data;
}
