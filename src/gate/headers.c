/* See headers.h. RFC 9110 §7.6.1 (hop-by-hop), RFC 7239 (Forwarded), RFC 6265 §5.4 (Cookie). */
#include "gate/headers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/etag.h"
#include "gate/rewrite.h"
#include "gate/session_row.h"

#define COOKIE_MAX 256
#define OUR_PREFIX "__Host-l" /* of both our cookies */

static bool is(const struct msg_part *f, const char *name, size_t n)
{
	return f->name_len == n && memcmp(f->name, name, n) == 0;
}
#define IS(f, name) is(f, name, sizeof(name) - 1)

static bool is_ours(const char *cookie, size_t n)
{
	static const char *const names[] = {SESSION_COOKIE, SESSION_STATE_COOKIE};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strlen(names[i]) == n && memcmp(names[i], cookie, n) == 0)
			return true;
	}
	return false;
}

/* One "name=value" of a Cookie field; returns what follows, NULL at the end. */
static const char *next_pair(const char *p, const char **pair, size_t *len, size_t *name_len)
{
	p += strspn(p, " \t;");
	if (!*p)
		return NULL;
	size_t n = strcspn(p, ";");
	const char *end = p + n;
	while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	const char *eq = memchr(p, '=', n);
	*pair = p;
	*len = n;
	*name_len = eq ? (size_t)(eq - p) : 0;
	while (*name_len && (p[*name_len - 1] == ' ' || p[*name_len - 1] == '\t'))
		--*name_len;
	return end;
}

/* Take ours out, in place; returns the length of what is left. */
static size_t strip_cookies(char *value, size_t n)
{
	char *out = value;
	const char *pair;
	size_t len, name_len;
	if (!strstr(value, OUR_PREFIX))
		return n;
	for (const char *p = value; (p = next_pair(p, &pair, &len, &name_len));) {
		if (is_ours(pair, name_len))
			continue;
		if (out != value)
			*out++ = ';';
		if (out != value && out < pair)
			*out++ = ' ';
		memmove(out, pair, len);
		out += len;
	}
	return (size_t)(out - value);
}

/* Several fields, as HTTP/2 allows them, become one. */
static void join_cookies(struct msg *req)
{
	struct buf all = BUF_INIT(65536);
	for (unsigned i = 0; i < msg_count(req); i++) {
		struct field f = msg_field(req, i);
		if (strcmp(f.name, "cookie") == 0 && buf_puts(&all, all.len ? "; " : "") == 0)
			buf_puts(&all, f.value);
	}
	msg_set(req, "cookie", buf_str(&all));
	buf_done_secret(&all);
}

char *headers_cookie(const struct msg *req, const char *name)
{
	for (unsigned i = 0; i < msg_count(req); i++) {
		struct field f = msg_field(req, i);
		if (strcmp(f.name, "cookie") != 0)
			continue;
		const char *pair;
		size_t len, name_len;
		for (const char *p = f.value; (p = next_pair(p, &pair, &len, &name_len));) {
			if (strlen(name) != name_len || memcmp(pair, name, name_len) != 0)
				continue;
			const char *eq = memchr(pair, '=', len);
			if (!eq)
				continue;
			size_t n = len - (size_t)(eq + 1 - pair);
			return n <= COOKIE_MAX ? xstrndup(eq + 1, n) : NULL;
		}
	}
	return NULL;
}

/* "_" is read as "-" by CGI-like device software: the same name to it. `dashed` ends in "*" where
 * any may follow. */
static bool is_dashed(const char *name, const char *dashed)
{
	for (; *dashed != '*'; name++, dashed++) {
		if (*name != *dashed && !(*name == '_' && *dashed == '-'))
			return false;
		if (!*name)
			return true;
	}
	return true;
}

static bool is_forgeable(const char *name)
{
	switch (name[0]) {
	case 'c':
		return is_dashed(name, "client-cert") || is_dashed(name, "client-cert-chain");
	case 'f':
		return is_dashed(name, "forwarded");
	case 'l':
		return is_dashed(name, "lanthorn-*");
	case 'r':
		return is_dashed(name, "remote-user");
	case 't':
		return is_dashed(name, "true-client-ip");
	case 'x':
		return is_dashed(name, "x-forwarded-*") || is_dashed(name, "x-forwarded") ||
		       is_dashed(name, "x-real-ip") || is_dashed(name, "x-client-ip") ||
		       is_dashed(name, "x-remote-user") || is_dashed(name, "x-original-*") ||
		       is_dashed(name, "x-rewrite-url");
	default:
		return false;
	}
}

