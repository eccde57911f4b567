/* HTTP/1.1 heads, strict (RFC 9112). First the lines are walked to see whether the head is whole
 * and within its limits; only then one message of the right size is made and filled in a second
 * pass. Whoever feeds a slow peer's bytes should call again only when a new line feed came. */
#include "http/h1_parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "http/h1_line.h"
#include "http/msg_build.h"
#include "http/uri.h"

#define METHOD_LEN_MAX 32u
#define LINES_KEPT 48u

struct slice {
	const char *p;
	size_t n;
};

/* What the fields said about framing and the connection. */
struct framing {
	bool has_length, has_coding, has_host;
	bool close, keep_alive;
	bool expects, expects_other;
	uint64_t length;
	struct slice host;
};

struct parse {
	struct h1_head *h;
	const struct h1_limits *limits;
	uint32_t lines[LINES_KEPT]; /* their lengths, as they were walked */
	struct err *e;
	bool is_request;
	struct framing f;
};

static int refuse(struct parse *ps, int status, const char *why)
{
	ps->h->status = status;
	return err_set(ps->e, -EBADMSG, "%s", why);
}

static bool slice_is(struct slice s, const char *lower_case)
{
	return s.n == strlen(lower_case) && !strncasecmp(s.p, lower_case, s.n);
}

static bool is_ows(char c)
{
	return c == ' ' || c == '\t';
}

/* ---- lines ---- */

/* The next line of p[0..n): its length without CRLF, -1 when it is not whole, -2 when it ends in a
 * bare LF. */
static long line_len(const uint8_t *p, size_t n)
{
	const uint8_t *lf = memchr(p, '\n', n);
	if (!lf)
		return -1;
	if (lf == p || lf[-1] != '\r')
		return -2;
	return lf - p - 1;
}

/* Length of the head with its empty line, 0 when more is needed, or an error. `at` is where the
 * start line is known to end. */
static long walk(struct parse *ps, const uint8_t *p, size_t n, size_t at, unsigned *fields)
{
	const struct h1_limits *l = ps->limits;
	for (*fields = 0;; (*fields)++) {
		long len = line_len(p + at, n - at);
		if (len == -2)
			return refuse(ps, 400, "a line ends without CR");
		if (len == 0)
			break;
		if (*fields >= l->fields_max)
			return refuse(ps, 431, "too many fields");
		if (len < 0 && n > l->head_max)
			return refuse(ps, 431, "the head is too large");
		if (len < 0)
			return 0;
		if (*fields < LINES_KEPT)
			ps->lines[*fields] = (uint32_t)len;
		at += (size_t)len + 2;
	}
	at += 2;
	return at > l->head_max ? refuse(ps, 431, "the head is too large") : (long)at;
}

int h1_add_field(struct msg *m, const char *line, size_t n)
{
	const char *colon = memchr(line, ':', n);
	if (!colon)
		return -EINVAL;
	const char *value = colon + 1, *end = line + n;
	while (value < end && is_ows(*value))
		value++;
	while (end > value && is_ows(end[-1]))
		end--;
	return msg_add_n(m, line, (size_t)(colon - line), value, (size_t)(end - value));
}

/* ---- fields with a meaning here ---- */

static int take_length(struct parse *ps, struct msg_piece f)
{
	if (ps->f.has_length)
		return refuse(ps, 400, "Content-Length is repeated");
	if (!f.value_len || f.value_len > 18 || (f.value[0] == '0' && f.value_len > 1))
		return refuse(ps, 400, "Content-Length is not a plain number");
	for (size_t i = 0; i < f.value_len; i++) {
		if (f.value[i] < '0' || f.value[i] > '9')
			return refuse(ps, 400, "Content-Length is not a plain number");
		ps->f.length = ps->f.length * 10 + (unsigned)(f.value[i] - '0');
	}
	ps->f.has_length = true;
	return 0;
}

static int take_coding(struct parse *ps, struct msg_piece f)
{
	if (ps->f.has_coding)
		return refuse(ps, 400, "Transfer-Encoding is repeated");
	if (!f.value_len)
		return refuse(ps, 400, "Transfer-Encoding is empty");
	if (strcasecmp(f.value, "chunked")) {
		bool listed = strcasestr(f.value, "chunked") && strchr(f.value, ',');
		return refuse(ps, listed ? 400 : 501, "a transfer coding other than chunked");
	}
	ps->f.has_coding = true;
	return 0;
}

