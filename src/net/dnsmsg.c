/* See dnsmsg.h. Questions, their answers and dynamic updates; TSIG is in dnsmsg_tsig.c. A message
 * is taken whole or not at all: each record is walked to the last byte, also those that the
 * caller's table has no room for. */
#include "net/dnsmsg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "net/dnswire.h"

#define FLAG_QR 0x8000
#define FLAG_AA 0x0400
#define FLAG_TC 0x0200
#define FLAG_RD 0x0100
#define OPCODE(flags) ((flags) >> 11 & 15)
#define OPCODE_QUERY 0
#define OPCODE_UPDATE 5
#define TTL_MAX 0x7fffffffu /* RFC 2181 §8 */
#define EDNS_UDP_SIZE 1232

static int finish(const struct dns_writer *w)
{
	return w->rc < 0 ? w->rc : (int)w->at;
}

int dns_query_encode(uint8_t *out, size_t size, uint16_t id, const char *name, enum dns_type type,
	bool recursion_desired)
{
	struct dns_writer w = {.p = out, .n = size};
	dnswire_put_header(
		&w, id, recursion_desired ? FLAG_RD : 0, (const uint16_t[4]){1, 0, 0, 1});
	dnswire_put_name(&w, name);
	dnswire_put_u16(&w, type);
	dnswire_put_u16(&w, DNS_CLASS_IN);
	dnswire_put_name(&w, ""); /* RFC 6891 §6.1.2 */
	dnswire_put_u16(&w, DNS_OPT);
	dnswire_put_u16(&w, EDNS_UDP_SIZE);
	dnswire_put_u32(&w, 0);
	dnswire_put_u16(&w, 0);
	return finish(&w);
}

struct header {
	uint16_t id, flags, counts[4];
};

/* The header of an answer to `id`. */
static int get_header(
	struct dns_reader *r, struct header *h, uint16_t id, unsigned opcode, struct err *e)
{
	h->id = dnswire_u16(r);
	h->flags = dnswire_u16(r);
	for (unsigned i = 0; i < 4; i++)
		h->counts[i] = dnswire_u16(r);
	if (r->bad)
		return err_set(e, -EBADMSG, "a DNS answer shorter than its header");
	if (h->id != id || !(h->flags & FLAG_QR) || OPCODE(h->flags) != opcode)
		return err_set(e, -EBADMSG, "a DNS message that is no answer to ours");
	return 0;
}

static void read_txt(struct dns_reader *r, size_t end, char *text)
{
	size_t len = 0;
	bool shown = true;
	r->bad |= r->at == end; /* RFC 1035 §3.3.14: one string at least */
	while (!r->bad && r->at < end) {
		size_t n = dnswire_u8(r);
		const uint8_t *p = dnswire_skip(r, n);
		if (!p)
			break;
		shown = shown && len + n < DNS_RDATA_MAX && !memchr(p, 0, n);
		if (shown)
			memcpy(text + len, p, n);
		len += n;
	}
	text[shown && !r->bad ? len : 0] = 0;
}

static void read_addr(struct dns_reader *r, int family, char *text)
{
	const uint8_t *p = dnswire_skip(r, family == AF_INET ? 4 : 16);
	if (p)
		inet_ntop(family, p, text, DNS_RDATA_MAX);
}

/* The record's data as text; it must fill its length exactly. */
static bool read_data(struct dns_reader in, const struct dns_raw_rr *raw, char *text)
{
	size_t end = raw->data_at + raw->data_len;
	struct dns_reader r = {.p = in.p, .n = end, .at = raw->data_at};
	text[0] = 0;
	if (raw->class != DNS_CLASS_IN)
		return true;
	switch (raw->type) {
	case DNS_A:
		read_addr(&r, AF_INET, text);
		break;
	case DNS_AAAA:
		read_addr(&r, AF_INET6, text);
		break;
	case DNS_NS:
	case DNS_CNAME:
		dnswire_name(&r, text, DNSWIRE_POINTERS);
		break;
	case DNS_SOA:
		dnswire_name(&r, text, DNSWIRE_POINTERS);
		dnswire_name(&r, NULL, DNSWIRE_POINTERS);
		dnswire_skip(&r, 20);
		break;
	case DNS_TXT:
		read_txt(&r, end, text);
		break;
	default:
		r.at = end;
	}
	return !r.bad && r.at == end;
}

/* RFC 6891 §6.1.3: the upper bits of the code; 255 stands for all above. */
static void extend_rcode(struct dns_reply *r, uint32_t opt_ttl)
{
	unsigned code = (unsigned)(opt_ttl >> 24 << 4) | (r->rcode & 15u);
	r->rcode = (uint8_t)(code > 255 ? 255 : code);
}

