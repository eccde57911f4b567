/* See procmsg.h. Little-endian: type u8 · class u8 · names u8 · addrs u8 · flags u32 · id u64 ·
 * next_at i64 · text u16 · blob u32, then names (u8, bytes), addrs (u8, bytes), text, blob. */
#include "base/procmsg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"

struct cursor {
	uint8_t *p;
	const uint8_t *in;
	size_t at, n;
	bool bad;
};

static void put(struct cursor *c, const void *p, size_t n)
{
	if (c->bad || c->n - c->at < n) {
		c->bad = true;
		return;
	}
	if (n)
		memcpy(c->p + c->at, p, n);
	c->at += n;
}

static void put_num(struct cursor *c, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		put(c, &(uint8_t){(uint8_t)(v >> (8 * i))}, 1);
}

static uint64_t get_num(struct cursor *c, unsigned bytes)
{
	uint64_t v = 0;
	if (c->bad || c->n - c->at < bytes) {
		c->bad = true;
		return 0;
	}
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)c->in[c->at + i] << (8 * i);
	c->at += bytes;
	return v;
}

static void get_text(struct cursor *c, char *out, size_t size, size_t n)
{
	if (c->bad || n >= size || c->n - c->at < n || memchr(c->in + c->at, 0, n)) {
		c->bad = true;
		out[0] = 0;
		return;
	}
	memcpy(out, c->in + c->at, n);
	out[n] = 0;
	c->at += n;
}

static bool name_ok(const char *s)
{
	return name_is_host(str_starts(s, "*.") ? s + 2 : s);
}

static bool addr_ok(const char *s)
{
	uint8_t raw[16];
	return inet_pton(AF_INET, s, raw) == 1 || inet_pton(AF_INET6, s, raw) == 1;
}

static bool shape_ok(const struct procmsg *m)
{
	switch (m->type) {
	case PROCMSG_ORDER:
		return m->n_names >= 1 && m->blob_len > 0;
	case PROCMSG_PUBLISH:
		return m->n_names == 1;
	case PROCMSG_SET_SECRET:
		return m->text[0] && m->blob_len > 0;
	case PROCMSG_CHAIN:
		return m->blob_len > 0;
	case PROCMSG_STATE:
		return m->class >= STATE_STARTED && m->class <= STATE_LOG;
	case PROCMSG_CANCEL:
	case PROCMSG_DNS_TEST:
	case PROCMSG_RELOAD:
		return true;
	}
	return false;
}

int procmsg_encode(const struct procmsg *m, uint8_t *out)
{
	struct cursor c = {.p = out, .n = PROCMSG_MAX};
	size_t text_len = strnlen(m->text, PROCMSG_TEXT_MAX);
	if (m->n_names > PROCMSG_NAMES_MAX || m->n_addrs > PROCMSG_ADDRS_MAX || !shape_ok(m))
		return -EINVAL;
	put_num(&c, (uint64_t)m->type, 1);
	put_num(&c, (uint64_t)m->class, 1);
	put_num(&c, m->n_names, 1);
	put_num(&c, m->n_addrs, 1);
	put_num(&c, m->flags, 4);
	put_num(&c, m->id, 8);
	put_num(&c, (uint64_t)m->next_at, 8);
	put_num(&c, text_len, 2);
	put_num(&c, m->blob_len, 4);
	for (unsigned i = 0; i < m->n_names; i++) {
		put_num(&c, strlen(m->names[i]), 1);
		put(&c, m->names[i], strlen(m->names[i]));
	}
	for (unsigned i = 0; i < m->n_addrs; i++) {
		put_num(&c, strlen(m->addrs[i]), 1);
		put(&c, m->addrs[i], strlen(m->addrs[i]));
	}
	put(&c, m->text, text_len);
	put(&c, m->blob, m->blob_len);
	return c.bad ? -EMSGSIZE : (int)c.at;
}

static void get_lists(struct procmsg *m, struct cursor *c)
{
	for (unsigned i = 0; i < m->n_names; i++) {
		get_text(c, m->names[i], sizeof(m->names[i]), (size_t)get_num(c, 1));
		c->bad |= !name_ok(m->names[i]);
	}
	for (unsigned i = 0; i < m->n_addrs; i++) {
		get_text(c, m->addrs[i], sizeof(m->addrs[i]), (size_t)get_num(c, 1));
		c->bad |= !addr_ok(m->addrs[i]);
	}
}

int procmsg_decode(struct procmsg *m, const uint8_t *p, size_t n, struct err *e)
{
	struct cursor c = {.in = p, .n = n};
	memset(m, 0, sizeof(*m));
	m->type = (enum procmsg_type)get_num(&c, 1);
	m->class = (enum state_class)get_num(&c, 1);
	m->n_names = (unsigned)get_num(&c, 1);
	m->n_addrs = (unsigned)get_num(&c, 1);
	m->flags = (uint32_t)get_num(&c, 4);
	m->id = get_num(&c, 8);
	m->next_at = (int64_t)get_num(&c, 8);
	size_t text_len = (size_t)get_num(&c, 2), blob_len = (size_t)get_num(&c, 4);
	if (m->n_names > PROCMSG_NAMES_MAX || m->n_addrs > PROCMSG_ADDRS_MAX)
		return err_set(e, -EBADMSG, "a process message with too many names");
	get_lists(m, &c);
	get_text(&c, m->text, sizeof(m->text), text_len);
	if (c.bad || c.n - c.at != blob_len)
		return err_set(e, -EBADMSG, "a process message whose lengths do not add up");
	m->blob = blob_len ? p + c.at : NULL;
	m->blob_len = blob_len;
	if (!shape_ok(m))
		return err_set(e, -EBADMSG, "a process message of unknown type or shape");
	return 0;
}

const char *procmsg_name(enum procmsg_type type)
{
	switch (type) {
	case PROCMSG_ORDER:
		return "order";
	case PROCMSG_PUBLISH:
		return "publish";
	case PROCMSG_CANCEL:
		return "cancel";
	case PROCMSG_SET_SECRET:
		return "set-secret";
	case PROCMSG_DNS_TEST:
		return "dns-test";
	case PROCMSG_RELOAD:
		return "reload";
	case PROCMSG_CHAIN:
		return "chain";
	case PROCMSG_STATE:
		return "state";
	}
	return "unknown";
}
