/* The OpenAPI 3.1 document, printed from the same table that serves the calls. */
#include <stdio.h>
#include <string.h>

#include "admin/api.h"
#include "admin/api_print.h"

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

static json_t *ref_json(const struct api_shape *s)
{
	return json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", s->name));
}

static void put_words(json_t *o, const char *const *words)
{
	json_t *list = json_array();
	for (const char *const *w = words; *w; w++)
		json_array_append_new(list, json_string(*w));
	json_object_set_new(o, "enum", list);
}

/* One value: a text, an item of a list. */
static json_t *plain_json(json_type type, const struct api_field *f)
{
	if (f->of)
		return ref_json(f->of);
	json_t *o = json_pack("{s:s}", "type", type_word(type));
	if (f->words)
		put_words(o, f->words);
	return o;
}

static json_t *field_json(const struct api_field *f)
{
	json_t *o = f->type == JSON_ARRAY ? json_pack("{s:s,s:o}", "type", "array", "items",
						    plain_json(JSON_STRING, f))
					  : plain_json(f->type, f);
	if (f->null && f->of)
		o = json_pack("{s:[o,{s:s}]}", "anyOf", o, "type", "null");
	else if (f->null && f->words)
		json_array_append_new(json_object_get(o, "enum"), json_null());
	if (f->null && !f->of)
		json_object_set_new(o, "type", json_pack("[s,s]", type_word(f->type), "null"));
	if (f->help)
		json_object_set_new(o, "description", json_string(f->help));
	return o;
}

static json_t *object_json(const struct api_field *fields)
{
	json_t *props = json_object(), *required = json_array();
	for (const struct api_field *f = fields; f && f->name; f++) {
		json_object_set_new(props, f->name, field_json(f));
		if (f->required)
			json_array_append_new(required, json_string(f->name));
	}
	return json_pack("{s:s,s:o,s:o,s:b}", "type", "object", "properties", props, "required",
		required, "additionalProperties", fields == NULL);
}

static json_t *body_json(const struct api_field *fields)
{
	return json_pack("{s:b,s:{s:{s:o}}}", "required", 1, "content", "application/json",
		"schema", object_json(fields));
}

/* The shape and those that it is made of. They nest four deep at most. */
static void put_shape(json_t *schemas, const struct api_shape *s)
{
	if (json_object_get(schemas, s->name))
		return;
	json_object_set_new(schemas, s->name, object_json(s->fields));
	for (const struct api_field *f = s->fields; f && f->name; f++) {
		if (f->of)
			put_shape(schemas, f->of);
	}
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
	const char *type = r->answer == &api_shape_event ? "text/event-stream" : "application/json";
	json_t *o = json_pack("{s:s,s:s,s:o,s:{s:{s:s,s:{s:{s:o}}},s:{s:s,s:{s:{s:o}}}}}",
		"summary", r->summary, "x-who", who_word(r->who), "parameters",
		params_json(r->path), "responses", "2XX", "description", "done", "content", type,
		"schema", ref_json(r->answer), "default", "description", "why not", "content",
		"application/json", "schema", ref_json(&api_shape_error));
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

json_t *api_document(void)
{
	json_t *paths = json_object(), *schemas = json_object();
	put_shape(schemas, &api_shape_error);
	for (const struct api_route *const *t = api_tables; *t; t++)
		for (const struct api_route *r = *t; r->path; r++) {
			put_route(paths, r);
			put_shape(schemas, r->answer);
		}
	return json_pack("{s:s,s:{s:s,s:s},s:[{s:s}],s:o,s:{s:o}}", "openapi", "3.1.0", "info",
		"title", "Lanthorn", "version", PACKAGE_VERSION, "servers", "url", "/api/v1",
		"paths", paths, "components", "schemas", schemas);
}

int api_print_document(FILE *f)
{
	json_t *o = api_document();
	int rc = json_dumpf(o, f, JSON_INDENT(1));
	json_decref(o);
	fputc('\n', f);
	return rc < 0 || ferror(f) ? -1 : 0;
}

static void get_openapi(struct api_call *q)
{
	api_reply(q, 200, api_document());
}

const struct api_route api_docs_routes[] = {
	{METHOD_GET, "openapi.json", get_openapi, API_USER, "This description", NULL,
		&api_shape_document},
	{0}
};
