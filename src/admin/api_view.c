/* Devices as people see them: in the list of admins, and as tiles of the launcher. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api.h"
#include "admin/control_in.h"
#include "base/log.h"
#include "base/map.h"
#include "gate/certs.h"
#include "gate/names.h"
#include "store/conf.h"
#include "store/device_tokens.h"
#include "store/devices.h"

#define AREA "admin/api_view"

json_t *api_url_json(struct api_call *q, const char *host)
{
	const struct conf *f = q->c->conf;
	return f->public_port == 443 ? json_sprintf("https://%s/", host)
				     : json_sprintf("https://%s:%u/", host, f->public_port);
}

/* ---- names in DNS ---- */

static json_t *name_failure_json(const struct names_view *v)
{
	return v->class ? json_pack("{s:s,s:o,s:s,s:o}", "class", class_word(v->class), "text",
				  api_foreign(v->text), "remedy", class_remedy(v->class),
				  "next_try", api_moment(v->next_at))
			: json_null();
}

json_t *api_name_json(struct api_call *q, const char *name)
{
	struct names_view v;
	if (names_get(q->c->names, name, &v) < 0)
		return json_null();
	return json_pack("{s:s,s:b,s:o}", "name", v.name, "published", v.done, "failure",
		name_failure_json(&v));
}

static void append_name(struct api_call *q, json_t *list, const char *label)
{
	char name[330];
	snprintf(name, sizeof(name), "%s%s%s", label, label[0] ? "." : "", q->c->conf->domain);
	json_t *o = api_name_json(q, name);
	if (!json_is_null(o))
		json_array_append(list, o);
	json_decref(o);
}

/* ---- one device ---- */

/* Either an enrolled one or one of gateway.yaml. */
struct view {
	const char *name, *title;
	const struct device *agent;
	const struct conf_device *upstream;
	const struct device_links *links;
	const struct device_reach *reach; /* of the configured; NULL: not known yet */
	bool has_identity; /* a certificate of the device CA */
};

static const char *state_word(const struct view *v)
{
	if (v->upstream)
		return !v->reach ? "configured" : v->reach->ok ? "online" : "offline";
	if (v->links && v->links->n)
		return "online";
	if (!v->has_identity)
		return "waiting";
	return v->agent->last_seen_at ? "offline" : "enrolled";
}

static int64_t last_seen(const struct view *v)
{
	const struct device_links *l = v->links;
	return l && l->seen_at > v->agent->last_seen_at ? l->seen_at : v->agent->last_seen_at;
}

static int64_t since(const struct view *v)
{
	if (v->upstream)
		return v->reach ? v->reach->since : 0;
	if (v->links && v->links->since)
		return v->links->since;
	return v->has_identity ? v->agent->last_seen_at : v->agent->created_at;
}

static json_t *head_json(struct api_call *q, const struct view *v)
{
	char host[330];
	snprintf(host, sizeof(host), "%s.%s", v->name, q->c->conf->domain);
	return json_pack("{s:s,s:s,s:s,s:o,s:s,s:o}", "name", v->name, "title",
		v->title[0] ? v->title : v->name, "host", host, "url", api_url_json(q, host),
		"state", state_word(v), "since", api_moment(since(v)));
}

static json_t *upstream_json(const struct conf_device *d)
{
	bool six = strchr(d->host, ':') != NULL;
	return json_sprintf("%s://%s%s%s:%u", d->tls ? "https" : "http", six ? "[" : "", d->host,
		six ? "]" : "", d->port);
}

static json_t *dns_json(struct api_call *q, const char *host)
{
	char name[258];
	if (q->c->conf->certificates != CONF_CERTS_WILDCARD)
		return api_name_json(q, host);
	snprintf(name, sizeof(name), "*.%s", q->c->conf->domain);
	return api_name_json(q, name);
}

static void put_agent(struct api_call *q, json_t *o, const struct view *v)
{
	const struct device_links *l = v->links;
	bool online = l && l->n;
	int64_t now = q->now.unix_s;
	json_object_set_new(o, "online", json_boolean(online));
	json_object_set_new(o, "links", json_integer(l ? l->n : 0));
	json_object_set_new(o, "peer", l && l->peer[0] ? json_string(l->peer) : json_null());
	json_object_set_new(
		o, "protocol", online ? json_string(l->h2 ? "h2" : "http/1.1") : json_null());
	json_object_set_new(o, "last_seen", api_moment(online ? now : last_seen(v)));
	json_object_set_new(o, "created", json_integer(v->agent->created_at));
	json_object_set_new(
		o, "pairing_expires", api_moment(device_tokens_open_until(q->c->db, v->name, now)));
}

