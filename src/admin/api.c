/* See api.h: finding the route, who may, reading the body, answering. */
#include "admin/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/control_in.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/auth.h"
#include "store/audit.h"

#define JSON_TYPE "application/json"

const struct api_route *const api_tables[] = {
	api_status_routes,
	api_devices_routes,
	api_certs_routes,
	api_dns_routes,
	api_me_routes,
	api_users_routes,
	api_sessions_routes,
	api_docs_routes,
	NULL,
};

/* ---- answering ---- */

void api_reply_ask(struct ask *a, int status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (!a->resp)
		a->resp = msg_new_response(status);
	msg_set(a->resp, "cache-control", "no-store");
	msg_set(a->resp, "x-content-type-options", "nosniff");
	ask_answer(a, text ? status : 500, JSON_TYPE,
		text ? text : "{\"error\":{\"code\":\"memory\",\"message\":\"out of memory\"}}");
	free(text);
}

void api_reply(struct api_call *q, int status, json_t *body)
{
	struct ask *a = q->ask;
	q->ask = NULL;
	api_reply_ask(a, status, body);
}

void api_fail(
	struct api_call *q, int status, const char *code, const char *message, const char *remedy)
{
	api_reply(q, status,
		json_pack("{s:{s:s,s:s,s:s?}}", "error", "code", code, "message", message, "remedy",
			remedy));
}

void api_fail_err(struct api_call *q, int rc, const struct err *e)
{
	const char *why = e->text[0] ? e->text : "it did not work";
	if (rc == -ENOENT)
		api_fail(q, 404, "unknown", why, NULL);
	else if (rc == -EEXIST)
		api_fail(q, 409, "taken", why, "Choose another name");
	else if (rc == -EINVAL || rc == -ENAMETOOLONG)
		api_fail(q, 422, "invalid", why, NULL);
	else if (rc == -EPERM)
		api_fail(q, 409, "refused", why, NULL);
	else if (rc == -ENOSPC)
		api_fail(
			q, 507, "disk_full", why, "Free space on the gateway's disk and try again");
	else if (rc == -EROFS || rc == -EIO)
		api_fail(q, 500, "disk", why,
			"Check the gateway's disk: what was asked for could not be written");
	else
		api_fail(q, 500, "internal", why, "See `lanthornctl logs`");
}

/* ---- for handlers ---- */

const char *api_text(const struct api_call *q, const char *name)
{
	return json_string_value(json_object_get(q->body, name));
}

bool api_bool(const struct api_call *q, const char *name, bool missing)
{
	const json_t *v = json_object_get(q->body, name);
	return json_is_boolean(v) ? json_is_true(v) : missing;
}

unsigned api_query_uint(const struct api_call *q, const char *name, unsigned missing)
{
	size_t n = strlen(name);
	for (const char *p = q->query; *p; p += strcspn(p, "&"), p += *p == '&') {
		char text[12];
		uint64_t v;
		size_t len = strcspn(p, "&");
		if (len <= n || len - n - 1 >= sizeof(text) || strncmp(p, name, n) || p[n] != '=')
			continue;
		memcpy(text, p + n + 1, len - n - 1);
		text[len - n - 1] = 0;
		if (str_to_u64(text, UINT32_MAX, &v) == 0)
			return (unsigned)v;
	}
	return missing;
}

void api_audit(struct api_call *q, const char *action, const char *object, const char *outcome)
{
	audit_add(q->c->db,
		&(struct audit){.at = q->now.unix_s,
			.actor = q->user.name,
			.action = action,
			.object = object,
			.outcome = outcome},
		NULL);
}

json_t *api_moment(int64_t at)
{
	return at ? json_integer(at) : json_null();
}

json_t *api_foreign(const char *text)
{
	json_t *o = json_string(text);
	if (o)
		return o;
	char *plain = xstrdup(text);
	for (char *p = plain; *p; p++)
		*p = (unsigned char)*p < 0x80 ? *p : '?';
	o = json_string(plain);
	free(plain);
	return o;
}

/* ---- finding the route ---- */

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *p = strchr(digits, c | 0x20);
	return c && p ? (int)(p - digits) : -1;
}

/* One path segment of `n` bytes, percent-decoded. -EINVAL for a bad escape, NUL or too much. */
static int decode_segment(char out[256], const char *p, size_t n)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		int c = (unsigned char)p[i];
		if (c == '%') {
			int hi = i + 2 < n ? hex_digit(p[i + 1]) : -1;
			int lo = i + 2 < n ? hex_digit(p[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return -EINVAL;
			c = hi << 4 | lo;
			i += 2;
		}
		if (c == 0 || len + 1 >= 256)
			return -EINVAL;
		out[len++] = (char)c;
	}
	out[len] = 0;
	return len ? 0 : -EINVAL;
}

