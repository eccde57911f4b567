/* What uacme 1.7.4 really printed, against pebble and a proxy that injects faults, and what we make
 * of it. */
#include "acme/uacme_output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1796113353) /* 2026-12-01 08:22:33 UTC */
#define PROBLEM(what, type, detail, status)                                                        \
	"uacme: " what "\nuacme: the server reported the following error:\n{\n    \"type\": "      \
	"\"urn:ietf:params:acme:error:" type "\",\n    \"detail\": \"" detail                      \
	"\",\n    \"status\": " status "\n}\n"
#define CURL(kind, url, why)                                                                       \
	"uacme: curl_" kind ": " url " failed: " why "\nuacme: curl_" kind                         \
	": waiting 5 seconds before retrying\nuacme: curl_" kind ": " url " failed: " why "\n"
#define NEW_ORDER "failed to create new order at https://localhost:24001/order-plz"

#define TRACE(status, field, body)                                                                 \
	"uacme: acme_post: url=https://l/order-plz payload={} jws={\"signature\":\"x\"}\n"         \
	"uacme: acme_post: HTTP headers:\nHTTP/1.1 " status "\r\n" field                           \
	"Content-Length: 1\r\n\r\n\nuacme: acme_post: HTTP body:\n" body                           \
	"\nuacme: acme_post: return code " status "\n"
#define BAD_NONCE                                                                                  \
	"{\n    \"type\": \"urn:ietf:params:acme:error:badNonce\",\n    \"detail\": \"n\"\n}"

struct sample {
	const char *name, *errs;
	enum state_class class;
	const char *says; /* part of the sentence */
	int64_t retry_after_s;
	bool no_account, has_account, declined;
};

#define ROW(n, e, c, s, ...)                                                                       \
	{                                                                                          \
		.name = n, .errs = e, .class = c, .says = s, ##__VA_ARGS__                         \
	}

