/* gate/events and gate/front: who hears what, how streams end, and what the gateway's host answers
 * on the loop. */
#include "gate_rig.h"

#include "gate/events.h"
#include "gate/front.h"
#include "gate/session.h"
#include "http/server.h"
#include "net/crypto.h"

static struct event_table *table;
static struct session_table *sessions;
static const char *cookie; /* of who asks */
static unsigned closed;

static void on_request(void *ctx, struct exchange *x)
{
	(void)ctx;
	struct session *s = cookie ? session_table_find(sessions, cookie, "home.test", 1000) : NULL;
	if (!front_answer(table, x, s))
		exchange_reply(x, 404, NULL, NULL, "");
}

static void on_closed(void *ctx, struct http_conn *c)
{
	(void)ctx, (void)c;
	closed++;
}

static const struct http_server_opts opts = {
	.limits = &http_limits_default, .on_request = on_request, .on_closed = on_closed};
static const struct stream_cb no_cb;

static void put_session(const char *text, int64_t user_id, bool is_admin)
{
	struct session_row row = {
		.host = "home.test", .user_id = user_id, .is_admin = is_admin, .expires_at = 2000};
	sha256(row.hash, text, strlen(text));
	session_table_put(sessions, &row);
}

static int begin(void **state)
{
	rig_begin(state);
	closed = 0;
	table = event_table_new(rig_loop);
	sessions = session_table_new();
	put_session("ann", 1, true);
	put_session("eve", 2, false);
	return 0;
}

static int finish(void **state)
{
	session_table_free(sessions);
	event_table_free(table);
	return rig_end(state);
}

static void request(struct far *f, const char *who, const char *target, const char *fields)
{
	char text[600];
	cookie = who;
	http_serve(stream_from_fd(rig_loop, far_open(f), &no_cb, NULL), &opts);
	snprintf(
		text, sizeof(text), "GET %s HTTP/1.1\r\nHost: home.test\r\n%s\r\n", target, fields);
	far_say(f, text);
}

static void listen_as(struct far *f, const char *who)
{
	request(f, who, "/api/v1/events", "");
	UNTIL(far_has(f, "\n\n"));
	assert_true(far_has(f, "HTTP/1.1 200 "));
	assert_true(far_has(f, "Content-Type: text/event-stream\r\n"));
	assert_true(far_has(f, "id: 1\nevent: change\ndata: {\"what\":[]}\n\n"));
	far_forget(f);
}

static void tell(unsigned what, int64_t user_id)
{
	struct event_news *n = calloc(1, sizeof(*n) + sizeof(n->users[0]));
	n->what = what;
	n->everybody = user_id < 0;
	n->n_users = user_id > 0;
	n->users[0] = user_id;
	event_tell(table, n);
	free(n);
}

static void each_hears_what_concerns_them_once(void **state)
{
	(void)state;
	struct far ann, eve;
	listen_as(&ann, "ann");
	listen_as(&eve, "eve");
	tell(EVENT_DEVICES, 0);
	tell(EVENT_DEVICES | EVENT_LAUNCHER, 0);
	tell(EVENT_PEOPLE | EVENT_ME, 2);
	UNTIL(far_has(&ann, "data: {\"what\":[\"devices\",\"launcher\",\"people\"]}\n\n"));
	UNTIL(far_has(&eve, "data: {\"what\":[\"me\"]}\n\n"));
	assert_int_equal(far_count(&ann, "event:"), 1);
	assert_int_equal(far_count(&eve, "event:"), 1);
	assert_true(far_has(&eve, "id: 2\n"));
	far_forget(&ann);
	far_forget(&eve);
	tell(EVENT_ALL, -1);
	UNTIL(far_has(&eve, "data: {\"what\":[\"launcher\",\"me\"]}\n\n"));
	UNTIL(far_has(
		&ann, "[\"certificates\",\"devices\",\"launcher\",\"me\",\"people\",\"status\"]"));
	far_forget(&ann);
	put_session("ann", 1, false); /* no admin any more */
	tell(EVENT_STATUS, 0);
	tell(EVENT_ME, 1);
	UNTIL(far_has(&ann, "{\"what\":[\"me\"]}"));
	far_done(&ann);
	far_done(&eve);
	UNTIL(closed == 2);
}

