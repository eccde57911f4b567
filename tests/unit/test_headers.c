/* What crosses between browser and device in the heads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/headers.h"
#include "gate/rewrite.h"

static const struct headers_ctx ctx = {
	.peer_addr = "192.168.1.7", .user = "ada", .host = "tv.home.test:8443"};

static struct msg *request(void)
{
	return msg_new_request("GET", "https", "tv.home.test:8443", "/");
}

static void cookies_of_the_gateway_never_reach_a_device(void **state)
{
	(void)state;
	static const struct {
		const char *sent, *expected;
	} rows[] = {
		{"a=1; __Host-lanthorn=secret; b=2", "a=1; b=2"},
		{"__Host-lanthorn=secret", NULL},
		{"__Host-ls=secret;__Host-lanthorn=secret", NULL},
		{" __Host-lanthorn = secret ; c=3", "c=3"},
		{"__Host-lanthorn=\"a;b\"; c=3", "b\"; c=3"},
		{"__Host-lanthorn", "__Host-lanthorn"}, /* a name of "", per RFC 6265bis: not ours */
		{"x__Host-lanthorn=1", "x__Host-lanthorn=1"},
		{";;; a=1;", ";;; a=1;"},
		{";;; a=1;__Host-ls=1;b=2;c=3", "a=1; b=2; c=3"},
		{"a=1;b=2;__Host-lanthorn=s;c=3", "a=1;b=2; c=3"},
		{"a=__Host-lanthorn=b", "a=__Host-lanthorn=b"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msg *m = request();
		msg_add(m, "cookie", rows[i].sent);
		headers_to_device(m, &ctx, NULL);
		const char *got = msg_get(m, "cookie");
		if (rows[i].expected)
			assert_string_equal(got, rows[i].expected);
		else
			assert_null(got);
		msg_free(m);
	}
}

static void cookies_in_several_fields_are_joined(void **state)
{
	(void)state;
	struct msg *m = request();
	msg_add(m, "cookie", "a=1");
	msg_add(m, "cookie", "__Host-lanthorn=x");
	msg_add(m, "cookie", "b=2");
	char *found = headers_cookie(m, "__Host-lanthorn");
	assert_string_equal(found, "x");
	free(found);
	assert_null(headers_cookie(m, "c"));
	headers_to_device(m, &ctx, NULL);
	const char *all[4];
	assert_int_equal(msg_get_all(m, "cookie", all, 4), 1);
	assert_string_equal(all[0], "a=1; b=2");
	msg_free(m);
}

static void forged_identity_is_replaced(void **state)
{
	(void)state;
	static const char *const forged[] = {"x-forwarded-for", "x-forwarded-host",
		"x-forwarded-proto", "x-forwarded-user", "forwarded", "x-real-ip", "x-client-ip",
		"x-forwarded", "x-original-url", "x_rewrite_url", "true-client-ip", "lanthorn-user",
		"lanthorn_user", "lanthorn-identity", "x_forwarded_for", "client-cert", "remote-user",
		"lanthorn-user-with-a-name-that-is-longer-than-any-that-somebody-expects"};
	struct msg *m = request();
	for (size_t i = 0; i < sizeof(forged) / sizeof(*forged); i++)
		assert_int_equal(msg_add(m, forged[i], "6.6.6.6"), 0);
	headers_to_device(m, &ctx, NULL);
	for (unsigned i = 0; i < msg_count(m); i++)
		assert_null(strstr(msg_field(m, i).value, "6.6.6.6"));
	assert_string_equal(msg_get(m, "x-forwarded-for"), "192.168.1.7");
	assert_string_equal(msg_get(m, "x-forwarded-proto"), "https");
	assert_string_equal(msg_get(m, "x-forwarded-host"), "tv.home.test:8443");
	assert_string_equal(msg_get(m, "lanthorn-user"), "ada");
	assert_string_equal(msg_get(m, "forwarded"),
		"for=192.168.1.7;host=\"tv.home.test:8443\";proto=https");
	msg_free(m);
}

