/* Message heads: storage, start line, body. See msg_int.h; fields are in msg_fields.c. */
#include "http/msg.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "http/msg_int.h"

static const char *const method_names[] = {
	[METHOD_OTHER] = "",
	[METHOD_GET] = "GET",
	[METHOD_HEAD] = "HEAD",
	[METHOD_POST] = "POST",
	[METHOD_PUT] = "PUT",
	[METHOD_DELETE] = "DELETE",
	[METHOD_OPTIONS] = "OPTIONS",
	[METHOD_PATCH] = "PATCH",
	[METHOD_CONNECT] = "CONNECT",
	[METHOD_TRACE] = "TRACE",
};
#define N_METHODS (sizeof(method_names) / sizeof(method_names[0]))

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* ---- storage ---- */

static size_t block_size(unsigned fields, size_t text)
{
	return fields * sizeof(struct slot) + text;
}

struct msg *msg_build(size_t text, unsigned fields)
{
	text += ROOM_TEXT;
	fields += ROOM_FIELDS;
	struct msg *m = xrealloc(NULL, 1, sizeof(*m) + block_size(fields, text));
	*m = (struct msg){.slots = (struct slot *)(m + 1),
		.text_size = (uint32_t)text,
		.n_size = (uint16_t)fields,
		.text_len = 1};
	m->text = (char *)(m->slots + fields);
	m->text[0] = 0;
	return m;
}

void msg_free(struct msg *m)
{
	if (!m)
		return;
	free(m->more);
	free(m);
}

uint32_t msg_put(struct msg *m, const char *s, size_t n)
{
	uint32_t at = m->text_len;
	if (n)
		memcpy(m->text + at, s, n);
	m->text[at + n] = 0;
	m->text_len += (uint32_t)n + 1;
	return at;
}

static void move_start_text(struct msg *m, const char *old)
{
	uint32_t *at[] = {&m->method_at, &m->authority_at, &m->target_at};
	for (unsigned i = 0; i < 3; i++)
		if (*at[i])
			*at[i] = msg_put(m, old + *at[i], strlen(old + *at[i]));
}

void *msg_grow(struct msg *m, size_t text)
{
	size_t text_size = 2 * (m->text_len + text);
	unsigned n_size = 2u * m->n + ROOM_FIELDS;
	void *was = m->more;
	const char *old_text = m->text;
	const struct slot *old = m->slots;
	m->more = xrealloc(NULL, 1, block_size(n_size, text_size));
	m->slots = m->more;
	m->text = (char *)(m->slots + n_size);
	m->text_size = (uint32_t)text_size;
	m->n_size = (uint16_t)n_size;
	m->text_len = 0;
	msg_put(m, "", 0);
	move_start_text(m, old_text);
	for (unsigned i = 0; i < m->n; i++) {
		m->slots[i] = old[i];
		m->slots[i].name = msg_put(m, old_text + old[i].name, old[i].name_len);
		m->slots[i].value = msg_put(m, old_text + old[i].value, old[i].value_len);
	}
	return was;
}

/* ---- start line ---- */

/* Control characters and spaces would split a message: they are stored as %XX. */
static uint32_t put_clean(struct msg *m, const char *s, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";
	void *old = msg_make_room(m, 3 * n + 1);
	uint32_t at = m->text_len;
	char *to = m->text + at;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i];
		if (c > 0x20 && c != 0x7f) {
			*to++ = s[i];
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	*to++ = 0;
	m->text_len = (uint32_t)(to - m->text);
	free(old);
	return at;
}

static enum method method_of(const char *s, size_t n)
{
	for (unsigned i = 1; i < N_METHODS; i++)
		if (!strncmp(method_names[i], s, n) && !method_names[i][n])
			return i;
	return METHOD_OTHER;
}

static uint32_t put_plain(struct msg *m, const char *s, size_t n)
{
	if (!n)
		return 0;
	void *old = msg_make_room(m, n + 1);
	uint32_t at = msg_put(m, s, n);
	free(old);
	return at;
}

static void lower_authority(struct msg *m)
{
	for (char *p = m->text + m->authority_at; *p; p++)
		*p = lower(*p);
}

void msg_set_start(struct msg *m, const struct msg_start *s)
{
	m->method = (uint8_t)method_of(s->method, s->method_len);
	if (m->method == METHOD_OTHER)
		m->method_at = put_plain(m, s->method, s->method_len);
	m->https = !strcmp(s->scheme, "https");
	m->authority_at = put_plain(m, s->authority, s->authority_len);
	lower_authority(m);
	m->target_at = put_plain(m, s->target, s->target_len);
}

struct msg *msg_new_request(
	const char *method, const char *scheme, const char *authority, const char *target)
{
	struct msg *m = msg_build(strlen(authority) + strlen(target), 0);
	m->method = (uint8_t)method_of(method, strlen(method));
	if (m->method == METHOD_OTHER)
		m->method_at = put_clean(m, method, strlen(method));
	m->https = !strcmp(scheme, "https");
	msg_set_authority(m, authority);
	msg_set_target(m, target);
	return m;
}

struct msg *msg_new_response(int status)
{
	struct msg *m = msg_build(0, 0);
	m->status = (int16_t)status;
	return m;
}

struct msg *msg_copy(const struct msg *from)
{
	struct msg *m = msg_build(from->text_len, from->n);
	struct slot *slots = m->slots;
	char *text = m->text;
	uint32_t text_size = m->text_size;
	uint16_t n_size = m->n_size;
	*m = *from;
	m->more = NULL;
	m->slots = slots;
	m->text = text;
	m->text_size = text_size;
	m->n_size = n_size;
	memcpy(slots, from->slots, from->n * sizeof(*slots));
	memcpy(text, from->text, from->text_len);
	return m;
}

enum method msg_method(const struct msg *m)
{
	return m->method;
}

const char *msg_method_text(const struct msg *m)
{
	return m->method ? method_names[m->method] : m->text + m->method_at;
}

const char *msg_scheme(const struct msg *m)
{
	return m->https ? "https" : "http";
}

const char *msg_authority(const struct msg *m)
{
	return m->text + m->authority_at;
}

const char *msg_target(const struct msg *m)
{
	return m->text + m->target_at;
}

void msg_set_target(struct msg *m, const char *target)
{
	m->target_at = put_clean(m, target, strlen(target));
}

void msg_set_authority(struct msg *m, const char *authority)
{
	m->authority_at = put_clean(m, authority, strlen(authority));
	lower_authority(m);
}

bool msg_is_safe(const struct msg *m)
{
	return m->method == METHOD_GET || m->method == METHOD_HEAD || m->method == METHOD_OPTIONS ||
	       m->method == METHOD_TRACE;
}

bool msg_is_idempotent(const struct msg *m)
{
	return msg_is_safe(m) || m->method == METHOD_PUT || m->method == METHOD_DELETE;
}

int msg_status(const struct msg *m)
{
	return m->status;
}

void msg_set_status(struct msg *m, int status)
{
	m->status = (int16_t)status;
}

void msg_set_body(struct msg *m, enum body_kind kind, uint64_t length)
{
	m->body = (uint8_t)kind;
	m->body_length = length;
}

enum body_kind msg_body(const struct msg *m)
{
	return m->body;
}

uint64_t msg_body_length(const struct msg *m)
{
	return m->body_length;
}
