/* One HTTP message head: request line or status, and fields. Wire versions end here: HTTP/1.1 and
 * HTTP/2 both fill in and read this form. Field names are lower case; values have no leading or
 * trailing white space, no CR, LF or NUL. Everything lives in one block that the message owns. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

struct msg *msg_new_request(
	const char *method, const char *scheme, const char *authority, const char *target);
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
/* Of a name in lower case. Names are told apart by it first; the compiler knows that of a literal.
 */
static inline uint16_t msg_name_hash(const char *s, size_t n)
{
	if (!n)
		return 0;
	return (uint16_t)(n * 131 + (uint8_t)s[0] * 31u + (uint8_t)s[n - 1] * 7u +
			  (uint8_t)s[n / 2]);
}
/* Could a field of that hash be there? A message begins with a summary of its names' hashes, which
 * answers for most absent ones. */
static inline bool msg_may_have(const struct msg *m, uint16_t hash)
{
	return *(const uint64_t *)(const void *)m >> (hash & 63) & 1;
}
/* As msg_get and msg_has_token, with the name's length and hash. */
const char *msg_get_hashed(const struct msg *m, const char *name, size_t n, uint16_t hash);
bool msg_has_token_hashed(
	const struct msg *m, const char *name, size_t n, uint16_t hash, const char *token);
/* The first value, or NULL. `name` in lower case. */
static inline const char *msg_get(const struct msg *m, const char *name)
{
	size_t n = strlen(name);
	uint16_t hash = msg_name_hash(name, n);
	return msg_may_have(m, hash) ? msg_get_hashed(m, name, n, hash) : NULL;
}
unsigned msg_get_all(const struct msg *m, const char *name, const char **out, unsigned most);
/* Add one more. 0, -EINVAL for a name or value that HTTP forbids (so nobody can split a message),
 * -ENOBUFS above 64 KiB of fields. */
int msg_add(struct msg *m, const char *name, const char *value);
struct msg_name {
	const char *text; /* a token in lower case */
	size_t n;
	uint16_t hash; /* msg_name_hash() */
};
int msg_add_named(struct msg *m, const struct msg_name *name, const char *value, size_t n);
/* As msg_add, cheaper, for a field of our own: `name` is a literal in lower case, and `value` has
 * no white space at its ends. */
static inline int msg_add_own(struct msg *m, const char *name, const char *value)
{
	size_t n = strlen(name);
	return msg_add_named(
		m, &(struct msg_name){name, n, msg_name_hash(name, n)}, value, strlen(value));
}
/* Replace all of that name by one. */
int msg_set(struct msg *m, const char *name, const char *value);
void msg_remove(struct msg *m, const char *name);
void msg_remove_at(struct msg *m, unsigned i);

/* Is `token` (lower case) in the comma-separated list value(s) of `name`? Case-insensitive. */
static inline bool msg_has_token(const struct msg *m, const char *name, const char *token)
{
	size_t n = strlen(name);
	uint16_t hash = msg_name_hash(name, n);
	return msg_may_have(m, hash) && msg_has_token_hashed(m, name, n, hash, token);
}
/* Does `name` (Authorization, WWW-Authenticate) speak NTLM or Negotiate? They sign in connections,
 * not requests (RFC 4559 §6): one that spoke them serves nobody else. */
bool msg_signs_in_connection(const struct msg *m, const char *name);
/* Drop Connection, what Connection names, Keep-Alive, Proxy-Connection, TE (unless "trailers"),
 * Transfer-Encoding, Upgrade, HTTP2-Settings (RFC 9110 §7.6.1). For an upgrade the caller has read
 * what it needs before. */
void msg_strip_hop_by_hop(struct msg *m);

/* One field with its lengths, while msg_filter looks at it. */
struct msg_part {
	const char *name;
	char *value;
	size_t name_len, value_len;
};
/* Shall it stay? It may shorten the value in place (and then says so in value_len), but must not
 * look at the message. */
typedef bool (*msg_keep_fn)(void *ctx, struct msg_part *f);
/* msg_strip_hop_by_hop and, in the same pass, drop what `keep` (may be NULL) says no to. */
void msg_filter(struct msg *m, msg_keep_fn keep, void *ctx);

/* Is this an upgrade request: GET with Connection: upgrade and an Upgrade field? Returns its
 * value (say "websocket") or NULL. */
const char *msg_upgrade(const struct msg *m);

/* How the body is framed, as the parser saw it or the sender wants it. */
enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE };
void msg_set_body(struct msg *m, enum body_kind kind, uint64_t length);
enum body_kind msg_body(const struct msg *m);
uint64_t msg_body_length(const struct msg *m);
