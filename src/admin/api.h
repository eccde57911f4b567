/* The API: one table of routes serves the browser on the gateway's own name and lanthornctl on the
 * Unix socket, and prints the OpenAPI document. A file api_*.c has the handlers of one subject and
 * their part of the table. Control thread only. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "admin/api_shapes.h"
#include "gate/ask.h"
#include "gate/certs_life.h"
#include "http/msg.h"
#include "store/users.h"

#define API_PREFIX "/api/v1/"
#define API_PARAMS_MAX 2

struct api_call;
struct control;

enum api_who {
	API_ADMIN, /* a signed-in admin, or the Unix socket */
	API_USER,  /* anyone signed in, or the Unix socket */
	API_LOCAL, /* the Unix socket alone */
};

struct api_route {
	enum method method;
	const char
		*path; /* below the prefix; "{name}" stands for one segment. NULL ends the table */
	void (*fn)(struct api_call *q);
	enum api_who who;
	const char *summary;
	const struct api_field *fields; /* of the body; NULL: none is wanted */
	const struct api_shape *answer;
};

struct api_call {
	struct control *c;
	struct ask *ask; /* ends by api_reply() or api_fail(), now or later */
	const struct api_route *route;
	char param[API_PARAMS_MAX][256]; /* decoded, in the order of the path */
	const char *query;               /* after "?", or "" */
	json_t *body;                    /* checked against the route's fields; NULL without any */
	struct user user;                /* who asks; id 0 and name "cli" on the Unix socket */
	bool local;
	int64_t session; /* the base session that asks; 0 on the Unix socket */
	struct certs_time now;
};

/* The parts of the table, each ended by an empty route. */
extern const struct api_route api_status_routes[];
extern const struct api_route api_devices_routes[];
extern const struct api_route api_certs_routes[];
extern const struct api_route api_dns_routes[];
extern const struct api_route api_me_routes[];
extern const struct api_route api_users_routes[];
extern const struct api_route api_sessions_routes[];
extern const struct api_route api_docs_routes[];
/* All of them, ended by NULL. */
extern const struct api_route *const api_tables[];

/* The OpenAPI document. */
json_t *api_document(void);

/* A question whose target begins with the prefix. Takes `a`. */
void api_handle(struct control *c, struct ask *a);

/* End the call. Takes `body`; NULL: the memory ran out, which becomes a 500. */
void api_reply(struct api_call *q, int status, json_t *body);
/* The same where the call is gone already and only the ask was kept. */
void api_reply_ask(struct ask *a, int status, json_t *body);
/* {"error":{code,message,remedy}}. `code`: a word for scripts. `remedy` may be NULL. */
void api_fail(
	struct api_call *q, int status, const char *code, const char *message, const char *remedy);
/* For a failure of the database or the disk, by its code. */
void api_fail_err(struct api_call *q, int rc, const struct err *e);

/* A member of the body, or NULL / `missing`. */
const char *api_text(const struct api_call *q, const char *name);
bool api_bool(const struct api_call *q, const char *name, bool missing);
/* A whole number of the query, or `missing` when absent or malformed. */
unsigned api_query_uint(const struct api_call *q, const char *name, unsigned missing);
/* Note what was done, by whoever asks. */
void api_audit(struct api_call *q, const char *action, const char *object, const char *outcome);
/* JSON null for 0, else the number: moments that may be absent. */
json_t *api_moment(int64_t at);

/* ---- shared between the subjects ---- */

/* One certificate as JSON, or NULL when the id is unknown. */
json_t *api_cert_json(struct api_call *q, const char *id);
json_t *api_certs_json(struct api_call *q);
/* When the first of the served certificates ends; JSON null without any. */
json_t *api_trusted_until(struct api_call *q);
json_t *api_devices_json(struct api_call *q);
/* One of them, or NULL. */
json_t *api_device_json(struct api_call *q, const char *name);
/* The devices open to whoever asks. */
json_t *api_tiles_json(struct api_call *q);
/* Text of strangers, which may be no UTF-8. */
json_t *api_foreign(const char *text);
/* How a name stands in DNS; JSON null when it is not to be there. */
json_t *api_name_json(struct api_call *q, const char *name);
json_t *api_names_json(struct api_call *q);
/* "https://HOST:PORT/". */
json_t *api_url_json(struct api_call *q, const char *host);
/* The sessions of a person, newest used first: {"sessions":[…]}. */
json_t *api_sessions_json(struct api_call *q, int64_t user_id);
/* End one session of this person, by the number in the path's parameter `i`, and answer. */
void api_end_session(struct api_call *q, int64_t user_id, unsigned i);
/* The person that the path's first parameter names; false: the call has been answered. */
bool api_find_user(struct api_call *q, struct user *u);
