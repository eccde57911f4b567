/* Message heads: their fields. See msg_int.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/msg_int.h"

/* Lower case of what may stand in a token (RFC 9110 §5.6.2); 0: it may not. */
static const uint8_t name_byte[256] = {
	['!'] = '!',
	['#'] = '#',
	['$'] = '$',
	['%'] = '%',
	['&'] = '&',
	['\''] = '\'',
	['*'] = '*',
	['+'] = '+',
	['-'] = '-',
	['.'] = '.',
	['0'] = '0',
	['1'] = '1',
	['2'] = '2',
	['3'] = '3',
	['4'] = '4',
	['5'] = '5',
	['6'] = '6',
	['7'] = '7',
	['8'] = '8',
	['9'] = '9',
	['A'] = 'a',
	['B'] = 'b',
	['C'] = 'c',
	['D'] = 'd',
	['E'] = 'e',
	['F'] = 'f',
	['G'] = 'g',
	['H'] = 'h',
	['I'] = 'i',
	['J'] = 'j',
	['K'] = 'k',
	['L'] = 'l',
	['M'] = 'm',
	['N'] = 'n',
	['O'] = 'o',
	['P'] = 'p',
	['Q'] = 'q',
	['R'] = 'r',
	['S'] = 's',
	['T'] = 't',
	['U'] = 'u',
	['V'] = 'v',
	['W'] = 'w',
	['X'] = 'x',
	['Y'] = 'y',
	['Z'] = 'z',
	['^'] = '^',
	['_'] = '_',
	['`'] = '`',
	['a'] = 'a',
	['b'] = 'b',
	['c'] = 'c',
	['d'] = 'd',
	['e'] = 'e',
	['f'] = 'f',
	['g'] = 'g',
	['h'] = 'h',
	['i'] = 'i',
	['j'] = 'j',
	['k'] = 'k',
	['l'] = 'l',
	['m'] = 'm',
	['n'] = 'n',
	['o'] = 'o',
	['p'] = 'p',
	['q'] = 'q',
	['r'] = 'r',
	['s'] = 's',
	['t'] = 't',
	['u'] = 'u',
	['v'] = 'v',
	['w'] = 'w',
	['x'] = 'x',
	['y'] = 'y',
	['z'] = 'z',
	['|'] = '|',
	['~'] = '~',
};

bool msg_is_tchar(uint8_t c)
{
	return name_byte[c] != 0;
}

static uint64_t seen_bit(uint16_t hash)
{
	return 1ull << (hash & 63);
}

/* The first slot at or after `i` of that name, or m->n. */
static unsigned find_hashed(
	const struct msg *m, unsigned i, const char *name, size_t n, uint16_t hash)
{
	for (; i < m->n; i++) {
		const struct slot *s = &m->slots[i];
		if (s->hash == hash && s->name_len == n && !memcmp(m->text + s->name, name, n))
			break;
	}
	return i;
}

static inline unsigned find(const struct msg *m, unsigned i, const char *name, size_t n)
{
	uint16_t hash = msg_name_hash(name, n);
	return msg_may_have(m, hash) ? find_hashed(m, i, name, n, hash) : m->n;
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
	return (struct msg_piece){
		m->text + s->name, m->text + s->value, s->name_len, s->value_len, s->hash};
}

const char *msg_get_hashed(const struct msg *m, const char *name, size_t n, uint16_t hash)
{
	unsigned i = find_hashed(m, 0, name, n, hash);
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

/* ---- eight bytes at a time ---- */

#define EVERY(byte) (0x0101010101010101u * (byte))

static uint64_t load8(const char *s)
{
	uint64_t w;
	memcpy(&w, s, sizeof(w));
	return w;
}

/* 4 to 8 bytes as one word, some of them twice. */
static uint64_t load_short(const char *s, size_t n)
{
	uint32_t head, tail;
	memcpy(&head, s, sizeof(head));
	memcpy(&tail, s + n - sizeof(tail), sizeof(tail));
	return (uint64_t)tail << 32 | head;
}

/* Has one of these eight bytes a value below 0x20, or 0x7f? May say so wrongly, never miss one. */
static bool may_be_unclean(uint64_t w)
{
	const uint64_t ones = EVERY(1), high = EVERY(0x80);
	uint64_t control = (w - 0x20 * ones) & ~w,
		 del = ((w ^ 0x7f * ones) - ones) & ~(w ^ 0x7f * ones);
	return (control | del) & high;
}

static bool bytes_are_clean(const char *s, size_t n)
{
	unsigned bad = 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i];
		bad |= (unsigned)(c < 0x20 && c != '\t') | (unsigned)(c == 0x7f);
	}
	return !bad;
}

