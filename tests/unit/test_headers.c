/* What crosses between browser and device in the heads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/headers.h"

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
		{";;; a=1;", "a=1"},
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
		"x-forwarded-proto", "x-forwarded-user", "forwarded", "x-real-ip", "lanthorn-user",
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
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msg *m = msg_new_response(200);
		msg_add(m, "set-cookie", rows[i].cookie);
		msg_add(m, "strict-transport-security", "max-age=0");
		msg_add(m, "alt-svc", "h3=\":444\"");
		msg_add(m, "clear-site-data", "\"*\"");
		msg_add(m, "service-worker-allowed", "/");
		headers_to_browser(m);
		assert_int_equal(msg_get(m, "set-cookie") != NULL, rows[i].kept);
		assert_string_equal(msg_get(m, "strict-transport-security"), "max-age=15552000");
		assert_string_equal(
			msg_get(m, "referrer-policy"), "strict-origin-when-cross-origin");
		assert_null(msg_get(m, "alt-svc"));
		assert_null(msg_get(m, "clear-site-data"));
		assert_null(msg_get(m, "service-worker-allowed"));
		msg_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cookies_of_the_gateway_never_reach_a_device),
		cmocka_unit_test(cookies_in_several_fields_are_joined),
		cmocka_unit_test(forged_identity_is_replaced),
		cmocka_unit_test(an_ipv6_client_is_quoted),
		cmocka_unit_test(an_upgrade_survives_alone),
		cmocka_unit_test(a_device_cannot_set_what_belongs_to_the_house),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
