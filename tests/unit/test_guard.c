/* The guard between siblings: one line a case, named after who asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/xalloc.h"
#include "gate/guard.h"
#include "gate/snapshot.h"

#define OWN "https://tv.home.test"
#define SIBLING "https://lamp.home.test"
#define FRIEND "https://panel.home.test"

struct row {
	const char *what, *method;
	const char *site, *mode, *dest, *origin, *upgrade;
	bool token;
	enum guard_verdict expected;
};

static const struct row rows[] = {
	{"typed into the address bar", "GET", "none", "navigate", "document", NULL, NULL, false, GUARD_OK},
	{"own page fetches", "GET", "same-origin", "cors", "empty", NULL, NULL, false, GUARD_OK},
	{"own page posts", "POST", "same-origin", "cors", "empty", OWN, NULL, false, GUARD_OK},
	{"link from a sibling", "GET", "same-site", "navigate", "document", NULL, NULL, false, GUARD_OK},
	{"link from elsewhere", "GET", "cross-site", "navigate", "document", NULL, NULL, false, GUARD_OK},
	{"sibling fetches", "GET", "same-site", "cors", "empty", SIBLING, NULL, false, GUARD_FORBID},
	{"sibling loads an image", "GET", "same-site", "no-cors", "image", NULL, NULL, false, GUARD_FORBID},
	{"sibling frames", "GET", "same-site", "navigate", "iframe", NULL, NULL, false, GUARD_FORBID},
	{"sibling posts a form", "POST", "same-site", "navigate", "document", SIBLING, NULL, false, GUARD_FORBID},
	{"elsewhere posts a form", "POST", "cross-site", "navigate", "document", "https://evil.test", NULL, false, GUARD_FORBID},
	{"elsewhere loads an image", "GET", "cross-site", "no-cors", "image", NULL, NULL, false, GUARD_FORBID},
	{"sibling heads", "HEAD", "same-site", "cors", "empty", SIBLING, NULL, false, GUARD_FORBID},
	{"friend fetches", "GET", "same-site", "cors", "empty", FRIEND, NULL, false, GUARD_OK},
	{"friend frames", "GET", "same-site", "navigate", "iframe", FRIEND, NULL, false, GUARD_OK},
	{"friend frames by POST", "POST", "same-site", "navigate", "iframe", FRIEND, NULL, false, GUARD_FORBID},
	{"sibling frames, and says so", "GET", "same-site", "navigate", "iframe", SIBLING, NULL, false, GUARD_FORBID},
	{"own WebSocket", "GET", NULL, NULL, NULL, OWN, "websocket", false, GUARD_OK},
	{"sibling's WebSocket", "GET", NULL, NULL, NULL, SIBLING, "websocket", false, GUARD_FORBID},
	{"WebSocket without Origin", "GET", NULL, NULL, NULL, NULL, "websocket", false, GUARD_FORBID},
	{"script's WebSocket with a token", "GET", NULL, NULL, NULL, NULL, "websocket", true, GUARD_OK},
	{"WebSocket with a null Origin", "GET", NULL, NULL, NULL, "null", "websocket", false, GUARD_FORBID},
	{"friend's WebSocket", "GET", NULL, NULL, NULL, FRIEND, "websocket", false, GUARD_OK},
	{"sibling's WebSocket that claims same-origin", "GET", "same-origin", NULL, NULL, SIBLING, "websocket", true, GUARD_FORBID},
	{"curl reads", "GET", NULL, NULL, NULL, NULL, NULL, false, GUARD_OK},
	{"curl posts", "POST", NULL, NULL, NULL, NULL, NULL, false, GUARD_FORBID},
	{"script posts with a token", "POST", NULL, NULL, NULL, NULL, NULL, true, GUARD_OK},
	{"old browser posts to itself", "POST", NULL, NULL, NULL, OWN, NULL, false, GUARD_OK},
	{"old browser, sibling posts", "POST", NULL, NULL, NULL, SIBLING, NULL, false, GUARD_FORBID},
	{"old browser, sibling reads", "GET", NULL, NULL, NULL, SIBLING, NULL, false, GUARD_FORBID},
	{"another port of the same host", "POST", NULL, NULL, NULL, OWN ":8443", NULL, false, GUARD_FORBID},
	{"plain http of the same host", "POST", NULL, NULL, NULL, "http://tv.home.test", NULL, false, GUARD_FORBID},
	{"friend's name in plain http", "POST", NULL, NULL, NULL, "http://panel.home.test", NULL, false, GUARD_FORBID},
	{"a name that ends like a friend", "POST", NULL, NULL, NULL, "https://evilpanel.home.test", NULL, false, GUARD_FORBID},
	{"an unknown word for the site", "GET", "martian", "cors", "empty", NULL, NULL, false, GUARD_FORBID},
};

static void add(struct msg *m, const char *name, const char *value)
{
	if (value)
		assert_int_equal(msg_add(m, name, value), 0);
}

static void each_row_gets_its_verdict(void **state)
{
	(void)state;
	struct route *route = route_new(ROUTE_LINK, "tv.home.test", "tv");
	route_allow_embed(route, xstrdup("panel.home.test"));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		const char *why;
		struct msg *m = msg_new_request(r->method, "https", "tv.home.test", "/");
		add(m, "sec-fetch-site", r->site);
		add(m, "sec-fetch-mode", r->mode);
		add(m, "sec-fetch-dest", r->dest);
		/* a frame's navigation says where it comes from by Referer alone */
		add(m, r->dest && strcmp(r->dest, "iframe") == 0 ? "referer" : "origin", r->origin);
		add(m, "connection", r->upgrade ? "Upgrade" : NULL);
		add(m, "upgrade", r->upgrade);
		if (guard_check(m, route, OWN, r->token, &why) != r->expected)
			fail_msg("%s: not %s (%s)", r->what,
				r->expected == GUARD_OK ? "let through" : "forbidden", why);
		if (r->expected == GUARD_FORBID)
			assert_true(why[0] != 0);
		msg_free(m);
	}
	route_unref(route);
}