static int read_rr(struct dns_reply *r, struct dns_reader *in, unsigned section, unsigned *opts)
{
	struct dns_raw_rr raw;
	dnswire_rr(in, &raw);
	if (in->bad)
		return -EBADMSG;
	if (raw.type == DNS_OPT) {
		if (section != 3 || raw.name[0] || ++*opts > 1)
			return -EBADMSG;
		extend_rcode(r, raw.ttl);
		return 0;
	}
	struct dns_rr spare, *rr = r->n_rrs < DNS_RRS_MAX ? &r->rrs[r->n_rrs] : &spare;
	if (!read_data(*in, &raw, rr->text))
		return -EBADMSG;
	if (rr == &spare) {
		r->truncated = true;
		return 0;
	}
	strcpy(rr->name, raw.name);
	rr->type = raw.type;
	rr->class = raw.class;
	rr->ttl = raw.ttl > TTL_MAX ? 0 : raw.ttl;
	rr->section = (uint8_t)section;
	r->n_rrs++;
	return 0;
}

static int read_sections(
	struct dns_reply *r, struct dns_reader *in, const uint16_t counts[4], struct err *e)
{
	unsigned opts = 0;
	for (unsigned section = 1; section <= 3; section++) {
		for (unsigned i = 0; i < counts[section]; i++) {
			if (read_rr(r, in, section, &opts) < 0)
				return err_set(e, -EBADMSG, "a DNS answer with a damaged record");
		}
	}
	if (in->at != in->n)
		return err_set(e, -EBADMSG, "a DNS answer with bytes behind its end");
	return 0;
}

/* Some servers answer what they do not understand with a header alone. */
static bool is_bare_failure(
	const struct dns_reply *r, const struct dns_reader *in, const struct header *h)
{
	return r->rcode != DNS_NOERROR && in->n == DNSWIRE_HEADER && !h->counts[0] &&
	       !h->counts[1] && !h->counts[2] && !h->counts[3];
}

static bool is_same_question(struct dns_reader *in, const char *name, enum dns_type type)
{
	char asked[DNS_NAME_MAX];
	dnswire_name(in, asked, DNSWIRE_PLAIN);
	unsigned t = dnswire_u16(in), class = dnswire_u16(in);
	return !in->bad && str_eq_nocase(asked, name) && t == type && class == DNS_CLASS_IN;
}

int dns_reply_decode(struct dns_reply *r, const uint8_t *p, size_t n, uint16_t id, const char *name,
	enum dns_type type, struct err *e)
{
	struct dns_reader in = {.p = p, .n = n};
	struct header h;
	r->n_rrs = 0;
	int rc = get_header(&in, &h, id, OPCODE_QUERY, e);
	if (rc < 0)
		return rc;
	r->id = h.id;
	r->rcode = h.flags & 15;
	r->authoritative = h.flags & FLAG_AA;
	r->truncated = h.flags & FLAG_TC;
	if (is_bare_failure(r, &in, &h))
		return 0;
	if (h.counts[0] != 1 || !is_same_question(&in, name, type))
		return err_set(e, -EBADMSG, "a DNS answer to another question");
	if (r->truncated)
		return 0; /* RFC 2181 §9: what is there may be half a set */
	return read_sections(r, &in, h.counts, e);
}

/* Its length, then the strings of at most 255 bytes (RFC 1035 §3.3.14). */
static void put_txt(struct dns_writer *w, const char *value)
{
	size_t n = strlen(value), strings = n ? (n + 254) / 255 : 1;
	if (n + strings > DNS_RDATA_MAX) {
		w->rc = -EINVAL;
		return;
	}
	dnswire_put_u16(w, (unsigned)(n + strings));
	for (size_t i = 0; i < strings; i++) {
		size_t k = n < 255 ? n : 255;
		dnswire_put_u8(w, (unsigned)k);
		dnswire_put(w, value, k);
		value += k;
		n -= k;
	}
}

static void put_data(struct dns_writer *w, const struct dns_update *u)
{
	uint8_t raw[16];
	int family = u->type == DNS_A ? AF_INET : AF_INET6;
	unsigned len = u->type == DNS_A ? 4 : 16;
	if (u->type == DNS_TXT) {
		put_txt(w, u->value);
		return;
	}
	if (inet_pton(family, u->value, raw) != 1) {
		w->rc = -EINVAL;
		return;
	}
	dnswire_put_u16(w, len);
	dnswire_put(w, raw, len);
}

