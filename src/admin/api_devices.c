/* Devices: list, pair, remove. Those of gateway.yaml are listed too, but change only there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api.h"
#include "admin/control_in.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/token.h"
#include "base/xalloc.h"
#include "gate/auth.h"
#include "gate/certs.h"
#include "gate/enroll.h"
#include "gate/names.h"
#include "store/conf.h"
#include "store/devices.h"

#define AREA "admin/api_devices"

static void put_url(json_t *o, const struct conf *f, const char *host)
{
	char port[8] = "";
	if (f->public_port != 443)
		snprintf(port, sizeof(port), ":%u", f->public_port);
	json_object_set_new(o, "host", json_string(host));
	json_object_set_new(o, "url", json_sprintf("https://%s%s/", host, port));
}

static json_t *dns_json(struct api_call *q, const char *host)
{
	struct names_view v;
	bool wildcard = q->c->conf->certificates == CONF_CERTS_WILDCARD;
	char name[256];
	snprintf(name, sizeof(name), "%s%s", wildcard ? "*." : "",
		wildcard ? q->c->conf->domain : host);
	if (names_get(q->c->names, name, &v) < 0)
		return json_null();
	return json_pack("{s:b,s:o}", "published", v.done, "failure",
		v.class ? json_pack("{s:s,s:s,s:s,s:o}", "class", class_word(v.class), "text",
				  v.text, "remedy", class_remedy(v.class), "next_try",
				  api_moment(v.next_at))
			: json_null());
}

static json_t *common_json(struct api_call *q, const char *name, const char *title)
{
	char host[254];
	json_t *o = json_pack("{s:s,s:s}", "name", name, "title", title[0] ? title : name);
	snprintf(host, sizeof(host), "%s.%s", name, q->c->conf->domain);
	put_url(o, q->c->conf, host);
	json_t *cert = api_cert_json(q, name);
	json_object_set_new(o, "certificate", cert ? cert : json_null());
	json_object_set_new(o, "dns", dns_json(q, host));
	return o;
}

static json_t *agent_json(struct api_call *q, const struct device *d)
{
	const struct device_links *l = map_get(q->c->links, d->id);
	json_t *o = common_json(q, d->id, d->title);
	int64_t seen = l && l->seen_at > d->last_seen_at ? l->seen_at : d->last_seen_at;
	json_object_set_new(o, "kind", json_string("agent"));
	json_object_set_new(o, "online", json_boolean(l && l->n));
	json_object_set_new(o, "links", json_integer(l ? l->n : 0));
	json_object_set_new(o, "peer", l && l->peer[0] ? json_string(l->peer) : json_null());
	json_object_set_new(o, "last_seen", api_moment(l && l->n ? q->now.unix_s : seen));
	json_object_set_new(o, "created", json_integer(d->created_at));
	return o;
}

static json_t *upstream_json(struct api_call *q, const struct conf_device *d)
{
	json_t *o = common_json(q, d->name, d->title);
	bool six = strchr(d->host, ':') != NULL;
	json_object_set_new(o, "kind", json_string("upstream"));
	json_object_set_new(o, "upstream",
		json_sprintf("%s://%s%s%s:%u", d->tls ? "https" : "http", six ? "[" : "", d->host,
			six ? "]" : "", d->port));
	json_object_set_new(o, "public", json_boolean(d->is_public));
	return o;
}

json_t *api_devices_json(struct api_call *q)
{
	const struct conf *f = q->c->conf;
	struct device *all = NULL;
	size_t n = 0;
	struct err e = {0};
	json_t *list = json_array();
	if (devices_list(q->c->db, &all, &n, &e) < 0)
		log_error(AREA, "cannot list devices", "why", e.text);
	for (size_t i = 0; i < n; i++)
		if (!conf_device_find(f, all[i].id))
			json_array_append_new(list, agent_json(q, &all[i]));
	free(all);
	for (unsigned i = 0; i < f->n_devices; i++)
		json_array_append_new(list, upstream_json(q, &f->devices[i]));
	return list;
}

static void get_devices(struct api_call *q)
{
	api_reply(q, 200, json_pack("{s:o}", "devices", api_devices_json(q)));
}

/* ---- pairing ---- */

static void reply_token(struct api_call *q, int status, const struct device *d)
{
	char text[TOKEN_TEXT_MAX];
	int64_t expires = 0;
	struct err e = {0};
	int rc = enroll_token(q->c->enroll, d->id, q->now.unix_s, text, &expires, &e);
	if (rc < 0) {
		api_fail_err(q, rc, &e);
		return;
	}
	api_audit(q, "device.pair", d->id, "ok");
	json_t *o = common_json(q, d->id, d->title);
	json_object_set_new(o, "token", json_string(text));
	json_object_set_new(o, "expires", json_integer(expires));
	wipe(text, sizeof(text));
	api_reply(q, status, o);
}