static void an_ipv6_client_is_quoted(void **state)
{
	(void)state;
	struct msg *m = request();
	headers_to_device(m, &(struct headers_ctx){.peer_addr = "fd00::7", .host = "tv.home.test"},
		NULL);
	assert_string_equal(
		msg_get(m, "forwarded"), "for=\"[fd00::7]\";host=\"tv.home.test\";proto=https");
	assert_null(msg_get(m, "lanthorn-user"));
	msg_free(m);
}

static void an_upgrade_survives_alone(void **state)
{
	(void)state;
	struct msg *m = request();
	msg_add(m, "connection", "keep-alive, Upgrade, X-Secret");
	msg_add(m, "x-secret", "1");
	msg_add(m, "upgrade", "websocket");
	headers_to_device(m, &ctx, msg_upgrade(m));
	assert_string_equal(msg_get(m, "connection"), "upgrade");
	assert_string_equal(msg_get(m, "upgrade"), "websocket");
	assert_null(msg_get(m, "x-secret"));
	msg_free(m);
}

static void a_device_sees_its_own_tags_again(void **state)
{
	(void)state;
	static const struct {
		const char *name, *sent, *expected; /* NULL: none */
		bool ours;
	} rows[] = {
		{"if-none-match", "W/\"a~lanthorn\"", "\"a\"", true},
		{"if-none-match", "\"b\", W/\"a~lanthorn\", W/\"c\"", "\"b\", \"a\", W/\"c\"", true},
		{"if-none-match", "W/\"a\"", "W/\"a\"", false},
		{"if-none-match", "*", "*", false},
		{"if-match", "W/\"a~lanthorn\"", "\"a\"", false},
		{"if-match", "W/\"a\"", "W/\"a\"", false},
		{"if-range", "W/\"a~lanthorn\"", NULL, false},
		{"if-range", "W/\"a\"", "W/\"a\"", false},
		{"if-range", "\"a\"", "\"a\"", false},
		{"x-tag", "W/\"a~lanthorn\"", "W/\"a~lanthorn\"", false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msg *m = request();
		msg_add(m, "range", "bytes=1-");
		msg_add(m, rows[i].name, rows[i].sent);
		assert_int_equal(headers_to_device(m, &ctx, NULL), rows[i].ours);
		const char *got = msg_get(m, rows[i].name);
		/* A part of coded bytes is not completed from plain ones. */
		assert_int_equal(msg_get(m, "range") != NULL, rows[i].expected != NULL);
		if (rows[i].expected)
			assert_string_equal(got, rows[i].expected);
		else
			assert_null(got);
		msg_free(m);
	}
}

static void a_device_cannot_set_what_belongs_to_the_house(void **state)
{
	(void)state;
	static const struct {
		const char *cookie;
		bool kept;
	} rows[] = {
		{"a=1; Path=/", true},
		{"a=1; Domain=home.test", false},
		{"=__Host-lanthorn=x; Secure; Path=/", false},
		{"a=1;domain=home.test; Secure", false},
		{"a=1; DOMAIN = home.test", false},
		{"__Host-lanthorn=evil; Path=/; Secure", false},
		{"__Host-lanthorn =evil; Path=/; Secure", false},
		{"__Host-ls=evil", false},
		{"=__Host-lanthorn=evil; Path=/; Secure", false},
		{" = =__Host-ls; Path=/", false},
		{"=a=1", true},
		{"domain=1; Path=/", true},
		{"a=1; X-Domain=home.test", true},
	};
	static const char *const reports[] = {"nel", "report-to", "reporting-endpoints",
		"public-key-pins", "public-key-pins-report-only", "expect-ct"};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msg *m = msg_new_response(200);
		msg_add(m, "set-cookie", rows[i].cookie);
		msg_add(m, "strict-transport-security", "max-age=0");
		msg_add(m, "alt-svc", "h3=\":444\"");
		msg_add(m, "clear-site-data", "\"*\"");
		msg_add(m, "service-worker-allowed", "/");
		for (size_t k = 0; k < sizeof(reports) / sizeof(*reports); k++)
			msg_add(m, reports[k], "x");
		headers_to_browser(m, NULL);
		assert_int_equal(msg_get(m, "set-cookie") != NULL, rows[i].kept);
		assert_string_equal(msg_get(m, "strict-transport-security"), "max-age=15552000");
		assert_string_equal(
			msg_get(m, "referrer-policy"), "strict-origin-when-cross-origin");
		assert_null(msg_get(m, "alt-svc"));
		assert_null(msg_get(m, "clear-site-data"));
		assert_null(msg_get(m, "service-worker-allowed"));
		for (size_t k = 0; k < sizeof(reports) / sizeof(*reports); k++)
			assert_null(msg_get(m, reports[k]));
		msg_free(m);
	}
}

