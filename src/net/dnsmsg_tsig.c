/* TSIG (RFC 8945) for dnsmsg.h. Only whole MACs are accepted, only of the key and the algorithm
 * that the request was signed with, and only as the last record of a message. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/dnsmsg.h"
#include "net/dnswire.h"

#define FUDGE 300
#define FIXED_MAX (2 * DNSWIRE_NAME_MAX + 64) /* what a digest covers beside message and MAC */

struct tsig {
	char key[DNS_NAME_MAX], alg[DNS_NAME_MAX];
	uint64_t time;
	uint16_t fudge, original_id, error;
	const uint8_t *mac, *other;
	size_t mac_len, other_len;
	size_t at; /* where the record starts in the message */
};

static const char *alg_name(enum hmac_alg alg)
{
	switch (alg) {
	case HMAC_SHA256:
		return "hmac-sha256";
	case HMAC_SHA384:
		return "hmac-sha384";
	case HMAC_SHA512:
		return "hmac-sha512";
	}
	abort();
}

static void put_time(struct dns_writer *w, uint64_t t)
{
	dnswire_put_u16(w, (unsigned)(t >> 32 & 0xffff));
	dnswire_put_u32(w, (uint32_t)t);
}

/* The TSIG variables, §4.3.3. */
static void put_variables(struct dns_writer *w, const struct tsig_key *key, const struct tsig *t)
{
	dnswire_put_name(w, key->name);
	dnswire_put_u16(w, DNS_CLASS_ANY);
	dnswire_put_u32(w, 0);
	dnswire_put_name(w, alg_name(key->alg));
	put_time(w, t->time);
	dnswire_put_u16(w, t->fudge);
	dnswire_put_u16(w, t->error);
	dnswire_put_u16(w, (unsigned)t->other_len);
	dnswire_put(w, t->other, t->other_len);
}

static void put_record(struct dns_writer *w, const struct tsig_key *key, const struct tsig *t)
{
	size_t data_len = strlen(alg_name(key->alg)) + 2 + 6 + 2 + 2 + t->mac_len + 2 + 2 + 2;
	dnswire_put_name(w, key->name);
	dnswire_put_u16(w, DNS_TSIG);
	dnswire_put_u16(w, DNS_CLASS_ANY);
	dnswire_put_u32(w, 0);
	dnswire_put_u16(w, (unsigned)data_len);
	dnswire_put_name(w, alg_name(key->alg));
	put_time(w, t->time);
	dnswire_put_u16(w, t->fudge);
	dnswire_put_u16(w, (unsigned)t->mac_len);
	dnswire_put(w, t->mac, t->mac_len);
	dnswire_put_u16(w, t->original_id);
	dnswire_put_u16(w, 0);
	dnswire_put_u16(w, 0);
}

static unsigned get_count(const uint8_t *msg)
{
	return (unsigned)(msg[10] << 8 | msg[11]);
}

static void set_count(uint8_t *msg, unsigned count)
{
	msg[10] = (uint8_t)(count >> 8);
	msg[11] = (uint8_t)count;
}

int tsig_sign(uint8_t *msg, size_t n, size_t size, const struct tsig_key *key, int64_t now,
	uint8_t mac[64], size_t *mac_len)
{
	if (n < DNSWIRE_HEADER || n > size || now < 0 || get_count(msg) == UINT16_MAX)
		return -EINVAL;
	struct tsig t = {.time = (uint64_t)now, .fudge = FUDGE};
	t.original_id = (uint16_t)(msg[0] << 8 | msg[1]);
	/* The variables go behind the message, are digested there, and give way to the record. */
	struct dns_writer w = {.p = msg, .n = size, .at = n};
	put_variables(&w, key, &t);
	if (w.rc < 0)
		return w.rc;
	*mac_len = hmac(key->alg, mac, key->secret, key->secret_len, msg, w.at);
	t.mac = mac;
	t.mac_len = *mac_len;
	w.at = n;
	put_record(&w, key, &t);
	if (w.rc < 0)
		return w.rc;
	set_count(msg, get_count(msg) + 1);
	return (int)w.at;
}

/* §4.2. The algorithm's name is not compressed. */
static bool read_tsig(struct tsig *t, const struct dns_reader *in, const struct dns_raw_rr *raw)
{
	size_t end = raw->data_at + raw->data_len;
	struct dns_reader r = {.p = in->p, .n = end, .at = raw->data_at};
	strcpy(t->key, raw->name);
	dnswire_name(&r, t->alg, DNSWIRE_PLAIN);
	t->time = (uint64_t)dnswire_u16(&r) << 32;
	t->time |= dnswire_u32(&r);
	t->fudge = dnswire_u16(&r);
	t->mac_len = dnswire_u16(&r);
	t->mac = dnswire_skip(&r, t->mac_len);
	t->original_id = dnswire_u16(&r);
	t->error = dnswire_u16(&r);
	t->other_len = dnswire_u16(&r);
	t->other = dnswire_skip(&r, t->other_len);
	return !r.bad && r.at == end && raw->class == DNS_CLASS_ANY && raw->ttl == 0;
}