/* True when the name may be given to a new device; else the call has been answered. */
static bool name_is_free(struct api_call *q, const char *name)
{
	const struct conf *f = q->c->conf;
	if (!name_is_label(name))
		api_fail(q, 422, "invalid",
			"a device's name is one word of letters, digits and hyphens",
			"Say for example: tv, printer-2");
	else if (strlen(name) + strlen(f->domain) + 1 > 253)
		api_fail(q, 422, "invalid", "the name is too long under this domain", NULL);
	else if (conf_name_is_reserved(name))
		api_fail(q, 409, "reserved", "this name is for the gateway's own use",
			"Choose another name");
	else if (conf_device_find(f, name))
		api_fail(q, 409, "taken", "gateway.yaml has a device of this name",
			"Choose another name, or remove that one from the file");
	else
		return true;
	return false;
}

static bool count_allows(struct api_call *q)
{
	struct device *all = NULL;
	size_t n = 0;
	struct err e = {0};
	int rc = devices_list(q->c->db, &all, &n, &e);
	free(all);
	if (rc < 0)
		api_fail_err(q, rc, &e);
	else if (n >= CONTROL_DEVICES_MAX)
		api_fail(q, 409, "too_many", "200 devices are paired already",
			"Remove one that is no longer used");
	else
		return true;
	return false;
}

static void post_device(struct api_call *q)
{
	const char *name = api_text(q, "name"), *title = api_text(q, "title");
	struct device d = {.created_at = q->now.unix_s};
	struct err e = {0};
	if (!name_is_free(q, name) || !count_allows(q))
		return;
	str_copy(d.id, sizeof(d.id), name);
	if (title && str_copy(d.title, sizeof(d.title), title) < 0) {
		api_fail(q, 422, "invalid", "the title is longer than 64 bytes", NULL);
		return;
	}
	int rc = devices_add(q->c->db, &d, &e);
	if (rc == -EEXIST) {
		api_fail(q, 409, "taken", "a device of this name is paired already",
			"Make a new token with `lanthornctl pair`, or choose another name");
		return;
	}
	if (rc < 0) {
		api_fail_err(q, rc, &e);
		return;
	}
	log_info(AREA, "device added", "device", d.id, "by", q->user.name);
	control_follow(q->c);
	reply_token(q, 201, &d);
}

static bool find_device(struct api_call *q, struct device *d)
{
	struct err e = {0};
	if (conf_device_find(q->c->conf, q->param[0])) {
		api_fail(q, 409, "configured", "this device is defined in gateway.yaml",
			"Change the file and run `lanthornctl reload`");
		return false;
	}
	int rc = devices_find(q->c->db, q->param[0], d, &e);
	if (rc == -ENOENT)
		api_fail(q, 404, "unknown", "there is no device of this name",
			"See `lanthornctl devices`");
	else if (rc < 0)
		api_fail_err(q, rc, &e);
	return rc == 0;
}

static void post_pair(struct api_call *q)
{
	struct device d;
	if (find_device(q, &d))
		reply_token(q, 200, &d);
}

/* The registry first: from then on no handshake succeeds, also after a crash. */
static void delete_device(struct api_call *q)
{
	struct control *c = q->c;
	struct device d;
	struct err e = {0};
	char host[254];
	if (!find_device(q, &d))
		return;
	int rc = devices_remove(c->db, d.id, q->now.unix_s, &e);
	if (rc < 0) {
		api_fail_err(q, rc, &e);
		return;
	}
	control_put_snapshot(c, false);
	c->notify.device_cut(c->notify.ctx, d.id);
	snprintf(host, sizeof(host), "%s.%s", d.id, c->conf->domain);
	auth_host_removed(c->auth, host);
	free(map_remove(c->links, d.id));
	control_follow(c);
	api_audit(q, "device.remove", d.id, "ok");
	log_info(AREA, "device removed", "device", d.id, "by", q->user.name);
	api_reply(q, 200, json_pack("{s:s}", "removed", d.id));
}

static const struct api_field new_fields[] = {
	{"name", JSON_STRING, true,
         "one word of letters, digits and hyphens: the host's first label"},
	{"title",  JSON_STRING, false, "what people see; at most 64 bytes"},
        {0     }
};

const struct api_route api_devices_routes[] = {
	{METHOD_GET,			    "devices", get_devices, API_ADMIN, "All devices, paired and configured", NULL},
	{METHOD_POST,			  "devices", post_device, API_ADMIN, "Add a device; answers its pairing token",
         new_fields},
	{METHOD_DELETE, "devices/{name}", delete_device, API_ADMIN,
         "Remove a device: its links end at once, its certificate never works again", NULL},
	{METHOD_POST,				     "devices/{name}/pair", post_pair, API_ADMIN,
         "A new pairing token; the one before stops working", NULL},
	{0  }
};
