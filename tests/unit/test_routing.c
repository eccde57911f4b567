/* Names, certificates and sessions as the loops see them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "gate/router.h"
#include "gate/session.h"
#include "gate/snapshot.h"
#include "net/crypto.h"
#include "worker/choose.h"

static void a_host_is_read_strictly_from_an_authority(void **state)
{
	(void)state;
	static const struct {
		const char *authority;
		bool known;
	} rows[] = {
		{"tv.home.test",      true },
		{"TV.Home.Test:8443", true },
		{"tv.home.test:",     true },
		{"",                  false},
		{":443",              false},
		{"tv.home.test.",     false},
		{"tv..home.test",     false},
		{"tv.home.test/x",    false},
		{"[::1]:443",         false},
		{"user@tv.home.test", false},
		{"v.home.test",       false},
		{"tv.home.tes",       false},
	};
	struct snapshot *snap = snapshot_new("home.test", 443);
	struct route *tv = route_new(ROUTE_LINK, "tv.home.test", "tv");
	snapshot_add_route(snap, tv);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msg *req = msg_new_request("GET", "https", rows[i].authority, "/");
		const struct route *r = router_route_of(snap, msg_authority(req));
		assert_ptr_equal(r, rows[i].known ? tv : NULL);
		msg_free(req);
	}
	route_unref(tv);
	snapshot_unref(snap);
}

static void alpn_lists_are_searched_within_their_bounds(void **state)
{
	(void)state;
	static const uint8_t list[] = "\x02h2\x08http/1.1\x04\xc6\x96\xc9\xa5";
	size_t n = sizeof(list) - 1;
	assert_true(choose_alpn_has(list, n, "http/1.1"));
	assert_true(choose_alpn_has(list, n, TLS_ALPN_RHTTP1));
	assert_false(choose_alpn_has(list, n, TLS_ALPN_RHTTP2));
	assert_false(choose_alpn_has(list, n - 1, TLS_ALPN_RHTTP1));
	assert_false(choose_alpn_has(list, 0, "h2"));
	assert_false(choose_alpn_has((const uint8_t *)"\xff" "h2", 3, "h2"));
}

static void only_one_label_before_the_link_domain_is_a_device(void **state)
{
	(void)state;
	char device[64];
	assert_int_equal(choose_device_of(device, "tv.link.lanthorn.internal"), 0);
	assert_string_equal(device, "tv");
	static const char *const bad[] = {"link.lanthorn.internal", ".link.lanthorn.internal",
		"a.b.link.lanthorn.internal", "tv.home.test", "", "tv_1.link.lanthorn.internal",
		"tv.link.lanthorn.internal.home.test"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_true(choose_device_of(device, bad[i]) < 0);
}

static int ask(struct snapshot_slot *slot, const char *sni)
{
	struct tls_choice c = {0};
	return choose(slot, &(struct tls_hello){.sni = sni}, &c);
}

static void without_a_certificate_the_alert_is_unrecognized_name(void **state)
{
	(void)state;
	struct snapshot_slot *slot = snapshot_slot_new();
	assert_int_equal(ask(slot, "tv.home.test"), 112);
	struct snapshot *s = snapshot_new("home.test", 8443);
	struct route *r = route_new(ROUTE_LINK, "tv.home.test", "tv");
	snapshot_add_route(s, r);
	route_unref(r);
	assert_string_equal(snapshot_port_suffix(s), ":8443");
	snapshot_slot_put(slot, s);
	assert_int_equal(ask(slot, "tv.home.test"), 112);
	assert_int_equal(ask(slot, ""), 112);
	assert_int_equal(ask(slot, "other.test"), 112);
	assert_int_equal(ask(slot, "tv.link.lanthorn.internal"), 120);
	snapshot_slot_free(slot);
}

static void a_link_needs_a_live_certificate_of_its_own_device(void **state)
{
	(void)state;
	static const struct {
		bool has_cert;
		const char *sni, *serial;
		int64_t not_after;
		const char *fault; /* a word of it; NULL: none */
	} rows[] = {
		{true,  "tv.link.lanthorn.internal",   "0a", 1001, NULL	 },
		{false, "tv.link.lanthorn.internal",   "0a", 1001, "no device" },
		{true,  "link.lanthorn.internal",      "0a", 1001, "not a"	},
		{true,  "tv.home.test",		"0a", 1001, "not a"	},
		{true,  "",			      "0a", 1001, "not a"	},
		{true,  "tv.link.lanthorn.internal",   "0c", 1001, "no live"   },
		{true,  "tv.link.lanthorn.internal",   "",   1001, "no live"   },
		{true,  "tv.link.lanthorn.internal",   "0b", 1001, "another"   },
		{true,  "lamp.link.lanthorn.internal", "0a", 1001, "another"   },
		{true,  "tv.link.lanthorn.internal",   "0a", 1000, "expired"   },
	};
	struct snapshot *s = snapshot_new("home.test", 443);
	snapshot_add_serial(s, "0a", "tv");
	snapshot_add_serial(s, "0b", "lamp");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct tls_peer peer = {.not_after = rows[i].not_after};
		struct tls_info t = {.sni = rows[i].sni, .peer = rows[i].has_cert ? &peer : NULL};
		char device[64];
		snprintf(peer.serial, sizeof(peer.serial), "%s", rows[i].serial);
		const char *fault = choose_link_fault(s, &t, 1000, device);
		assert_int_equal(fault != NULL, rows[i].fault != NULL);
		if (fault)
			assert_non_null(strstr(fault, rows[i].fault));
		else
			assert_string_equal(device, "tv");
		assert_non_null(choose_link_fault(NULL, &t, 1000, device));
	}
	/* A clock that is wrong cannot tell; the registry still can. */
	struct tls_peer peer = {.serial = "0a", .not_after = 1000};
	struct tls_info old = {.sni = "tv.link.lanthorn.internal", .peer = &peer};
	char device[64];
	snapshot_set_dates_unknown(s);
	assert_null(choose_link_fault(s, &old, 1000, device));
	peer.serial[1] = 'c';
	assert_non_null(choose_link_fault(s, &old, 1000, device));
	snapshot_unref(s);
}

