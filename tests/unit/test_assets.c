/* src/tools/embed and gate/assets: files come back as they were, to those who read slowly too. The
 * sample is made while building, by the tool itself. */
#include "gate_rig.h"

#include "gate/assets.h"
#include "http/server.h"

extern const struct asset assets_sample[];

static const struct asset *now;
static unsigned closed;

static void on_request(void *ctx, struct exchange *x)
{
	(void)ctx;
	assets_reply(x, now, NULL);
}

static void on_closed(void *ctx, struct http_conn *c)
{
	(void)ctx, (void)c;
	closed++;
}

static const struct http_server_opts opts = {
	.limits = &http_limits_default, .on_request = on_request, .on_closed = on_closed};
static const struct stream_cb no_cb;

static void ask(struct far *f, const char *name, const char *fields)
{
	char text[600];
	now = assets_find(assets_sample, name);
	assert_non_null(now);
	closed = 0;
	http_serve(stream_from_fd(rig_loop, far_open(f), &no_cb, NULL), &opts);
	snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: home.test\r\nConnection: close\r\n%s\r\n", name, fields);
	far_say(f, text);
}

static const uint8_t *body_of(struct far *f, size_t *n)
{
	static const char end[] = "\r\n\r\n";
	const char *head = buf_str(&f->got), *at = strstr(head, end);
	assert_non_null(at);
	*n = f->got.len - (size_t)(at + 4 - head);
	return (const uint8_t *)at + 4;
}

static void the_tool_keeps_every_byte(void **state)
{
	(void)state;
	const struct asset *odd = assets_find(assets_sample, "/odd.css");
	static const char bytes[] = "a\0b\377\"\\\n";
	assert_int_equal(odd->len, sizeof(bytes) - 1);
	assert_memory_equal(odd->data, bytes, sizeof(bytes)); /* with a NUL behind */
	assert_string_equal(odd->type, "text/css; charset=utf-8");
	assert_null(odd->gz);
	const struct asset *empty = assets_find(assets_sample, "/empty.txt");
	assert_int_equal(empty->len, 0);
	const struct asset *packed = assets_find(assets_sample, "/long.js");
	assert_true(packed->gz && packed->gz_len < packed->len);
	assert_memory_equal(packed->gz, "\x1f\x8b", 2);
	assert_string_not_equal(odd->hash, packed->hash);
	assert_null(assets_find(assets_sample, "/long.js.gz"));
	assert_null(assets_find(assets_sample, "/long"));
	assert_null(assets_find(assets_sample, "long.js"));
	assert_null(assets_find(assets_sample, "/"));
	assert_ptr_equal(assets_find(assets_sample, "/long.js?x=1"), packed);
}

static void gzip_is_for_those_who_take_it(void **state)
{
	(void)state;
	static const struct {
		const char *name, *field;
		bool gzip;
	} rows[] = {
		{"/long.js", "", false},
		{"/long.js", "Accept-Encoding: gzip\r\n", true},
		{"/long.js", "Accept-Encoding: br, GZIP;q=0.5\r\n", true},
		{"/long.js", "Accept-Encoding: *\r\n", true},
		{"/long.js", "Accept-Encoding: gzip;q=0\r\n", false},
		{"/long.js", "Accept-Encoding: gzip; q=0.000, br\r\n", false},
		{"/long.js", "Accept-Encoding: gzip;q=0.001\r\n", true},
		{"/long.js", "Accept-Encoding: x-gzipped, br\r\n", false},
		{"/odd.css", "Accept-Encoding: gzip\r\n", false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct far f;
		size_t n;
		ask(&f, rows[i].name, rows[i].field);
		UNTIL(far_is_closed(&f));
		const uint8_t *body = body_of(&f, &n);
		if (far_has(&f, "Content-Encoding: gzip\r\n") != rows[i].gzip)
			fail_msg("row %zu", i);
		assert_int_equal(n, rows[i].gzip ? now->gz_len : now->len);
		assert_memory_equal(body, rows[i].gzip ? now->gz : now->data, n);
		assert_int_equal(far_has(&f, "Vary: accept-encoding\r\n"), now->gz != NULL);
		assert_true(far_has(&f, "Cache-Control: no-cache\r\n"));
		assert_true(far_has(&f, "X-Content-Type-Options: nosniff\r\n"));
		far_done(&f);
		UNTIL(closed);
	}
}

static void what_the_browser_has_is_not_sent_again(void **state)
{
	(void)state;
	static const struct {
		const char *before, *after; /* the hash */
		int status;
	} rows[] = {
		{"\"", "\"", 304},
		{"W/\"", "\"", 304},
		{"\"x\", \"", "\" , \"y\"", 304},
		{"*", NULL, 304},
		{"\"", "-gz\"", 200},
		{"\"x\"", NULL, 200},
		{"", "", 200},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct far f;
		char field[200], status[40];
		size_t n;
		const char *hash = assets_find(assets_sample, "/long.js")->hash;
		snprintf(field, sizeof(field), "If-None-Match: %s%s%s\r\n", rows[i].before,
			rows[i].after ? hash : "", rows[i].after ? rows[i].after : "");
		snprintf(status, sizeof(status), "HTTP/1.1 %d ", rows[i].status);
		ask(&f, "/long.js", field);
		UNTIL(far_is_closed(&f));
		if (!far_has(&f, status))
			fail_msg("row %zu: %s", i, buf_str(&f.got));
		body_of(&f, &n);
		assert_int_equal(n, rows[i].status == 304 ? 0 : now->len);
		assert_true(far_has(&f, "ETag: \"") || far_has(&f, "Etag: \""));
		far_done(&f);
		UNTIL(closed);
	}
}

static void who_reads_slowly_gets_all_of_it(void **state)
{
	(void)state;
	struct far f;
	size_t n;
	ask(&f, "/big.js", "");
	rig_turns(50); /* nobody reads */
	while (!far_is_closed(&f))
		rig_turn();
	const uint8_t *body = body_of(&f, &n);
	assert_true(now->len > 4 * 65536);
	assert_int_equal(n, now->len);
	assert_memory_equal(body, now->data, n);
	far_done(&f);
	UNTIL(closed);
	ask(&f, "/big.js", "");
	rig_turns(5);
	far_done(&f); /* or goes away */
	UNTIL(closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(the_tool_keeps_every_byte),
		RIG_TEST(gzip_is_for_those_who_take_it),
		RIG_TEST(what_the_browser_has_is_not_sent_again),
		RIG_TEST(who_reads_slowly_gets_all_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
