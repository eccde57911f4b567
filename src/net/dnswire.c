/* See dnswire.h. A compression pointer must lead to a place before the labels that led to it, so
 * following them ends; a name's whole length is bounded besides. */
#include "net/dnswire.h"

#include <errno.h>
#include <string.h>

void dnswire_put(struct dns_writer *w, const void *p, size_t n)
{
	if (w->rc == 0 && w->n - w->at < n)
		w->rc = -ENOBUFS;
	if (w->rc < 0)
		return;
	if (n)
		memcpy(w->p + w->at, p, n);
	w->at += n;
}

void dnswire_put_u8(struct dns_writer *w, unsigned v)
{
	dnswire_put(w, &(uint8_t){(uint8_t)v}, 1);
}

void dnswire_put_u16(struct dns_writer *w, unsigned v)
{
	uint8_t raw[2] = {(uint8_t)(v >> 8), (uint8_t)v};
	dnswire_put(w, raw, sizeof(raw));
}

void dnswire_put_u32(struct dns_writer *w, uint32_t v)
{
	dnswire_put_u16(w, v >> 16);
	dnswire_put_u16(w, v & 0xffff);
}

void dnswire_put_header(struct dns_writer *w, uint16_t id, unsigned flags, const uint16_t counts[4])
{
	dnswire_put_u16(w, id);
	dnswire_put_u16(w, flags);
	for (unsigned i = 0; i < 4; i++)
		dnswire_put_u16(w, counts[i]);
}

static bool is_plain(uint8_t c)
{
	return c > ' ' && c < 0x7f && c != '.' && c != '\\';
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static void put_label(struct dns_writer *w, const char *s, size_t n)
{
	if (n < 1 || n > 63) {
		w->rc = w->rc ? w->rc : -EINVAL;
		return;
	}
	dnswire_put_u8(w, (unsigned)n);
	for (size_t i = 0; i < n; i++) {
		if (!is_plain((uint8_t)s[i]) && w->rc == 0)
			w->rc = -EINVAL;
		dnswire_put_u8(w, lower((uint8_t)s[i]));
	}
}

void dnswire_put_name(struct dns_writer *w, const char *name)
{
	if (strlen(name) > DNSWIRE_NAME_MAX - 2 && w->rc == 0)
		w->rc = -EINVAL;
	while (*name && w->rc == 0) {
		size_t n = strcspn(name, ".");
		put_label(w, name, n);
		name += n;
		if (*name == '.' && !*++name && w->rc == 0)
			w->rc = -EINVAL; /* a final dot */
	}
	dnswire_put_u8(w, 0);
}

const uint8_t *dnswire_skip(struct dns_reader *r, size_t n)
{
	if (r->bad || r->n - r->at < n) {
		r->bad = true;
		return NULL;
	}
	const uint8_t *p = r->p + r->at;
	r->at += n;
	return p;
}

uint8_t dnswire_u8(struct dns_reader *r)
{
	const uint8_t *p = dnswire_skip(r, 1);
	return p ? *p : 0;
}

uint16_t dnswire_u16(struct dns_reader *r)
{
	const uint8_t *p = dnswire_skip(r, 2);
	return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

uint32_t dnswire_u32(struct dns_reader *r)
{
	uint32_t hi = dnswire_u16(r);
	return hi << 16 | dnswire_u16(r);
}

static bool add_label(char *out, size_t *len, const uint8_t *p, size_t n)
{
	if (*len + n + 2 > DNSWIRE_NAME_MAX) /* `len` has one more a label, as the wire has */
		return false;
	if (out) {
		if (*len)
			out[*len - 1] = '.';
		for (size_t i = 0; i < n; i++) {
			if (!is_plain(p[i]))
				return false;
			out[*len + i] = (char)lower(p[i]);
		}
		out[*len + n] = 0;
	}
	*len += n + 1;
	return true;
}

/* Where a pointer at `at` leads, or 0: never a place of a name, the header is there. */
static size_t pointer_target(const struct dns_reader *r, size_t at, size_t below)
{
	if (at + 1 >= r->n)
		return 0;
	size_t to = (size_t)(r->p[at] & 0x3f) << 8 | r->p[at + 1];
	return to < below && to >= DNSWIRE_HEADER ? to : 0;
}

/* Returns where reading goes on behind the name, or 0 when it is bad. */
static size_t walk_name(const struct dns_reader *r, char *out, enum dnswire_name_rule rule)
{
	size_t at = r->at, below = r->at, len = 0, end = 0;
	while (at < r->n) {
		uint8_t c = r->p[at];
		if (c == 0)
			return end ? end : at + 1;
		if (c >= 0xc0) {
			size_t to = rule == DNSWIRE_PLAIN ? 0 : pointer_target(r, at, below);
			if (!to)
				return 0;
			end = end ? end : at + 2;
			at = below = to;
			continue;
		}
		if (c > 63 || r->n - at - 1 < c || !add_label(out, &len, r->p + at + 1, c))
			return 0;
		at += 1u + c;
	}
	return 0;
}

void dnswire_name(struct dns_reader *r, char *out, enum dnswire_name_rule rule)
{
	if (out)
		out[0] = 0;
	size_t end = r->bad ? 0 : walk_name(r, out, rule);
	if (end) {
		r->at = end;
		return;
	}
	r->bad = true;
	if (out)
		out[0] = 0;
}

void dnswire_rr(struct dns_reader *r, struct dns_raw_rr *rr)
{
	dnswire_name(r, rr->name, DNSWIRE_POINTERS);
	rr->type = dnswire_u16(r);
	rr->class = dnswire_u16(r);
	rr->ttl = dnswire_u32(r);
	rr->data_len = dnswire_u16(r);
	rr->data_at = r->at;
	dnswire_skip(r, rr->data_len);
}