static const struct sample samples[] = {
	ROW("hook declined",
		"uacme: no challenge completed\nuacme: failed to authorize order at https://l/o\n",
		STATE_FAIL_DNS, "could not be put into DNS", .declined = true),
	ROW("no TXT",
		PROBLEM("challenge https://l/chalZ/x failed with status invalid", "unauthorized",
			"Error retrieving TXT records for DNS challenge (\\\"DNS lookup for "
			"\\\\\\\"_acme-challenge.b.home.test\\\\\\\" failed\\\")",
			"403") "uacme: failed to authorize order at https://l/my-order/d\n",
		STATE_FAIL_DNS, "did not see our proof in DNS: Error retrieving TXT"),
	ROW("blocked name",
		PROBLEM(NEW_ORDER, "rejectedIdentifier",
			"Order included an identifier for which issuance is forbidden by policy: "
			"\\\"x.blocked.test\\\"",
			"400"),
		STATE_FAIL_CA, "forbidden by policy: \"x.blocked.test\""),
	ROW("limit with a time",
		PROBLEM(NEW_ORDER, "rateLimited",
			"too many certificates (5) already issued for this exact set of identifiers in the "
			"last 168h0m0s, retry after 2026-12-01 10:22:33 UTC: see https://l/docs/",
			"429"),
		STATE_FAIL_LIMIT, "too many certificates (5)", .retry_after_s = 7200),
	ROW("limit with a time that has passed",
		PROBLEM(NEW_ORDER, "rateLimited", "retry after 2020-01-01 10:22:33 UTC", "429"),
		STATE_FAIL_LIMIT, "limits how often"),
	ROW("limit until a far year",
		PROBLEM(NEW_ORDER, "rateLimited", "retry after 4052-12-01T00:00:00Z", "429"),
		STATE_FAIL_LIMIT, "limits how often", .retry_after_s = 604800),
	ROW("Retry-After in a far year",
		TRACE("503 Busy", "Retry-After: Tue, 01 Dec 4052 08:23:33 GMT\r\n", "")
		"uacme: " NEW_ORDER " failed\n",
		STATE_FAIL_CA, "HTTP status 503", .retry_after_s = 604800),
	ROW("limit with an ISO time",
		PROBLEM(NEW_ORDER, "rateLimited", "retry after 2026-12-01T08:22:43Z", "429"),
		STATE_FAIL_LIMIT, "limits how often", .retry_after_s = 10),
	ROW("service busy", PROBLEM(NEW_ORDER, "rateLimited", "Service busy; retry later.", "503"),
		STATE_FAIL_LIMIT, "Service busy"),
	ROW("limit with Retry-After",
		TRACE("429 Too Many Requests", "Retry-After: 7200\r\n", "{}")
			PROBLEM(NEW_ORDER, "rateLimited", "too many new orders recently", "429"),
		STATE_FAIL_LIMIT, "limits how often", .retry_after_s = 7200),
	ROW("limit without a problem document",
		TRACE("429 Too Many Requests", "retry-after: Tue, 01 Dec 2026 08:23:33 GMT\r\n",
			"<html>") "uacme: " NEW_ORDER "\n",
		STATE_FAIL_LIMIT, "limits how often", .retry_after_s = 60),
	ROW("maintenance",
		TRACE("503 Service Unavailable", "Retry-After: 1800\r\n",
			"<html>\nuacme: no\n") "uacme: " NEW_ORDER "\n",
		STATE_FAIL_CA, "out of order or being maintained: HTTP status 503",
		.retry_after_s = 1800),
	ROW("Retry-After without end",
		TRACE("503 Busy", "Retry-After: 99999999999999999999\r\n", "") "uacme: " NEW_ORDER
									       "\n",
		STATE_FAIL_CA, "HTTP status 503", .retry_after_s = 604800),
	ROW("Retry-After of an earlier answer",
		TRACE("200 OK", "Retry-After: 5\r\n", "{}")
			TRACE("503 Busy", "", "x") "uacme: " NEW_ORDER "\n",
		STATE_FAIL_CA, "HTTP status 503"),
	ROW("Retry-After of a poll", TRACE("200 OK", "Retry-After: 5\r\n", "{}") "uacme: x\n",
		STATE_FAIL_OURS, "uacme failed: x"),
	ROW("an old nonce before something else",
		TRACE("400 Bad Request", "", BAD_NONCE) TRACE(
			"302 Found", "", "") "uacme: failed to fetch directory at https://l/dir\n",
		STATE_FAIL_CA, "sends us elsewhere"),
	ROW("words of a body",
		TRACE("200 OK", "",
			"uacme: curl_get: x failed: body\n") "uacme: failed to find newNonce URL in directory\n",
		STATE_FAIL_CA, "not what ACME promises"),
	ROW("CAA lookup",
		PROBLEM(NEW_ORDER, "dns", "DNS problem: SERVFAIL looking up CAA for b.home.test",
			"400"),
		STATE_FAIL_DNS, "SERVFAIL looking up CAA"),
	ROW("CAA forbids",
		PROBLEM("failed to finalize order at https://l/f/2", "caa",
			"CAA record for b.home.test prevents issuance", "403"),
		STATE_FAIL_DNS, "CAA record of the domain forbids"),
	ROW("external account",
		PROBLEM("failed to create account at https://l/sign-me-up",
			"externalAccountRequired",
			"ACME server policy requires newAccount requests to include EAB", "403"),
		STATE_FAIL_OURS, "choose another acme.directory"),
	ROW("bad e-mail",
		PROBLEM("failed to create account at https://l/sign-me-up", "invalidContact",
			"contact email \\\"a@b c\\\" is invalid", "400"),
		STATE_FAIL_OURS, "acme.email"),
	ROW("CA in trouble",
		PROBLEM(NEW_ORDER, "serverInternal", "Error creating new order", "500"),
		STATE_FAIL_CA, "trouble of its own"),
	ROW("unknown problem", PROBLEM(NEW_ORDER, "brandNew", "Something new", "400"),
		STATE_FAIL_CA, "refused: Something new"),
	ROW("subproblem",
		"uacme: " NEW_ORDER "\nuacme: the server reported the following error:\n{\n"
		"    \"type\": \"urn:ietf:params:acme:error:malformed\",\n"
		"    \"detail\": \"Some identifiers\",\n    \"subproblems\": [\n        {\n"
		"            \"type\": \"urn:ietf:params:acme:error:malformed\",\n"
		"            \"detail\": \"Error creating new order: sub\",\n"
		"            \"identifier\": {\n                \"type\": \"dns\",\n"
		"                \"value\": \"a\"\n            }\n        }\n    ],\n"
		"    \"status\": 403\n}\n",
		STATE_FAIL_CA, "Error creating new order: sub"),
	ROW("CA down",
		CURL("get", "GET https://localhost:1/dir",
			"Couldn't connect to server") "uacme: acme_get: curl_get failed\nuacme: failed to fetch directory at https://l/dir\n",
		STATE_FAIL_NET, "cannot be reached: Couldn't connect to server"),
	ROW("no such host",
		CURL("get", "GET https://nohost.invalid/dir",
			"Couldn't resolve host name") "uacme: failed to fetch directory at https://nohost.invalid/dir\n",
		STATE_FAIL_NET, "Couldn't resolve host name"),
	ROW("untrusted",
		CURL("get", "GET https://l/dir",
			"SSL peer certificate or SSH remote key was not OK") "uacme: failed to fetch directory at https://l/dir\n",
		STATE_FAIL_NET, "acme.ca_file"),
	ROW("handshake cut off",
		CURL("get", "GET https://l/dir",
			"SSL connect error") "uacme: failed to fetch directory at https://l/dir\n",
		STATE_FAIL_NET, "cannot be reached: SSL connect error"),
	ROW("reset",
		CURL("post", "POST https://l/order-plz",
			"Failure when receiving data from the peer") "uacme: acme_post: curl_post failed\nuacme: " NEW_ORDER
								     "\n",
		STATE_FAIL_NET, "Failure when receiving data"),
	ROW("no directory", "uacme: failed to fetch directory at https://localhost:24000/roots\n",
		STATE_FAIL_CA, "acme.directory"),
	ROW("tokenless challenge",
		"uacme: failed to parse challenge\nuacme: failed to authorize order at https://l/o/K\n",
		STATE_FAIL_OURS, "install uacme 1.8"),
	ROW("unknown account",
		"uacme: no account associated with /x/private/key.pem found at https://l/sign-me-up. "
		"Consider trying 'new'\n",
		STATE_FAIL_OURS, "no account associated", .no_account = true),
	ROW("account is there",
		"uacme: Account already exists at https://localhost:24000/my-account/3935947d913912fb\n",
		STATE_FAIL_OURS, "already exists", .has_account = true),
	ROW("no folder", "uacme: failed to access /x/private\n", STATE_FAIL_OURS,
		"disk and permissions"),
	ROW("empty key",
		"uacme: key_load: gnutls_privkey_import_x509_raw: The requested data were not available.\n",
		STATE_FAIL_OURS, "key_load"),
	ROW("bad CSR", "uacme: csr_load: gnutls_x509_crq_import: Base64 unexpected header error.\n",
		STATE_FAIL_OURS, "csr_load"),
	ROW("no uacme",
		"lanthorn-steward: acme.uacme: install the package uacme; cannot find /no: No such file\n",
		STATE_FAIL_OURS, "install the package uacme"),
	ROW("nothing", "", STATE_FAIL_OURS, "uacme failed"),
	ROW("rubbish", "\x01\x02{\n}\n{\n    \"type\": \"\n", STATE_FAIL_OURS, "uacme failed"),
	ROW("cut short",
		"uacme: x\nuacme: the server reported the following error:\n{\n    \"detail\": \"half a \\u00",
		STATE_FAIL_CA, "half a"),
	ROW("control characters",
		PROBLEM(NEW_ORDER, "rejectedIdentifier", "a\\u001b[2J\\nb", "400"), STATE_FAIL_CA,
		"a?[2J b"),
};

static void outputs_get_class_and_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		struct uacme_verdict v;
		uacme_classify(&v, s->errs, NOW);
		if (v.class != s->class || !strstr(v.text, s->says))
			fail_msg("%s: class %d, \"%s\"", s->name, (int)v.class, v.text);
		if (v.retry_after_s != s->retry_after_s)
			fail_msg("%s: retry after %lld", s->name, (long long)v.retry_after_s);
		if (v.no_account != s->no_account || v.has_account != s->has_account ||
			v.declined != s->declined)
			fail_msg("%s: wrong about the account or the hook", s->name);
	}
}

static void endless_detail_is_cut(void **state)
{
	(void)state;
	static char errs[200000] =
		"uacme: the server reported the following error:\n{\n    \"type\": \"urn:ietf:params:acme:error:dns\",\n"
		"    \"detail\": \"";
	size_t n = strlen(errs);
	memset(errs + n, 'A', sizeof(errs) - n - 1);
	struct uacme_verdict v;
	uacme_classify(&v, errs, NOW);
	assert_int_equal(v.class, STATE_FAIL_DNS);
	assert_in_range(strlen(v.text), 300, PROCMSG_TEXT_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outputs_get_class_and_words),
		cmocka_unit_test(endless_detail_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
