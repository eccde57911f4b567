/* See control_in.h. What is served follows from three things: the configuration, the registry of
 * devices, and this machine's addresses. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control_in.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "gate/auth.h"
#include "gate/certs.h"
#include "gate/enroll.h"
#include "gate/events.h"
#include "gate/names.h"
#include "gate/site.h"
#include "gate/snapshot.h"
#include "net/msgpipe.h"
#include "net/tls.h"
#include "store/conf.h"
#include "store/devices.h"

#define AREA "admin/control"
#define CA_FILE_MAX (256u * 1024)

/* ---- routes of the configuration ---- */

static int upstream_tls(struct tls_client **out, const struct conf_device *d, struct err *e)
{
	struct buf pem = BUF_INIT(CA_FILE_MAX);
	int rc;
	if (d->has_pin)
		return tls_client_new_pin(out, d->pin, e);
	rc = file_read(d->ca_file, &pem, e);
	if (rc == -EACCES)
		err_set(e, rc,
			"%s may not be read; what is neither in /etc nor in a folder that was named at "
			"the start is out of reach until a restart",
			d->ca_file);
	if (rc == 0)
		rc = tls_client_new_ca(out, pem.data, pem.len, e);
	buf_done(&pem);
	return rc;
}

static struct site *upstream_site(const struct conf_device *d, const char *host, bool compress)
{
	struct site *s = site_new(host);
	s->addrs[s->n_addrs++] = xstrdup(d->host);
	for (unsigned i = 0; i < d->more_hosts.n && s->n_addrs < SITE_ADDRS_MAX; i++)
		s->addrs[s->n_addrs++] = xstrdup(d->more_hosts.v[i]);
	s->port = d->port;
	s->tls = d->tls;
	s->rewrite = d->rewrite;
	s->compress = compress && d->compress;
	return s;
}

static int upstream_route(
	struct route **out, const struct conf *conf, const struct conf_device *d, struct err *e)
{
	const char *domain = conf->domain;
	char host[512];
	snprintf(host, sizeof(host), "%s.%s", d->name, domain);
	struct route *r = route_new(ROUTE_UPSTREAM, host, d->name);
	r->public = d->is_public;
	r->site = upstream_site(d, r->host, conf->compress);
	for (unsigned i = 0; i < d->embed_from.n; i++)
		route_allow_embed(r, xasprintf("%s.%s", d->embed_from.v[i], domain));
	int rc = d->tls ? upstream_tls(&r->up_tls, d, e) : 0;
	if (rc < 0) {
		route_unref(r);
		return err_prefix(e, "device %s", d->name);
	}
	*out = r;
	return 0;
}

