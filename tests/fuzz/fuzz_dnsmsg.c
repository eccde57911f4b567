/* libFuzzer target: whatever a DNS server sends. Every reader gets the bytes; what the reply reader
 * accepts must keep its promises; a text that can be asked for must come back unchanged. */
#include "net/dnsmsg.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_reply(const struct dns_reply *r)
{
	require(r->n_rrs <= DNS_RRS_MAX);
	for (unsigned i = 0; i < r->n_rrs; i++) {
		const struct dns_rr *rr = &r->rrs[i];
		require(strnlen(rr->name, sizeof(rr->name)) < sizeof(rr->name));
		require(strnlen(rr->text, sizeof(rr->text)) < sizeof(rr->text));
		require(rr->section >= 1 && rr->section <= 3);
		require(rr->ttl <= 0x7fffffff);
		for (const char *c = rr->name; *c; c++)
			require(!isupper((unsigned char)*c) && isgraph((unsigned char)*c));
	}
}

/* Ask for a name made of the input; the question, turned into an answer, must be taken. */
static void check_question(const uint8_t *p, size_t n)
{
	static struct dns_reply r;
	char name[300];
	uint8_t msg[600];
	size_t len = n < sizeof(name) - 1 ? n : sizeof(name) - 1;
	memcpy(name, p, len);
	name[len] = 0;
	int k = dns_query_encode(msg, sizeof(msg), 7, name, DNS_TXT, true);
	if (k < 0)
		return;
	msg[2] |= 0x80;
	struct err e;
	require(dns_reply_decode(&r, msg, (size_t)k, 7, name, DNS_TXT, &e) == 0);
	struct dns_update u = {name, name, DNS_TXT, 60, name, DNS_ADD};
	require(dns_update_encode(msg, sizeof(msg), 7, &u, 1) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct dns_reply r;
	static const enum dns_type types[] = {DNS_A, DNS_SOA, DNS_TXT, DNS_AAAA};
	static const struct tsig_key key = {
		"lanthorn", HMAC_SHA256, (const uint8_t *)"0123456789abcdef0123456789abcdef", 32};
	uint16_t id = (uint16_t)(n >= 2 ? p[0] << 8 | p[1] : 0);
	uint8_t rcode;
	struct err e;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (dns_reply_decode(&r, p, n, id, "tv.home.test", types[i], &e) == 0)
			check_reply(&r);
	}
	dns_update_reply(p, n, id, &rcode, &e);
	/* No input that the fuzzer can make has a right signature. */
	require(tsig_verify(p, n, &key, 1, p, n < 32 ? n : 32, &e) < 0);
	check_question(p, n);
	return 0;
}