static json_t *device_json(struct api_call *q, const struct view *v)
{
	static const char *const unknown[] = {
		"online", "peer", "protocol", "last_seen", "created", "pairing_expires", NULL};
	json_t *o = head_json(q, v), *cert = api_cert_json(q, v->name);
	json_object_set_new(o, "kind", json_string(v->agent ? "agent" : "upstream"));
	json_object_set_new(o, "certificate", cert ? cert : json_null());
	json_object_set_new(o, "dns", dns_json(q, json_string_value(json_object_get(o, "host"))));
	json_object_set_new(o, "upstream", v->upstream ? upstream_json(v->upstream) : json_null());
	json_object_set_new(o, "public", json_boolean(v->upstream && v->upstream->is_public));
	json_object_set_new(o, "fault",
		v->reach && !v->reach->ok ? api_foreign(v->reach->why) : json_null());
	if (v->agent) {
		put_agent(q, o, v);
		return o;
	}
	for (const char *const *name = unknown; *name; name++)
		json_object_set_new(o, *name, json_null());
	if (v->reach)
		json_object_set_new(o, "online", json_boolean(v->reach->ok));
	json_object_set_new(o, "links", json_integer(0));
	return o;
}

/* By which certificate its page is shown now. */
static const char *cover_word(struct api_call *q, const char *name)
{
	int64_t now = control_serving_time(q->c);
	if (certs_serving(q->c->certs, name, now))
		return "own";
	return certs_serving(q->c->certs, CERTS_BASE_ID, now) ? "shared" : "none";
}

static json_t *tile_json(struct api_call *q, const struct view *v)
{
	json_t *o = head_json(q, v);
	json_object_set_new(o, "certificate", json_string(cover_word(q, v->name)));
	return o;
}

/* ---- all of them ---- */

static bool has_cert(const struct device_cert *certs, size_t n, const char *device)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(certs[i].device, device) == 0)
			return true;
	return false;
}

/* Call `fn` for the paired ones, then for those of the configuration. */
static void each_device(struct api_call *q, json_t *list,
	void (*fn)(struct api_call *q, json_t *list, const struct view *v))
{
	const struct conf *f = q->c->conf;
	struct device *all = NULL;
	struct device_cert *certs = NULL;
	size_t n = 0, n_certs = 0;
	struct err e = {0};
	if (devices_list(q->c->db, &all, &n, &e) < 0 ||
		devices_certs(q->c->db, &certs, &n_certs, &e) < 0)
		log_error(AREA, "cannot list devices", "why", e.text);
	for (size_t i = 0; i < n; i++) {
		if (!conf_device_find(f, all[i].id))
			fn(q, list,
				&(struct view){.name = all[i].id,
					.title = all[i].title,
					.agent = &all[i],
					.links = map_get(q->c->links, all[i].id),
					.has_identity = has_cert(certs, n_certs, all[i].id)});
	}
	for (unsigned i = 0; i < f->n_devices; i++) {
		const struct conf_device *d = &f->devices[i];
		fn(q, list, &(struct view){.name = d->name,
				    .title = d->title,
				    .upstream = d,
				    .reach = map_get(q->c->reach, d->name)});
	}
	free(all);
	free(certs);
}

static void append_device(struct api_call *q, json_t *list, const struct view *v)
{
	json_array_append_new(list, device_json(q, v));
}

json_t *api_devices_json(struct api_call *q)
{
	json_t *list = json_array();
	each_device(q, list, append_device);
	return list;
}

/* Only what is open to whoever asks. */
static void append_tile(struct api_call *q, json_t *list, const struct view *v)
{
	if (q->local || users_may_reach(q->c->db, q->user.id, v->name, NULL) == 1)
		json_array_append_new(list, tile_json(q, v));
}

json_t *api_tiles_json(struct api_call *q)
{
	json_t *list = json_array();
	each_device(q, list, append_tile);
	return list;
}

static void append_names(struct api_call *q, json_t *list, const struct view *v)
{
	append_name(q, list, v->name);
}

json_t *api_names_json(struct api_call *q)
{
	json_t *list = json_array();
	append_name(q, list, "");
	append_name(q, list, "*");
	each_device(q, list, append_names);
	return list;
}

json_t *api_device_json(struct api_call *q, const char *name)
{
	json_t *list = api_devices_json(q), *found = NULL, *o;
	size_t i;
	json_array_foreach(list, i, o)
	{
		if (strcmp(json_string_value(json_object_get(o, "name")), name) == 0)
			found = json_incref(o);
	}
	json_decref(list);
	return found;
}