static void put_update(struct dns_writer *w, const struct dns_update *u)
{
	dnswire_put_name(w, u->name);
	dnswire_put_u16(w, u->type);
	switch (u->op) {
	case DNS_ADD:
		dnswire_put_u16(w, DNS_CLASS_IN);
		dnswire_put_u32(w, u->ttl);
		put_data(w, u);
		return;
	case DNS_DELETE_VALUE:
		dnswire_put_u16(w, DNS_CLASS_NONE);
		dnswire_put_u32(w, 0);
		put_data(w, u);
		return;
	case DNS_DELETE_RRSET:
		dnswire_put_u16(w, DNS_CLASS_ANY);
		dnswire_put_u32(w, 0);
		dnswire_put_u16(w, 0);
		return;
	}
}

/* Every change is in the first one's zone and of a type that has a form here. */
static bool updates_ok(const struct dns_update *u, size_t n)
{
	if (n < 1 || n > UINT16_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		char zone[DNS_NAME_MAX], name[DNS_NAME_MAX];
		if (str_copy(zone, sizeof(zone), u[i].zone) < 0 ||
			str_copy(name, sizeof(name), u[i].name) < 0)
			return false;
		str_lower(zone);
		str_lower(name);
		if (!str_eq_nocase(u[0].zone, zone) || (*zone && !name_is_within(name, zone)))
			return false;
		if (u[i].type != DNS_A && u[i].type != DNS_AAAA && u[i].type != DNS_TXT)
			return false;
		if (u[i].ttl > TTL_MAX || (u[i].op != DNS_DELETE_RRSET && !u[i].value))
			return false;
	}
	return true;
}

int dns_update_encode(
	uint8_t *out, size_t size, uint16_t id, const struct dns_update *u, size_t n_updates)
{
	struct dns_writer w = {.p = out, .n = size};
	if (!updates_ok(u, n_updates))
		return -EINVAL;
	dnswire_put_header(
		&w, id, OPCODE_UPDATE << 11, (const uint16_t[4]){1, 0, (uint16_t)n_updates, 0});
	dnswire_put_name(&w, u->zone);
	dnswire_put_u16(&w, DNS_SOA);
	dnswire_put_u16(&w, DNS_CLASS_IN);
	for (size_t i = 0; i < n_updates && w.rc == 0; i++)
		put_update(&w, &u[i]);
	return finish(&w);
}

int dns_update_reply(const uint8_t *p, size_t n, uint16_t id, uint8_t *rcode, struct err *e)
{
	struct dns_reader in = {.p = p, .n = n};
	struct header h;
	int rc = get_header(&in, &h, id, OPCODE_UPDATE, e);
	if (rc < 0)
		return rc;
	/* RFC 2136 §3.8: the sections come back whole or not at all. */
	for (unsigned i = 0; i < h.counts[0] && !in.bad; i++) {
		dnswire_name(&in, NULL, DNSWIRE_POINTERS);
		dnswire_skip(&in, 4);
	}
	struct dns_raw_rr raw;
	for (unsigned section = 1; section <= 3; section++) {
		for (unsigned i = 0; i < h.counts[section] && !in.bad; i++)
			dnswire_rr(&in, &raw);
	}
	if (in.bad || in.at != in.n)
		return err_set(e, -EBADMSG, "a damaged answer to a DNS update");
	*rcode = h.flags & 15;
	return 0;
}

const char *dns_rcode_text(unsigned rcode)
{
	static const char *const text[] = {
		[DNS_NOERROR] = "the server agreed (NOERROR)",
		[DNS_FORMERR] = "the server could not read the message (FORMERR)",
		[DNS_SERVFAIL] = "the server failed (SERVFAIL): its own log says why",
		[DNS_NXDOMAIN] = "the name does not exist (NXDOMAIN)",
		[DNS_NOTIMP] = "the server does not do this (NOTIMP): dynamic updates are off",
		[DNS_REFUSED] = "the server refused (REFUSED): its policy does not allow this key, "
				"name or type",
		[DNS_YXDOMAIN] = "a name exists that should not (YXDOMAIN)",
		[DNS_YXRRSET] = "a record exists that should not (YXRRSET)",
		[DNS_NXRRSET] = "a record is missing that should exist (NXRRSET)",
		[DNS_NOTAUTH] = "the server does not own this zone, or does not accept the key "
				"(NOTAUTH)",
		[DNS_NOTZONE] = "the name is not inside the zone (NOTZONE)",
		[DNS_BADSIG] =
			"the signature is wrong (BADSIG): the secret differs from the server's",
		[DNS_BADKEY] = "the server does not know the key (BADKEY)",
		[DNS_BADTIME] = "the clocks differ too much (BADTIME)",
	};
	if (rcode >= sizeof(text) / sizeof(text[0]) || !text[rcode])
		return "the server answered with an unknown code";
	return text[rcode];
}