/* Does `path` (to `?` or the end) fit the pattern? Fills in the parameters. */
static bool path_fits(struct api_call *q, const char *pattern, const char *path)
{
	unsigned params = 0;
	for (;;) {
		size_t pn = strcspn(pattern, "/"), n = strcspn(path, "/?");
		if (pattern[0] == '{') {
			if (params == API_PARAMS_MAX ||
				decode_segment(q->param[params++], path, n) < 0)
				return false;
		} else if (pn != n || memcmp(pattern, path, n) != 0) {
			return false;
		}
		pattern += pn;
		path += n;
		if (*pattern != '/' || *path != '/')
			return !*pattern && *path != '/';
		pattern++;
		path++;
	}
}

/* NULL; `*others`: the path exists with another method. */
static const struct api_route *find_route(struct api_call *q, const char *path, bool *others)
{
	enum method m = msg_method(q->ask->req);
	for (const struct api_route *const *t = api_tables; *t; t++) {
		for (const struct api_route *r = *t; r->path; r++) {
			if (!path_fits(q, r->path, path))
				continue;
			if (r->method == m || (m == METHOD_HEAD && r->method == METHOD_GET))
				return r;
			*others = true;
		}
	}
	return NULL;
}

/* ---- who may ---- */

static bool may(struct api_call *q)
{
	if (q->local) {
		memcpy(q->user.name, "cli", 4);
		q->user.is_admin = true;
		return true;
	}
	if (q->route->who == API_LOCAL) {
		api_fail(q, 403, "local_only", "this works on the gateway itself alone",
			"Use lanthornctl there");
		return false;
	}
	if (auth_who(q->c->auth, q->ask, &q->user, &q->session) < 0) {
		api_fail(q, 401, "signed_out", "nobody is signed in", "Sign in and try again");
		return false;
	}
	if (q->route->who == API_ADMIN && !q->user.is_admin) {
		api_fail(q, 403, "not_admin", "only an admin may do this", "Ask an admin");
		return false;
	}
	return true;
}

/* ---- the body ---- */

static bool has_type(const json_t *v, json_type type)
{
	return json_typeof(v) == type || (type == JSON_TRUE && json_is_boolean(v));
}

static const struct api_field *field_of(const struct api_route *r, const char *name)
{
	for (const struct api_field *f = r->fields; f && f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static bool check_fields(struct api_call *q)
{
	char text[200];
	const char *name;
	json_t *v;
	json_object_foreach(q->body, name, v)
	{
		const struct api_field *f = field_of(q->route, name);
		if (f && has_type(v, f->type))
			continue;
		snprintf(text, sizeof(text),
			f ? "\"%.60s\" has the wrong type" : "unknown \"%.60s\"", name);
		api_fail(q, 422, "invalid", text, f ? f->help : NULL);
		return false;
	}
	for (const struct api_field *f = q->route->fields; f && f->name; f++) {
		if (!f->required || json_object_get(q->body, f->name))
			continue;
		snprintf(text, sizeof(text), "\"%s\" is missing", f->name);
		api_fail(q, 422, "invalid", text, f->help);
		return false;
	}
	return true;
}

static bool read_body(struct api_call *q)
{
	const struct buf *b = &q->ask->body;
	const char *type = msg_get(q->ask->req, "content-type");
	json_error_t why;
	if (b->len == 0) {
		q->body = q->route->fields ? json_object() : NULL;
		return !q->body || check_fields(q);
	}
	if (!type || strncasecmp(type, JSON_TYPE, strlen(JSON_TYPE)) != 0) {
		api_fail(q, 415, "not_json", "the body is not " JSON_TYPE, NULL);
		return false;
	}
	q->body = json_loadb((const char *)b->data, b->len, JSON_REJECT_DUPLICATES, &why);
	if (json_is_object(q->body))
		return check_fields(q);
	api_fail(q, 400, "not_json", "the body is not a JSON object", NULL);
	return false;
}

void api_handle(struct control *c, struct ask *a)
{
	struct api_call q = {.c = c, .ask = a, .local = a->kind == ASK_LOCAL};
	const char *target = msg_target(a->req), *query = strchr(target, '?');
	bool others = false;
	q.query = query ? query + 1 : "";
	control_now(c, &q.now);
	if (str_starts(target, API_PREFIX))
		q.route = find_route(&q, target + strlen(API_PREFIX), &others);
	if (!q.route)
		api_fail(&q, others ? 405 : 404, others ? "method" : "unknown",
			others ? "this address wants another method" : "no such address in the API",
			"See /api/v1/openapi.json");
	else if (may(&q) && read_body(&q))
		q.route->fn(&q);
	json_decref(q.body);
}