static bool value_is_clean(const char *s, size_t n)
{
	if (n < 4)
		return bytes_are_clean(s, n);
	if (n < 8)
		return !may_be_unclean(load_short(s, n)) || bytes_are_clean(s, n);
	for (size_t i = 0; i + 8 < n; i += 8)
		if (may_be_unclean(load8(s + i)))
			return bytes_are_clean(s, n);
	return !may_be_unclean(load8(s + n - 8)) || bytes_are_clean(s, n);
}

/* Are all eight letters, digits or "-"? Then OR with 0x20 in each makes them lower case. */
static bool is_usual_name(uint64_t w)
{
	uint64_t low = w | EVERY(0x20);
	uint64_t letter = (low + EVERY(0x80 - 'a')) & ~(low + EVERY(0x7f - 'z'));
	uint64_t digit = (low + EVERY(0x80 - '0')) & ~(low + EVERY(0x7f - '9'));
	uint64_t dash = (low + EVERY(0x80 - '-')) & ~(low + EVERY(0x7f - '-'));
	/* Below 0x20, where OR would make another byte of it, neither 0x20 nor 0x40 is set. */
	uint64_t printable = (w << 1 | w << 2) & ~w;
	return ((letter | digit | dash) & printable & EVERY(0x80)) == EVERY(0x80);
}

static bool lower_bytes(char *to, const char *s, size_t n)
{
	bool bad = !n;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = name_byte[(uint8_t)s[i]];
		bad |= !c;
		to[i] = (char)c;
	}
	return !bad;
}

static bool lower_word(char *to, const char *s)
{
	uint64_t w = load8(s);
	if (!is_usual_name(w))
		return false;
	w |= EVERY(0x20);
	memcpy(to, &w, sizeof(w));
	return true;
}

static bool lower_short(char *to, const char *s, size_t n)
{
	uint64_t w = load_short(s, n);
	if (!is_usual_name(w))
		return false;
	w |= EVERY(0x20);
	uint32_t head = (uint32_t)w, tail = (uint32_t)(w >> 32);
	memcpy(to, &head, sizeof(head));
	memcpy(to + n - sizeof(tail), &tail, sizeof(tail));
	return true;
}

/* Copy a name in lower case; false when it is none. */
static bool lower_name(char *to, const char *s, size_t n)
{
	if (n < 4)
		return lower_bytes(to, s, n);
	if (n < 8)
		return lower_short(to, s, n) || lower_bytes(to, s, n);
	for (size_t i = 0; i + 8 < n; i += 8)
		if (!lower_word(to + i, s + i))
			return lower_bytes(to, s, n);
	return lower_word(to + n - 8, s + n - 8) || lower_bytes(to, s, n);
}

/* Within the limits, and without what would split a message. */
static int judge(const struct msg *m, size_t name_len, const char *value, size_t value_len)
{
	if (name_len > UINT16_MAX || value_len > FIELDS_LEN_MAX ||
		m->fields_len + name_len + value_len + 4 > FIELDS_LEN_MAX)
		return -ENOBUFS;
	return value_is_clean(value, value_len) ? 0 : -EINVAL;
}

/* The name is where the text ends, in lower case. */
static void take_slot(struct msg *m, size_t name_len, uint16_t hash, const char *value, size_t n)
{
	struct slot *s = &m->slots[m->n++];
	s->name = m->text_len;
	m->text[m->text_len + name_len] = 0;
	m->text_len += (uint32_t)name_len + 1;
	s->value = msg_put(m, value, n);
	s->name_len = (uint16_t)name_len;
	s->value_len = (uint32_t)n;
	s->hash = hash;
	m->seen |= seen_bit(hash);
	m->fields_len += (uint32_t)(name_len + n + 4);
}

