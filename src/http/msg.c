/* Message heads. One allocation holds the struct, a table of slots and the text they point into (by
 * offset); a message that outgrows it moves table and text to a second block, twice as large, and
 * loses what was removed meanwhile. A 64-bit summary of the names present answers most msg_get()
 * calls for absent fields without a walk. */
#include "http/msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xalloc.h"
#include "http/msg_build.h"

#define FIELDS_LEN_MAX 65536u
#define ROOM_TEXT 768u /* for what handlers and proxies add */
#define ROOM_FIELDS 12u

struct slot {
	uint32_t name, value, value_len; /* offsets into the text */
	uint16_t name_len, hash;
};

struct msg {
	struct slot *slots;
	char *text;
	void *more; /* the second block, or NULL */
	uint64_t seen, body_length;
	uint32_t text_len, text_size, fields_len;
	uint32_t method_at, authority_at, target_at; /* 0: "" */
	uint16_t n, n_size;
	int16_t status;
	uint8_t method, body;
	bool https;
};

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

static const uint8_t tchar[256] = {
	['!'] = 1,
	['#' ... '\''] = 1,
	['*' ... '+'] = 1,
	['-' ... '.'] = 1,
	['0' ... '9'] = 1,
	['A' ... 'Z'] = 1,
	['^' ... 'z'] = 1,
	['|'] = 1,
	['~'] = 1,
};

bool msg_is_tchar(uint8_t c)
{
	return tchar[c];
}

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

/* Append `n` bytes and a NUL; there must be room. */
static uint32_t put(struct msg *m, const char *s, size_t n)
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
			*at[i] = put(m, old + *at[i], strlen(old + *at[i]));
}

/* Make room for `text` more bytes and one more slot. What the caller is about to copy may lie in
 * the old text: the block to free afterwards is returned (or NULL). */
static void *make_room(struct msg *m, size_t text)
{
	if (m->text_size - m->text_len >= text && m->n < m->n_size)
		return NULL;
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
	put(m, "", 0);
	move_start_text(m, old_text);
	for (unsigned i = 0; i < m->n; i++) {
		m->slots[i] = old[i];
		m->slots[i].name = put(m, old_text + old[i].name, old[i].name_len);
		m->slots[i].value = put(m, old_text + old[i].value, old[i].value_len);
	}
	return was;
}

/* ---- start line ---- */

/* Control characters and spaces would split a message: they are stored as %XX. */
static uint32_t put_clean(struct msg *m, const char *s, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";
	void *old = make_room(m, 3 * n + 1);
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
	void *old = make_room(m, n + 1);
	uint32_t at = put(m, s, n);
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

/* ---- fields ---- */

static uint16_t name_hash(const char *s, size_t n)
{
	if (!n)
		return 0;
	return (uint16_t)(n * 131 + (uint8_t)s[0] * 31u + (uint8_t)s[n - 1] * 7u +
			  (uint8_t)s[n / 2]);
}

static uint64_t seen_bit(uint16_t hash)
{
	return 1ull << (hash & 63);
}

/* The first slot at or after `i` of that name, or m->n. */
static unsigned find(const struct msg *m, unsigned i, const char *name, size_t n)
{
	uint16_t hash = name_hash(name, n);
	if (!(m->seen & seen_bit(hash)))
		return m->n;
	for (; i < m->n; i++) {
		const struct slot *s = &m->slots[i];
		if (s->hash == hash && s->name_len == n && !memcmp(m->text + s->name, name, n))
			break;
	}
	return i;
}

unsigned msg_count(const struct msg *m)
{
	return m->n;
}

struct field msg_field(const struct msg *m, unsigned i)
{
	return (struct field){m->text + m->slots[i].name, m->text + m->slots[i].value};
}

struct msg_piece msg_piece(const struct msg *m, unsigned i)
{
	const struct slot *s = &m->slots[i];
	return (struct msg_piece){m->text + s->name, m->text + s->value, s->name_len, s->value_len};
}

const char *msg_get(const struct msg *m, const char *name)
{
	unsigned i = find(m, 0, name, strlen(name));
	return i < m->n ? m->text + m->slots[i].value : NULL;
}

unsigned msg_get_all(const struct msg *m, const char *name, const char **out, unsigned most)
{
	size_t len = strlen(name);
	unsigned got = 0;
	for (unsigned i = find(m, 0, name, len); i < m->n && got < most;
		i = find(m, i + 1, name, len))
		out[got++] = m->text + m->slots[i].value;
	return got;
}

static bool value_is_clean(const char *s, size_t n)
{
	unsigned bad = 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i];
		bad |= (unsigned)(c < 0x20 && c != '\t') | (unsigned)(c == 0x7f);
	}
	return !bad;
}

static bool name_is_clean(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!tchar[(uint8_t)s[i]])
			return false;
	return n > 0;
}