static unsigned revoked;

static void on_revoked(struct session_use *u)
{
	(void)u;
	revoked++;
}

static struct session_row row_of(const char *cookie, const char *host, int64_t expires_at)
{
	struct session_row row = {.expires_at = expires_at, .user_id = 1};
	sha256(row.hash, cookie, strlen(cookie));
	strcpy(row.host, host);
	return row;
}

static void a_session_opens_its_host_alone_until_it_expires(void **state)
{
	(void)state;
	struct session_table *t = session_table_new();
	struct session_row row = row_of("cookie", "tv.home.test", 1000);
	session_table_put(t, &row);
	assert_non_null(session_table_find(t, "cookie", "tv.home.test", 999));
	assert_null(session_table_find(t, "cookie", "tv.home.test", 1000));
	assert_null(session_table_find(t, "cookie", "lamp.home.test", 1));
	assert_null(session_table_find(t, "cooki", "tv.home.test", 1));
	session_table_free(t);
}

static void ending_a_session_tells_what_runs_under_it(void **state)
{
	(void)state;
	struct session_use uses[3] = {
		{.on_revoked = on_revoked}, {.on_revoked = on_revoked}, {.on_revoked = on_revoked}};
	struct session_table *t = session_table_new();
	struct session_row row = row_of("a", "tv.home.test", 1000);
	revoked = 0;
	session_table_put(t, &row);
	struct session *s = session_table_find(t, "a", "tv.home.test", 1);
	for (int i = 0; i < 3; i++)
		session_use_begin(s, &uses[i]);
	session_use_end(&uses[1]);
	row.expires_at = 2000; /* put again: a renewal keeps what runs */
	session_table_put(t, &row);
	assert_int_equal(revoked, 0);
	session_table_drop(t, row.hash);
	assert_int_equal(revoked, 2);
	assert_null(session_table_find(t, "a", "tv.home.test", 1));
	session_table_drop(t, row.hash);
	session_table_free(t);
}

static void a_session_of_a_clock_ahead_is_not_live(void **state)
{
	(void)state;
	struct session_table *t = session_table_new();
	struct session_row row = row_of("a", "tv.home.test", 99999);
	row.created_at = 5000;
	session_table_put(t, &row);
	assert_null(session_table_find(t, "a", "tv.home.test", 4999 - CLOCK_SKEW_S));
	assert_non_null(session_table_find(t, "a", "tv.home.test", 5000 - CLOCK_SKEW_S));
	session_table_free(t);
}

static void a_sweep_ends_expired_sessions_and_no_other(void **state)
{
	(void)state;
	struct session_table *t = session_table_new();
	struct session_use use = {.on_revoked = on_revoked};
	char cookie[16];
	revoked = 0;
	for (int i = 0; i < 100; i++) {
		snprintf(cookie, sizeof(cookie), "c%d", i);
		struct session_row row = row_of(cookie, "tv.home.test", i < 50 ? 100 : 200);
		session_table_put(t, &row);
	}
	session_use_begin(session_table_find(t, "c7", "tv.home.test", 1), &use);
	session_table_sweep(t, 150);
	assert_int_equal(revoked, 1);
	assert_null(session_table_find(t, "c49", "tv.home.test", 1));
	assert_non_null(session_table_find(t, "c50", "tv.home.test", 1));
	session_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_is_read_strictly_from_an_authority),
		cmocka_unit_test(alpn_lists_are_searched_within_their_bounds),
		cmocka_unit_test(only_one_label_before_the_link_domain_is_a_device),
		cmocka_unit_test(without_a_certificate_the_alert_is_unrecognized_name),
		cmocka_unit_test(a_link_needs_a_live_certificate_of_its_own_device),
		cmocka_unit_test(a_session_opens_its_host_alone_until_it_expires),
		cmocka_unit_test(ending_a_session_tells_what_runs_under_it),
		cmocka_unit_test(a_session_of_a_clock_ahead_is_not_live),
		cmocka_unit_test(a_sweep_ends_expired_sessions_and_no_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