static void who_comes_back_reads_all_anew(void **state)
{
	(void)state;
	struct far f;
	request(&f, "eve", "/api/v1/events?x", "Last-Event-ID: 7\r\n");
	UNTIL(far_has(&f, "data: {\"what\":[\"launcher\",\"me\"]}\n\n"));
	far_done(&f);
	UNTIL(closed);
}

static void a_stream_ends_with_its_session(void **state)
{
	(void)state;
	struct far f, other;
	uint8_t hash[32];
	listen_as(&f, "eve");
	listen_as(&other, "ann");
	sha256(hash, "eve", 3);
	session_table_drop(sessions, hash);
	tell(EVENT_ALL, -1);
	UNTIL(far_has(&f, "0\r\n\r\n"));
	assert_int_equal(far_count(&f, "event:"), 0);
	UNTIL(far_has(&other, "event:"));
	event_end_all(table);
	UNTIL(far_has(&other, "0\r\n\r\n"));
	event_end_all(table);
	far_done(&f);
	far_done(&other);
	UNTIL(closed == 2);
	request(&f, "eve", "/api/v1/events", "");
	UNTIL(far_has(&f, "HTTP/1.1 404 ")); /* the API's, elsewhere */
	far_done(&f);
	UNTIL(closed == 3);
}

static void streams_are_limited(void **state)
{
	(void)state;
	struct far f[EVENTS_PER_SESSION_MAX], more;
	for (unsigned i = 0; i < EVENTS_PER_SESSION_MAX; i++)
		listen_as(&f[i], "eve");
	request(&more, "eve", "/api/v1/events", "");
	UNTIL(far_has(&more, "\"error\""));
	assert_true(far_has(&more, "HTTP/1.1 429 "));
	assert_true(far_has(&more, "Retry-After: 30\r\n"));
	far_done(&more);
	UNTIL(closed == 1);
	far_done(&f[0]);
	UNTIL(closed == 2);
	listen_as(&f[0], "eve");
	for (unsigned i = 0; i < EVENTS_PER_SESSION_MAX; i++)
		far_done(&f[i]);
	UNTIL(closed == 2 + EVENTS_PER_SESSION_MAX);
}

static void pages_are_for_the_signed_in_and_files_for_all(void **state)
{
	(void)state;
	static const struct {
		const char *who, *target, *expected;
	} rows[] = {
		{"eve", "/", "HTTP/1.1 200 "},
		{"eve", "/devices/tv?x", "HTTP/1.1 200 "},
		{"eve", "/devices", "script-src 'self'; style-src 'self'; img-src 'self' data:;"},
		{"eve", "/", "frame-ancestors 'none'"},
		{"eve", "/", "Cross-Origin-Resource-Policy: same-origin\r\n"},
		{NULL, "/", "Location: /signin\r\n"},
		{NULL, "/people/ada?x=1", "Location: /signin?to=/people/ada%3Fx%3D1\r\n"},
		{"eve", "/peoples", "HTTP/1.1 404 "},
		{"eve", "/people/../x/../..", "HTTP/1.1 200 "},
		{"eve", "/index.html", "HTTP/1.1 404 "},
		{NULL, "/app.js", "HTTP/1.1 200 "},
		{NULL, "/app.css", "Content-Type: text/css; charset=utf-8\r\n"},
		{NULL, "/app.js.gz", "HTTP/1.1 404 "},
		{NULL, "/signin", "HTTP/1.1 404 "},
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct far f;
		request(&f, rows[i].who, rows[i].target, "Connection: close\r\n");
		UNTIL(far_is_closed(&f));
		if (!far_has(&f, rows[i].expected))
			fail_msg("row %u: %.600s", i, buf_str(&f.got));
		far_done(&f);
		UNTIL(closed == i + 1);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_hears_what_concerns_them_once),
		T(who_comes_back_reads_all_anew),
		T(a_stream_ends_with_its_session),
		T(streams_are_limited),
		T(pages_are_for_the_signed_in_and_files_for_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
