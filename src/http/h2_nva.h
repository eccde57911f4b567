/* Inside http/: a message head as the framing library takes it. The slices point into the message
 * and stay valid while it does; the library copies them when it is given them, but for names that
 * are literals: it copies names byte by byte. */
#pragma once

#include <nghttp2/nghttp2.h>

struct msg;

#define H2_NVA_MAX 256u

struct h2_nva {
	unsigned n;
	nghttp2_nv at[H2_NVA_MAX];
};

/* Append; what is too much is left out. `name` is a literal in lower case. */
void h2_nva_put(struct h2_nva *v, const char *name, const char *value);
/* All fields but those of a connection, Content-Length (RFC 9113 §8.2.2), and `without` (may be
 * NULL). */
void h2_nva_fields(struct h2_nva *v, const struct msg *m, const char *without);
/* Names that most messages have, each at its place; the others are empty. */
struct h2_nva_name {
	const char *text;
	size_t n;
};
extern const struct h2_nva_name h2_nva_names[256];
unsigned h2_nva_place(uint16_t hash);