/* Walk to the last record, which must be the only TSIG (§5.2). */
static bool find_tsig(struct tsig *t, const uint8_t *msg, size_t n)
{
	struct dns_reader in = {.p = msg, .n = n, .at = 4};
	struct dns_raw_rr raw = {.type = 0};
	unsigned questions = dnswire_u16(&in), records = 0;
	for (unsigned i = 0; i < 3; i++)
		records += dnswire_u16(&in);
	for (unsigned i = 0; i < questions && !in.bad; i++) {
		dnswire_name(&in, NULL, DNSWIRE_POINTERS);
		dnswire_skip(&in, 4);
	}
	for (unsigned i = 0; i < records && !in.bad; i++) {
		if (raw.type == DNS_TSIG)
			return false;
		t->at = in.at;
		dnswire_rr(&in, &raw);
	}
	if (in.bad || in.at != n || raw.type != DNS_TSIG || get_count(msg) == 0)
		return false;
	return read_tsig(t, &in, &raw);
}

/* §4.3: the request's MAC with its length, the message as it was before signing, the variables. */
static int mac_is_right(const uint8_t *msg, const struct tsig *t, const struct tsig_key *key,
	const uint8_t *req_mac, size_t req_mac_len)
{
	struct buf b = BUF_INIT(DNS_MSG_MAX + FIXED_MAX + DNS_MSG_MAX);
	int rc = buf_reserve(&b, 2 + req_mac_len + t->at + FIXED_MAX + t->other_len);
	if (rc < 0)
		return rc;
	struct dns_writer w = {.p = b.data, .n = b.size};
	dnswire_put_u16(&w, (unsigned)req_mac_len);
	dnswire_put(&w, req_mac, req_mac_len);
	uint8_t *copy = b.data + w.at;
	dnswire_put(&w, msg, t->at);
	copy[0] = (uint8_t)(t->original_id >> 8);
	copy[1] = (uint8_t)t->original_id;
	set_count(copy, get_count(msg) - 1);
	put_variables(&w, key, t);
	uint8_t mac[64];
	rc = w.rc;
	if (rc == 0) {
		size_t len = hmac(key->alg, mac, key->secret, key->secret_len, b.data, w.at);
		rc = len == t->mac_len && bytes_equal_ct(mac, t->mac, len);
	}
	buf_done(&b);
	return rc;
}

static int bad_time(int64_t theirs, int64_t now, struct err *e)
{
	int64_t ahead = now - theirs;
	return err_set(e, -ETIME,
		"the clocks differ too much (BADTIME): this machine's is %" PRId64
		" s %s the server's; set the clock",
		ahead < 0 ? -ahead : ahead, ahead < 0 ? "behind" : "ahead of");
}

static int64_t other_time(const struct tsig *t)
{
	int64_t at = 0;
	for (size_t i = 0; i < t->other_len; i++)
		at = at << 8 | t->other[i];
	return at;
}

/* What a server that could not check our MAC says; nothing there can be authentic (§5.3.2). */
static int unsigned_error(const struct tsig *t, const struct tsig_key *key, struct err *e)
{
	if (t->error == DNS_BADKEY)
		return err_set(e, -EKEYREJECTED,
			"the server does not know the key \"%s\" with %s (BADKEY): check tsig_name and "
			"tsig_algorithm",
			key->name, alg_name(key->alg));
	if (t->error == DNS_BADSIG)
		return err_set(e, -EKEYREJECTED,
			"the signature of key \"%s\" is wrong (BADSIG): tsig_secret differs from the "
			"server's",
			key->name);
	return 0;
}

int tsig_verify(const uint8_t *msg, size_t n, const struct tsig_key *key, int64_t now,
	const uint8_t *req_mac, size_t req_mac_len, struct err *e)
{
	struct tsig t;
	if (n < DNSWIRE_HEADER || n > DNS_MSG_MAX || req_mac_len > 64 || !find_tsig(&t, msg, n))
		return err_set(e, -EBADMSG, "the answer is not signed");
	int rc = t.mac_len ? 0 : unsigned_error(&t, key, e);
	if (rc < 0)
		return rc;
	if (!str_eq_nocase(t.key, key->name) || !str_eq_nocase(t.alg, alg_name(key->alg)))
		return err_set(e, -EBADMSG, "the answer is signed with another key");
	rc = mac_is_right(msg, &t, key, req_mac, req_mac_len);
	if (rc < 0)
		return err_sys(e, rc, "cannot check the answer's signature");
	if (!rc)
		return err_set(e, -EBADMSG, "the answer's signature is wrong; it is not believed");
	if (t.error == DNS_BADTIME && t.other_len == 6)
		return bad_time(other_time(&t), now, e);
	if (t.error)
		return err_set(e, -EKEYREJECTED, "the server rejects the signature (TSIG error %u)",
			t.error);
	int64_t theirs = (int64_t)t.time;
	if (theirs - now > t.fudge || now - theirs > t.fudge)
		return bad_time(theirs, now, e);
	return 0;
}