static int take_connection(struct parse *ps, struct msg_piece f)
{
	for (const char *s = f.value, *end = f.value + f.value_len; s < end;) {
		const char *comma = memchr(s, ',', (size_t)(end - s));
		const char *to = comma ? comma : end;
		struct slice t = {s, (size_t)(to - s)};
		while (t.n && is_ows(t.p[0]))
			t.p++, t.n--;
		while (t.n && is_ows(t.p[t.n - 1]))
			t.n--;
		ps->f.close |= slice_is(t, "close");
		ps->f.keep_alive |= slice_is(t, "keep-alive");
		s = to + 1;
	}
	return 0;
}

static int take_known(struct parse *ps, struct msg_piece f)
{
	switch (f.name_len) {
	case 6:
		if (ps->is_request && !memcmp(f.name, "expect", 6)) {
			ps->f.expects_other |= strcasecmp(f.value, "100-continue") != 0;
			ps->f.expects = true;
		}
		return 0;
	case 10:
		return memcmp(f.name, "connection", 10) ? 0 : take_connection(ps, f);
	case 14:
		return memcmp(f.name, "content-length", 14) ? 0 : take_length(ps, f);
	case 17:
		return memcmp(f.name, "transfer-encoding", 17) ? 0 : take_coding(ps, f);
	default:
		return 0;
	}
}

/* Host stays out of the fields. Returns 1 when the line was it. */
static int take_host(struct parse *ps, const char *line, size_t n)
{
	if (n < 5 || line[4] != ':' || strncasecmp(line, "host", 4))
		return 0;
	if (ps->f.has_host)
		return refuse(ps, 400, "Host is repeated");
	struct slice s = {line + 5, n - 5};
	while (s.n && is_ows(s.p[0]))
		s.p++, s.n--;
	while (s.n && is_ows(s.p[s.n - 1]))
		s.n--;
	ps->f.has_host = true;
	ps->f.host = s;
	return 1;
}

