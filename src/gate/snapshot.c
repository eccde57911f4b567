/* See snapshot.h. Built by one thread, then only read; the slot's mutex is held for a pointer copy.
 */
#include "gate/snapshot.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/site.h"
#include "net/tls.h"

struct route_box {
	struct route route;
	atomic_int refs;
	char text[]; /* host and device, each with its NUL */
};

struct snapshot {
	atomic_int refs;
	char *domain;
	char port_suffix[8];
	struct map *routes;  /* host → struct route * */
	struct map *certs;   /* host → struct tls_cert * */
	struct map *serials; /* serial → char *device */
	struct tls_cert *bridge, *link, *enrol;
	bool dates_unknown;
};

struct snapshot_slot {
	pthread_mutex_t lock;
	struct snapshot *now;
};

struct route *route_new(enum route_kind kind, const char *host, const char *device)
{
	size_t host_size = strlen(host) + 1, device_size = strlen(device) + 1;
	struct route_box *b = xcalloc(1, sizeof(*b) + host_size + device_size);
	atomic_init(&b->refs, 1);
	memcpy(b->text, host, host_size);
	memcpy(b->text + host_size, device, device_size);
	b->route = (struct route){.kind = kind, .host = b->text, .device = b->text + host_size};
	return &b->route;
}

void route_allow_embed(struct route *r, char *host)
{
	r->embed_from = xrealloc(r->embed_from, r->n_embed_from + 1, sizeof(*r->embed_from));
	r->embed_from[r->n_embed_from++] = host;
}

struct route *route_ref(struct route *r)
{
	atomic_fetch_add_explicit(&((struct route_box *)r)->refs, 1, memory_order_relaxed);
	return r;
}

void route_unref(struct route *r)
{
	if (!r)
		return;
	struct route_box *b = (struct route_box *)r;
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
		return;
	tls_client_unref(r->up_tls);
	site_unref(r->site);
	for (unsigned i = 0; i < r->n_embed_from; i++)
		free(r->embed_from[i]);
	free(r->embed_from);
	free(b);
}

struct snapshot *snapshot_new(const char *domain, uint16_t public_port)
{
	struct snapshot *s = xcalloc(1, sizeof(*s));
	atomic_init(&s->refs, 1);
	s->domain = xstrdup(domain);
	if (public_port != 443)
		snprintf(s->port_suffix, sizeof(s->port_suffix), ":%u", public_port);
	s->routes = map_new();
	s->certs = map_new();
	s->serials = map_new();
	return s;
}

void snapshot_add_route(struct snapshot *s, struct route *r)
{
	route_unref(map_put(s->routes, r->host, route_ref(r)));
}

void snapshot_set_cert(struct snapshot *s, const char *host, struct tls_cert *c)
{
	tls_cert_unref(map_put(s->certs, host, tls_cert_ref(c)));
}

static void replace_cert(struct tls_cert **at, struct tls_cert *c)
{
	struct tls_cert *old = *at;
	*at = c ? tls_cert_ref(c) : NULL;
	tls_cert_unref(old);
}

void snapshot_set_bridge(struct snapshot *s, struct tls_cert *c)
{
	replace_cert(&s->bridge, c);
}

void snapshot_set_dates_unknown(struct snapshot *s)
{
	s->dates_unknown = true;
}

bool snapshot_dates_unknown(const struct snapshot *s)
{
	return s->dates_unknown;
}

void snapshot_set_link_certs(struct snapshot *s, struct tls_cert *link, struct tls_cert *enrol)
{
	replace_cert(&s->link, link);
	replace_cert(&s->enrol, enrol);
}

void snapshot_add_serial(struct snapshot *s, const char *serial, const char *device)
{
	free(map_put(s->serials, serial, xstrdup(device)));
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static void free_route(void *p)
{
	route_unref(p);
}

static void free_cert(void *p)
{
	tls_cert_unref(p);
}

void snapshot_unref(struct snapshot *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
		return;
	map_free(s->routes, free_route);
	map_free(s->certs, free_cert);
	map_free(s->serials, free);
	tls_cert_unref(s->bridge);
	tls_cert_unref(s->link);
	tls_cert_unref(s->enrol);
	free(s->domain);
	free(s);
}

const char *snapshot_domain(const struct snapshot *s)
{
	return s->domain;
}

const char *snapshot_port_suffix(const struct snapshot *s)
{
	return s->port_suffix;
}

const struct route *snapshot_route(const struct snapshot *s, const char *host)
{
	return map_get(s->routes, host);
}

const struct route *snapshot_route_n(const struct snapshot *s, const char *host, size_t n)
{
	return map_get_n(s->routes, host, n);
}

struct route *snapshot_next_route(const struct snapshot *s, size_t *pos)
{
	return map_next(s->routes, pos, NULL);
}

struct tls_cert *snapshot_cert(const struct snapshot *s, const char *sni)
{
	if (!map_get(s->routes, sni))
		return NULL;
	struct tls_cert *c = map_get(s->certs, sni);
	if (c)
		return c;
	return s->bridge && tls_cert_covers(s->bridge, sni) ? s->bridge : NULL;
}

struct tls_cert *snapshot_link_cert(const struct snapshot *s)
{
	return s->link;
}

struct tls_cert *snapshot_enrol_cert(const struct snapshot *s)
{
	return s->enrol;
}

const char *snapshot_device_of_serial(const struct snapshot *s, const char *serial)
{
	return map_get(s->serials, serial);
}

struct snapshot_slot *snapshot_slot_new(void)
{
	struct snapshot_slot *slot = xcalloc(1, sizeof(*slot));
	pthread_mutex_init(&slot->lock, NULL);
	return slot;
}

void snapshot_slot_free(struct snapshot_slot *slot)
{
	if (!slot)
		return;
	snapshot_unref(slot->now);
	pthread_mutex_destroy(&slot->lock);
	free(slot);
}

struct snapshot *snapshot_slot_get(struct snapshot_slot *slot)
{
	pthread_mutex_lock(&slot->lock);
	struct snapshot *s = slot->now ? snapshot_ref(slot->now) : NULL;
	pthread_mutex_unlock(&slot->lock);
	return s;
}

void snapshot_slot_put(struct snapshot_slot *slot, struct snapshot *s)
{
	pthread_mutex_lock(&slot->lock);
	struct snapshot *old = slot->now;
	slot->now = s;
	pthread_mutex_unlock(&slot->lock);
	snapshot_unref(old);
}
