/* Header blocks of HTTP/2 as messages, what a connection may cost, and the WebSocket's two words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/h2_budget.h"
#include "http/h2_head.h"
#include "http/h2_nva.h"
#include "http/ws.h"

#define GET_ ":method=GET|:scheme=https|:authority=tv.test|:path=/"

/* Fields as "name=value|…". */
struct row {
	const char *what, *fields;
	bool ended;
	int status; /* 0: it is a request */
	const char *seen; /* "METHOD authority target" */
};

static const struct row rows[] = {
	{"a plain GET", GET_, true, 0, "GET tv.test /"},
	{"the authority in lower case", ":method=GET|:scheme=https|:authority=TV.Test:8443|:path=/a?b", true, 0, "GET tv.test:8443 /a?b"},
	{"Host in place of the authority", ":method=GET|:scheme=https|:path=/|host=tv.test", true, 0, "GET tv.test /"},
	{"Host that agrees", GET_ "|host=TV.test", true, 0, "GET tv.test /"},
	{"Host that does not", GET_ "|host=evil.test", true, 400, NULL},
	{"Host twice", GET_ "|host=tv.test|host=tv.test", true, 400, NULL},
	{"no authority at all", ":method=GET|:scheme=https|:path=/", true, 400, NULL},
	{"a user in the authority", ":method=GET|:scheme=https|:authority=u@tv.test|:path=/", true, 400, NULL},
	{"another scheme", ":method=GET|:scheme=http|:authority=tv.test|:path=/", true, 400, NULL},
	{"a path with a space", ":method=GET|:scheme=https|:authority=tv.test|:path=/ HTTP/1.1", true, 400, NULL},
	{"a path with a fragment", ":method=GET|:scheme=https|:authority=tv.test|:path=/#a", true, 400, NULL},
	{"a URL for a path", ":method=GET|:scheme=https|:authority=tv.test|:path=https://tv.test/", true, 400, NULL},
	{"star", ":method=OPTIONS|:scheme=https|:authority=tv.test|:path=*", true, 0, "OPTIONS tv.test *"},
	{"star for another method", ":method=GET|:scheme=https|:authority=tv.test|:path=*", true, 400, NULL},
	{"a method that is no token", ":method=GE T|:scheme=https|:authority=tv.test|:path=/", true, 400, NULL},
	{"a method without end", ":method=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA|:scheme=https|:authority=tv.test|:path=/", true, 501, NULL},
	{"CONNECT", ":method=CONNECT|:scheme=https|:authority=tv.test|:path=/", false, 501, NULL},
	{"a WebSocket", ":method=CONNECT|:protocol=websocket|:scheme=https|:authority=tv.test|:path=/ws", false, 0, "GET tv.test /ws"},
	{"a WebSocket that has ended", ":method=CONNECT|:protocol=websocket|:scheme=https|:authority=tv.test|:path=/ws", true, 400, NULL},
	{"another protocol", ":method=CONNECT|:protocol=connect-udp|:scheme=https|:authority=tv.test|:path=/ws", false, 501, NULL},
	{"an expectation", GET_ "|expect=100-Continue", false, 0, "GET tv.test /"},
	{"an unknown expectation", GET_ "|expect=200-ok", false, 417, NULL},
	{"a length", GET_ "|content-length=12", false, 0, "GET tv.test /"},
	{"a length twice", GET_ "|content-length=12|content-length=12", false, 400, NULL},
	{"a length with a sign", GET_ "|content-length=+1", false, 400, NULL},
	{"a length that overflows", GET_ "|content-length=9999999999999999999", false, 400, NULL},
	{"an unknown pseudo-field", GET_ "|:evil=1", true, 400, NULL},
	{"a CR in a value", GET_ "|a=b\rc", true, 400, NULL},
	{"a name that is no token", GET_ "|a b=c", true, 400, NULL},
};

static void feed(struct h2_head *h, const struct http_limits *l, const char *fields)
{
	while (*fields) {
		size_t n = strcspn(fields, "|"), name = strcspn(fields, "=");
		struct h2_field f = {fields, fields + name + 1, name, n - name - 1};
		h2_head_field(h, l, &f);
		fields += n + (fields[n] == '|');
	}
}

static void each_block_becomes_a_request_or_a_refusal(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct h2_head h = {0};
		char seen[300] = "";
		h2_head_begin(&h);
		feed(&h, &http_limits_default, rows[i].fields);
		struct msg *m = h2_head_request(&h, "https", rows[i].ended);
		if (m)
			snprintf(seen, sizeof(seen), "%s %s %s", msg_method_text(m),
				msg_authority(m), msg_target(m));
		if (h.status != rows[i].status || !m != !rows[i].seen)
			fail_msg("%s: %d, \"%s\"", rows[i].what, h.status, seen);
		if (m)
			assert_string_equal(seen, rows[i].seen);
		msg_free(m);
		h2_head_done(&h);
	}
}

