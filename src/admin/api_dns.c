/* The DNS provider: is everything right with it, and handing it a secret. Both are the steward's
 * work; the gate never reads a DNS credential back. */
#include <string.h>

#include "admin/api.h"
#include "admin/control_in.h"
#include "base/str.h"
#include "gate/certs.h"
#include "net/msgpipe.h"

#define FIRST_ID ((uint64_t)1 << 62) /* far above every order's */

static json_t *test_json(const struct dns_test *t)
{
	bool passed = t->class == STATE_TESTED;
	if (t->running)
		return json_pack("{s:s,s:I,s:n,s:n}", "state", "running", "at", (json_int_t)t->at,
			"text", "remedy");
	return json_pack("{s:s,s:I,s:o,s:s?}", "state", passed ? "passed" : "failed", "at",
		(json_int_t)t->at, "text", api_foreign(t->text), "remedy",
		passed ? NULL : class_remedy(t->class));
}

static void get_test(struct api_call *q)
{
	if (q->c->dns_test.id == 0)
		api_fail(q, 404, "unknown", "DNS has not been tested", "POST begins a test");
	else
		api_reply(q, 200, test_json(&q->c->dns_test));
}

static bool tell_steward(struct api_call *q, const struct procmsg *m)
{
	struct err e = {0};
	if (q->c->steward && msgpipe_send(q->c->steward, m, &e) == 0)
		return true;
	api_fail(q, 503, "steward", e.text[0] ? e.text : "the certificate process is gone",
		"See `lanthornctl logs`");
	return false;
}

static void post_test(struct api_call *q)
{
	struct dns_test *t = &q->c->dns_test;
	uint64_t id = t->id ? t->id + 1 : FIRST_ID;
	if (t->running) {
		api_reply(q, 202, test_json(t));
		return;
	}
	if (!tell_steward(q, &(struct procmsg){.type = PROCMSG_DNS_TEST, .id = id}))
		return;
	*t = (struct dns_test){.id = id, .running = true, .at = q->now.unix_s};
	api_audit(q, "dns.test", q->c->conf_path, "begun");
	api_reply(q, 202, test_json(t));
}

static bool secret_is_line(const char *value, size_t n)
{
	return n > 0 && n <= 4096 && strlen(value) == n && !strpbrk(value, "\r\n");
}

static void put_secret(struct api_call *q)
{
	const json_t *value = json_object_get(q->body, "value");
	struct procmsg m = {.type = PROCMSG_SET_SECRET,
		.blob = (const uint8_t *)json_string_value(value),
		.blob_len = json_string_length(value)};
	if (!secret_is_line(json_string_value(value), m.blob_len) || strlen(q->param[0]) > 64 ||
		str_copy(m.text, sizeof(m.text), q->param[0]) < 0) {
		api_fail(q, 422, "invalid", "a secret is one line of at most 4096 bytes", NULL);
		return;
	}
	if (!tell_steward(q, &m))
		return;
	api_audit(q, "dns.secret", q->param[0], "handed over");
	api_reply(q, 202, json_object());
}

static const struct api_field secret_fields[] = {
	{.name = "value",
		.type = JSON_STRING,
		.required = true,
		.help = "the secret; it is written and never shown again"},
	{0}
};

const struct api_route api_dns_routes[] = {
	{METHOD_GET, "dns/test", get_test, API_ADMIN, "How the last test of DNS went", NULL,
		&api_shape_dns_test},
	{METHOD_POST, "dns/test", post_test, API_ADMIN,
		"Set a test record, wait until every name server shows it, remove it", NULL,
		&api_shape_dns_test},
	{METHOD_PUT, "dns/secrets/{name}", put_secret, API_LOCAL,
		"Keep a secret where only the certificate process reads it", secret_fields,
		&api_shape_nothing},
	{0}
};