int msg_add_n(struct msg *m, const char *name, size_t name_len, const char *value, size_t value_len)
{
	if (name_len > FIELDS_LEN_MAX || value_len > FIELDS_LEN_MAX)
		return -ENOBUFS;
	if (!name_is_clean(name, name_len) || !value_is_clean(value, value_len))
		return -EINVAL;
	size_t cost = name_len + value_len + 4;
	if (name_len > UINT16_MAX || m->fields_len + cost > FIELDS_LEN_MAX)
		return -ENOBUFS;
	void *old = make_room(m, name_len + value_len + 2);
	struct slot *s = &m->slots[m->n++];
	s->name = put(m, name, name_len);
	s->value = put(m, value, value_len);
	s->name_len = (uint16_t)name_len;
	s->value_len = (uint32_t)value_len;
	free(old);
	char *p = m->text + s->name;
	for (size_t i = 0; i < name_len; i++)
		p[i] = lower(p[i]);
	s->hash = name_hash(p, name_len);
	m->seen |= seen_bit(s->hash);
	m->fields_len += (uint32_t)cost;
	return 0;
}

static bool is_ows(char c)
{
	return c == ' ' || c == '\t';
}

static size_t trim(const char **s)
{
	while (is_ows(**s))
		(*s)++;
	size_t n = strlen(*s);
	while (n && is_ows((*s)[n - 1]))
		n--;
	return n;
}

int msg_add(struct msg *m, const char *name, const char *value)
{
	size_t n = trim(&value);
	return msg_add_n(m, name, strlen(name), value, n);
}

static void drop(struct msg *m, unsigned i)
{
	m->fields_len -= m->slots[i].name_len + m->slots[i].value_len + 4u;
	memmove(&m->slots[i], &m->slots[i + 1], (m->n - i - 1u) * sizeof(m->slots[0]));
	m->n--;
}

int msg_set(struct msg *m, const char *name, const char *value)
{
	unsigned was = m->n;
	int rc = msg_add(m, name, value);
	if (rc < 0)
		return rc;
	/* Added first, so that a refused value leaves the message as it was. */
	struct msg_piece p = msg_piece(m, was);
	for (unsigned i; (i = find(m, 0, p.name, p.name_len)) < was; was--)
		drop(m, i);
	return 0;
}

void msg_remove_at(struct msg *m, unsigned i)
{
	drop(m, i);
}

void msg_remove(struct msg *m, const char *name)
{
	size_t len = strlen(name);
	for (unsigned i; (i = find(m, 0, name, len)) < m->n;)
		drop(m, i);
}

static bool list_has(const char *s, const char *token, size_t len)
{
	while (*s) {
		while (is_ows(*s) || *s == ',')
			s++;
		size_t n = strcspn(s, ",");
		const char *next = s + n;
		while (n && is_ows(s[n - 1]))
			n--;
		if (n == len && !strncasecmp(s, token, n))
			return true;
		s = next;
	}
	return false;
}

bool msg_has_token(const struct msg *m, const char *name, const char *token)
{
	size_t len = strlen(name), token_len = strlen(token);
	for (unsigned i = find(m, 0, name, len); i < m->n; i = find(m, i + 1, name, len))
		if (list_has(m->text + m->slots[i].value, token, token_len))
			return true;
	return false;
}

static bool is_hop_by_hop(const struct msg *m, const struct slot *s)
{
	static const char *const names[] = {"connection", "keep-alive", "proxy-connection",
		"transfer-encoding", "upgrade", "http2-settings"};
	const char *name = m->text + s->name;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	if (!strcmp(name, "te"))
		return strcasecmp(m->text + s->value, "trailers") != 0;
	return msg_has_token(m, "connection", name);
}

void msg_strip_hop_by_hop(struct msg *m)
{
	/* Slots are judged while all are still in place: Connection names others. */
	uint8_t gone[FIELDS_LEN_MAX / 5 / 8 + 1];
	memset(gone, 0, m->n / 8u + 1);
	for (unsigned i = 0; i < m->n; i++)
		if (is_hop_by_hop(m, &m->slots[i]))
			gone[i / 8] |= (uint8_t)(1u << (i % 8));
	unsigned kept = 0;
	for (unsigned i = 0; i < m->n; i++) {
		if (gone[i / 8] & (1u << (i % 8)))
			m->fields_len -= m->slots[i].name_len + m->slots[i].value_len + 4u;
		else
			m->slots[kept++] = m->slots[i];
	}
	m->n = (uint16_t)kept;
}

const char *msg_upgrade(const struct msg *m)
{
	if (m->method != METHOD_GET || !msg_has_token(m, "connection", "upgrade"))
		return NULL;
	if (m->body != BODY_NONE && m->body_length)
		return NULL;
	return m->body == BODY_CHUNKED ? NULL : msg_get(m, "upgrade");
}

static bool piece_is(const struct msg_piece *f, const char *name)
{
	return !memcmp(f->name, name, f->name_len);
}

bool msg_is_framing(const struct msg_piece *f)
{
	switch (f->name_len) {
	case 2:
		return piece_is(f, "te");
	case 4:
		return piece_is(f, "host");
	case 7:
		return piece_is(f, "upgrade");
	case 10:
		return piece_is(f, "connection") || piece_is(f, "keep-alive");
	case 14:
		return piece_is(f, "content-length") || piece_is(f, "http2-settings");
	case 16:
		return piece_is(f, "proxy-connection");
	case 17:
		return piece_is(f, "transfer-encoding");
	default:
		return false;
	}
}
