/* What crosses between browser and device in the heads, and what does not: pure. Gateway cookies and
 * identity fields never reach a device; a device never sets what belongs to the house. */
#pragma once

#include <stdbool.h>

#include "http/msg.h"

struct rewrite;

struct headers_ctx {
	const char *peer_addr; /* the client's */
	const char *user;      /* who is signed in, or NULL */
	const char *host;      /* authority as the browser sees it, with its port */
};

/* Turn a browser's request into the one for the device, in place: hop-by-hop fields, the gateway's
 * cookies, forged Forwarded / X-Forwarded-* / Lanthorn-* go; true ones are set. An upgrade is kept when
 * `upgrade` (a protocol name) is not NULL. True when If-None-Match named a tag that etag_mark made: then
 * the answer to it is marked, too. */
bool headers_to_device(struct msg *req, const struct headers_ctx *c, const char *upgrade);

/* The same for a 1xx other than 101: only Link crosses (RFC 8297), the rest means nothing yet. */
void headers_interim(struct msg *resp);
/* Turn a device's final response into the one for the browser, in place. `self` may be NULL: the
 * device is nothing but what the browser calls it. With addresses in it Location, Content-Location
 * and Refresh that name one of them are rewritten; a cookie for the device alone becomes one for the
 * host that was asked. */
void headers_to_browser(struct msg *resp, const struct rewrite *self);
/* The same for what follows its body; Set-Cookie there was refused by the parser. */
void headers_trailers(struct msg *trailers);

/* The value of cookie `name` in the request's Cookie field(s) as a fresh string (caller frees), or
 * NULL when absent or longer than 256 bytes. */
char *headers_cookie(const struct msg *req, const char *name);
