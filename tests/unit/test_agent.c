/* The agent's pure parts: configuration, identity, short answers, back-off, renewal schedule. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "device-agent/conf.h"
#include "device-agent/dial.h"
#include "device-agent/http_short.h"
#include "device-agent/identity.h"
#include "device-agent/schedule.h"
#include "device-agent/status.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void a_wrong_setting_is_explained(void **state)
{
	static const struct {
		const char *text, *says; /* NULL: accepted */
	} cases[] = {
		{"",									NULL							},
		{"# nothing\n\n   \t\n",						    NULL							},
		{"service 127.0.0.1:80",						    NULL							},
		{"  service\t [::1]:8080  \r\n",                                            NULL							},
		{"service localhost:81\nspares 8\nconnections 64\nlog json\nlevel debug\n", NULL                                                        },
		{"link h2\nlink h1\nlink auto\n", NULL},
		{"link h3",								 "a.conf:1: link: expected auto, h1 or h2, not \"h3\""},
		{"spares 0",								"a.conf:1: spares: expected a number from 1 to 8, not \"0\""},
		{"\n\nspares 9",							    "a.conf:3: spares: expected"                                },
		{"spares two",							      "a number from 1 to 8"                                      },
		{"spares 02",							       "a number from 1 to 8"                                      },
		{"spares",								  "not \"\""						  },
		{"connections 65",							  "a number from 2 to 64"                                     },
		{"spare 2",								 "no such key \"spare\"; did you mean \"spares\"?"           },
		{"servise x",							       "did you mean \"service\"?"                                 },
		{"service 80",							      "an address and a port"                                     },
		{"service 127.0.0.1:0",						     "an address and a port"                                     },
		{"service 127.0.0.1:65536",						 "an address and a port"                                     },
		{"service ::1:80",							  "an address and a port"                                     },
		{"service example.com:80",						  "an address and a port"                                     },
		{"service [::1:80",							 "an address and a port"                                     },
		{"state var/lib",							   "a full path"					       },
		{"log xml",								 "human or json"					     },
		{"level loud",							      "error, warn, info or debug"                                },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct conf c;
		struct err e = {0};
		conf_defaults(&c);
		int rc = conf_parse(&c, cases[i].text, "a.conf", &e);
		assert_int_equal(rc, cases[i].says ? -EINVAL : 0);
		if (cases[i].says && !strstr(e.text, cases[i].says))
			fail_msg("\"%s\" says: %s", cases[i].text, e.text);
	}
}

static void a_line_without_end_is_refused(void **state)
{
	struct conf c;
	struct err e = {0};
	char text[1024];
	(void)state;
	conf_defaults(&c);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_int_equal(conf_parse(&c, text, "a.conf", &e), -EINVAL);
	assert_string_equal(e.text, "a.conf:1: the line is too long");
}

static void spares_leave_room_for_a_request(void **state)
{
	struct conf c;
	struct err e = {0};
	(void)state;
	conf_defaults(&c);
	assert_int_equal(conf_check(&c, &e), 0);
	c.connections = c.spares;
	assert_int_equal(conf_check(&c, &e), -EINVAL);
}

#define WHOLE "cert AAAA\nca AAEC\nname tv.link.lanthorn.internal\nport 443\n"

static void an_identity_is_whole_or_refused(void **state)
{
	static const struct {
		const char *text, *says; /* NULL: accepted */
	} cases[] = {
		{WHOLE "addr 192.168.1.1\n",                        NULL                 },
		{WHOLE "dns home.example.com\ntime 1790000000\n",   NULL                 },
		{WHOLE "addr fd00::1\r\nfuture thing with words\n", NULL                 },
		{WHOLE,					     "\"addr\" is missing"},
		{"",						"\"cert\" is missing"},
		{"cert AAAA\n",				     "\"ca\" is missing"  },
		{"cert AAAA\nca AAAA\nport 1\n",                    "\"name\" is missing"},
		{WHOLE "cert A\n",                                  "\"cert\" is damaged"},
		{WHOLE "cert ====\n",                               "\"cert\" is damaged"},
		{WHOLE "addr 192.168.1\n",                          "\"addr\" is damaged"},
		{WHOLE "addr home.example.com\n",                   "\"addr\" is damaged"},
		{WHOLE "port 0\n",                                  "\"port\" is damaged"},
		{WHOLE "port 65536\n",                              "\"port\" is damaged"},
		{WHOLE "time -1\n",                                 "\"time\" is damaged"},
		{WHOLE "dns bad..name\n",                           "\"dns\" is damaged" },
		{WHOLE "name tv.example.com\n",                     "\"name\" is damaged"},
		{WHOLE "name a.b.link.lanthorn.internal\n",         "\"name\" is damaged"},
		{WHOLE "name .link.lanthorn.internal\n",            "\"name\" is damaged"},
		{WHOLE "lonely\n",                                  "key value"          },
		{WHOLE " addr 1.2.3.4\n",                           "key value"          },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct identity id;
		struct err e = {0};
		identity_init(&id);
		int rc = identity_parse(&id, cases[i].text, &e);
		if (rc != (cases[i].says ? -EINVAL : 0) ||
			(cases[i].says && !strstr(e.text, cases[i].says)))
			fail_msg("%zu: %d, %s", i, rc, e.text);
		assert_int_equal(id.cert.len > 0, !cases[i].says);
		identity_done(&id);
	}
}

