/* What is compressed, for whom, and what its head says then. */
#include "gate/compress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/etag.h"
#include "http/msg.h"

/* Fields as "name: value|name: value". */
static void add(struct msg *m, const char *fields)
{
	char *copy = strdup(fields), *rest = copy;
	for (char *f; (f = strsep(&rest, "|"));) {
		char *value = strstr(f, ": ");
		if (!value)
			continue;
		*value = 0;
		assert_int_equal(msg_add(m, f, value + 2), 0);
	}
	free(copy);
}

static struct msg *request(const char *method, const char *fields)
{
	struct msg *m = msg_new_request(method, "https", "tv.home.test:8443", "/");
	add(m, fields);
	return m;
}

static struct msg *response(int status, const char *fields)
{
	struct msg *m = msg_new_response(status);
	add(m, fields);
	msg_set_body(m, BODY_CHUNKED, 0);
	return m;
}

static const char *chosen(const struct msg *req, const struct msg *resp)
{
	enum coding c;
	return compress_choose(req, resp, &c) ? coding_name(c) : "never";
}

static void the_coding_is_the_one_that_is_preferred(void **state)
{
	(void)state;
	const char *br = coding_is_built(CODING_BR) ? "br" : "gzip";
	const struct {
		const char *accept, *coding;
	} rows[] = {
		{"gzip, deflate, br, zstd",    br        },
		{"gzip",                       "gzip"    },
		{"x-gzip",                     "gzip"    },
		{"GZIP;Q=0.5",                 "gzip"    },
		{"deflate, zstd",              "identity"},
		{"",			   "identity"},
		{"identity",                   "identity"},
		{"*",			  br        },
		{"*;q=0",                      "identity"},
		{"br;q=0, *",                  "gzip"    },
		{"gzip;q=0, br;q=0",           "identity"},
		{"br;q=0.2, gzip;q=0.8",       "gzip"    },
		{"br;q=0.801 , gzip;q=0.8",    br        },
		{"gzip;q=1.0, br;q=1.000",     br        },
		{"identity;q=1, gzip;q=0.5",   "identity"},
		{"identity;q=0.5, gzip;q=0.5", "gzip"    },
		{"gzip;q=x",                   "identity"},
		{"gzip;q=",                    "identity"},
		{"gzip;q",                     "identity"},
		{"gzip;x=1",                   "identity"},
		{"gzip; q=0.000",              "identity"},
		{"gzip;q=2",                   "identity"},
		{",,gzip,,",                   "gzip"    },
		{"gzipped, brr",               "identity"},
	};
	struct msg *resp = response(200, "content-type: text/html");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msg *req = request("GET", "");
		msg_add(req, "accept-encoding", rows[i].accept);
		if (strcmp(chosen(req, resp), rows[i].coding) != 0)
			fail_msg("%s: %s", rows[i].accept, chosen(req, resp));
		msg_free(req);
	}
	msg_free(resp);
}

static void text_alone_is_compressed(void **state)
{
	(void)state;
	static const struct {
		const char *type;
		bool yes;
	} rows[] = {
		{"text/html; charset=utf-8",                   true },
		{"TEXT/CSS",				   true },
		{"application/json",                           true },
		{"application/problem+json",                   true },
		{"image/svg+xml",                              true },
		{"application/javascript;x",                   true },
		{"application/wasm",                           true },
		{"text/event-stream",                          false},
		{"Text/Event-Stream; charset=utf-8",           false},
		{"text/event-streams",                         true },
		{"image/png",				  false},
		{"application/octet-stream",                   false},
		{"application/grpc",                           false},
		{"multipart/x-mixed-replace; boundary=x+json", false},
		{"application/gzip",                           false},
		{"",					   false},
	};
	struct msg *req = request("GET", "accept-encoding: gzip");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msg *resp = response(200, "");
		msg_add(resp, "content-type", rows[i].type);
		if ((strcmp(chosen(req, resp), "gzip") == 0) != rows[i].yes)
			fail_msg("%s: %s", rows[i].type, chosen(req, resp));
		msg_free(resp);
	}
	msg_free(req);
}

