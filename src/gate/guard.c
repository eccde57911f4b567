/* See guard.h. Sec-Fetch-Site is what a modern browser says of where a request comes from; without
 * it Origin decides, and a request with neither may only be safe. */
#include "gate/guard.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "gate/snapshot.h"

static bool origin_embeds(const struct route *route, const char *origin)
{
	if (!str_starts(origin, "https://"))
		return false;
	const char *host = origin + 8;
	size_t n = strcspn(host, ":/");
	for (unsigned i = 0; i < route->n_embed_from; i++) {
		const char *friend = route->embed_from[i];
		if (strlen(friend) == n && memcmp(friend, host, n) == 0)
			return true;
	}
	return false;
}

bool guard_is_navigation(const struct msg *req)
{
	if (msg_method(req) != METHOD_GET || msg_upgrade(req))
		return false;
	const char *mode = msg_get(req, "sec-fetch-mode"), *dest = msg_get(req, "sec-fetch-dest");
	if (mode || dest)
		return mode && dest && strcmp(mode, "navigate") == 0 && strcmp(dest, "document") == 0;
	const char *accept = msg_get(req, "accept");
	return accept && strstr(accept, "text/html");
}

static enum guard_verdict no(const char **why, const char *text)
{
	*why = text;
	return GUARD_FORBID;
}

/* A frame's own navigation has no Origin, but a Referer that names at least the page's origin. */
static bool frame_of_friend(const struct msg *req, const struct route *route)
{
	const char *dest = msg_get(req, "sec-fetch-dest"), *page = msg_get(req, "referer");
	return dest && strcmp(dest, "iframe") == 0 && msg_method(req) == METHOD_GET && page &&
	       origin_embeds(route, page);
}

/* Chromium says "none" of what a page's speculation rules let it load ahead, as it does of an
 * address that was typed: unseen, with cookies, for whichever page. Only Referer may tell. */
static bool ahead_for_another(const struct msg *req, const char *origin)
{
	const char *purpose = msg_get(req, "sec-purpose"), *page = msg_get(req, "referer");
	if (!purpose || !strstr(purpose, "prefetch"))
		return false;
	size_t n = strlen(origin);
	return !page || strncmp(page, origin, n) != 0 || page[n] != '/';
}

static enum guard_verdict by_site(const struct msg *req, const struct route *route,
	const char *own, const char **why)
{
	const char *site = msg_get(req, "sec-fetch-site"), *origin = msg_get(req, "origin");
	if (strcmp(site, "same-origin") == 0)
		return GUARD_OK;
	if (ahead_for_another(req, own))
		return no(why, "loaded ahead for a page of another host");
	if (strcmp(site, "none") == 0)
		return GUARD_OK;
	if (origin && origin_embeds(route, origin))
		return GUARD_OK;
	const char *mode = msg_get(req, "sec-fetch-mode"), *dest = msg_get(req, "sec-fetch-dest");
	bool document = mode && dest && strcmp(mode, "navigate") == 0 &&
			strcmp(dest, "document") == 0 && msg_method(req) == METHOD_GET;
	if (document || frame_of_friend(req, route))
		return GUARD_OK;
	return no(why, "a page of another host asked");
}

enum guard_verdict guard_check(const struct msg *req, const struct route *route, const char *origin,
	bool has_token, const char **why)
{
	const char *from = msg_get(req, "origin");
	bool same = from && strcmp(from, origin) == 0;
	*why = "";
	if (msg_upgrade(req)) {
		if (same || (from && origin_embeds(route, from)) || (!from && has_token))
			return GUARD_OK;
		return no(why, from ? "a WebSocket from another host" : "a WebSocket without Origin");
	}
	if (msg_get(req, "sec-fetch-site"))
		return by_site(req, route, origin, why);
	if (from && !same && !origin_embeds(route, from))
		return no(why, "Origin is another host");
	if (!from && !has_token && !msg_is_safe(req))
		return no(why, "neither Sec-Fetch-Site nor Origin");
	return GUARD_OK;
}