/* The lines from `p` to the empty one that ends at `end`. */
static int parse_fields(struct parse *ps, struct msg *m, const uint8_t *p, const uint8_t *end)
{
	for (unsigned i = 0; end - p > 2; i++) {
		const char *line = (const char *)p;
		size_t n = i < LINES_KEPT ? ps->lines[i] : (size_t)line_len(p, (size_t)(end - p));
		p += n + 2;
		int rc = ps->is_request ? take_host(ps, line, n) : 0;
		if (rc < 0)
			return rc;
		if (rc)
			continue;
		if (is_ows(line[0]))
			return refuse(ps, 400, "a folded field line");
		rc = h1_add_field(m, line, n);
		if (rc == -ENOBUFS)
			return refuse(ps, 431, "the fields are too large");
		if (rc < 0)
			return refuse(ps, 400, "a field line is malformed");
		rc = take_known(ps, msg_piece(m, msg_count(m) - 1));
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int check_framing(struct parse *ps)
{
	const struct framing *f = &ps->f;
	if (f->has_coding && f->has_length)
		return refuse(ps, 400, "Transfer-Encoding beside Content-Length");
	if (f->has_coding && ps->h->minor == 0)
		return refuse(ps, 400, "Transfer-Encoding in HTTP/1.0");
	ps->h->keep_alive = ps->h->minor ? !f->close : f->keep_alive && !f->close;
	return 0;
}

/* "HTTP/" DIGIT "." DIGIT at the start of 8 bytes. */
static int parse_version(struct parse *ps, const char *p)
{
	if (memcmp(p, "HTTP/", 5) || p[6] != '.' || p[5] < '0' || p[5] > '9' || p[7] < '0' ||
		p[7] > '9')
		return refuse(ps, 400, "no HTTP version where it should stand");
	if (p[5] != '1' || p[7] > '1')
		return refuse(ps, 505, "an HTTP version that is not spoken here");
	ps->h->minor = p[7] - '0';
	return 0;
}

/* ---- requests ---- */

struct request_line {
	struct slice method, target, authority; /* authority: of an absolute-form, else empty */
	bool absolute;
};

static int split_absolute(struct parse *ps, struct request_line *r, const char *scheme)
{
	size_t k = strlen(scheme);
	struct slice t = r->target;
	if (t.n < k + 3 || strncasecmp(t.p, scheme, k) || memcmp(t.p + k, "://", 3))
		return refuse(ps, 400, "the target is neither a path nor a URL of this scheme");
	t.p += k + 3;
	t.n -= k + 3;
	size_t n = 0;
	while (n < t.n && t.p[n] != '/' && t.p[n] != '?')
		n++;
	r->absolute = true;
	r->authority = (struct slice){t.p, n};
	r->target = (struct slice){t.p + n, t.n - n};
	if (!uri_is_authority(r->authority.p, r->authority.n))
		return refuse(ps, 400, "the target has no valid authority");
	if (r->target.n && r->target.p[0] == '?')
		return refuse(ps, 400, "the target has a query but no path");
	if (!r->target.n)
		r->target = (struct slice){slice_is(r->method, "options") ? "*" : "/", 1};
	return 0;
}

static int check_target(struct parse *ps, struct request_line *r, const char *scheme)
{
	struct slice t = r->target;
	if (!uri_is_text(t.p, t.n))
		return refuse(ps, 400, "the target holds a forbidden byte");
	if (t.p[0] == '/')
		return 0;
	if (t.n == 1 && t.p[0] == '*' && r->method.n == 7 && !memcmp(r->method.p, "OPTIONS", 7))
		return 0;
	return split_absolute(ps, r, scheme);
}

static int parse_request_line(
	struct parse *ps, struct request_line *r, struct slice line, const char *scheme)
{
	*r = (struct request_line){
		.method = {line.p, 0}
        };
	const char *end = line.p + line.n;
	while (r->method.p + r->method.n < end && msg_is_tchar((uint8_t)line.p[r->method.n]))
		r->method.n++;
	const char *target = line.p + r->method.n + 1;
	if (!r->method.n || target > end || target[-1] != ' ')
		return refuse(ps, 400, "the request line has no method");
	if (r->method.n > METHOD_LEN_MAX)
		return refuse(ps, 501, "the method is too long");
	const char *space = memchr(target, ' ', (size_t)(end - target));
	if ((size_t)((space ? space : end) - target) > ps->limits->url_max)
		return refuse(ps, 414, "the target is too long");
	if (!space || end - space != 9)
		return refuse(ps, 400, "the request line has no HTTP version");
	int rc = parse_version(ps, space + 1);
	if (rc < 0)
		return rc;
	if (r->method.n == 7 && !memcmp(r->method.p, "CONNECT", 7))
		return refuse(ps, 501, "CONNECT is not served");
	r->target = (struct slice){target, (size_t)(space - target)};
	return check_target(ps, r, scheme);
}

static int check_host(struct parse *ps, const struct request_line *r)
{
	const struct framing *f = &ps->f;
	if (!f->has_host)
		return ps->h->minor ? refuse(ps, 400, "there is no Host") : 0;
	if (!uri_is_authority(f->host.p, f->host.n))
		return refuse(ps, 400, "Host is not a valid authority");
	if (r->absolute &&
		(f->host.n != r->authority.n || strncasecmp(f->host.p, r->authority.p, f->host.n)))
		return refuse(ps, 400, "Host disagrees with the target");
	return 0;
}

static int finish_request(struct parse *ps, const struct request_line *r, const char *scheme)
{
	struct h1_head *h = ps->h;
	struct slice a = r->absolute ? r->authority : ps->f.host;
	int rc = check_host(ps, r);
	if (rc < 0)
		return rc;
	rc = check_framing(ps);
	if (rc < 0)
		return rc;
	msg_set_start(h->msg, &(struct msg_start){.method = r->method.p,
				      .method_len = r->method.n,
				      .scheme = scheme,
				      .authority = a.p,
				      .authority_len = a.n,
				      .target = r->target.p,
				      .target_len = r->target.n});
	if (ps->f.has_coding)
		msg_set_body(h->msg, BODY_CHUNKED, 0);
	else if (ps->f.has_length)
		msg_set_body(h->msg, BODY_LENGTH, ps->f.length);
	if (h->minor == 0) {
		/* RFC 9110 §7.8, §10.1.1: neither exists in HTTP/1.0. */
		msg_remove(h->msg, "upgrade");
		msg_remove(h->msg, "expect");
		return 0;
	}
	if (ps->f.expects_other)
		return refuse(ps, 417, "an expectation other than 100-continue");
	h->expects_continue = ps->f.expects && (ps->f.has_coding || ps->f.length);
	return 0;
}

int h1_parse_request(struct h1_head *h, const uint8_t *p, size_t n, const struct h1_limits *l,
	const char *scheme, struct err *e)
{
	struct parse ps = {.h = h, .limits = l, .e = e, .is_request = true};
	*h = (struct h1_head){0};
	size_t skip = n >= 2 && !memcmp(p, "\r\n", 2) ? 2 : 0;
	if (n == skip || (n == 1 && p[0] == '\r'))
		return 0;
	long len = line_len(p + skip, n - skip);
	if (len == -2)
		return refuse(&ps, 400, "a line ends without CR");
	if (len == -1) {
		if (!msg_is_tchar(p[skip]))
			return refuse(&ps, 400, "this is not HTTP");
		return n > l->head_max ? refuse(&ps, 414, "the request line is too long") : 0;
	}
	struct request_line r;
	int rc = parse_request_line(
		&ps, &r, (struct slice){(const char *)p + skip, (size_t)len}, scheme);
	if (rc < 0)
		return rc;
	unsigned fields;
	size_t at = skip + (size_t)len + 2;
	long head = walk(&ps, p, n, at, &fields);
	if (head <= 0)
		return (int)head;
	h->msg = msg_build((size_t)head, fields);
	rc = parse_fields(&ps, h->msg, p + at, p + head);
	if (rc == 0)
		rc = finish_request(&ps, &r, scheme);
	if (rc == 0)
		return (int)head;
	msg_free(h->msg);
	h->msg = NULL;
	return rc;
}

/* ---- responses ---- */

static int parse_status_line(struct parse *ps, const char *p, size_t n)
{
	if (n < 12)
		return refuse(ps, 400, "the status line is too short");
	int rc = parse_version(ps, p);
	if (rc < 0)
		return rc;
	int status = 0;
	for (unsigned i = 9; i < 12; i++) {
		if (p[i] < '0' || p[i] > '9')
			return refuse(ps, 400, "the status is not a number");
		status = status * 10 + (p[i] - '0');
	}
	/* Small devices leave out the space before an empty reason. */
	if (p[8] != ' ' || (n > 12 && p[12] != ' '))
		return refuse(ps, 400, "the status line is malformed");
	if (status < 100 || status > 599)
		return refuse(ps, 400, "the status is out of range");
	for (size_t i = 12; i < n; i++)
		if (((uint8_t)p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f)
			return refuse(ps, 400, "the reason holds a control character");
	return status;
}

static void set_response_body(struct parse *ps, struct msg *m, enum method to)
{
	int status = msg_status(m);
	if (to == METHOD_HEAD || status < 200 || status == 204 || status == 304)
		msg_set_body(m, BODY_NONE, 0);
	else if (ps->f.has_coding)
		msg_set_body(m, BODY_CHUNKED, 0);
	else if (ps->f.has_length)
		msg_set_body(m, BODY_LENGTH, ps->f.length);
	else
		msg_set_body(m, BODY_UNTIL_CLOSE, 0);
}

int h1_parse_response(struct h1_head *h, const uint8_t *p, size_t n, const struct h1_limits *l,
	enum method to, struct err *e)
{
	struct parse ps = {.h = h, .limits = l, .e = e};
	*h = (struct h1_head){0};
	if (!n)
		return 0;
	long len = line_len(p, n);
	if (len == -2)
		return refuse(&ps, 400, "a line ends without CR");
	if (len == -1) {
		if (memcmp(p, "HTTP/1.", n < 7 ? n : 7))
			return refuse(&ps, 400, "this is not HTTP/1");
		return n > l->head_max ? refuse(&ps, 431, "the head is too large") : 0;
	}
	int rc = parse_status_line(&ps, (const char *)p, (size_t)len);
	if (rc < 0)
		return rc;
	int status = rc;
	unsigned fields;
	size_t at = (size_t)len + 2;
	long head = walk(&ps, p, n, at, &fields);
	if (head <= 0)
		return (int)head;
	h->msg = msg_build((size_t)head, fields);
	msg_set_status(h->msg, status);
	rc = parse_fields(&ps, h->msg, p + at, p + head);
	if (rc == 0)
		rc = check_framing(&ps);
	if (rc < 0) {
		msg_free(h->msg);
		h->msg = NULL;
		return rc;
	}
	set_response_body(&ps, h->msg, to);
	return (int)head;
}