static const char *const addrs[] = {"192.168.1.20", "fd00::20", "nas.lan"};
static const struct rewrite self = {.authority = "tv.home.test:8443",
	.host = "tv.home.test",
	.addrs = addrs,
	.n_addrs = 3};
static const struct rewrite nameless = {
	.authority = "tv.home.test:8443", .host = "tv.home.test", .port = 8080};

#define TV "https://tv.home.test:8443"
static const struct {
	uint16_t port;
	const char *name, *sent, *expected; /* NULL: as it was */
} urls[] = {
	{80, "location", "http://192.168.1.20/login?a=http://b/#c", TV "/login?a=http://b/#c"},
	{8080, "location", "https://192.168.1.20:8080/", TV "/"},
	{8080, "location", "HTTP://NAS.lan:8080", TV},
	{8080, "location", "http://[fd00::20]:8080/x", TV "/x"},
	{80, "location", "http://[FD00::20]/x", TV "/x"},
	{80, "location", "//192.168.1.20/x", TV "/x"},
	{80, "location", "http://tv.home.test/x", TV "/x"},
	{80, "location", "http://tv.home.test:8443/x", TV "/x"},
	{8080, "location", "http://tv.home.test:8080/x", TV "/x"},
	{80, "location", "https://tv.home.test:8443/x", TV "/x"},
	{80, "location", "http://192.168.1.20?x", TV "?x"},
	{80, "location", "http://192.168.1.20:/x", TV "/x"},
	{8080, "location", "http://192.168.1.20:9090/x", NULL},
	{8080, "location", "http://192.168.1.20:80800/x", NULL},
	{80, "location", "http://192.168.1.200/x", NULL},
	{80, "location", "http://192.168.1.2/x", NULL},
	{80, "location", "http://192.168.1.20.evil.test/x", NULL},
	{80, "location", "http://192.168.1.20@evil.test/x", NULL},
	{8080, "location", "http://192.168.1.20:8080@evil.test/x", NULL},
	{80, "location", "http://evil.test\\@192.168.1.20/x", NULL},
	{80, "location", "http://evil.test/http://192.168.1.20/", NULL},
	{80, "location", "http://fd00::20/x", NULL},
	{80, "location", "http://[fd00::20/x", NULL},
	{80, "location", "http://[fd00::20]evil/x", NULL},
	{8080, "location", "http://192.168.1.20/x", NULL},
	{8080, "location", "https://192.168.1.20/x", NULL},
	{8080, "location", "//192.168.1.20/x", NULL},
	{8080, "location", "http://192.168.1.20:/x", NULL},
	{8080, "location", "http://192.168.1.20:8443/x", NULL},
	{8080, "location", "http://tv.home.test/x", TV "/x"},
	{80, "location", "https://192.168.1.20/x", TV "/x"},
	{80, "location", "http://192.168.1.20:80/x", TV "/x"},
	{80, "location", "https://192.168.1.20:443/x", TV "/x"},
	{80, "location", "http://192.168.1.20:8080/x", NULL},
	{80, "location", "http://192.168.1.20:8443/x", NULL},
	{443, "location", "http://192.168.1.20/x", TV "/x"},
	{443, "location", "https://192.168.1.20:443/x", TV "/x"},
	{443, "location", "https://192.168.1.20:8443/x", NULL},
	{80, "location", "http://", NULL},
	{80, "location", "//", NULL},
	{80, "location", "http:/192.168.1.20/x", NULL},
	{80, "location", "ftp://192.168.1.20/x", NULL},
	{80, "location", "/192.168.1.20/x", NULL},
	{80, "location", "", NULL},
	{80, "content-location", "http://192.168.1.20/a", TV "/a"},
	{80, "refresh", "5; url=http://192.168.1.20/a", "5; url=" TV "/a"},
	{80, "refresh", "0.5,URL = 'http://192.168.1.20/a' x", "0.5,URL = '" TV "/a' x"},
	{80, "refresh", "5;http://192.168.1.20/a", "5;" TV "/a"},
	{80, "refresh", "5; url=\"http://192.168.1.20", "5; url=\"" TV},
	{80, "refresh", "5; url=/a", NULL},
	{80, "refresh", "5; url", NULL},
	{80, "refresh", "5", NULL},
	{80, "refresh", "url=http://192.168.1.20/a", NULL},
	{80, "x-location", "http://192.168.1.20/", NULL},
};
#undef TV

