/* See rewrite.h. Browsers end an authority at "/", "?", "#" and "\" (WHATWG URL); what else is
 * unusual about it, such as a user's name, matches none of the device's names and is left alone. */
#include "gate/rewrite.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"
#include "http/msg.h"

/* One name of the device, in brackets where it is an IPv6 literal. */
static bool is_named(const char *name, const char *host, size_t n)
{
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	} else if (strchr(name, ':')) {
		return false;
	}
	return strlen(name) == n && strncasecmp(name, host, n) == 0;
}

static bool is_device(const struct rewrite *r, const char *host, size_t n)
{
	for (unsigned i = 0; i < r->n_addrs; i++)
		if (is_named(r->addrs[i], host, n))
			return true;
	return false;
}

static bool is_port(unsigned port, const char *text, size_t n)
{
	char own[STR_U64_MAX];
	return str_u64(own, port) == n && memcmp(own, text, n) == 0;
}

/* Of its name. */
static bool port_fits(const struct rewrite *r, const char *port, size_t n)
{
	const char *seen = strrchr(r->authority, ':');
	return n == 0 || is_port(r->port, port, n) ||
	       (seen && n == strlen(seen + 1) && !memcmp(seen + 1, port, n));
}

/* Of an address: what listens at another port is something else. */
static bool origin_fits(const struct rewrite *r, const char *port, size_t n)
{
	if (r->port == 80 || r->port == 443)
		return n == 0 || is_port(80, port, n) || is_port(443, port, n);
	return n > 0 && is_port(r->port, port, n);
}

static bool authority_is_self(const struct rewrite *r, const char *at, size_t n)
{
	size_t host = n;
	const char *end = n && at[0] == '[' ? memchr(at, ']', n) : NULL;
	const char *from = end ? end : at;
	const char *colon = memchr(from, ':', n - (size_t)(from - at));
	if (colon)
		host = (size_t)(colon - at);
	const char *port = colon ? colon + 1 : at + n;
	size_t port_len = (size_t)(at + n - port);
	if (is_named(r->host, at, host))
		return port_fits(r, port, port_len);
	return is_device(r, at, host) && origin_fits(r, port, port_len);
}

/* What stands before the authority; 0: nothing that we know. */
static size_t prefix_len(const char *url, size_t n)
{
	static const char *const prefixes[] = {"//", "http://", "https://"};
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		size_t len = strlen(prefixes[i]);
		if (n > len && strncasecmp(url, prefixes[i], len) == 0)
			return len;
	}
	return 0;
}

bool rewrite_url(const struct rewrite *r, const char *url, size_t n, struct buf *out)
{
	size_t at = prefix_len(url, n), end = at;
	while (end < n && !strchr("/?#\\", url[end]))
		end++;
	if (!at || !authority_is_self(r, url + at, end - at))
		return false;
	return buf_printf(out, "https://%s%.*s", r->authority, (int)(n - end), url + end) == 0;
}

/* Where the URL of a Refresh begins (HTML §4.2.5.3 says how browsers read it); NULL: it has none.
 */
static const char *refresh_url(const char *p)
{
	p += strspn(p, " \t");
	size_t digits = strspn(p, "0123456789.");
	p += digits;
	p += strspn(p, " \t");
	if (!digits || (*p != ';' && *p != ','))
		return NULL;
	p += 1 + strspn(p + 1, " \t");
	if (strncasecmp(p, "url", 3) != 0)
		return p;
	p += 3 + strspn(p + 3, " \t");
	return *p == '=' ? p + 1 + strspn(p + 1, " \t") : NULL;
}

bool rewrite_refresh(const struct rewrite *r, const char *value, struct buf *out)
{
	const char *url = refresh_url(value);
	if (!url)
		return false;
	bool quoted = *url == '"' || *url == '\'';
	url += quoted;
	size_t n = quoted ? strcspn(url, (char[]){url[-1], 0}) : strlen(url);
	struct buf fresh = BUF_INIT(65536);
	bool ok = rewrite_url(r, url, n, &fresh) && buf_printf(out, "%.*s%s%s", (int)(url - value),
							    value, buf_str(&fresh), url + n) == 0;
	buf_done(&fresh);
	return ok;
}

/* Without ":443", which https has anyway. */
static size_t authority_len(const char *at, size_t n)
{
	return n > 4 && memcmp(at + n - 4, ":443", 4) == 0 ? n - 4 : n;
}

bool rewrite_leads_back(const struct msg *req, const struct msg *resp)
{
	static const char https[] = "https://";
	int status = msg_status(resp);
	const char *url = msg_get(resp, "location"), *self = msg_authority(req);
	if ((status != 301 && status != 302 && status != 307 && status != 308) || !url)
		return false;
	if ((msg_method(req) != METHOD_GET && msg_method(req) != METHOD_HEAD) ||
		msg_get(resp, "set-cookie") || strncasecmp(url, https, 8) != 0)
		return false;
	url += 8;
	size_t n = strcspn(url, "/?#\\"), host = authority_len(url, n);
	if (host != authority_len(self, strlen(self)) || strncasecmp(url, self, host) != 0)
		return false;
	url += n;
	const char *target = msg_target(req);
	if (*url != '/' && *target == '/')
		target++;
	n = strcspn(url, "#");
	return strlen(target) == n && memcmp(url, target, n) == 0;
}

bool rewrite_is_self(const struct rewrite *r, const char *domain, size_t n)
{
	if (n && *domain == '.') {
		domain++;
		n--;
	}
	return is_named(r->host, domain, n) || is_device(r, domain, n);
}