/* What is seen on the way through a request's fields. */
struct asked {
	unsigned cookies;
	bool our_tag, our_part; /* in If-None-Match, in If-Range */
};

static void restore_tags(struct asked *a, struct msg_part *f)
{
	if (IS(f, "if-none-match"))
		a->our_tag |= etag_unmark(f->value, &f->value_len);
	else if (IS(f, "if-match"))
		etag_unmark(f->value, &f->value_len);
	else if (IS(f, "if-range"))
		a->our_part |= etag_is_marked(f->value, f->value_len);
}

static bool keep_for_device(void *ctx, struct msg_part *f)
{
	struct asked *a = ctx;
	if (f->name[0] == 'i')
		restore_tags(a, f);
	if (!IS(f, "cookie"))
		return !is_forgeable(f->name);
	f->value_len = strip_cookies(f->value, f->value_len);
	a->cookies += f->value_len > 0;
	return f->value_len > 0;
}

/* Append as much as there is room for. */
static char *join(char *p, const char *end, const char *s)
{
	while (*s && p < end)
		*p++ = *s++;
	*p = 0;
	return p;
}

static void add_forwarded(struct msg *req, const struct headers_ctx *c)
{
	char line[512];
	const char *end = line + sizeof(line) - 1;
	bool six = strchr(c->peer_addr, ':') != NULL;
	char *p = join(line, end, six ? "for=\"[" : "for=");
	p = join(p, end, c->peer_addr);
	p = join(p, end, six ? "]\";host=\"" : ";host=\"");
	p = join(p, end, c->host);
	join(p, end, "\";proto=https");
	msg_add_own(req, "forwarded", line);
	msg_add_own(req, "x-forwarded-for", c->peer_addr);
	msg_add_own(req, "x-forwarded-host", c->host);
	msg_add_own(req, "x-forwarded-proto", "https");
	if (c->user)
		msg_add_own(req, "lanthorn-user", c->user);
}

bool headers_to_device(struct msg *req, const struct headers_ctx *c, const char *upgrade)
{
	char kept[64] = "";
	struct asked a = {0};
	if (upgrade)
		str_copy(kept, sizeof(kept), upgrade);
	msg_filter(req, keep_for_device, &a);
	if (a.cookies > 1)
		join_cookies(req);
	if (a.our_part) { /* it holds coded bytes: the whole, even of a device that would not compare */
		msg_remove(req, "if-range");
		msg_remove(req, "range");
	}
	add_forwarded(req, c);
	if (kept[0]) {
		msg_add(req, "connection", "upgrade");
		msg_add(req, "upgrade", kept);
	}
	return a.our_tag;
}

/* ---- what a device says ---- */

/* One attribute of a cookie, from its ";" to the next or the end. */
static bool is_domain(const char *at, size_t n, const char **value, size_t *len)
{
	const char *p = at + 1, *end = at + n;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	size_t k = strcspn(p, "=; \t");
	if (k != 6 || strncasecmp(p, "domain", 6) != 0)
		return false;
	p = memchr(p, '=', (size_t)(end - p));
	p = p ? p + 1 : end;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*value = p;
	*len = (size_t)(end - p);
	return true;
}

/* A cookie for a parent domain would reach siblings. One for the device alone, by a name that it
 * has of itself, loses the attribute: then it is for the host that the browser asked. */
static bool domains_are_allowed(struct msg_part *f, const struct rewrite *self)
{
	for (char *at = strchr(f->value, ';'); at;) {
		const char *domain;
		size_t len, n = 1 + strcspn(at + 1, ";");
		if (!is_domain(at, n, &domain, &len)) {
			at = strchr(at + 1, ';');
			continue;
		}
		if (!self || !len || !rewrite_is_self(self, domain, len))
			return false;
		char *end = f->value + f->value_len;
		memmove(at, at + n, (size_t)(end - (at + n)) + 1);
		f->value_len -= n;
		at = *at ? at : NULL;
	}
	return true;
}

