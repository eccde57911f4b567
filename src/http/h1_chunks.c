/* Chunked bodies (RFC 9112 §7.1), byte by byte where it must be and slice by slice where it may.
 * Size lines and trailer sections are bounded; what a trailer must not say is refused. */
#include "http/h1_parse.h"

#include <errno.h>
#include <string.h>

#include "http/h1_line.h"

#define SIZE_DIGITS_MAX 15u
#define SIZE_LINE_MAX 512u
#define TRAILERS_MAX 8192u
#define TRAILER_FIELDS_MAX 32u

enum state { SIZE_FIRST, SIZE, EXT, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, END };

void h1_chunks_init(struct h1_chunks *c)
{
	*c = (struct h1_chunks){.state = SIZE_FIRST, .line = BUF_INIT(TRAILERS_MAX)};
}

void h1_chunks_done(struct h1_chunks *c)
{
	buf_done(&c->line);
	msg_free(c->trailers);
	c->trailers = NULL;
}

static int hex_digit(uint8_t b)
{
	if (b >= '0' && b <= '9')
		return b - '0';
	b |= 0x20;
	return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

static int size_byte(struct h1_chunks *c, uint8_t b)
{
	int digit = hex_digit(b);
	if (digit >= 0 && c->line_len < SIZE_DIGITS_MAX) {
		c->left = c->left * 16 + (unsigned)digit;
		c->line_len++;
		c->state = SIZE;
		return 0;
	}
	if (c->state == SIZE_FIRST || digit >= 0)
		return -EBADMSG;
	if (b != ';' && b != '\r')
		return -EBADMSG;
	c->state = b == ';' ? EXT : SIZE_LF;
	return 0;
}

/* Extensions are read over (RFC 9112 §7.1.1), within limits. */
static int ext_byte(struct h1_chunks *c, uint8_t b)
{
	if (b == '\r') {
		c->state = SIZE_LF;
		return 0;
	}
	if (++c->line_len > SIZE_LINE_MAX || (b < 0x20 && b != '\t') || b == 0x7f)
		return -EBADMSG;
	return 0;
}

static int expect(struct h1_chunks *c, uint8_t b, uint8_t want, enum state next)
{
	c->state = (uint8_t)next;
	return b == want ? 0 : -EBADMSG;
}

static bool is_forbidden(const char *name)
{
	static const char *const names[] = {"transfer-encoding", "content-length", "host",
		"trailer", "connection", "upgrade", "te", "content-encoding", "content-type",
		"content-range", "authorization", "set-cookie", "cookie", "expect"};
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* A whole trailer line, CRLF included, is in c->line. */
static int trailer_line(struct h1_chunks *c)
{
	struct buf *l = &c->line;
	size_t n = l->len - 1;
	if (!n || l->data[n - 1] != '\r')
		return -EBADMSG;
	n--;
	l->len = 0;
	if (!n) {
		c->state = END;
		return 0;
	}
	if (!c->trailers)
		c->trailers = msg_new_response(0);
	unsigned i = msg_count(c->trailers);
	if (i == TRAILER_FIELDS_MAX || h1_add_field(c->trailers, (const char *)l->data, n) < 0)
		return -EBADMSG;
	return is_forbidden(msg_field(c->trailers, i).name) ? -EBADMSG : 0;
}

/* Takes up to the end of one line. */
static long trailer_bytes(struct h1_chunks *c, const uint8_t *p, size_t n)
{
	const uint8_t *lf = memchr(p, '\n', n);
	size_t k = lf ? (size_t)(lf - p) + 1 : n;
	c->line_len += k;
	if (c->line_len > TRAILERS_MAX || buf_append(&c->line, p, k) < 0)
		return -EBADMSG;
	if (lf && trailer_line(c) < 0)
		return -EBADMSG;
	return (long)k;
}

static int one_byte(struct h1_chunks *c, uint8_t b)
{
	switch ((enum state)c->state) {
	case SIZE_FIRST:
	case SIZE:
		return size_byte(c, b);
	case EXT:
		return ext_byte(c, b);
	case SIZE_LF:
		c->line_len = 0;
		return expect(c, b, '\n', c->left ? DATA : TRAILER);
	case DATA_CR:
		return expect(c, b, '\r', DATA_LF);
	case DATA_LF:
		return expect(c, b, '\n', SIZE_FIRST);
	case DATA:
	case TRAILER:
	case END:
		break;
	}
	return -EBADMSG;
}

long h1_chunks_feed(struct h1_chunks *c, const uint8_t *p, size_t n, const uint8_t **body,
	size_t *body_len, bool *end)
{
	size_t used = 0;
	*body = NULL;
	*body_len = 0;
	*end = c->state == END;
	while (used < n && !*end) {
		if (c->state == DATA) {
			size_t left = n - used;
			*body_len = c->left < left ? (size_t)c->left : left;
			*body = p + used;
			c->left -= *body_len;
			if (!c->left)
				c->state = DATA_CR;
			return (long)(used + *body_len);
		}
		long k = 1;
		if (c->state == TRAILER)
			k = trailer_bytes(c, p + used, n - used);
		else if (one_byte(c, p[used]) < 0)
			return -EBADMSG;
		if (k < 0)
			return k;
		used += (size_t)k;
		*end = c->state == END;
	}
	return (long)used;
}