static void what_is_loaded_ahead_is_for_the_own_page(void **state)
{
	(void)state;
	static const struct {
		const char *site, *purpose, *page;
		enum guard_verdict expected;
	} cases[] = {
		{"none", "prefetch", SIBLING "/", GUARD_FORBID},
		{"none", "prefetch;prerender", SIBLING "/", GUARD_FORBID},
		{"none", "prefetch", NULL, GUARD_FORBID},
		{"none", "prefetch", OWN ".evil.test/", GUARD_FORBID},
		{"same-site", "prefetch", SIBLING "/", GUARD_FORBID},
		{"none", "prefetch", OWN "/list", GUARD_OK},
		{"same-origin", "prefetch;prerender", NULL, GUARD_OK},
		{"none", NULL, SIBLING "/", GUARD_OK},
	};
	struct route *route = route_new(ROUTE_LINK, "tv.home.test", "tv");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *why;
		struct msg *m = msg_new_request("GET", "https", "tv.home.test", "/");
		add(m, "sec-fetch-site", cases[i].site);
		add(m, "sec-fetch-mode", "navigate");
		add(m, "sec-fetch-dest", "document");
		add(m, "sec-purpose", cases[i].purpose);
		add(m, "referer", cases[i].page);
		if (guard_check(m, route, OWN, false, &why) != cases[i].expected)
			fail_msg("row %zu: %s", i, why);
		msg_free(m);
	}
	route_unref(route);
}

static void only_a_page_load_is_a_navigation(void **state)
{
	(void)state;
	static const struct {
		const char *method, *mode, *dest, *accept;
		bool expected;
	} cases[] = {
		{"GET", "navigate", "document", NULL, true},
		{"GET", "navigate", "iframe", NULL, false},
		{"GET", "cors", "empty", "text/html", false},
		{"POST", "navigate", "document", NULL, false},
		{"GET", NULL, NULL, "text/html,*/*", true},
		{"GET", NULL, NULL, "*/*", false},
		{"GET", NULL, NULL, NULL, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct msg *m = msg_new_request(cases[i].method, "https", "tv.home.test", "/");
		add(m, "sec-fetch-mode", cases[i].mode);
		add(m, "sec-fetch-dest", cases[i].dest);
		add(m, "accept", cases[i].accept);
		assert_int_equal(guard_is_navigation(m), cases[i].expected);
		msg_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_gets_its_verdict),
		cmocka_unit_test(what_is_loaded_ahead_is_for_the_own_page),
		cmocka_unit_test(only_a_page_load_is_a_navigation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