static struct msg *request(const char *fields, bool ended)
{
	struct h2_head h = {0};
	h2_head_begin(&h);
	feed(&h, &http_limits_default, fields);
	struct msg *m = h2_head_request(&h, "https", ended);
	h2_head_done(&h);
	assert_non_null(m);
	return m;
}

static void crumbs_are_one_cookie(void **state)
{
	(void)state;
	struct msg *m = request(GET_ "|cookie=a=1|x=y|cookie=b=2", true);
	assert_string_equal(msg_get(m, "cookie"), "a=1; b=2");
	assert_null(msg_get(m, "host"));
	msg_free(m);
}

static void a_body_is_framed_as_http_1_would(void **state)
{
	(void)state;
	struct msg *m = request(GET_, true);
	assert_int_equal(msg_body(m), BODY_NONE);
	msg_free(m);
	m = request(GET_, false);
	assert_int_equal(msg_body(m), BODY_CHUNKED);
	msg_free(m);
	m = request(GET_ "|content-length=7", false);
	assert_int_equal(msg_body(m), BODY_LENGTH);
	assert_int_equal(msg_body_length(m), 7);
	msg_free(m);
	m = request(":method=POST|:scheme=https|:authority=tv.test|:path=/", true);
	assert_int_equal(msg_body(m), BODY_LENGTH);
	assert_int_equal(msg_body_length(m), 0);
	msg_free(m);
}

static void a_websocket_looks_like_an_upgrade(void **state)
{
	(void)state;
	struct msg *m = request(":method=CONNECT|:protocol=websocket|:scheme=https|"
				":authority=tv.test|:path=/ws|sec-websocket-key=theirs",
		false);
	assert_string_equal(msg_upgrade(m), "websocket");
	assert_int_equal(msg_body(m), BODY_NONE);
	assert_int_equal(strlen(msg_get(m, "sec-websocket-key")), WS_KEY_SIZE - 1);
	msg_free(m);
}

static void a_block_has_limits(void **state)
{
	(void)state;
	struct http_limits l = http_limits_default;
	struct h2_head h = {0};
	l.fields_max = 3;
	h2_head_begin(&h);
	feed(&h, &l, GET_ "|a=1|b=2|c=3|d=4|e=5|f=6|g=7|h=8|i=9");
	assert_null(h2_head_request(&h, "https", true));
	assert_int_equal(h.status, 431);
	l = http_limits_default;
	l.head_max = 100;
	l.fields_max = 10;
	h2_head_begin(&h);
	for (int i = 0; i < 12; i++)
		feed(&h, &l, "a=bbbbbbbbbbbbbbbbbbbb");
	assert_int_equal(h.status, 431);
	l = http_limits_default;
	l.url_max = 3;
	h2_head_begin(&h);
	feed(&h, &l, ":path=/abc");
	assert_int_equal(h.status, 414);
	h2_head_done(&h);
}

static void trailers_are_plain_fields(void **state)
{
	(void)state;
	struct h2_head h = {0};
	h2_head_begin(&h);
	feed(&h, &http_limits_default, "sum=10");
	struct msg *m = h2_head_trailers(&h);
	assert_string_equal(msg_get(m, "sum"), "10");
	msg_free(m);
	static const char *const bad[] = {":path=/", "host=x", "content-length=1", "a=b\nc"};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		h2_head_begin(&h);
		feed(&h, &http_limits_default, bad[i]);
		assert_null(h2_head_trailers(&h));
	}
	h2_head_done(&h);
}

static void a_flood_runs_dry_and_work_does_not(void **state)
{
	(void)state;
	struct h2_budget b;
	uint64_t now = 1000, n = 0;
	h2_budget_init(&b, now, H2_PREFACE_LEN);
	while (h2_budget_take(&b, H2_COST_RESET, 1, now))
		n++;
	assert_int_equal(n, 300);
	assert_false(h2_budget_take(&b, H2_COST_RESET, 1, now + 10));
	assert_true(h2_budget_take(&b, H2_COST_RESET, 30, now + 1010));
	assert_false(h2_budget_take(&b, H2_COST_RESET, 1, now + 1010));
	for (n = 0; n < 1000000; n++) {
		assert_true(h2_budget_take(&b, H2_COST_FRAME, 2, now));
		h2_budget_give(&b, H2_COST_FRAME, 2);
	}
	h2_budget_give(&b, H2_COST_FRAME, UINT64_MAX);
	assert_false(h2_budget_take(&b, H2_COST_FRAME, 20001, now));
}

static bool input(struct h2_budget *b, const uint8_t *p, size_t n, size_t piece)
{
	for (size_t at = 0; at < n; at += piece) {
		enum h2_admission is;
		h2_budget_admit(b, p + at, n - at < piece ? n - at : piece, 1, &is);
		if (is != H2_ADMITTED)
			return false;
	}
	return true;
}

