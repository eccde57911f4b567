/* What the loops read: routes and certificates, immutable and reference-counted (decision 6). The
 * control thread builds a new one when something changed and puts it into the slot; parts that
 * did not change are shared between snapshots. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct site;
struct tls_cert;
struct tls_client;
struct snapshot;
struct snapshot_slot;

enum route_kind {
	ROUTE_BASE,     /* the gateway's own pages and API */
	ROUTE_LINK,     /* a device that runs an agent: through its links */
	ROUTE_UPSTREAM, /* a device reached at a LAN address */
};

/* One host. Immutable once it is in a snapshot. There may be thousands: strings are as long as they
 * are, and freed with it. */
struct route {
	enum route_kind kind;
	const char *host;    /* lower case, no port */
	const char *device;  /* label; "" for ROUTE_BASE */
	bool public;         /* no sign-in needed */
	bool has_forerunner; /* another device had the name: see device_has_forerunner */
	int64_t last_seen;   /* ROUTE_LINK: by the registry, when the snapshot was made; 0: never */
	struct tls_client *up_tls; /* NULL: plain HTTP */
	struct site *site;         /* of a device; freed with it */
	char **embed_from;         /* hosts that may embed this one */
	unsigned n_embed_from;
};

/* `host` and `device` are copied. */
struct route *route_new(enum route_kind kind, const char *host, const char *device);
/* Takes `host`. */
void route_allow_embed(struct route *r, char *host);
struct route *route_ref(struct route *r);
void route_unref(struct route *r);

/* ---- building: one thread, before it is shared ---- */

struct snapshot *snapshot_new(const char *domain, uint16_t public_port);
/* Takes a reference of its own to each. A host twice replaces. */
void snapshot_add_route(struct snapshot *s, struct route *r);
/* The certificate that new handshakes for `host` (exact) are shown. */
void snapshot_set_cert(struct snapshot *s, const char *host, struct tls_cert *c);
/* Base + wildcard: shown for the domain and for every known host without one of its own. */
void snapshot_set_bridge(struct snapshot *s, struct tls_cert *c);
/* The private side: for `*.link.lanthorn.internal`, and the same with the root for enrolment. */
void snapshot_set_link_certs(struct snapshot *s, struct tls_cert *link, struct tls_cert *enrol);
/* The clock is wrong: dates of device certificates are not judged, their serials still are. */
void snapshot_set_dates_unknown(struct snapshot *s);
/* A device that may hold links: live in the registry. */
void snapshot_add_serial(struct snapshot *s, const char *serial, const char *device);

struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);

/* ---- reading: any thread; pointers live as long as the snapshot is held ---- */

const char *snapshot_domain(const struct snapshot *s);
/* ":8443", or "" for 443: what follows a host in a URL. */
const char *snapshot_port_suffix(const struct snapshot *s);
const struct route *snapshot_route(const struct snapshot *s, const char *host);
const struct route *snapshot_route_n(const struct snapshot *s, const char *host, size_t n);
/* All of them, in no order: `pos` begins as 0. */
struct route *snapshot_next_route(const struct snapshot *s, size_t *pos);
/* NULL: we know no such host, or nothing covers it yet. */
struct tls_cert *snapshot_cert(const struct snapshot *s, const char *sni);
struct tls_cert *snapshot_link_cert(const struct snapshot *s);
bool snapshot_dates_unknown(const struct snapshot *s);
struct tls_cert *snapshot_enrol_cert(const struct snapshot *s);
/* The live device that this certificate serial belongs to, or NULL. */
const char *snapshot_device_of_serial(const struct snapshot *s, const char *serial);

/* ---- the slot: where the newest one stands; any thread ---- */

struct snapshot_slot *snapshot_slot_new(void);
void snapshot_slot_free(struct snapshot_slot *slot);
/* A new reference, or NULL before the first was put. */
struct snapshot *snapshot_slot_get(struct snapshot_slot *slot);
/* Takes `s`. */
void snapshot_slot_put(struct snapshot_slot *slot, struct snapshot *s);
