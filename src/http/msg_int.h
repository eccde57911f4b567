/* Inside http/msg*: how a message is stored. One allocation holds the struct, a table of slots and the
 * text they point into (by offset); a message that outgrows it moves table and text to a second block,
 * twice as large, and loses what was removed meanwhile. A 64-bit summary of the names present answers
 * most msg_get() calls for absent fields without a walk. */
#pragma once

#include "http/msg_build.h"

#define FIELDS_LEN_MAX 65536u
/* For what handlers and proxies add. A common head with it stays below what malloc() is quick at. */
#define ROOM_TEXT 384u
#define ROOM_FIELDS 8u

struct slot {
	uint32_t name, value, value_len; /* offsets into the text */
	uint16_t name_len, hash;
};

struct msg {
	uint64_t seen; /* first: see msg_may_have() */
	struct slot *slots;
	char *text;
	void *more; /* the second block, or NULL */
	uint64_t body_length;
	uint32_t text_len, text_size, fields_len;
	uint32_t method_at, authority_at, target_at; /* 0: "" */
	uint16_t n, n_size;
	int16_t status;
	uint8_t method, body;
	bool https;
};

void *msg_grow(struct msg *m, size_t text);
/* Make room for `text` more bytes and one more slot. What the caller is about to copy may lie in
 * the old text: the block to free afterwards is returned (or NULL). */
static inline void *msg_make_room(struct msg *m, size_t text)
{
	bool fits = m->text_size - m->text_len >= text && m->n < m->n_size;
	return fits ? NULL : msg_grow(m, text);
}
/* Append `n` bytes and a NUL; there must be room. Returns where. */
uint32_t msg_put(struct msg *m, const char *s, size_t n);