static void what_must_stay_as_it_is_does(void **state)
{
	(void)state;
	static const struct {
		const char *method, *req;
		int status;
		const char *resp;
		long length; /* -1: not known */
		const char *coding;
	} rows[] = {
		{"GET",  "",					      200, "",                                    -1,   "gzip"    },
		{"POST", "",					      404, "",                                    -1,   "gzip"    },
		{"GET",  "",					      200, "",                                    1024, "gzip"    },
		{"GET",  "",					      200, "",                                    1023, "never"   },
		{"HEAD", "",					      200, "",                                    -1,   "gzip"    },
		{"HEAD", "",					      200, "content-length: 1024",                -1,   "gzip"    },
		{"HEAD", "",					      200, "content-length: 1023",                -1,   "never"   },
		{"HEAD", "",					      204, "",                                    -1,   "never"   },
		{"GET",  "",					      204, "",                                    -1,   "never"   },
		{"GET",  "",					      304, "",                                    -1,   "never"   },
		{"GET",  "range: bytes=0-9",                              206, "",                                    -1,   "never"   },
		{"GET",  "",					      200, "content-range: bytes 0-9/10",         -1,   "never"   },
		{"GET",  "",					      200, "content-encoding: br",                -1,   "never"   },
		{"GET",  "",					      200, "content-encoding: identity",          -1,   "never"   },
		{"GET",  "",					      200, "cache-control: public, No-Transform", -1,   "never"   },
		{"GET",  "sec-fetch-site: same-origin",                   200, "",                                    -1,   "gzip"    },
		{"GET",  "sec-fetch-site: none",                          200, "",                                    -1,   "gzip"    },
		{"GET",  "sec-fetch-site: same-site",                     200, "",                                    -1,   "identity"},
		{"GET",  "sec-fetch-site: cross-site",                    200, "",                                    -1,   "identity"},
		{"GET",  "referer: https://tv.home.test:8443/x",          200, "",                                    -1,   "gzip"    },
		{"GET",  "referer: https://tv.home.test:8443",            200, "",                                    -1,   "gzip"    },
		{"GET",  "referer: https://tv.home.test:8443.evil.test/", 200, "",                                    -1,   "identity"},
		{"GET",  "referer: http://tv.home.test:8443/",            200, "",                                    -1,   "identity"},
		{"GET",  "referer: https://evil.test/",                   200, "",                                    -1,   "identity"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msg *req = request(rows[i].method, rows[i].req);
		struct msg *resp = response(rows[i].status, rows[i].resp);
		add(req, "accept-encoding: gzip");
		add(resp, "content-type: text/plain");
		if (msg_method(req) == METHOD_HEAD)
			msg_set_body(resp, BODY_NONE, 0);
		if (rows[i].length >= 0)
			msg_set_body(resp, BODY_LENGTH, (uint64_t)rows[i].length);
		if (strcmp(chosen(req, resp), rows[i].coding) != 0)
			fail_msg("row %zu: %s", i, chosen(req, resp));
		msg_free(req);
		msg_free(resp);
	}
}

static void the_head_tells_the_truth(void **state)
{
	(void)state;
	struct msg *m = response(200, "etag: \"a\"|content-length: 5000|accept-ranges: bytes|"
				      "content-md5: x|vary: Origin");
	msg_set_body(m, BODY_LENGTH, 5000);
	compress_head(m, CODING_GZIP);
	compress_vary(m);
	compress_vary(m);
	assert_string_equal(msg_get(m, "etag"), "W/\"a~lanthorn\"");
	assert_string_equal(msg_get(m, "content-encoding"), "gzip");
	assert_null(msg_get(m, "content-length"));
	assert_null(msg_get(m, "accept-ranges"));
	assert_null(msg_get(m, "content-md5"));
	assert_int_equal(msg_body(m), BODY_CHUNKED);
	const char *all[4];
	assert_int_equal(msg_get_all(m, "vary", all, 4), 2);
	assert_string_equal(all[1], "accept-encoding");
	msg_free(m);
	m = response(200, "etag: W/\"a\"|vary: *");
	compress_head(m, CODING_GZIP);
	compress_vary(m);
	assert_string_equal(msg_get(m, "etag"), "W/\"a\"");
	assert_int_equal(msg_get_all(m, "vary", all, 4), 1);
	msg_free(m);
}

static void a_tag_finds_back_to_what_the_device_said(void **state)
{
	(void)state;
	static const struct {
		const char *said, *kept; /* by the browser; NULL: none */
	} rows[] = {
		{"\"a\"", "W/\"a~lanthorn\""},
		{"\"\"", "W/\"~lanthorn\""},
		{"\"a, b\"", "W/\"a, b~lanthorn\""},
		{"abc", "W/abc~lanthorn"}, /* malformed, but devices say so */
		{"W/\"a\"", "W/\"a\""},
		{"W/\"a~x\"", "W/\"a~x\""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msg *m = response(200, "");
		msg_add(m, "etag", rows[i].said);
		etag_mark(m);
		assert_string_equal(msg_get(m, "etag"), rows[i].kept);
		char list[64], wanted[64];
		size_t n = (size_t)sprintf(list, "\"z\", %s ,W/\"y\"", rows[i].kept);
		sprintf(wanted, "\"z\", %s ,W/\"y\"", rows[i].said);
		assert_int_equal(etag_unmark(list, &n), strcmp(rows[i].said, rows[i].kept) != 0);
		assert_int_equal(n, strlen(wanted));
		assert_memory_equal(list, wanted, n);
		msg_free(m);
	}
}

static void only_marked_tags_are_changed(void **state)
{
	(void)state;
	static const char *const rows[] = {"*", "", ",,", "\"a\"", "W/\"a\"", "W/", "W", "\"", "W/\"",
		"\"a~lanthorn\"", "W/~lanthorn", "W/\"a~lanthorn", "W/a~lanthorn\""};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char list[64];
		size_t n = strlen(rows[i]);
		strcpy(list, rows[i]);
		assert_false(etag_unmark(list, &n));
		assert_int_equal(n, strlen(rows[i]));
		assert_memory_equal(list, rows[i], n);
	}
}

static void a_304_tells_what_the_answer_told(void **state)
{
	(void)state;
	struct msg *m = response(304, "etag: \"a\"");
	compress_unchanged(m);
	assert_string_equal(msg_get(m, "etag"), "W/\"a~lanthorn\"");
	assert_string_equal(msg_get(m, "vary"), "accept-encoding");
	msg_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_coding_is_the_one_that_is_preferred),
		cmocka_unit_test(text_alone_is_compressed),
		cmocka_unit_test(what_must_stay_as_it_is_does),
		cmocka_unit_test(the_head_tells_the_truth),
		cmocka_unit_test(a_tag_finds_back_to_what_the_device_said),
		cmocka_unit_test(only_marked_tags_are_changed),
		cmocka_unit_test(a_304_tells_what_the_answer_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
