/* The guard between siblings and against the rest of the web (design, "The guard between siblings"):
 * pure, one decision a request. Devices act on GET too, so it covers every method. */
#pragma once

#include <stdbool.h>

#include "http/msg.h"

struct route;

enum guard_verdict {
	GUARD_OK,
	GUARD_FORBID, /* 403 */
};

/* `origin`: what an own Origin looks like ("https://tv.home.example.com", with the port suffix).
 * `has_token`: the request carries a Lanthorn-Token field that will be judged elsewhere.
 * `why` gets a fixed phrase for the log. */
enum guard_verdict guard_check(const struct msg *req, const struct route *route, const char *origin,
	bool has_token, const char **why);
/* Is this a top-level GET navigation, so that a redirect to sign-in makes sense? */
bool guard_is_navigation(const struct msg *req);
