/* What a browser gets in place of an answer: a page that says what is wrong and what to do. */
#include "proxy_rig.h"

#include "base/clock.h"
#include "gate/site.h"

/* What a device at http://192.168.1.20 answers, and what the browser is told of it. */
static void a_device_that_leads_in_a_circle_is_502(void **state)
{
	(void)state;
	static const struct {
		const char *location, *told;
		bool tls, rewrite;
	} rows[] = {
		{"https://192.168.1.20/", "HTTP/1.1 502 ", false, true},
		{"https://192.168.1.20/a", "Location: https://tv.home.test/a\r\n", false, true},
		{"https://192.168.1.20/", "Location: https://192.168.1.20/\r\n", false, false},
		{"https://tv.home.test/", "HTTP/1.1 502 ", false, true},
		{"https://tv.home.test/", "HTTP/1.1 502 ", false, false},
		{"https://tv.home.test/", "Location: https://tv.home.test/\r\n", true, true},
		{"http://192.168.1.20/", "Location: https://tv.home.test/\r\n", false, true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct far d;
		site = site_new("tv.home.test");
		site->addrs[site->n_addrs++] = strdup("192.168.1.20");
		site->port = 80;
		site->tls = rows[i].tls;
		site->rewrite = rows[i].rewrite;
		add_device(&d);
		far_forget(&browser);
		far_say(&browser, GET);
		UNTIL(far_has(&d, "\r\n\r\n"));
		char answer[160];
		snprintf(answer, sizeof(answer),
			"HTTP/1.1 301 Moved\r\nLocation: %s\r\nContent-Length: 2\r\n\r\n", rows[i].location);
		far_say(&d, answer);
		UNTIL(far_has(&browser, "\r\n\r\n"));
		if (!far_has(&browser, rows[i].told))
			fail_msg("row %zu", i);
		if (far_has(&browser, "HTTP/1.1 502 "))
			UNTIL(far_has(&browser, "leads in a circle") && far_has(&browser, "gateway.yaml"));
		else
			far_say(&d, "hi");
		rig_turns(10);
		far_done(&d);
		UNTIL(pool_count(pool) == 0);
		site_unref(site);
		site = NULL;
	}
}

static void a_silent_device_becomes_a_page(void **state)
{
	(void)state;
	struct far d;
	idle_ms = 60;
	add_device(&d);
	far_say(&browser, GET);
	UNTIL(far_has(&browser, "HTTP/1.1 504 "));
	UNTIL(far_has(&browser, "it has said nothing"));
	assert_false(browser.eof);
	UNTIL((far_read(&d), d.eof)); /* who knows what it would still answer */
	far_done(&d);
}

static void who_waits_longer_than_anything_may_be_idle_is_told_503(void **state)
{
	static const char *const rows[] = {GET, POST "Content-Length: 2\r\n\r\nab"};
	(void)state;
	idle_ms = 60;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		far_forget(&browser);
		far_say(&browser, rows[i]);
		UNTIL(far_has(&browser, "HTTP/1.1 503 "));
		UNTIL(far_has(&browser, "became free"));
		assert_true(far_has(&browser, "Retry-After: 3\r\n"));
		assert_int_equal(pool_waiting(pool), 0);
	}
}

static void errors_are_pages_for_people_and_json_for_scripts(void **state)
{
	(void)state;
	struct err e;
	far_say(&browser, "GET / HTTP/1.1\r\nHost: tv.home.test\r\nAccept: text/html, */*\r\n\r\n");
	UNTIL(pool_waiting(pool));
	err_set(&e, -ETIMEDOUT, "it <took> long");
	pool_fail_waiting(pool, &e);
	UNTIL(far_has(&browser, "</html>"));
	assert_true(far_has(&browser, "HTTP/1.1 503"));
	assert_true(far_has(&browser, "Retry-After: 3\r\n"));
	assert_true(far_has(&browser, "Content-Type: text/html"));
	assert_true(far_has(&browser, "it &#60;took&#62; long"));
	far_forget(&browser);
	far_say(&browser, "GET / HTTP/1.1\r\nHost: tv.home.test\r\nAccept: */*\r\n\r\n");
	UNTIL(pool_waiting(pool));
	err_set(&e, -ECONNREFUSED, "say \"no\"");
	pool_fail_waiting(pool, &e);
	UNTIL(far_has(&browser, "}}"));
	assert_true(far_has(&browser, "HTTP/1.1 502"));
	assert_false(far_has(&browser, "Retry-After"));
	assert_true(far_has(&browser, "Content-Type: application/json\r\n"));
	assert_true(far_has(&browser, "say \\u0022no\\u0022"));
}

static void who_waits_for_a_device_hears_since_when(void **state)
{
	(void)state;
	static const struct {
		int64_t away_s;
		const char *span;
	} rows[] = {{1, "(1 second)"}, {719, "(11 minutes)"}, {3600, "(1 hour)"}, {172800, "(2 days)"}};
	struct err e;
	err_set(&e, -ETIMEDOUT, "nothing became free");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		far_forget(&browser);
		away_since = clock_unix() - rows[i].away_s;
		far_say(&browser, "GET / HTTP/1.1\r\nHost: tv.home.test\r\n"
				  "Accept: text/html\r\n\r\n");
		UNTIL(pool_waiting(pool));
		pool_fail_waiting(pool, &e);
		UNTIL(far_has(&browser, "</html>"));
		assert_true(far_has(&browser, "tv has not been reachable since <time datetime=\""));
		assert_true(far_has(&browser, rows[i].span));
		assert_true(far_has(&browser, "; script-src 'sha256-"));
		assert_true(far_has(&browser, "data-again=\"3\""));
	}
	far_forget(&browser);
	far_say(&browser, "POST / HTTP/1.1\r\nHost: tv.home.test\r\nAccept: text/html\r\n"
			  "Content-Length: 0\r\n\r\n");
	UNTIL(pool_waiting(pool));
	pool_fail_waiting(pool, &e);
	UNTIL(far_has(&browser, "</html>"));
	assert_true(far_has(&browser, "Retry-After: 3\r\n"));
	assert_false(far_has(&browser, "refresh")); /* a form is not sent twice */
	assert_false(far_has(&browser, "<script"));
	away_since = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROXY_TEST(a_device_that_leads_in_a_circle_is_502),
		PROXY_TEST(a_silent_device_becomes_a_page),
		PROXY_TEST(who_waits_longer_than_anything_may_be_idle_is_told_503),
		PROXY_TEST(errors_are_pages_for_people_and_json_for_scripts),
		PROXY_TEST(who_waits_for_a_device_hears_since_when),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
