/* Inside http/: building and reading messages by slices with known lengths, for the parsers and the
 * writers of the wire versions. Everything else goes through msg.h. */
#pragma once

#include "http/msg.h"

/* An empty message with room for `text` bytes and `fields` fields before it grows. */
struct msg *msg_build(size_t text, unsigned fields);
/* The start line of a request. Slices hold no CTL and no space; the authority is lower-cased. */
struct msg_start {
	const char *method, *scheme, *authority, *target;
	size_t method_len, authority_len, target_len;
};
void msg_set_start(struct msg *m, const struct msg_start *s);

/* As msg_add, by slices; the value is trimmed already. */
int msg_add_n(
	struct msg *m, const char *name, size_t name_len, const char *value, size_t value_len);

struct msg_piece {
	const char *name, *value;
	size_t name_len, value_len;
	uint16_t hash; /* msg_name_hash() of the name */
};
/* As msg_field, with lengths. */
struct msg_piece msg_piece(const struct msg *m, unsigned i);

/* RFC 9110 §5.6.2: may this byte stand in a token? */
bool msg_is_tchar(uint8_t c);
/* Is it a field of one connection alone, such as Content-Length? A writer says those itself. */
bool msg_names_framing(const struct msg_piece *f);
#define MSG_BIT(name) (1ull << (msg_name_hash(name, sizeof(name) - 1) & 63))
static inline bool msg_is_framing(const struct msg_piece *f)
{
	const uint64_t some = MSG_BIT("te") | MSG_BIT("host") | MSG_BIT("upgrade") |
			      MSG_BIT("connection") | MSG_BIT("keep-alive") |
			      MSG_BIT("content-length") | MSG_BIT("http2-settings") |
			      MSG_BIT("proxy-connection") | MSG_BIT("transfer-encoding");
	return some >> (f->hash & 63) & 1 && msg_names_framing(f);
}
