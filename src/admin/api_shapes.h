/* The shapes of the API's answers, said once: the OpenAPI document prints them, the pages' types
 * come from that, and the tests hold every answer against them. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct api_shape;

/* One member of an object, in a request or an answer. */
struct api_field {
	const char *name;           /* NULL ends the list */
	json_type type;             /* JSON_TRUE stands for a boolean */
	bool required;              /* in an answer: always there */
	const char *help;           /* for people; NULL where the name says it */
	bool null;                  /* may be null instead */
	const struct api_shape *of; /* of the object, or of each item; NULL: items are text */
	const char *const *words;   /* all that a text can be, ended by NULL; or NULL */
};

struct api_shape {
	const char *name;
	const struct api_field *fields; /* NULL: any object */
};

extern const struct api_shape api_shape_certificate, api_shape_certificates, api_shape_device,
	api_shape_devices, api_shape_dns_test, api_shape_document, api_shape_error, api_shape_event,
	api_shape_invite, api_shape_launcher, api_shape_link, api_shape_logs, api_shape_me,
	api_shape_nothing, api_shape_pairing, api_shape_reload, api_shape_removed,
	api_shape_sessions, api_shape_status, api_shape_token, api_shape_user, api_shape_users;
