/* See http_short.h. */
#include "device-agent/http_short.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

int http_short_print(struct buf *out, const char *host, const char *path, const struct buf *body)
{
	int rc = buf_printf(
		out, "%s %s HTTP/1.1\r\nHost: %s\r\n", body ? "POST" : "GET", path, host);
	if (rc == 0 && body)
		rc = buf_printf(
			out, "Content-Type: text/plain\r\nContent-Length: %zu\r\n", body->len);
	if (rc == 0)
		rc = buf_puts(out, "Connection: close\r\n\r\n");
	return rc == 0 && body ? buf_append(out, body->data, body->len) : rc;
}

static bool is_token_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* The length of a line up to its CRLF; -1: not whole yet, -2: a bare CR or LF, or another control
 * character. */
static long line_len(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\r')
			return i + 1 == n ? -1 : p[i + 1] == '\n' ? (long)i : -2;
		if ((p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f)
			return -2;
	}
	return -1;
}

static int parse_status(const uint8_t *p, size_t n)
{
	if (n < 12 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1') || p[8] != ' ')
		return -EBADMSG;
	for (int i = 9; i < 12; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -EBADMSG;
	}
	if (n > 12 && p[12] != ' ')
		return -EBADMSG;
	int status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
	return status >= 200 && status <= 599 ? status : -EBADMSG;
}

struct head {
	struct http_short *r;
	bool has_len;
	uint64_t len;
};

static int take_header(struct head *h, const char *name, const char *value)
{
	uint64_t v;
	if (str_eq_nocase(name, "transfer-encoding"))
		return -EBADMSG;
	if (str_eq_nocase(name, "content-length")) {
		if (h->has_len || str_to_u64(value, INT64_MAX, &h->len) < 0)
			return -EBADMSG;
		h->has_len = true;
	}
	if (str_eq_nocase(name, "retry-after") && str_to_u64(value, 86400, &v) == 0)
		h->r->retry_after = (unsigned)v;
	return 0;
}

static int parse_header(struct head *h, const uint8_t *p, size_t n)
{
	char name[32] = "", value[64] = "";
	size_t k = 0;
	while (k < n && is_token_char(p[k]))
		k++;
	if (k == 0 || k == n || p[k] != ':')
		return -EBADMSG;
	const uint8_t *v = p + k + 1, *end = p + n;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (k >= sizeof(name))
		return 0; /* none that matters is so long */
	memcpy(name, p, k);
	if ((size_t)(end - v) < sizeof(value))
		memcpy(value, v, (size_t)(end - v));
	else
		value[0] = '?'; /* and none of these values */
	return take_header(h, name, value);
}

/* The length of the whole head with its empty line, 0: more is needed. */
static long parse_head(struct head *h, const uint8_t *p, size_t n)
{
	size_t at = 0;
	for (bool first = true;; first = false) {
		long k = line_len(p + at, n - at);
		if (k == -2 || (k < 0 && n > HTTP_SHORT_HEAD_MAX))
			return -EBADMSG;
		if (k < 0)
			return 0;
		int rc = 0;
		if (first)
			rc = h->r->status = parse_status(p + at, (size_t)k);
		else if (k > 0)
			rc = parse_header(h, p + at, (size_t)k);
		if (rc < 0)
			return rc;
		at += (size_t)k + 2;
		if (at > HTTP_SHORT_HEAD_MAX)
			return -EBADMSG;
		if (k == 0)
			return (long)at;
	}
}

static int bad(struct err *e, int code)
{
	return err_set(e, code, "the gateway's answer is not one that the agent understands");
}

int http_short_parse(struct http_short *r, const uint8_t *p, size_t n, bool ended, struct err *e)
{
	memset(r, 0, sizeof(*r));
	struct head h = {.r = r};
	long at = parse_head(&h, p, n);
	if (at < 0)
		return bad(e, (int)at);
	size_t have = n - (size_t)at;
	if (h.has_len ? h.len > HTTP_SHORT_BODY_MAX : have > HTTP_SHORT_BODY_MAX)
		return bad(e, -EMSGSIZE);
	r->body = p + at;
	r->body_len = h.has_len ? (size_t)h.len : have;
	if (at > 0 && r->status == 204)
		r->body_len = 0;
	if (at > 0 && (h.has_len || r->status == 204) && have >= r->body_len)
		return 1;
	if (at > 0 && !h.has_len && ended)
		return 1;
	return ended ? err_set(e, -EBADMSG, "the gateway closed in the middle of its answer") : 0;
}
