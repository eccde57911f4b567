/* What has to be known of a device to adapt its answers: part of its route, but shared by the
 * exchanges that began under it. Immutable once it is in a snapshot; any thread may hold it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SITE_ADDRS_MAX 8

struct site {
	char *host;                  /* its name, no port; freed with it */
	char *addrs[SITE_ADDRS_MAX]; /* where the gateway finds it; freed with it; none: by its
					links */
	unsigned n_addrs;
	uint16_t port; /* there */
	bool tls;      /* there; links lead to plain HTTP */
	bool compress; /* text on its way to browsers */
	bool rewrite;  /* its own address in redirects and cookies becomes its name */
};

struct share;

struct site *site_new(const char *host);
/* Of the connections to it from all loops; the site's. */
struct share *site_share(struct site *s);
/* Before `s` is in a snapshot: it takes the place of `old`. Where both lead to the same place, what
 * runs there under the old one counts for it, too. */
void site_follow(struct site *s, struct site *old);
/* Are they found at the same place? */
bool site_is_same_place(const struct site *a, const struct site *b);
struct site *site_ref(struct site *s);
void site_unref(struct site *s);