static void the_device_s_own_address_becomes_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		struct msg *m = msg_new_response(302);
		msg_add(m, urls[i].name, urls[i].sent);
		struct rewrite here = self;
		here.port = urls[i].port;
		headers_to_browser(m, &here);
		assert_string_equal(msg_get(m, urls[i].name),
			urls[i].expected ? urls[i].expected : urls[i].sent);
		msg_free(m);
		m = msg_new_response(302);
		msg_add(m, urls[i].name, urls[i].sent);
		headers_to_browser(m, &nameless);
		assert_string_equal(msg_get(m, urls[i].name), urls[i].sent);
		msg_free(m);
	}
}

static void a_way_that_leads_back_is_known(void **state)
{
	(void)state;
	static const struct {
		const char *method, *target;
		int status;
		const char *location, *cookie;
		bool back;
	} rows[] = {
		{"GET", "/", 301, "https://tv.home.test:8443/", NULL, true},
		{"GET", "/", 302, "https://tv.home.test:8443", NULL, true},
		{"HEAD", "/a?b", 307, "HTTPS://TV.home.test:8443/a?b#c", NULL, true},
		{"GET", "/?b", 308, "https://tv.home.test:8443?b", NULL, true},
		{"GET", "/", 303, "https://tv.home.test:8443/", NULL, false},
		{"GET", "/", 201, "https://tv.home.test:8443/", NULL, false},
		{"POST", "/", 301, "https://tv.home.test:8443/", NULL, false},
		{"GET", "/", 301, "https://tv.home.test:8443/", "seen=1", false},
		{"GET", "/", 301, "https://tv.home.test:8443/a", NULL, false},
		{"GET", "/a", 301, "https://tv.home.test:8443/", NULL, false},
		{"GET", "/a", 301, "https://tv.home.test:8443/a/", NULL, false},
		{"GET", "/a", 301, "https://tv.home.test:8443/a?", NULL, false},
		{"GET", "/", 301, "https://tv.home.test/", NULL, false},
		{"GET", "/", 301, "https://tv.home.test:84430/", NULL, false},
		{"GET", "/", 301, "https://nas.home.test:8443/", NULL, false},
		{"GET", "/", 301, "http://tv.home.test:8443/", NULL, false},
		{"GET", "/", 301, "/", NULL, false},
		{"GET", "/", 301, NULL, NULL, false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msg *req = msg_new_request(
			rows[i].method, "https", "tv.home.test:8443", rows[i].target);
		struct msg *m = msg_new_response(rows[i].status);
		if (rows[i].location)
			msg_add(m, "location", rows[i].location);
		if (rows[i].cookie)
			msg_add(m, "set-cookie", rows[i].cookie);
		if (rewrite_leads_back(req, m) != rows[i].back)
			fail_msg("row %zu", i);
		msg_free(m);
		msg_free(req);
	}
	struct msg *req = msg_new_request("GET", "https", "tv.home.test", "/");
	struct msg *m = msg_new_response(301);
	msg_add(m, "location", "https://tv.home.test:443/");
	assert_true(rewrite_leads_back(req, m));
	msg_free(m);
	msg_free(req);
}

static void a_cookie_for_the_device_s_address_becomes_one_for_its_name(void **state)
{
	(void)state;
	static const struct {
		const char *sent, *expected; /* NULL: none */
		bool by_address;	     /* else the same without its addresses */
	} rows[] = {
		{"a=1; Domain=192.168.1.20; Path=/", "a=1; Path=/", true},
		{"a=1;domain = .NAS.lan", "a=1", true},
		{"a=1; Path=/; Domain=[fd00::20]", "a=1; Path=/", true},
		{"a=1; Domain=tv.home.test; Secure", "a=1; Secure", false},
		{"a=1; Domain=tv.home.test; Domain=.tv.home.test", "a=1", false},
		{"a=1; Path=/", "a=1; Path=/", false},
		{"a=1; Domain=tv.home.test; Domain=home.test", NULL, false},
		{"a=1; Domain=192.168.1.20; Domain=home.test", NULL, true},
		{"a=1; Domain=home.test", NULL, false},
		{"a=1; Domain=192.168.1", NULL, false},
		{"a=1; Domain=", NULL, false},
		{"a=1; Domain", NULL, false},
		{"__Host-lanthorn=1; Domain=192.168.1.20", NULL, false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (int named = 0; named < 2; named++) {
			struct msg *m = msg_new_response(200);
			msg_add(m, "set-cookie", rows[i].sent);
			headers_to_browser(m, named ? &self : &nameless);
			const char *got = msg_get(m, "set-cookie");
			if (rows[i].expected && (named || !rows[i].by_address))
				assert_string_equal(got, rows[i].expected);
			else
				assert_null(got);
			msg_free(m);
		}
	}
}

static void trailers_say_nothing_that_a_head_may_not(void **state)
{
	static const char *const gone[] = {"strict-transport-security", "alt-svc", "clear-site-data",
		"nel", "report-to", "set-cookie", "location", "refresh", "content-location",
		"content-encoding"};
	struct msg *m = msg_new_response(200);
	(void)state;
	for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++)
		msg_add(m, gone[i], "x");
	msg_add(m, "grpc-status", "0");
	headers_trailers(m);
	assert_int_equal(msg_count(m), 1);
	assert_string_equal(msg_get(m, "grpc-status"), "0");
	msg_free(m);
}

static void what_a_page_says_of_itself_stays(void **state)
{
	(void)state;
	static const char *const own[] = {"cross-origin-opener-policy",
		"cross-origin-resource-policy", "referrer-policy", "origin-agent-cluster",
		"content-security-policy", "access-control-allow-origin", "x-frame-options"};
	struct msg *m = msg_new_response(200);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		msg_add(m, own[i], "its-own");
	headers_to_browser(m, &self);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		const char *all[2];
		assert_int_equal(msg_get_all(m, own[i], all, 2), 1);
		assert_string_equal(all[0], "its-own");
	}
	msg_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cookies_of_the_gateway_never_reach_a_device),
		cmocka_unit_test(cookies_in_several_fields_are_joined),
		cmocka_unit_test(forged_identity_is_replaced),
		cmocka_unit_test(an_ipv6_client_is_quoted),
		cmocka_unit_test(an_upgrade_survives_alone),
		cmocka_unit_test(a_device_sees_its_own_tags_again),
		cmocka_unit_test(a_device_cannot_set_what_belongs_to_the_house),
		cmocka_unit_test(the_device_s_own_address_becomes_its_name),
		cmocka_unit_test(a_way_that_leads_back_is_known),
		cmocka_unit_test(a_cookie_for_the_device_s_address_becomes_one_for_its_name),
		cmocka_unit_test(trailers_say_nothing_that_a_head_may_not),
		cmocka_unit_test(what_a_page_says_of_itself_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