static bool same_list(const struct conf_list *a, const struct conf_list *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

static bool same_place(const struct conf_device *a, const struct conf_device *b)
{
	return a->port == b->port && a->tls == b->tls && strcmp(a->host, b->host) == 0 &&
	       same_list(&a->more_hosts, &b->more_hosts) && a->has_pin == b->has_pin &&
	       memcmp(a->pin, b->pin, sizeof(a->pin)) == 0;
}

/* A CA file may have changed under the same name, so that such a device never counts as the same. */
static bool same_device(const struct conf_device *a, const struct conf_device *b)
{
	return same_place(a, b) && !a->ca_file[0] && !b->ca_file[0] &&
	       a->is_public == b->is_public && a->rewrite == b->rewrite &&
	       a->compress == b->compress && same_list(&a->embed_from, &b->embed_from);
}

/* The route of a device that did not change is kept, and with it what runs through it. */
static int next_route(struct route **out, const struct control *c, const struct conf *conf,
	const struct conf_device *d, struct err *e)
{
	const struct conf_device *was =
		c->conf && c->n_routes ? conf_device_find(c->conf, d->name) : NULL;
	/* Routes are in the order of the file, behind the base host's. */
	struct route *old = was ? c->routes[1 + (was - c->conf->devices)] : NULL;
	if (old && same_device(was, d) && c->conf->compress == conf->compress &&
		strcmp(c->conf->domain, conf->domain) == 0) {
		*out = route_ref(old);
		return 0;
	}
	int rc = upstream_route(out, conf, d, e);
	if (rc == 0 && old)
		site_follow((*out)->site, old->site);
	return rc;
}

int control_use_conf(struct control *c, const struct conf *conf, struct err *e)
{
	struct route **routes = xcalloc(conf->n_devices + 1, sizeof(*routes));
	unsigned n = 0;
	int rc = 0;
	routes[n++] = route_new(ROUTE_BASE, conf->domain, "");
	for (unsigned i = 0; rc == 0 && i < conf->n_devices; i++) {
		rc = next_route(&routes[n], c, conf, &conf->devices[i], e);
		if (rc == 0)
			n++;
	}
	if (rc == 0) {
		struct route **old = c->routes;
		unsigned n_old = c->n_routes;
		c->routes = routes;
		c->n_routes = n;
		routes = old;
		n = n_old;
		conf_ref(conf);
		conf_unref(c->conf);
		c->conf = conf;
	}
	for (unsigned i = 0; i < n; i++)
		route_unref(routes[i]);
	free(routes);
	return rc;
}

/* ---- the snapshot ---- */

static void add_route(struct control *c, struct snapshot *s, struct route *r, int64_t now)
{
	struct tls_cert *cert = r->device[0] ? certs_serving(c->certs, r->device, now) : NULL;
	snapshot_add_route(s, r);
	if (cert)
		snapshot_set_cert(s, r->host, cert);
}

static void add_devices(struct control *c, struct snapshot *s, int64_t now)
{
	struct device *all = NULL;
	size_t n = 0;
	struct err e = {0};
	if (devices_list(c->db, &all, &n, &e) < 0)
		log_error(AREA, "cannot list devices", "why", e.text);
	for (size_t i = 0; i < n; i++) {
		if (conf_device_find(c->conf, all[i].id))
			continue; /* the configuration took the name since */
		char host[512];
		snprintf(host, sizeof(host), "%s.%s", all[i].id, c->conf->domain);
		struct route *r = route_new(ROUTE_LINK, host, all[i].id);
		r->last_seen = all[i].last_seen_at;
		r->has_forerunner = device_has_forerunner(&all[i], clock_unix());
		r->site = site_new(r->host);
		r->site->compress = c->conf->compress;
		add_route(c, s, r, now);
		route_unref(r);
	}
	free(all);
}

static void add_serials(struct control *c, struct snapshot *s)
{
	struct device_cert *all = NULL;
	size_t n = 0;
	struct err e = {0};
	if (devices_certs(c->db, &all, &n, &e) < 0)
		log_error(AREA, "cannot list device certificates", "why", e.text);
	for (size_t i = 0; i < n; i++)
		if (!conf_device_find(c->conf, all[i].device))
			snapshot_add_serial(s, all[i].serial, all[i].device);
	free(all);
}

void control_put_snapshot(struct control *c, bool first)
{
	struct snapshot *s = snapshot_new(c->conf->domain, c->conf->public_port);
	int64_t now = control_serving_time(c);
	struct tls_cert *bridge = certs_serving(c->certs, CERTS_BASE_ID, now);
	for (unsigned i = 0; i < c->n_routes; i++)
		add_route(c, s, c->routes[i], now);
	add_devices(c, s, now);
	add_serials(c, s);
	c->believed = control_clock_ok(c, NULL);
	if (!c->believed)
		snapshot_set_dates_unknown(s);
	if (bridge)
		snapshot_set_bridge(s, bridge);
	snapshot_set_link_certs(s, c->link_cert, c->enrol_cert);
	struct snapshot *second = first ? NULL : snapshot_ref(s);
	snapshot_slot_put(c->slot, s);
	if (second)
		c->notify.snapshot(c->notify.ctx, second);
}

/* ---- what follows ---- */

/* Labels of all devices and the names that belong into DNS. */
struct crowd {
	char **labels, **hosts;
	unsigned n, n_hosts, size;
};

static void crowd_add(struct crowd *w, const char *label)
{
	w->labels[w->n++] = xstrdup(label);
}

static void crowd_fill(struct crowd *w, const struct control *c)
{
	struct device *all = NULL;
	size_t n = 0;
	struct err e = {0};
	if (devices_list(c->db, &all, &n, &e) < 0)
		log_error(AREA, "cannot list devices", "why", e.text);
	w->size = c->conf->n_devices + (unsigned)n + 2;
	w->labels = xcalloc(w->size, sizeof(char *));
	w->hosts = xcalloc(w->size, sizeof(char *));
	for (unsigned i = 0; i < c->conf->n_devices; i++)
		crowd_add(w, c->conf->devices[i].name);
	for (size_t i = 0; i < n; i++)
		if (!conf_device_find(c->conf, all[i].id))
			crowd_add(w, all[i].id);
	free(all);
	w->hosts[w->n_hosts++] = xstrdup(c->conf->domain);
	if (c->conf->certificates == CONF_CERTS_WILDCARD) {
		w->hosts[w->n_hosts++] = xasprintf("*.%s", c->conf->domain);
		return;
	}
	for (unsigned i = 0; i < w->n; i++)
		w->hosts[w->n_hosts++] = xasprintf("%s.%s", w->labels[i], c->conf->domain);
}

static void crowd_done(struct crowd *w)
{
	for (unsigned i = 0; i < w->n; i++)
		free(w->labels[i]);
	for (unsigned i = 0; i < w->n_hosts; i++)
		free(w->hosts[i]);
	free(w->labels);
	free(w->hosts);
}

static void find_addresses(struct control *c)
{
	struct err e = {0};
	struct ifaddrs_list now = {0};
	const struct conf *f = c->conf;
	if (f->addresses_auto) {
		if (ifaddr_list(&now, f->interface[0] ? f->interface : NULL, &e) < 0)
			log_error(AREA, "cannot find this machine's addresses", "why", e.text);
		if (now.n == 0 && c->addrs.n)
			return; /* a cable was pulled: what stands in DNS is still the best guess */
	}
	for (unsigned i = 0; !f->addresses_auto && i < f->addresses.n && i < IFADDR_MAX; i++)
		snprintf(now.addrs[now.n++], sizeof(now.addrs[0]), "%s", f->addresses.v[i]);
	c->addrs = now;
}

static void tell_enroll(struct control *c)
{
	struct enroll_gateway g = {.port = c->conf->public_port};
	snprintf(g.dns_name, sizeof(g.dns_name), "%s", c->conf->domain);
	for (unsigned i = 0; i < c->addrs.n && g.n_addrs < TOKEN_ADDRS_MAX; i++)
		memcpy(g.addrs[g.n_addrs++], c->addrs.addrs[i], sizeof(g.addrs[0]));
	enroll_set_gateway(c->enroll, &g);
}

void control_follow(struct control *c)
{
	struct crowd w = {0};
	find_addresses(c);
	tell_enroll(c);
	crowd_fill(&w, c);
	struct certs_plan plan = {.domain = c->conf->domain,
		.per_device = c->conf->certificates == CONF_CERTS_PER_DEVICE,
		.devices = (const char *const *)w.labels,
		.n_devices = w.n,
		.timeout_ms = c->conf->acme.timeout_ms};
	certs_follow(c->certs, &plan, clock_unix());
	struct names_want names = {
		.names = (const char *const *)w.hosts, .n = w.n_hosts, .addrs = c->addrs};
	names_set(c->names, &names);
	crowd_done(&w);
	control_put_snapshot(c, !c->running);
	control_turn(c);
}

/* ---- reload ---- */

static void name_restarts(char *words, const struct conf *a, const struct conf *b)
{
	const struct {
		const char *key;
		bool same;
	} keys[] = {
		{"listen", a->listen.port == b->listen.port &&
				   a->listen.http_port == b->listen.http_port &&
				   a->listen.from == b->listen.from &&
				   same_list(&a->listen.addresses, &b->listen.addresses)},
		{"state_dir", strcmp(a->state_dir, b->state_dir) == 0},
		{"run_dir", strcmp(a->run_dir, b->run_dir) == 0},
		{"run_as", strcmp(a->run_as.gate, b->run_as.gate) == 0 &&
				   strcmp(a->run_as.steward, b->run_as.steward) == 0},
		{"workers", a->workers == b->workers},
		{"limits", memcmp(&a->limits, &b->limits, sizeof(a->limits)) == 0},
	};
	words[0] = 0;
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!keys[i].same)
			snprintf(words + strlen(words), CONTROL_RELOAD_TEXT - strlen(words), "%s%s",
				words[0] ? " " : "", keys[i].key);
}