static void an_identity_survives_print_and_parse(void **state)
{
	struct identity id, again;
	struct buf out = BUF_INIT(IDENTITY_TEXT_MAX);
	(void)state;
	identity_init(&id);
	identity_init(&again);
	assert_int_equal(
		identity_parse(&id, WHOLE "addr 10.0.0.1\naddr fd00::1\ndns a.b\ntime 17\n", NULL),
		0);
	assert_int_equal(identity_print(&id, &out), 0);
	assert_int_equal(identity_parse(&again, buf_str(&out), NULL), 0);
	assert_int_equal(again.ca.len, 3);
	assert_memory_equal(again.ca.data, "\0\1\2", 3);
	assert_int_equal(again.n_addrs, 2);
	assert_string_equal(again.addrs[1], "fd00::1");
	assert_string_equal(again.dns_name, "a.b");
	assert_int_equal(again.time, 17);
	assert_int_equal(again.port, 443);
	identity_move(&id, &again);
	assert_int_equal(again.n_addrs, 0);
	assert_int_equal(id.time, 17);
	buf_done(&out);
	identity_done(&id);
	identity_done(&again);
}

static void the_gateway_gives_no_more_addresses_than_fit(void **state)
{
	struct identity id;
	struct buf b = BUF_INIT(IDENTITY_TEXT_MAX);
	(void)state;
	identity_init(&id);
	buf_puts(&b, WHOLE);
	for (int i = 0; i < IDENTITY_ADDRS_MAX + 3; i++)
		buf_printf(&b, "addr 10.0.0.%d\n", i);
	assert_int_equal(identity_parse(&id, buf_str(&b), NULL), 0);
	assert_int_equal(id.n_addrs, IDENTITY_ADDRS_MAX);
	assert_string_equal(id.addrs[0], "10.0.0.0");
	identity_done(&id);
	buf_done(&b);
}

