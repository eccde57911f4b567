/* Provider rfc2136: dynamic updates (RFC 2136) signed with TSIG (RFC 8945), as BIND, Knot DNS and
 * PowerDNS take them. Each question is signed too: servers choose views by key. No answer counts
 * that is not signed in return. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "dns-plugins/dnscall.h"
#include "dns-plugins/plugin.h"
#include "net/crypto.h"

#define BUDGET_MS 10000
#define MSG_SIZE 4096
#define SECRET_MAX 512

struct session {
	struct tsig_key key;
	char key_name[DNS_NAME_MAX], zone[DNS_NAME_MAX];
	uint8_t secret[SECRET_MAX];
	uint8_t mac[64];
	size_t mac_len;
	struct dns_reply reply;
	struct dnscall call;
};

/* Lower case, without a final dot. */
static int get_name(char out[DNS_NAME_MAX], const char *key, const char *value, struct err *e)
{
	char with_dot[DNS_NAME_MAX + 1];
	int rc = str_copy(with_dot, sizeof(with_dot), value);
	size_t n = strlen(with_dot);
	if (n && with_dot[n - 1] == '.')
		with_dot[n - 1] = 0;
	str_lower(with_dot);
	uint8_t probe[512];
	if (rc < 0 || !with_dot[0] || str_copy(out, DNS_NAME_MAX, with_dot) < 0 ||
		dns_query_encode(probe, sizeof(probe), 0, out, DNS_SOA, false) < 0)
		return err_set(e, -EPERM, "%s is not a DNS name", key);
	return 0;
}

static int get_algorithm(enum hmac_alg *out, const char *value, struct err *e)
{
	static const char *const names[] = {
		[HMAC_SHA256] = "hmac-sha256",
		[HMAC_SHA384] = "hmac-sha384",
		[HMAC_SHA512] = "hmac-sha512",
	};
	for (size_t i = 0; value && i < sizeof(names) / sizeof(names[0]); i++) {
		*out = (enum hmac_alg)i;
		if (str_eq_nocase(value, names[i]))
			return 0;
	}
	*out = HMAC_SHA256;
	if (!value)
		return 0;
	if (str_eq_nocase(value, "hmac-md5") || str_eq_nocase(value, "hmac-sha1") ||
		str_eq_nocase(value, "hmac-md5.sig-alg.reg.int"))
		return err_set(e, -EPERM,
			"tsig_algorithm %s is too weak (RFC 8945 section 6) and not offered; make a new "
			"key: tsig-keygen -a hmac-sha256",
			value);
	return err_set(e, -EPERM,
		"tsig_algorithm must be hmac-sha256 (the default), hmac-sha384 or hmac-sha512");
}

static int get_key(struct session *t, const struct settings *s, struct err *e)
{
	const char *secret = settings_get(s, "tsig_secret");
	int rc = get_algorithm(&t->key.alg, settings_get(s, "tsig_algorithm"), e);
	if (rc == 0)
		rc = get_name(t->key_name, "tsig_name", settings_get(s, "tsig_name"), e);
	if (rc < 0)
		return rc;
	t->key.name = t->key_name;
	t->key.secret = t->secret;
	t->key.secret_len = sizeof(t->secret);
	if (base64_decode(t->secret, &t->key.secret_len, secret, strlen(secret)) < 0)
		return err_set(e, -EPERM, "tsig_secret is not base64, or longer than %u bytes",
			SECRET_MAX);
	if (t->key.secret_len < 16)
		return err_set(e, -EPERM, "tsig_secret is shorter than 128 bits");
	return 0;
}

static int session_open(struct session *t, const struct settings *s, struct err *e)
{
	int rc = get_key(t, s, e);
	const char *zone = settings_get(s, "zone");
	if (rc == 0 && zone)
		rc = get_name(t->zone, "zone", zone, e);
	if (rc < 0)
		return rc;
	return dnscall_open(&t->call, settings_get(s, "server"), BUDGET_MS, e);
}

static void session_free(struct session *t)
{
	dnscall_close(&t->call);
	free_secret(t, sizeof(*t));
}

static uint16_t fresh_id(void)
{
	uint16_t id;
	random_bytes(&id, sizeof(id));
	return id;
}

/* Sign what is in `msg`, ask. Returns the answer's length or an error of the contract. */
static int ask_signed(struct session *t, uint8_t *msg, int n, struct err *e)
{
	if (n > 0)
		n = tsig_sign(msg, (size_t)n, MSG_SIZE, &t->key, clock_unix(), t->mac, &t->mac_len);
	if (n < 0)
		return err_set(e, -EPERM, "this name, value or key has no place in a DNS message");
	return dnscall_ask(&t->call, msg, (size_t)n, e);
}

/* 0, -EPERM or -EAGAIN when the server says what is wrong with our signature, -EBADMSG when its own
 * is missing or wrong. */
static int check_signature(struct session *t, int n, struct err *e)
{
	int rc =
		tsig_verify(t->call.reply, (size_t)n, &t->key, clock_unix(), t->mac, t->mac_len, e);
	if (rc == -EKEYREJECTED)
		return -EPERM;
	return rc == -ETIME ? -EAGAIN : rc;
}

/* What `rcode` means for the caller: done, later or never? A failure is one also unsigned. */
static int judge(const struct session *t, int signature, unsigned rcode, struct err *e)
{
	if (signature < 0 && signature != -EBADMSG)
		return signature;
	if (rcode == DNS_NOERROR)
		return signature < 0 ? -EAGAIN : 0;
	int rc = rcode == DNS_SERVFAIL ? -EAGAIN : -EPERM;
	if (rcode == DNS_REFUSED)
		return err_set(e, rc, "%s; let key \"%s\" change it there (BIND: update-policy)",
			dns_rcode_text(rcode), t->key.name);
	return err_set(e, rc, "%s", dns_rcode_text(rcode));
}

