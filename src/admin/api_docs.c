/* The OpenAPI 3.1 document, printed from the same table that serves the calls. */
#include <string.h>

#include "admin/api.h"

static const char *method_word(enum method m)
{
	switch (m) {
	case METHOD_GET:
		return "get";
	case METHOD_POST:
		return "post";
	case METHOD_PUT:
		return "put";
	case METHOD_DELETE:
		return "delete";
	case METHOD_PATCH:
		return "patch";
	case METHOD_HEAD:
	case METHOD_OPTIONS:
	case METHOD_CONNECT:
	case METHOD_TRACE:
	case METHOD_OTHER:
		break;
	}
	return "x-other";
}

static const char *type_word(json_type t)
{
	switch (t) {
	case JSON_STRING:
		return "string";
	case JSON_TRUE:
	case JSON_FALSE:
		return "boolean";
	case JSON_INTEGER:
		return "integer";
	case JSON_REAL:
		return "number";
	case JSON_ARRAY:
		return "array";
	case JSON_OBJECT:
		return "object";
	case JSON_NULL:
		break;
	}
	return "null";
}

static json_t *params_json(const char *path)
{
	json_t *list = json_array();
	for (const char *p = path; (p = strchr(p, '{')); p++) {
		size_t n = strcspn(p + 1, "}");
		json_array_append_new(
			list, json_pack("{s:s%,s:s,s:b,s:{s:s}}", "name", p + 1, n, "in", "path",
				      "required", 1, "schema", "type", "string"));
	}
	return list;
}

static json_t *body_json(const struct api_field *fields)
{
	json_t *props = json_object(), *required = json_array();
	for (const struct api_field *f = fields; f->name; f++) {
		json_object_set_new(props, f->name,
			json_pack("{s:s,s:s}", "type", type_word(f->type), "description", f->help));
		if (f->required)
			json_array_append_new(required, json_string(f->name));
	}
	return json_pack("{s:b,s:{s:{s:{s:s,s:o,s:o,s:b}}}}", "required", 1, "content",
		"application/json", "schema", "type", "object", "properties", props, "required",
		required, "additionalProperties", 0);
}

static const char *who_word(enum api_who who)
{
	switch (who) {
	case API_ADMIN:
		return "admin";
	case API_USER:
		return "user";
	case API_LOCAL:
		return "local";
	}
	return "";
}

static json_t *operation_json(const struct api_route *r)
{
	json_t *o = json_pack("{s:s,s:s,s:o,s:{s:{s:s},s:{s:s,s:{s:{s:{s:s}}}}}}", "summary",
		r->summary, "x-who", who_word(r->who), "parameters", params_json(r->path),
		"responses", "2XX", "description", "done", "default", "description", "why not",
		"content", "application/json", "schema", "$ref", "#/components/schemas/Error");
	if (r->fields)
		json_object_set_new(o, "requestBody", body_json(r->fields));
	return o;
}

static void put_route(json_t *paths, const struct api_route *r)
{
	json_t *path = json_sprintf("/%s", r->path);
	const char *key = json_string_value(path);
	json_t *at = json_object_get(paths, key);
	if (!at) {
		at = json_object();
		json_object_set_new(paths, key, at);
	}
	json_object_set_new(at, method_word(r->method), operation_json(r));
	json_decref(path);
}

static void get_openapi(struct api_call *q)
{
	json_t *paths = json_object();
	for (const struct api_route *const *t = api_tables; *t; t++)
		for (const struct api_route *r = *t; r->path; r++)
			put_route(paths, r);
	json_t *text = json_pack("{s:s}", "type", "string");
	json_t *error = json_pack("{s:s,s:[s,s],s:{s:O,s:O,s:{s:[s,s]}}}", "type", "object",
		"required", "code", "message", "properties", "code", text, "message", text,
		"remedy", "type", "string", "null");
	json_decref(text);
	api_reply(q, 200,
		json_pack("{s:s,s:{s:s,s:s},s:[{s:s}],s:o,s:{s:{s:{s:s,s:[s],s:{s:o}}}}}",
			"openapi", "3.1.0", "info", "title", "Lanthorn", "version", PACKAGE_VERSION,
			"servers", "url", "/api/v1", "paths", paths, "components", "schemas",
			"Error", "type", "object", "required", "error", "properties", "error",
			error));
}

const struct api_route api_docs_routes[] = {
	{METHOD_GET,   "openapi.json", get_openapi, API_USER, "This description", NULL},
        {0}
};