int msg_add_n(struct msg *m, const char *name, size_t name_len, const char *value, size_t value_len)
{
	int rc = judge(m, name_len, value, value_len);
	if (rc < 0)
		return rc;
	void *old = msg_make_room(m, name_len + value_len + 2);
	char *to = m->text + m->text_len;
	if (lower_name(to, name, name_len))
		take_slot(m, name_len, msg_name_hash(to, name_len), value, value_len);
	else
		rc = -EINVAL;
	free(old);
	return rc;
}

int msg_add_named(struct msg *m, const struct msg_name *name, const char *value, size_t n)
{
	int rc = judge(m, name->n, value, n);
	if (rc < 0)
		return rc;
	void *old = msg_make_room(m, name->n + n + 2);
	memcpy(m->text + m->text_len, name->text, name->n);
	take_slot(m, name->n, name->hash, value, n);
	free(old);
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

bool msg_has_token_hashed(
	const struct msg *m, const char *name, size_t n, uint16_t hash, const char *token)
{
	size_t token_len = strlen(token);
	for (unsigned i = find_hashed(m, 0, name, n, hash); i < m->n;
		i = find_hashed(m, i + 1, name, n, hash))
		if (list_has(m->text + m->slots[i].value, token, token_len))
			return true;
	return false;
}

static bool is_hop_by_hop(const struct msg_part *f, uint16_t hash)
{
	const struct msg_piece p = {f->name, f->value, f->name_len, f->value_len, hash};
	if (!msg_is_framing(&p))
		return false;
	if (f->name_len == 2)
		return strcasecmp(f->value, "trailers") != 0;
	return strcmp(f->name, "host") && strcmp(f->name, "content-length");
}

/* Does Connection name more than options of its own? */
static bool names_others(const struct msg *m)
{
	unsigned i = find(m, 0, "connection", 10);
	if (i == m->n)
		return false;
	const char *value = m->text + m->slots[i].value;
	return find(m, i + 1, "connection", 10) < m->n ||
	       (strcasecmp(value, "keep-alive") && strcasecmp(value, "close") &&
		       strcasecmp(value, "upgrade"));
}

/* Fields that Connection names. They are judged while all are still in place. */
static void drop_named(struct msg *m)
{
	uint8_t gone[FIELDS_LEN_MAX / 5 / 8 + 1];
	memset(gone, 0, m->n / 8u + 1);
	for (unsigned i = 0; i < m->n; i++) {
		const char *name = m->text + m->slots[i].name;
		if (strcmp(name, "connection") && strcmp(name, "te") &&
			msg_has_token(m, "connection", name))
			gone[i / 8] |= (uint8_t)(1u << (i % 8));
	}
	for (unsigned i = m->n; i-- > 0;)
		if (gone[i / 8] & (1u << (i % 8)))
			drop(m, i);
}

void msg_filter(struct msg *m, msg_keep_fn keep, void *ctx)
{
	unsigned kept = 0;
	if (names_others(m))
		drop_named(m);
	for (unsigned i = 0; i < m->n; i++) {
		struct slot s = m->slots[i];
		struct msg_part f = {m->text + s.name, m->text + s.value, s.name_len, s.value_len};
		if (is_hop_by_hop(&f, s.hash) || (keep && !keep(ctx, &f))) {
			m->fields_len -= s.name_len + s.value_len + 4u;
			continue;
		}
		m->fields_len -= s.value_len - (uint32_t)f.value_len;
		s.value_len = (uint32_t)f.value_len;
		f.value[f.value_len] = 0;
		m->slots[kept++] = s;
	}
	m->n = (uint16_t)kept;
}

void msg_strip_hop_by_hop(struct msg *m)
{
	msg_filter(m, NULL, NULL);
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

bool msg_signs_in_connection(const struct msg *m, const char *name)
{
	const char *all[8];
	unsigned n = msg_get_all(m, name, all, 8);
	for (unsigned i = 0; i < n; i++)
		if (strcasestr(all[i], "ntlm") || strcasestr(all[i], "negotiate"))
			return true;
	return n == 8;
}

bool msg_names_framing(const struct msg_piece *f)
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