/* One in the gateway's names would toss ours. One without a name ("=NAME=x") comes back as if it
 * had one, from browsers that still take it. */
static bool cookie_is_allowed(struct msg_part *f, const struct rewrite *self)
{
	const char *value = f->value + strspn(f->value, "= \t");
	size_t n = strcspn(value, "=;");
	while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	if (n == 0 || is_ours(value, n)) /* without a name the value is what comes back as one */
		return false;
	return domains_are_allowed(f, self);
}

void headers_interim(struct msg *resp)
{
	for (unsigned i = msg_count(resp); i-- > 0;) {
		if (strcmp(msg_field(resp, i).name, "link") != 0)
			msg_remove_at(resp, i);
	}
}

/* What is seen on the way through a response's fields. */
struct seen {
	const struct rewrite *self;
	bool opener, resource, referrer; /* policies that it has of its own */
	bool url;                        /* a field that may name the device's own address */
};

/* Says the device's word in matters of the house? */
static bool is_house(const struct msg_part *f)
{
	switch (f->name[0]) {
	case 'a':
		return IS(f, "alt-svc");
	case 'c':
		return IS(f, "clear-site-data");
	case 'e':
		return IS(f, "expect-ct");
	case 'n':
		return IS(f, "nel");
	case 'p':
		return IS(f, "public-key-pins") || IS(f, "public-key-pins-report-only");
	case 'r':
		return IS(f, "report-to") || IS(f, "reporting-endpoints");
	case 's':
		return IS(f, "strict-transport-security") || IS(f, "service-worker-allowed");
	default:
		return false;
	}
}

static void note(struct seen *s, const struct msg_part *f)
{
	switch (f->name[0]) {
	case 'c':
		s->opener |= IS(f, "cross-origin-opener-policy");
		s->resource |= IS(f, "cross-origin-resource-policy");
		s->url |= IS(f, "content-location");
		return;
	case 'l':
		s->url |= IS(f, "location");
		return;
	case 'r':
		s->referrer |= IS(f, "referrer-policy");
		s->url |= IS(f, "refresh");
		return;
	default:
		return;
	}
}

static bool keep_for_browser(void *ctx, struct msg_part *f)
{
	struct seen *s = ctx;
	if (is_house(f))
		return false;
	if (IS(f, "set-cookie"))
		return cookie_is_allowed(f, s->self);
	note(s, f);
	return true;
}

/* Who takes trailers for fields of the head (RFC 9110 §6.5.1 tells when one may) must not find
 * there what would have been judged as one of them. */
static bool keep_trailer(void *ctx, struct msg_part *f)
{
	(void)ctx;
	return !is_house(f) && !IS(f, "set-cookie") && !IS(f, "location") && !IS(f, "refresh") &&
	       !IS(f, "content-encoding") && !IS(f, "content-location");
}

void headers_trailers(struct msg *m)
{
	msg_filter(m, keep_trailer, NULL);
}

static void rewrite_urls(struct msg *resp, const struct rewrite *self)
{
	static const char *const names[] = {"location", "content-location", "refresh"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = msg_get(resp, names[i]);
		struct buf fresh = BUF_INIT(65536);
		if (value && (i < 2 ? rewrite_url(self, value, strlen(value), &fresh)
				    : rewrite_refresh(self, value, &fresh)))
			msg_set(resp, names[i], buf_str(&fresh));
		buf_done(&fresh);
	}
}

void headers_to_browser(struct msg *resp, const struct rewrite *self)
{
	struct seen s = {.self = self};
	msg_filter(resp, keep_for_browser, &s);
	if (s.url && self && self->n_addrs)
		rewrite_urls(resp, self);
	if (msg_status(resp) == 431) /* see h1_conn_write_error */
		msg_add(resp, "clear-site-data", "\"cookies\"");
	msg_add_own(resp, "strict-transport-security", "max-age=15552000");
	if (!s.opener)
		msg_add_own(resp, "cross-origin-opener-policy", "same-origin");
	if (!s.resource)
		msg_add_own(resp, "cross-origin-resource-policy", "same-origin");
	/* Not less than the origin: the guard tells by it which sibling frames a page. */
	if (!s.referrer)
		msg_add_own(resp, "referrer-policy", "strict-origin-when-cross-origin");
}