static void short_answers_are_parsed_strictly(void **state)
{
	static const struct {
		const char *text;
		bool ended;
		int rc, status;
		const char *body;
	} cases[] = {
		{"",								   false, 0,         0,   NULL   },
		{"",								   true,  -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 200 OK\r\n",						false, 0,         0,   NULL   },
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",                       false, 0,         0,   NULL   },
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",                     false, 1,         200, "ok"   },
		{"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nokay",                    false, 1,         200, "ok"   },
		{"HTTP/1.1 200\r\nContent-Length: \t0 \r\n\r\n",                       false, 1,         200, ""     },
		{"HTTP/1.1 204 X\r\n\r\n",					     false, 1,         204, ""     },
		{"HTTP/1.0 410 Gone\r\n\r\nwords",                                     false, 0,         0,   NULL   },
		{"HTTP/1.0 410 Gone\r\n\r\nwords",                                     true,  1,         410, "words"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",                     true,  -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 200 OK\nContent-Length: 0\n\n",                             false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",                         false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n",                              false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",                                   false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 200 OK\r\nA\r\n\r\n",                                       false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 200 OK\r\nA: \r1\r\n\r\n",                                  false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", false,
                 -EBADMSG,									       0,   NULL   },
		{"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",                   false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",                      false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",                false, -EMSGSIZE, 0,   NULL   },
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",              false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 100 Continue\r\n\r\n",                                      false, -EBADMSG,  0,   NULL   },
		{"HTTP/2.0 200 OK\r\n\r\n",					    false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 2x0 OK\r\n\r\n",					    false, -EBADMSG,  0,   NULL   },
		{"HTTP/1.1 600 OK\r\n\r\n",					    false, -EBADMSG,  0,   NULL   },
		{"\r\nHTTP/1.1 200 OK\r\n\r\n",                                        false, -EBADMSG,  0,   NULL   },
		{"SSH-2.0-OpenSSH_9.2\r\n",					    false, -EBADMSG,  0,   NULL   },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_short r;
		struct err e = {0};
		int rc = http_short_parse(&r, (const uint8_t *)cases[i].text, strlen(cases[i].text),
			cases[i].ended, &e);
		if (rc != cases[i].rc)
			fail_msg("%zu: %d, %s", i, rc, e.text);
		if (rc != 1)
			continue;
		assert_int_equal(r.status, cases[i].status);
		assert_int_equal(r.body_len, strlen(cases[i].body));
		assert_memory_equal(r.body, cases[i].body, r.body_len);
	}
}

static void every_cut_of_an_answer_waits_for_more(void **state)
{
	static const char text[] = "HTTP/1.1 429 Too Many\r\nRetry-After: 30\r\n"
				   "X-Long-Header-Name-That-Nobody-Will-Ever-Ask-For: 1\r\n"
				   "Content-Length: 5\r\n\r\nlater";
	struct http_short r;
	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(http_short_parse(&r, (const uint8_t *)text, n, false, NULL), 0);
	assert_int_equal(
		http_short_parse(&r, (const uint8_t *)text, sizeof(text) - 1, false, NULL), 1);
	assert_int_equal(r.retry_after, 30);
}

static void a_head_without_end_is_refused(void **state)
{
	struct http_short r;
	uint8_t text[HTTP_SHORT_HEAD_MAX + 64];
	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "HTTP/1.1 200 OK\r\nA: ", 20);
	assert_int_equal(http_short_parse(&r, text, sizeof(text), false, NULL), -EBADMSG);
}

static void requests_are_framed(void **state)
{
	struct buf out = BUF_INIT(1024), body = BUF_INIT(64);
	(void)state;
	http_short_print(&out, "h.example", "/v1/time", NULL);
	assert_string_equal(buf_str(&out),
		"GET /v1/time HTTP/1.1\r\nHost: h.example\r\nConnection: close\r\n\r\n");
	out.len = 0;
	buf_puts(&body, "csr x\n");
	http_short_print(&out, "h.example", "/v1/renew", &body);
	assert_string_equal(buf_str(&out),
		"POST /v1/renew HTTP/1.1\r\nHost: h.example\r\nContent-Type: text/plain\r\n"
		"Content-Length: 6\r\nConnection: close\r\n\r\ncsr x\n");
	buf_done(&out);
	buf_done(&body);
}

