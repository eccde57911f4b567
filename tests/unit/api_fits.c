/* See api_fits.h. */
#include "api_fits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/api.h"

static void value_fits(
	const struct api_field *f, const json_t *v, json_type type, const char *where);

static void object_fits(const struct api_shape *s, const json_t *o, const char *where)
{
	const char *name;
	json_t *v;
	if (!json_is_object(o))
		fail_msg("%s: no object", where);
	for (const struct api_field *f = s->fields; f && f->name; f++) {
		char path[256];
		snprintf(path, sizeof(path), "%s.%s", where, f->name);
		v = json_object_get(o, f->name);
		if (!v && f->required)
			fail_msg("%s: missing", path);
		if (v)
			value_fits(f, v, f->type, path);
	}
	json_object_foreach((json_t *)o, name, v)
	{
		bool known = !s->fields;
		for (const struct api_field *f = s->fields; f && f->name; f++)
			known |= strcmp(f->name, name) == 0;
		if (!known)
			fail_msg("%s: %s is not described", where, name);
	}
}

static bool is_word(const struct api_field *f, const json_t *v)
{
	const char *const *w = f->words;
	while (w && *w && strcmp(*w, json_string_value(v)) != 0)
		w++;
	return !w || *w;
}

static void value_fits(
	const struct api_field *f, const json_t *v, json_type type, const char *where)
{
	size_t i;
	json_t *item;
	if (json_is_null(v) && f->null)
		return;
	if (json_typeof(v) != type && !(type == JSON_TRUE && json_is_boolean(v)))
		fail_msg("%s: wrong type %d", where, json_typeof(v));
	if (type == JSON_STRING && !is_word(f, v))
		fail_msg("%s: unknown word %s", where, json_string_value(v));
	if (type == JSON_OBJECT)
		object_fits(f->of, v, where);
	if (type != JSON_ARRAY)
		return;
	json_array_foreach((json_t *)v, i, item)
	{
		if (f->of)
			object_fits(f->of, item, where);
		else
			value_fits(f, item, JSON_STRING, where);
	}
}

static bool path_is(const char *pattern, const char *path)
{
	while (*pattern && *path && *path != '?') {
		if (*pattern == '{') {
			pattern += strcspn(pattern, "/");
			path += strcspn(path, "/?");
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return !*pattern && (!*path || *path == '?');
}

void api_fits(const char *method, const char *target, int status, const json_t *answer)
{
	struct msg *m = msg_new_request(method, "https", "x", "/");
	enum method wanted = msg_method(m);
	msg_free(m);
	if (strncmp(target, API_PREFIX, strlen(API_PREFIX)) != 0)
		return;
	if (status >= 300) {
		object_fits(&api_shape_error, answer, target);
		return;
	}
	for (const struct api_route *const *t = api_tables; *t; t++)
		for (const struct api_route *r = *t; r->path; r++)
			if (r->method == wanted && path_is(r->path, target + strlen(API_PREFIX))) {
				object_fits(r->answer, answer, target);
				return;
			}
	fail_msg("%s: no such route", target);
}