static void put_errors(char *words, const struct conf_errors *errors)
{
	size_t n = 0;
	words[0] = 0;
	for (unsigned i = 0; i < errors->n && n < CONTROL_RELOAD_TEXT; i++) {
		log_error(AREA, "configuration", "error", errors->text[i]);
		n += (size_t)snprintf(
			words + n, CONTROL_RELOAD_TEXT - n, "%s%s", n ? "\n" : "", errors->text[i]);
	}
}

/* What runs to a device that the file no longer has ends, and so do the sessions on its host. */
static void cut_gone(struct control *c, const struct conf *old)
{
	char host[512];
	for (unsigned i = 0; i < old->n_devices; i++) {
		const char *name = old->devices[i].name;
		const struct conf_device *now = conf_device_find(c->conf, name);
		if (!now || !same_place(now, &old->devices[i]))
			control_forget_reach(c, name);
		if (now)
			continue;
		c->notify.device_cut(c->notify.ctx, name);
		snprintf(host, sizeof(host), "%s.%s", name, old->domain);
		auth_host_removed(c->auth, host);
	}
}

int control_load_conf(struct control *c, bool knows, char *words)
{
	struct conf_errors *errors = xcalloc(1, sizeof(*errors));
	const struct conf *old = conf_ref(c->conf);
	struct conf *fresh = NULL;
	struct err e = {0};
	int rc = conf_load(&fresh, c->conf_path, errors);
	if (rc < 0) {
		put_errors(words, errors);
	} else {
		name_restarts(words, c->started, fresh);
		rc = control_use_conf(c, fresh, &e);
		if (rc < 0)
			snprintf(words, CONTROL_RELOAD_TEXT, "%s", e.text);
	}
	free(errors);
	conf_unref(fresh);
	if (rc < 0) {
		conf_unref(old);
		log_error(AREA, "the new configuration is wrong; the old one stays", "why",
			e.text[0] ? e.text : NULL);
		return rc;
	}
	log_setup(c->conf->log.level, c->conf->log.format == CONF_LOG_JSON);
	auth_set_conf(c->auth, c->conf);
	if (!knows && c->steward)
		msgpipe_send(c->steward, &(struct procmsg){.type = PROCMSG_RELOAD}, NULL);
	control_follow(c);
	cut_gone(c, old);
	conf_unref(old);
	control_tell(c, EVENT_ALL);
	log_info(AREA, "configuration loaded", "restart_needed_for", words[0] ? words : NULL);
	return 0;
}
