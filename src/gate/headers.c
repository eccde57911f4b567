/* See headers.h. RFC 9110 §7.6.1 (hop-by-hop), RFC 7239 (Forwarded), RFC 6265 §5.4 (Cookie). */
#include "gate/headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/session.h"

#define COOKIE_MAX 256

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

static void drop_our_cookies(struct msg *req)
{
	struct buf keep = BUF_INIT(65536);
	bool any = false;
	for (unsigned i = 0; i < msg_count(req); i++) {
		struct field f = msg_field(req, i);
		if (strcmp(f.name, "cookie") != 0)
			continue;
		any = true;
		const char *pair;
		size_t len, name_len;
		for (const char *p = f.value; (p = next_pair(p, &pair, &len, &name_len));) {
			if (is_ours(pair, name_len))
				continue;
			if (buf_puts(&keep, keep.len ? "; " : "") == 0)
				buf_append(&keep, pair, len);
		}
	}
	if (any)
		msg_remove(req, "cookie");
	if (keep.len)
		msg_add(req, "cookie", buf_str(&keep));
	buf_done_secret(&keep);
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

static bool is_forgeable(const char *name)
{
	return str_starts(name, "x-forwarded-") || str_starts(name, "lanthorn-") ||
	       strcmp(name, "forwarded") == 0 || strcmp(name, "x-real-ip") == 0 ||
	       strcmp(name, "client-cert") == 0 || strcmp(name, "client-cert-chain") == 0 ||
	       strcmp(name, "remote-user") == 0 || strcmp(name, "x-remote-user") == 0;
}

static void drop_forged(struct msg *req)
{
	for (unsigned i = msg_count(req); i-- > 0;) {
		/* "_" is read as "-" by CGI-like device software: the same name to it. The
		 * beginning of a long one is enough. */
		char name[64] = "";
		strncat(name, msg_field(req, i).name, sizeof(name) - 1);
		for (char *p = name; *p; p++) {
			if (*p == '_')
				*p = '-';
		}
		if (is_forgeable(name))
			msg_remove_at(req, i);
	}
}

static void add_forwarded(struct msg *req, const struct headers_ctx *c)
{
	char line[512];
	bool six = strchr(c->peer_addr, ':') != NULL;
	snprintf(line, sizeof(line),
		six ? "for=\"[%s]\";host=\"%s\";proto=https" : "for=%s;host=\"%s\";proto=https",
		c->peer_addr, c->host);
	msg_add(req, "forwarded", line);
	msg_add(req, "x-forwarded-for", c->peer_addr);
	msg_add(req, "x-forwarded-host", c->host);
	msg_add(req, "x-forwarded-proto", "https");
	if (c->user)
		msg_add(req, "lanthorn-user", c->user);
}

void headers_to_device(struct msg *req, const struct headers_ctx *c, const char *upgrade)
{
	char kept[64] = "";
	if (upgrade)
		str_copy(kept, sizeof(kept), upgrade);
	msg_strip_hop_by_hop(req);
	drop_our_cookies(req);
	drop_forged(req);
	add_forwarded(req, c);
	if (kept[0]) {
		msg_add(req, "connection", "upgrade");
		msg_add(req, "upgrade", kept);
	}
}

/* A cookie for a parent domain would reach siblings; one in the gateway's names would toss ours.
 * One without a name ("=NAME=x") comes back as if it had one, from browsers that still take it. */
static bool cookie_is_allowed(const char *value)
{
	value += strspn(value, "= \t");
	size_t n = strcspn(value, "=;");
	while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	if (n == 0 || is_ours(value, n)) /* without a name the value is what comes back as one */
		return false;
	for (const char *p = strchr(value, ';'); p; p = strchr(p, ';')) {
		p += 1 + strspn(p + 1, " \t");
		size_t k = strcspn(p, "=; \t");
		char attr[8] = "";
		if (k < sizeof(attr)) {
			memcpy(attr, p, k);
			attr[k] = 0;
		}
		if (str_eq_nocase(attr, "domain"))
			return false;
	}
	return true;
}

void headers_interim(struct msg *resp)
{
	for (unsigned i = msg_count(resp); i-- > 0;) {
		if (strcmp(msg_field(resp, i).name, "link") != 0)
			msg_remove_at(resp, i);
	}
}

static void drop_house(struct msg *m)
{
	static const char *const house[] = {"strict-transport-security", "alt-svc", "nel",
		"report-to", "reporting-endpoints", "clear-site-data", "service-worker-allowed"};
	for (size_t i = 0; i < sizeof(house) / sizeof(*house); i++)
		msg_remove(m, house[i]);
}

void headers_trailers(struct msg *m)
{
	msg_strip_hop_by_hop(m);
	drop_house(m);
}

void headers_to_browser(struct msg *resp)
{
	msg_strip_hop_by_hop(resp);
	for (unsigned i = msg_count(resp); i-- > 0;) {
		struct field f = msg_field(resp, i);
		if (strcmp(f.name, "set-cookie") == 0 && !cookie_is_allowed(f.value))
			msg_remove_at(resp, i);
	}
	drop_house(resp);
	if (msg_status(resp) == 431) /* see h1_conn_write_error */
		msg_add(resp, "clear-site-data", "\"cookies\"");
	msg_add(resp, "strict-transport-security", "max-age=15552000");
	if (!msg_get(resp, "cross-origin-opener-policy"))
		msg_add(resp, "cross-origin-opener-policy", "same-origin");
	if (!msg_get(resp, "cross-origin-resource-policy"))
		msg_add(resp, "cross-origin-resource-policy", "same-origin");
	/* Not less than the origin: the guard tells by it which sibling frames a page. */
	if (!msg_get(resp, "referrer-policy"))
		msg_add(resp, "referrer-policy", "strict-origin-when-cross-origin");
}
