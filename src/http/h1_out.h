/* Inside http/: HTTP/1.1 text, put together in small pieces on the stack before it goes where the
 * owner says: a stream of net/, or a buffer. Inline, because a head is some hundred of these calls.
 * Names go out in Title-Case: every receiver must ignore case, old ones do not. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "http/msg_build.h"

struct h1_out {
	void (*write)(void *to, const char *p, size_t n);
	void *to;
	size_t n;
	char b[2048];
};

static inline void h1_flush(struct h1_out *o)
{
	if (o->n)
		o->write(o->to, o->b, o->n);
	o->n = 0;
}

static inline void put(struct h1_out *o, const char *p, size_t n)
{
	if (n > sizeof(o->b) - o->n)
		h1_flush(o);
	if (n > sizeof(o->b)) {
		o->write(o->to, p, n);
		return;
	}
	memcpy(o->b + o->n, p, n);
	o->n += n;
}

static inline void puts_(struct h1_out *o, const char *s)
{
	put(o, s, strlen(s));
}

static inline void put_u64(struct h1_out *o, uint64_t v)
{
	char digits[STR_U64_MAX];
	put(o, digits, str_u64(digits, v));
}

/* Names are short, and most have one hyphen or none. */
static inline void title_case(char *name, size_t n)
{
	char *end = name + n;
	for (char *at = name; at && at < end; at = memchr(at, '-', (size_t)(end - at))) {
		at += *at == '-';
		if (at < end && *at >= 'a' && *at <= 'z')
			*at = (char)(*at - 32);
	}
}

static inline void put_name(struct h1_out *o, const char *p, size_t n)
{
	if (n > sizeof(o->b)) {
		put(o, p, n);
		return;
	}
	if (n > sizeof(o->b) - o->n)
		h1_flush(o);
	memcpy(o->b + o->n, p, n);
	title_case(o->b + o->n, n);
	o->n += n;
}

static inline void put_long_field(struct h1_out *o, const struct msg_piece *f)
{
	put_name(o, f->name, f->name_len);
	put(o, ": ", 2);
	put(o, f->value, f->value_len);
	put(o, "\r\n", 2);
}

static inline void put_field(struct h1_out *o, const struct msg_piece *f)
{
	size_t n = f->name_len + f->value_len + 4;
	if (n > sizeof(o->b)) {
		put_long_field(o, f);
		return;
	}
	if (n > sizeof(o->b) - o->n)
		h1_flush(o);
	char *to = o->b + o->n;
	memcpy(to, f->name, f->name_len);
	title_case(to, f->name_len);
	to += f->name_len;
	*to++ = ':';
	*to++ = ' ';
	memcpy(to, f->value, f->value_len);
	to += f->value_len;
	*to++ = '\r';
	*to = '\n';
	o->n += n;
}

static inline void put_fields(struct h1_out *o, const struct msg *m)
{
	for (unsigned i = 0, n = msg_count(m); i < n; i++) {
		struct msg_piece f = msg_piece(m, i);
		if (!msg_is_framing(&f))
			put_field(o, &f);
	}
}

static inline void put_length(struct h1_out *o, uint64_t n)
{
	puts_(o, "Content-Length: ");
	put_u64(o, n);
	put(o, "\r\n", 2);
}

static inline void put_named(struct h1_out *o, const char *name, const char *value)
{
	puts_(o, name);
	put(o, ": ", 2);
	puts_(o, value);
	put(o, "\r\n", 2);
}