/* The zone that the answer to an SOA question shows, if any: the name's own SOA, or the one that
 * an authoritative server gives beside "there is none". */
static const char *zone_in_reply(const struct dns_reply *r, const char *name)
{
	for (unsigned i = 0; i < r->n_rrs; i++) {
		const struct dns_rr *rr = &r->rrs[i];
		bool fits = rr->section == 1 ? strcmp(rr->name, name) == 0
					     : rr->section == 2 && name_is_within(name, rr->name);
		if (r->authoritative && rr->type == DNS_SOA && fits)
			return rr->name;
	}
	return NULL;
}

static int ask_query(struct session *t, const char *name, enum dns_type type, struct err *e)
{
	uint8_t msg[MSG_SIZE];
	uint16_t id = fresh_id();
	int n = ask_signed(t, msg, dns_query_encode(msg, sizeof(msg), id, name, type, false), e);
	if (n < 0)
		return n;
	struct err why;
	if (dns_reply_decode(&t->reply, t->call.reply, (size_t)n, id, name, type, &why) < 0)
		return err_set(e, -EAGAIN, "%s", why.text);
	/* "No such name" and "not mine" are answers to this question, if signed. */
	unsigned rcode = t->reply.rcode;
	bool is_none = rcode == DNS_NXDOMAIN || rcode == DNS_REFUSED || rcode == DNS_NOTAUTH;
	int signature = check_signature(t, n, e);
	return signature == 0 && is_none ? 0 : judge(t, signature, rcode, e);
}

static int find_zone(struct session *t, const char *name, struct err *e)
{
	if (t->zone[0])
		return 0;
	for (const char *at = name; at;) {
		int rc = ask_query(t, at, DNS_SOA, e);
		if (rc < 0)
			return rc;
		const char *zone = zone_in_reply(&t->reply, at);
		if (zone)
			return str_copy(t->zone, sizeof(t->zone), zone);
		at = strchr(at, '.');
		at = at ? at + 1 : NULL;
	}
	return err_set(e, -EPERM,
		"server %s has no zone for %s; name its primary server in \"server\", or give \"zone\"",
		t->call.host, name);
}

static int update(struct session *t, const struct change *c, int op, struct err *e)
{
	uint8_t msg[MSG_SIZE], rcode = 0;
	uint16_t id = fresh_id();
	struct dns_update u = {.zone = t->zone, .name = c->name, .type = c->type, .ttl = c->ttl};
	u.value = c->value;
	u.op = op == DNS_ADD ? DNS_ADD : DNS_DELETE_VALUE;
	if (!name_is_within(c->name, t->zone))
		return err_set(e, -EPERM, "%s is not inside zone %s", c->name, t->zone);
	int n = ask_signed(t, msg, dns_update_encode(msg, sizeof(msg), id, &u, 1), e);
	if (n < 0)
		return n;
	struct err why;
	if (dns_update_reply(t->call.reply, (size_t)n, id, &rcode, &why) < 0)
		return err_set(e, -EAGAIN, "%s", why.text);
	int rc = judge(t, check_signature(t, n, e), rcode, e);
	if (rc < 0)
		err_prefix(e, "zone %s at %s", t->zone, t->call.host);
	return rc;
}

/* A server drops a record beside a CNAME and says NOERROR (RFC 2136 §3.4.2.2). Only that is looked
 * for: a server that answers no questions is no reason to fail. */
static int refuse_cname(struct session *t, const struct change *c, struct err *e)
{
	if (ask_query(t, c->name, c->type, NULL) < 0)
		return 0;
	for (unsigned i = 0; i < t->reply.n_rrs; i++) {
		const struct dns_rr *rr = &t->reply.rrs[i];
		if (rr->section == 1 && rr->type == DNS_CNAME && strcmp(rr->name, c->name) == 0)
			return err_set(e, -EPERM,
				"%s is a CNAME to %s, so no %s record can stand there; remove the CNAME",
				c->name, rr->text, c->type_text);
	}
	return 0;
}

static int apply(const struct settings *s, const struct change *c, int op, struct err *e)
{
	struct session *t = xcalloc(1, sizeof(*t));
	int rc = session_open(t, s, e);
	if (rc == 0)
		rc = find_zone(t, c->name, e);
	if (rc == 0)
		rc = update(t, c, op, e);
	if (rc == 0 && op == DNS_ADD)
		rc = refuse_cname(t, c, e);
	session_free(t);
	return rc;
}

static int set(const struct settings *s, const struct change *c, struct err *e)
{
	return apply(s, c, DNS_ADD, e);
}

static int unset(const struct settings *s, const struct change *c, struct err *e)
{
	return apply(s, c, DNS_DELETE_VALUE, e);
}

const struct provider provider_rfc2136 = {
	.name = "rfc2136",
	.about = "dynamic updates signed with TSIG: BIND, Knot DNS, PowerDNS",
	.settings =
		{
			   {"server", true,
				"the zone's primary server: HOST, HOST:PORT or [IPV6]:PORT"},
			   {"zone", false, "the zone; found by asking the server when not given"},
			   {"tsig_name", true, "the key's name"},
			   {"tsig_algorithm", false,
				"hmac-sha256 (default), hmac-sha384, hmac-sha512"},
			   {"tsig_secret", true, "the key's secret in base64"},
			   },
	.set = set,
	.unset = unset,
};