static void waits_double_up_to_the_cap_with_full_jitter(void **state)
{
	static const uint32_t ceiling[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	struct backoff least = {.base_ms = 1000, .cap_ms = 60000}, most = least;
	(void)state;
	for (size_t i = 0; i < COUNT(ceiling); i++) {
		assert_int_equal(backoff_next(&least, 0), 100);
		assert_int_equal(backoff_next(&most, ceiling[i] - 100), ceiling[i]);
	}
	most.fails = UINT32_MAX - 1; /* years of failing */
	assert_true(backoff_next(&most, UINT32_MAX) <= 60000);
	backoff_reset(&most);
	assert_int_equal(backoff_next(&most, 900), 1000);
}

static void the_gateways_time_never_goes_below_the_record(void **state)
{
	struct gwtime g = {.floor = 1790000000};
	(void)state;
	assert_int_equal(gwtime_now(&g, 5000), 0);
	assert_false(gwtime_learn(&g, 10, 5000));
	assert_int_equal(gwtime_now(&g, 5000), 0);
	assert_true(gwtime_learn(&g, 1790000100, 5000));
	assert_int_equal(gwtime_now(&g, 5999), 1790000100);
	assert_int_equal(gwtime_now(&g, 65000), 1790000160);
}

static void renewal_is_due_with_a_third_left(void **state)
{
	static const struct {
		int64_t not_before, not_after, due;
	} cases[] = {
		{0,          90,                      60                 },
		{1790000000, 1790000000 + 14 * 86400, 1790000000 + 806400},
		{100,        100,                     100                },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(renew_at(cases[i].not_before, cases[i].not_after), cases[i].due);
	assert_int_equal(wait_until(100, 100, 60000), 0);
	assert_int_equal(wait_until(50, 100, 60000), 0);
	assert_int_equal(wait_until(107, 100, 60000), 7000);
	assert_int_equal(wait_until(INT64_MAX, 0, 60000), 60000);
}

static void the_last_good_address_comes_first(void **state)
{
	struct gateway g = {
		.addrs = {"10.0.0.1", "10.0.0.2", "10.0.0.3"},
                  .n_addrs = 3
        };
	(void)state;
	gateway_prefer(&g, "10.0.0.3");
	assert_string_equal(g.addrs[0], "10.0.0.3");
	assert_string_equal(g.addrs[1], "10.0.0.1");
	assert_string_equal(g.addrs[2], "10.0.0.2");
	gateway_prefer(&g, g.addrs[0]);
	assert_string_equal(g.addrs[1], "10.0.0.1");
	gateway_prefer(&g, "10.0.0.9");
	assert_int_equal(g.n_addrs, 4);
	assert_string_equal(g.addrs[0], "10.0.0.9");
	for (int i = 0; i < 20; i++) {
		char addr[46];
		snprintf(addr, sizeof(addr), "10.1.0.%d", i);
		gateway_prefer(&g, addr);
	}
	assert_int_equal(g.n_addrs, IDENTITY_ADDRS_MAX);
	assert_string_equal(g.addrs[0], "10.1.0.19");
	assert_string_equal(g.addrs[7], "10.1.0.12");
}

static void the_state_is_taken_once_and_swept(void **state)
{
	char dir[] = "/tmp/lanthorn-agent.XXXXXX", half[64], key[64], lock[64];
	struct err e = {0};
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(half, sizeof(half), "%s/key.a1b2c3.tmp~", dir);
	snprintf(key, sizeof(key), "%s/key", dir);
	snprintf(lock, sizeof(lock), "%s/lock", dir);
	close(open(half, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	close(open(key, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	int held = state_lock(dir, &e);
	assert_true(held >= 0);
	assert_int_equal(access(half, F_OK), -1);
	assert_int_equal(access(key, F_OK), 0);
	close(open(half, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(state_lock(dir, &e), -EBUSY); /* who holds it may be writing that */
	assert_int_equal(access(half, F_OK), 0);
	close(held);
	held = state_lock(dir, &e);
	assert_true(held >= 0);
	close(held);
	assert_int_equal(access(half, F_OK), -1);
	unlink(key);
	unlink(lock);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(state_lock(dir, &e), -ENOENT);
}

static void status_lines_become_json(void **state)
{
	struct buf out = BUF_INIT(1024);
	(void)state;
	assert_int_equal(
		status_to_json(
			"state linked\nidle 2\nlast_error a \"b\" \\\nempty \nold 007\n", &out),
		0);
	assert_string_equal(buf_str(&out),
		"{\"state\":\"linked\",\"idle\":2,\"last_error\":\"a \\u0022b\\u0022 \\u005c\","
		"\"empty\":\"\",\"old\":\"007\"}\n");
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_setting_is_explained),
		cmocka_unit_test(a_line_without_end_is_refused),
		cmocka_unit_test(spares_leave_room_for_a_request),
		cmocka_unit_test(an_identity_is_whole_or_refused),
		cmocka_unit_test(an_identity_survives_print_and_parse),
		cmocka_unit_test(the_gateway_gives_no_more_addresses_than_fit),
		cmocka_unit_test(short_answers_are_parsed_strictly),
		cmocka_unit_test(every_cut_of_an_answer_waits_for_more),
		cmocka_unit_test(a_head_without_end_is_refused),
		cmocka_unit_test(requests_are_framed),
		cmocka_unit_test(waits_double_up_to_the_cap_with_full_jitter),
		cmocka_unit_test(the_gateways_time_never_goes_below_the_record),
		cmocka_unit_test(renewal_is_due_with_a_third_left),
		cmocka_unit_test(the_last_good_address_comes_first),
		cmocka_unit_test(the_state_is_taken_once_and_swept),
		cmocka_unit_test(status_lines_become_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