static void every_frame_counts_however_it_is_cut(void **state)
{
	(void)state;
	/* A preface, SETTINGS, DATA of 3 bytes, PING, an unknown frame: 50 + 10 + 1, and 1. */
	static const uint8_t bytes[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				       "\0\0\0\4\0\0\0\0\0"
				       "\0\0\3\0\0\0\0\0\1abc"
				       "\0\0\x8\6\0\0\0\0\0\1\2\3\4\5\6\7\x8"
				       "\0\0\1\x4d\0\0\0\0\0x";
	for (size_t piece = 1; piece <= sizeof(bytes); piece++) {
		struct h2_budget b;
		h2_budget_init(&b, 1, H2_PREFACE_LEN);
		assert_true(input(&b, bytes, sizeof(bytes) - 1, piece));
		assert_int_equal(b.left[H2_COST_FRAME], 20000 - 61);
		assert_int_equal(b.left[H2_COST_DATA], 20000 - 1);
	}
}

static void what_data_is_too_much_comes_again(void **state)
{
	(void)state;
	static const uint8_t bytes[] = "\0\0\2\0\0\0\0\0\1ab"
				       "\0\0\3\0\0\0\0\0\1cde";
	for (size_t piece = 1; piece < sizeof(bytes); piece++) {
		struct h2_budget b;
		enum h2_admission is = H2_ADMITTED;
		uint64_t now = 1;
		size_t at = 0, waits = 0;
		h2_budget_init(&b, now, 0);
		assert_true(h2_budget_take(&b, H2_COST_DATA, 19999, now));
		while (at < sizeof(bytes) - 1) {
			size_t n = sizeof(bytes) - 1 - at;
			at += h2_budget_admit(&b, bytes + at, n < piece ? n : piece, now, &is);
			assert_int_not_equal(is, H2_TOO_MUCH);
			waits += is == H2_TOO_FAST;
			now += is == H2_TOO_FAST ? 1 : 0; /* 5 more */
		}
		assert_int_equal(waits, 1);
		assert_int_equal(b.left[H2_COST_DATA], 4);
		assert_int_equal(b.left[H2_COST_FRAME], 20000);
		assert_int_equal(b.frame_left + b.head_len, 0);
	}
}

static void a_websocket_key_has_one_answer(void **state)
{
	(void)state;
	char key[WS_KEY_SIZE];
	ws_key(key);
	assert_int_equal(strlen(key), 24);
	/* RFC 6455 §1.3 */
	static const char theirs[] = "dGhlIHNhbXBsZSBub25jZQ==";
	assert_true(ws_is_accepted(theirs, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	assert_false(ws_is_accepted(theirs, "s3pPLMBiTxaQ9kYGzzhZRbK+xOp="));
	assert_false(ws_is_accepted(theirs, NULL));
	assert_false(ws_is_accepted(NULL, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	assert_false(ws_is_accepted("short", ""));
}

/* A name that stood elsewhere would only be copied, and nobody would notice. */
static void names_that_are_not_copied_are_at_their_places(void **state)
{
	(void)state;
	unsigned n = 0;
	for (unsigned i = 0; i < 256; i++) {
		const struct h2_nva_name *name = &h2_nva_names[i];
		n += name->text != NULL;
		if (name->text)
			assert_int_equal(h2_nva_place(msg_name_hash(name->text, name->n)), i);
	}
	assert_true(n > 50);
}

static void fields_point_into_the_message_or_at_literals(void **state)
{
	(void)state;
	struct msg *m = msg_new_response(200);
	struct h2_nva v = {.n = 0};
	assert_int_equal(msg_add(m, "Server", "s"), 0);
	assert_int_equal(msg_add(m, "Servex", "x"), 0);
	assert_int_equal(msg_add(m, "Connection", "close"), 0);
	assert_int_equal(msg_add(m, "X-Left", "out"), 0);
	h2_nva_fields(&v, m, "x-left");
	assert_int_equal(v.n, 2);
	assert_true((const char *)v.at[0].name != msg_field(m, 0).name);
	assert_int_equal(v.at[0].flags, NGHTTP2_NV_FLAG_NO_COPY_NAME);
	assert_ptr_equal(v.at[1].name, msg_field(m, 1).name);
	assert_int_equal(v.at[1].flags, NGHTTP2_NV_FLAG_NONE);
	for (unsigned i = 0; i < v.n; i++) {
		assert_string_equal((const char *)v.at[i].name, msg_field(m, i).name);
		assert_int_equal(v.at[i].namelen, 6);
		assert_int_equal(v.at[i].valuelen, 1);
	}
	msg_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_block_becomes_a_request_or_a_refusal),
		cmocka_unit_test(crumbs_are_one_cookie),
		cmocka_unit_test(a_body_is_framed_as_http_1_would),
		cmocka_unit_test(a_websocket_looks_like_an_upgrade),
		cmocka_unit_test(a_block_has_limits),
		cmocka_unit_test(trailers_are_plain_fields),
		cmocka_unit_test(a_flood_runs_dry_and_work_does_not),
		cmocka_unit_test(every_frame_counts_however_it_is_cut),
		cmocka_unit_test(what_data_is_too_much_comes_again),
		cmocka_unit_test(a_websocket_key_has_one_answer),
		cmocka_unit_test(names_that_are_not_copied_are_at_their_places),
		cmocka_unit_test(fields_point_into_the_message_or_at_literals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
