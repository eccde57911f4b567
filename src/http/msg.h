/* One HTTP message head: request line or status, and fields. Wire versions end here: HTTP/1.1 and
 * HTTP/2 both fill in and read this form. Field names are lower case; values have no leading or
 * trailing white space, no CR, LF or NUL. Everything lives in one block that the message owns. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct msg;

/* What the method token means to us; METHOD_OTHER keeps its text in msg_method_text(). */
enum method {
	METHOD_OTHER,
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_OPTIONS,
	METHOD_PATCH,
	METHOD_CONNECT,
	METHOD_TRACE,
};

struct msg *msg_new_request(const char *method, const char *scheme, const char *authority,
	const char *target);
struct msg *msg_new_response(int status);
struct msg *msg_copy(const struct msg *m);
void msg_free(struct msg *m);

/* ---- request ---- */
enum method msg_method(const struct msg *m);
const char *msg_method_text(const struct msg *m);
const char *msg_scheme(const struct msg *m); /* "https" or "http" */
/* host[:port], lower case; "" when the request had none (HTTP/1.0). */
const char *msg_authority(const struct msg *m);
/* origin-form: begins with "/" or is "*". Not decoded. */
const char *msg_target(const struct msg *m);
void msg_set_target(struct msg *m, const char *target);
void msg_set_authority(struct msg *m, const char *authority);
/* GET, HEAD, OPTIONS, TRACE / those and PUT, DELETE (RFC 9110 §9.2). */
bool msg_is_safe(const struct msg *m);
bool msg_is_idempotent(const struct msg *m);

/* ---- response ---- */
int msg_status(const struct msg *m);
void msg_set_status(struct msg *m, int status);

/* ---- fields ---- */
struct field {
	const char *name, *value;
};
unsigned msg_count(const struct msg *m);
/* i < msg_count; removed ones are closed up. Valid until the message changes. */
struct field msg_field(const struct msg *m, unsigned i);
/* The first value, or NULL. `name` in lower case. */
const char *msg_get(const struct msg *m, const char *name);
unsigned msg_get_all(const struct msg *m, const char *name, const char **out, unsigned most);
/* Add one more. 0, -EINVAL for a name or value that HTTP forbids (so nobody can split a message),
 * -ENOBUFS above 64 KiB of fields. */
int msg_add(struct msg *m, const char *name, const char *value);
/* Replace all of that name by one. */
int msg_set(struct msg *m, const char *name, const char *value);
void msg_remove(struct msg *m, const char *name);
void msg_remove_at(struct msg *m, unsigned i);

/* Is `token` (lower case) in the comma-separated list value(s) of `name`? Case-insensitive. */
bool msg_has_token(const struct msg *m, const char *name, const char *token);
/* Drop Connection, what Connection names, Keep-Alive, Proxy-Connection, TE (unless "trailers"),
 * Transfer-Encoding, Upgrade, HTTP2-Settings (RFC 9110 §7.6.1). For an upgrade the caller has read
 * what it needs before. */
void msg_strip_hop_by_hop(struct msg *m);

/* Is this an upgrade request: GET with Connection: upgrade and an Upgrade field? Returns its
 * value (say "websocket") or NULL. */
const char *msg_upgrade(const struct msg *m);

/* How the body is framed, as the parser saw it or the sender wants it. */
enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE };
void msg_set_body(struct msg *m, enum body_kind kind, uint64_t length);
enum body_kind msg_body(const struct msg *m);
uint64_t msg_body_length(const struct msg *m);
