/* Where people are signed in: browsers with what they have open under that sign-in, and scripts. */
#include <stdlib.h>
#include <string.h>

#include "admin/api.h"
#include "admin/control_in.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/auth.h"
#include "store/conf.h"
#include "store/sessions.h"

/* The label of a device's host. */
static json_t *device_json(const char *host)
{
	return json_stringn(host, strcspn(host, "."));
}

struct family {
	const struct session *all;
	size_t n;
};

static json_t *session_json(struct api_call *q, const struct family *f, const struct session *s)
{
	json_t *devices = json_array();
	bool script = strcmp(s->host, q->c->conf->domain) != 0;
	int64_t seen = s->last_seen_at;
	for (size_t i = 0; i < f->n; i++) {
		if (f->all[i].parent != s->id)
			continue;
		json_array_append_new(devices, device_json(f->all[i].host));
		if (f->all[i].last_seen_at > seen)
			seen = f->all[i].last_seen_at;
	}
	return json_pack("{s:I,s:b,s:o,s:o,s:s?,s:I,s:I,s:I,s:b,s:o}", "id", (json_int_t)s->id,
		"script", script, "device", script ? device_json(s->host) : json_null(), "agent",
		api_foreign(s->agent), "address", s->address[0] ? s->address : NULL, "created",
		(json_int_t)s->created_at, "last_seen", (json_int_t)seen, "expires",
		(json_int_t)s->expires_at, "current", s->id == q->session, "devices", devices);
}

json_t *api_sessions_json(struct api_call *q, int64_t user_id)
{
	struct family f = {0};
	struct session *all = NULL;
	json_t *list = json_array();
	sessions_list(q->c->db, user_id, &all, &f.n, NULL);
	f.all = all;
	for (size_t i = 0; i < f.n; i++) {
		if (!all[i].parent && all[i].expires_at > q->now.unix_s)
			json_array_append_new(list, session_json(q, &f, &all[i]));
	}
	free_secret(all, f.n * sizeof(*all));
	return json_pack("{s:o}", "sessions", list);
}

static bool is_theirs(struct api_call *q, int64_t user_id, int64_t id)
{
	struct session *all = NULL;
	size_t n = 0;
	bool found = false;
	sessions_list(q->c->db, user_id, &all, &n, NULL);
	for (size_t i = 0; i < n; i++)
		found |= all[i].id == id;
	free_secret(all, n * sizeof(*all));
	return found;
}

void api_end_session(struct api_call *q, int64_t user_id, unsigned i)
{
	uint64_t id;
	if (str_to_u64(q->param[i], INT64_MAX, &id) < 0 || !is_theirs(q, user_id, (int64_t)id)) {
		api_fail(q, 404, "unknown", "there is no such session; it may have ended already",
			NULL);
		return;
	}
	struct err e = {0};
	if (auth_end_session(q->c->auth, (int64_t)id, &e) < 0) {
		api_audit(q, "session.end", q->param[i], "not stored");
		api_fail(q, 507, "disk_full",
			"the session has ended, but that could not be written down",
			"Make room on the gateway's disk before it is restarted");
		return;
	}
	api_audit(q, "session.end", q->param[i], "ok");
	api_reply(q, 200, json_object());
}

static void get_sessions(struct api_call *q)
{
	struct user u;
	if (api_find_user(q, &u))
		api_reply(q, 200, api_sessions_json(q, u.id));
}

static void delete_session(struct api_call *q)
{
	struct user u;
	if (api_find_user(q, &u))
		api_end_session(q, u.id, 1);
}

const struct api_route api_sessions_routes[] = {
	{METHOD_GET, "users/{name}/sessions", get_sessions, API_ADMIN,
		"Where a person is signed in", NULL, &api_shape_sessions},
	{METHOD_DELETE, "users/{name}/sessions/{id}", delete_session, API_ADMIN,
		"End one of a person's sessions", NULL, &api_shape_nothing},
	{0}
};
