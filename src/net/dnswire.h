/* Bytes of DNS messages, for dnsmsg alone: cursors that turn bad once and stay so, and names. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNSWIRE_HEADER 12
#define DNSWIRE_NAME_MAX 255 /* RFC 1035 §2.3.4, with the lengths and the root */

#define DNS_CLASS_IN 1
#define DNS_CLASS_NONE 254
#define DNS_CLASS_ANY 255
#define DNS_OPT 41

/* Writes after an error do nothing; `rc` keeps the first one: -EINVAL or -ENOBUFS. */
struct dns_writer {
	uint8_t *p;
	size_t n, at;
	int rc;
};

void dnswire_put(struct dns_writer *w, const void *p, size_t n);
void dnswire_put_u8(struct dns_writer *w, unsigned v);
void dnswire_put_u16(struct dns_writer *w, unsigned v);
void dnswire_put_u32(struct dns_writer *w, uint32_t v);
/* Text to labels, lower case, uncompressed. A name that could not be read back is -EINVAL. */
void dnswire_put_name(struct dns_writer *w, const char *name);
/* id, flags, then the four counts. */
void dnswire_put_header(
	struct dns_writer *w, uint16_t id, unsigned flags, const uint16_t counts[4]);

/* Reads after an error give zeros; `bad` stays. */
struct dns_reader {
	const uint8_t *p;
	size_t n, at;
	bool bad;
};

uint8_t dnswire_u8(struct dns_reader *r);
uint16_t dnswire_u16(struct dns_reader *r);
uint32_t dnswire_u32(struct dns_reader *r);
/* Skip `n` bytes; returns where they stood, or NULL. */
const uint8_t *dnswire_skip(struct dns_reader *r, size_t n);

enum dnswire_name_rule {
	DNSWIRE_POINTERS, /* RFC 1035 §4.1.4, only to a place before this name */
	DNSWIRE_PLAIN,    /* no compression here */
};
/* Labels to lower-case text in `out` (254 bytes), or only checked and passed over when NULL. In
 * text, a label with a dot, a backslash, a space or a byte outside ASCII's printable ones is bad:
 * there would be two names for one text. */
void dnswire_name(struct dns_reader *r, char *out, enum dnswire_name_rule rule);

/* The fixed part of a resource record; the cursor then stands behind its data. */
struct dns_raw_rr {
	char name[254];
	uint16_t type, class;
	uint32_t ttl;
	size_t data_at;
	uint16_t data_len;
};
void dnswire_rr(struct dns_reader *r, struct dns_raw_rr *rr);
