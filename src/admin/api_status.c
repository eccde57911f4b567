/* The state of the whole gateway, its log, and reading the configuration again. */
#include <errno.h>
#include <string.h>

#include "admin/api.h"
#include "admin/control_in.h"
#include "admin/logring.h"
#include "base/xalloc.h"
#include "store/conf.h"

#define LINES_DEFAULT 100u

static json_t *list_json(const struct conf_list *l)
{
	json_t *a = json_array();
	for (unsigned i = 0; i < l->n; i++)
		json_array_append_new(a, json_string(l->v[i]));
	return a;
}

static json_t *listen_json(const struct conf *f)
{
	return json_pack("{s:i,s:o,s:o,s:i,s:s}", "port", f->listen.port, "http_port",
		f->listen.http_port ? json_integer(f->listen.http_port) : json_null(), "addresses",
		list_json(&f->listen.addresses), "public_port", f->public_port, "from",
		f->listen.from == CONF_FROM_ANY ? "any" : "lan");
}

/* Up: it has spoken since this process began. The parent starts it again when it dies. */
static json_t *steward_json(const struct control *c)
{
	return json_pack("{s:b,s:o,s:o,s:i}", "up", c->steward && c->steward_heard_at, "started",
		api_moment(c->steward_started_at), "heard", api_moment(c->steward_heard_at),
		"starts", (int)c->steward_starts);
}

static json_t *time_json(struct api_call *q)
{
	struct err e = {0};
	bool ok = control_clock_ok(q->c, &e);
	return json_pack("{s:I,s:b,s:s?}", "now", (json_int_t)q->now.unix_s, "believable", ok,
		"why", ok ? NULL : e.text);
}

static json_t *addrs_json(const struct control *c)
{
	json_t *a = json_array();
	for (unsigned i = 0; i < c->addrs.n; i++)
		json_array_append_new(a, json_string(c->addrs.addrs[i]));
	return a;
}

/* Landlock: the version that the kernel has, 0 for none. */
static json_t *sandbox_json(const struct control *c)
{
	return json_pack(
		"{s:b,s:i}", "system_calls", c->sandbox.calls, "landlock", c->sandbox.landlock);
}

static void get_status(struct api_call *q)
{
	struct control *c = q->c;
	const struct conf *f = c->conf;
	uint64_t up_s = (q->now.mono_ms - c->started_ms) / 1000;
	api_reply(q, 200,
		json_pack("{s:s,s:I,s:I,s:s,s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}",
			"version", PACKAGE_VERSION, "started", (json_int_t)c->started_at, "uptime",
			(json_int_t)up_s, "domain", f->domain, "url", api_url_json(q, f->domain),
			"title", f->title, "mode",
			f->certificates == CONF_CERTS_WILDCARD ? "wildcard" : "per-device",
			"listen", listen_json(f), "addresses", addrs_json(c), "names",
			api_names_json(q), "certificates", api_certs_json(q), "trusted_until",
			api_trusted_until(q), "steward", steward_json(c), "devices",
			api_devices_json(q), "time", time_json(q), "sandbox",
			sandbox_json(c)));
}

/* ---- reload ---- */

static json_t *split(const char *words, char at)
{
	json_t *a = json_array();
	while (*words) {
		size_t n = strcspn(words, (char[]){at, 0});
		json_array_append_new(a, json_stringn(words, n));
		words += n;
		words += *words == at;
	}
	return a;
}

static void post_reload(struct api_call *q)
{
	char words[CONTROL_RELOAD_TEXT];
	int rc = control_load_conf(q->c, false, words);
	api_audit(q, "reload", q->c->conf_path, rc == 0 ? "ok" : "refused");
	if (rc == 0) {
		api_reply(q, 200, json_pack("{s:o}", "restart_needed_for", split(words, ' ')));
		return;
	}
	json_t *details = split(words, '\n');
	const char *first = json_string_value(json_array_get(details, 0));
	api_reply(q, 422,
		json_pack("{s:{s:s,s:s,s:s,s:o}}", "error", "code", "config", "message",
			first ? first : "the configuration cannot be read", "remedy",
			"Correct the file and reload again; the old configuration stays in use",
			"details", details));
}

/* ---- logs ---- */

static void put_line(void *ctx, const char *line)
{
	json_t *text = json_string(line);
	if (text)
		json_array_append_new(ctx, text);
}

static void get_logs(struct api_call *q)
{
	json_t *lines = json_array();
	logring_each(q->c->log, api_query_uint(q, "lines", LINES_DEFAULT), put_line, lines);
	api_reply(q, 200, json_pack("{s:o}", "lines", lines));
}

const struct api_route api_status_routes[] = {
	{METHOD_GET, "status", get_status, API_ADMIN, "How everything stands", NULL,
		&api_shape_status},
	{METHOD_POST, "reload", post_reload, API_ADMIN, "Read gateway.yaml again", NULL,
		&api_shape_reload},
	{METHOD_GET, "logs", get_logs, API_ADMIN, "The last log lines (?lines=N, up to 1000)", NULL,
		&api_shape_logs},
	{0}
};
