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
#include "gate/events.h"
#include "gate/names.h"
#include "store/conf.h"
#include "store/db.h"
#include "store/devices.h"

#define AREA "admin/api_devices"

static void get_devices(struct api_call *q)
{
	api_reply(q, 200, json_pack("{s:o}", "devices", api_devices_json(q)));
}

/* ---- pairing ---- */

struct pairing {
	char text[TOKEN_TEXT_MAX];
	int64_t expires;
};

static int make_token(struct api_call *q, const struct device *d, struct pairing *p, struct err *e)
{
	return enroll_token(q->c->enroll, d->id, q->now.unix_s, p->text, &p->expires, e);
}

/* Wipes `p`. */
static void reply_token(struct api_call *q, int status, const struct device *d, struct pairing *p)
{
	api_audit(q, "device.pair", d->id, "ok");
	control_tell_device(q->c, EVENT_DEVICES | EVENT_CERTIFICATES, d->id);
	char host[330];
	snprintf(host, sizeof(host), "%s.%s", d->id, q->c->conf->domain);
	json_t *o = json_pack("{s:s,s:s,s:s,s:o,s:s,s:I,s:o}", "name", d->id, "title",
		d->title[0] ? d->title : d->id, "host", host, "url", api_url_json(q, host), "token",
		p->text, "expires", (json_int_t)p->expires, "command",
		json_sprintf("echo '%s' | sudo lanthorn-agent enrol", p->text));
	wipe(p, sizeof(*p));
	api_reply(q, status, o);
}

/* Both or none: a device without a token cannot be added once more. */
static int add_with_token(struct api_call *q, struct device *d, struct pairing *p, struct err *e)
{
	struct db *db = q->c->db;
	int rc = db_begin(db, e);
	if (rc < 0)
		return rc;
	rc = devices_add(db, d, e);
	if (rc == 0)
		rc = make_token(q, d, p, e);
	return db_settle(db, rc, e);
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
	struct pairing p;
	int rc = add_with_token(q, &d, &p, &e);
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
	reply_token(q, 201, &d, &p);
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
	struct pairing p;
	struct err e = {0};
	if (!find_device(q, &d))
		return;
	int rc = make_token(q, &d, &p, &e);
	if (rc < 0)
		api_fail_err(q, rc, &e);
	else
		reply_token(q, 200, &d, &p);
}

static void patch_device(struct api_call *q)
{
	struct device d;
	struct err e = {0};
	if (!find_device(q, &d))
		return;
	int rc = devices_set_title(q->c->db, d.id, api_text(q, "title"), &e);
	if (rc < 0) {
		api_fail_err(q, rc, &e);
		return;
	}
	api_audit(q, "device.title", d.id, "ok");
	control_tell_device(q->c, EVENT_DEVICES, d.id);
	api_reply(q, 200, api_device_json(q, d.id));
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
	control_tell_device(c, EVENT_DEVICES | EVENT_CERTIFICATES | EVENT_PEOPLE, d.id);
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
	{.name = "name",
		.type = JSON_STRING,
		.required = true,
		.help = "one word of letters, digits and hyphens: the host's first label"},
	{.name = "title",
		.type = JSON_STRING,
		.required = false,
		.help = "what people see; at most 64 bytes"},
	{0}
};

static const struct api_field title_fields[] = {
	{.name = "title",
		.type = JSON_STRING,
		.required = true,
		.help = "what people see; at most 64 bytes, \"\" for the name"},
	{0}
};

const struct api_route api_devices_routes[] = {
	{METHOD_GET, "devices", get_devices, API_ADMIN, "All devices, paired and configured", NULL,
		&api_shape_devices},
	{METHOD_POST, "devices", post_device, API_ADMIN, "Add a device; answers its pairing token",
		new_fields, &api_shape_pairing},
	{METHOD_PATCH, "devices/{name}", patch_device, API_ADMIN, "Give a device another title",
		title_fields, &api_shape_device},
	{METHOD_DELETE, "devices/{name}", delete_device, API_ADMIN,
		"Remove a device: its links end at once, its certificate never works again", NULL,
		&api_shape_removed},
	{METHOD_POST, "devices/{name}/pair", post_pair, API_ADMIN,
		"A new pairing token; the one before stops working", NULL, &api_shape_pairing},
	{0}
};
