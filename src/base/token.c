/* See token.h. Layout after base64url: version 1 · len id · len name · port u16 · count, then
 * (4|6, address) each · SHA-256 · secret · expiry u64, big-endian. */
#include "base/token.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"

#define RAW_MAX 460

struct cursor {
	uint8_t *p;
	size_t at, n;
	int bad;
};

static void put(struct cursor *c, const void *p, size_t n)
{
	if (c->bad || c->n - c->at < n) {
		c->bad = 1;
		return;
	}
	memcpy(c->p + c->at, p, n);
	c->at += n;
}

static void get(struct cursor *c, void *p, size_t n)
{
	if (c->bad || c->n - c->at < n) {
		c->bad = 1;
		memset(p, 0, n);
		return;
	}
	memcpy(p, c->p + c->at, n);
	c->at += n;
}

static void put_u8(struct cursor *c, size_t v)
{
	put(c, &(uint8_t){(uint8_t)v}, 1);
}

static uint8_t get_u8(struct cursor *c)
{
	uint8_t v;
	get(c, &v, 1);
	return v;
}

static void put_str(struct cursor *c, const char *s)
{
	put_u8(c, strlen(s));
	put(c, s, strlen(s));
}

static void get_str(struct cursor *c, char *s, size_t size)
{
	size_t n = get_u8(c);
	if (n >= size) {
		c->bad = 1;
		n = 0;
	}
	get(c, s, n);
	s[n] = 0;
	if (strlen(s) != n)
		c->bad = 1;
}

static void put_addr(struct cursor *c, const char *addr)
{
	uint8_t raw[16];
	int six = strchr(addr, ':') != NULL;
	if (inet_pton(six ? AF_INET6 : AF_INET, addr, raw) != 1) {
		c->bad = 1;
		return;
	}
	put_u8(c, six ? 6 : 4);
	put(c, raw, six ? 16 : 4);
}

static void get_addr(struct cursor *c, char out[46])
{
	uint8_t raw[16], kind = get_u8(c);
	if (kind != 4 && kind != 6) {
		c->bad = 1;
		return;
	}
	get(c, raw, kind == 6 ? 16 : 4);
	inet_ntop(kind == 6 ? AF_INET6 : AF_INET, raw, out, 46);
}

static int names_ok(const struct token *t)
{
	return name_is_label(t->device_id) && name_is_host(t->dns_name) &&
	       t->n_addrs <= TOKEN_ADDRS_MAX && t->port != 0 && t->expires_at > 0;
}

int token_encode(const struct token *t, char out[TOKEN_TEXT_MAX])
{
	uint8_t raw[RAW_MAX];
	struct cursor c = {.p = raw, .n = sizeof(raw)};
	if (!names_ok(t))
		return -EINVAL;
	put_u8(&c, 1);
	put_str(&c, t->device_id);
	put_str(&c, t->dns_name);
	put_u8(&c, t->port >> 8);
	put_u8(&c, t->port & 255);
	put_u8(&c, t->n_addrs);
	for (unsigned i = 0; i < t->n_addrs; i++)
		put_addr(&c, t->addrs[i]);
	put(&c, t->ca_sha256, sizeof(t->ca_sha256));
	put(&c, t->secret, sizeof(t->secret));
	for (int shift = 56; shift >= 0; shift -= 8)
		put_u8(&c, (uint64_t)t->expires_at >> shift & 255);
	if (!c.bad) {
		strcpy(out, "lt1.");
		base64url_encode(out + 4, raw, c.at);
	}
	wipe(raw, sizeof(raw));
	return c.bad ? -EINVAL : 0;
}

static int parse(struct token *t, struct cursor *c)
{
	if (get_u8(c) != 1)
		return -EPROTONOSUPPORT;
	get_str(c, t->device_id, sizeof(t->device_id));
	get_str(c, t->dns_name, sizeof(t->dns_name));
	t->port = (uint16_t)(get_u8(c) << 8);
	t->port = (uint16_t)(t->port | get_u8(c));
	t->n_addrs = get_u8(c);
	if (t->n_addrs > TOKEN_ADDRS_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < t->n_addrs; i++)
		get_addr(c, t->addrs[i]);
	get(c, t->ca_sha256, sizeof(t->ca_sha256));
	get(c, t->secret, sizeof(t->secret));
	uint64_t at = 0;
	for (int i = 0; i < 8; i++)
		at = at << 8 | get_u8(c);
	t->expires_at = at > INT64_MAX ? -1 : (int64_t)at;
	return c->bad || c->at != c->n || !names_ok(t) ? -EINVAL : 0;
}

int token_decode(struct token *t, const char *text, struct err *e)
{
	uint8_t raw[RAW_MAX];
	size_t n = sizeof(raw);
	memset(t, 0, sizeof(*t));
	text += strspn(text, " \t\r\n");
	size_t len = strcspn(text, " \t\r\n");
	if (text[len + strspn(text + len, " \t\r\n")])
		return err_set(e, -EINVAL, "the token has text after it; copy it alone");
	if (!str_starts(text, "lt"))
		return err_set(e, -EINVAL, "this is not a Lanthorn token (it starts with \"lt1.\")");
	if (!str_starts(text, "lt1."))
		return err_set(e, -EPROTONOSUPPORT,
			"this token is of a newer kind; update lanthorn-agent");
	int rc = base64_decode(raw, &n, text + 4, len - 4);
	if (rc == 0) {
		struct cursor c = {.p = raw, .n = n};
		rc = parse(t, &c);
	}
	wipe(raw, sizeof(raw));
	if (rc < 0) {
		wipe(t, sizeof(*t));
		return err_set(e, rc, "the token is damaged or cut short; copy it whole");
	}
	return 0;
}
