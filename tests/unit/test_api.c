/* admin/api: one table serves, guards and describes every call. Asked on the desk without HTTP. */
#include "api_rig.h"

#include <errno.h>

#include "admin/api.h"
#include "base/token.h"
#include "gate/link.h"
#include "store/devices.h"

/* ---- who may ---- */

static void only_admins_reach_the_api(void **state)
{
	struct admin_lab *l = *state;
	static const struct {
		enum ask_kind kind;
		const char *cookie, *target;
		int status;
	} cases[] = {
		{ASK_BASE,  NULL,                    "/api/v1/status",       401},
		{ASK_BASE,  "__Host-lanthorn=guess", "/api/v1/status",       401},
		{ASK_BASE,  USER_COOKIE,             "/api/v1/status",       403},
		{ASK_BASE,  USER_COOKIE,             "/api/v1/openapi.json", 200},
		{ASK_BASE,  ADMIN_COOKIE,            "/api/v1/status",       200},
		{ASK_LOCAL, NULL,                    "/api/v1/status",       200},
		{ASK_LOCAL, NULL,                    "/api/v1/nothing",      404},
		{ASK_LOCAL, NULL,                    "/api/v2/status",       404},
		{ASK_LOCAL, NULL,                    "/api/v1/status/",      404},
		{ASK_LOCAL, NULL,                    "/api/v1/reload",       405},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = status_of(l, &(struct ask_question){.kind = cases[i].kind,
						  .method = "GET",
						  .target = cases[i].target,
						  .cookie = cases[i].cookie});
		if (status != cases[i].status)
			fail_msg("case %u: %d", i, status);
	}
}

static void every_call_refuses_who_may_not(void **state)
{
	struct admin_lab *l = *state;
	for (const struct api_route *const *t = api_tables; *t; t++) {
		for (const struct api_route *r = *t; r->path; r++) {
			char *target = xasprintf("/api/v1/%s", r->path);
			const char *method = r->method == METHOD_GET      ? "GET"
					     : r->method == METHOD_POST   ? "POST"
					     : r->method == METHOD_DELETE ? "DELETE"
					     : r->method == METHOD_PATCH  ? "PATCH"
									  : "PUT";
			struct ask_question q = {
				.kind = ASK_BASE, .method = method, .target = target};
			assert_int_equal(status_of(l, &q), r->who == API_LOCAL ? 403 : 401);
			q.cookie = USER_COOKIE;
			if (r->who != API_USER)
				assert_int_equal(status_of(l, &q), 403);
			free(target);
		}
	}
}

static void a_refused_removal_ends_no_session(void **state)
{
	struct admin_lab *l = *state;
	struct ask_question q = {.kind = ASK_BASE, .method = "GET", .target = "/api/v1/status"};
	json_decref(admin_api(l, "DELETE", "/api/v1/users/admin", NULL, 409)); /* the last one */
	q.cookie = ADMIN_COOKIE;
	assert_int_equal(status_of(l, &q), 200);
	json_decref(admin_api(l, "DELETE", "/api/v1/users/user", NULL, 200));
	q.cookie = USER_COOKIE;
	assert_int_equal(status_of(l, &q), 401);
}

/* ---- bodies ---- */

static void bodies_are_read_strictly(void **state)
{
	struct admin_lab *l = *state;
	static const struct {
		const char *body, *type;
		int status;
	} cases[] = {
		{NULL,				 NULL,               422},
		{"{",				  NULL,               400},
		{"[]",				 NULL,               400},
		{"{\"name\":\"tv\"}",                  "text/plain",       415},
		{"{\"name\":1}",                       NULL,               422},
		{"{\"name\":\"tv\",\"x\":1}",          NULL,               422},
		{"{\"name\":\"TV\"}",                  NULL,               422},
		{"{\"name\":\"a.b\"}",                 NULL,               422},
		{"{\"name\":\"www\"}",                 NULL,               409},
		{"{\"name\":\"nas\"}",                 NULL,               409},
		{"{\"name\":\"tv\",\"name\":\"nas\"}", NULL,               400},
		{"{\"name\":\"tv\"}",                  "application/json", 201},
		{"{\"name\":\"tv\"}",                  NULL,               409},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = status_of(l, &(struct ask_question){.kind = ASK_LOCAL,
						  .method = "POST",
						  .target = "/api/v1/devices",
						  .body = cases[i].body,
						  .type = cases[i].type});
		if (status != cases[i].status)
			fail_msg("case %u: %d", i, status);
	}
}

/* ---- devices ---- */

static void a_device_is_paired_seen_and_removed(void **state)
{
	struct admin_lab *l = *state;
	struct token t;
	struct err e = {0};
	json_t *o = admin_api(
		l, "POST", "/api/v1/devices", "{\"name\":\"tv\",\"title\":\"Living room\"}", 201);
	assert_string_equal(admin_text(o, "url"), "https://tv." ADMIN_DOMAIN "/");
	assert_int_equal(token_decode(&t, admin_text(o, "token"), &e), 0);
	assert_string_equal(t.device_id, "tv");
	assert_string_equal(t.addrs[0], "192.168.7.1");
	assert_string_equal(t.dns_name, ADMIN_DOMAIN);
	assert_int_equal(t.expires_at, json_integer_value(json_object_get(o, "expires")));
	json_decref(o);

	control_links_changed(l->c, 0, "tv", &(struct link_count){.n = 2, .peer = "192.168.7.30"});
	o = admin_api(l, "GET", "/api/v1/devices", NULL, 200);
	assert_string_equal(admin_text(o, "devices.0.name"), "tv");
	assert_string_equal(admin_text(o, "devices.0.kind"), "agent");
	assert_string_equal(admin_text(o, "devices.0.title"), "Living room");
	assert_string_equal(admin_text(o, "devices.0.peer"), "192.168.7.30");
	assert_string_equal(admin_text(o, "devices.1.name"), "nas");
	assert_string_equal(admin_text(o, "devices.1.upstream"), "http://192.168.7.20:5000");
	assert_string_equal(admin_text(o, "devices.1.state"), "configured");
	json_t *tv = json_array_get(json_object_get(o, "devices"), 0);
	assert_true(json_is_true(json_object_get(tv, "online")));
	assert_int_equal(json_integer_value(json_object_get(tv, "links")), 2);
	json_decref(o);

	control_device_reach(l->c, "nas", "cannot connect");
	control_device_reach(l->c, "stranger", "cannot connect");
	o = admin_api(l, "GET", "/api/v1/devices", NULL, 200);
	assert_string_equal(admin_text(o, "devices.1.state"), "offline");
	assert_string_equal(admin_text(o, "devices.1.fault"), "cannot connect");
	json_decref(o);
	control_device_reach(l->c, "nas", NULL);
	o = admin_api(l, "GET", "/api/v1/devices", NULL, 200);
	json_t *nas = json_array_get(json_object_get(o, "devices"), 1);
	assert_string_equal(admin_text(o, "devices.1.state"), "online");
	assert_true(json_is_null(json_object_get(nas, "fault")));
	assert_true(json_is_true(json_object_get(nas, "online")));
	json_decref(o);

	json_decref(admin_api(l, "DELETE", "/api/v1/devices/tv", NULL, 200));
	assert_string_equal(l->cut, "tv");
	struct snapshot *s = snapshot_slot_get(l->slot);
	assert_null(snapshot_route(s, "tv." ADMIN_DOMAIN));
	snapshot_unref(s);
	json_decref(admin_api(l, "DELETE", "/api/v1/devices/tv", NULL, 404));
	json_decref(admin_api(l, "POST", "/api/v1/devices/tv/pair", NULL, 404));
}

/* "" where it is not said. */
static void protocol_is(struct admin_lab *l, const char *expected)
{
	json_t *o = admin_api(l, "GET", "/api/v1/devices", NULL, 200);
	json_t *list = json_object_get(o, "devices");
	const json_t *said = json_object_get(json_array_get(list, 0), "protocol");
	assert_string_equal(json_is_null(said) ? "" : json_string_value(said), expected);
	assert_true(json_is_null(json_object_get(json_array_get(list, 1), "protocol")));
	json_decref(o);
}

static void the_newest_link_s_kind_is_told_while_there_is_one(void **state)
{
	struct admin_lab *l = *state;
	static const char peer[] = "192.168.7.30";
	json_decref(admin_api(l, "POST", "/api/v1/devices", "{\"name\":\"tv\"}", 201));
	protocol_is(l, "");
	control_links_changed(l->c, 0, "tv", &(struct link_count){.n = 1, .h2 = true, .peer = peer});
	protocol_is(l, "h2");
	control_links_changed(l->c, 1, "tv", &(struct link_count){.n = 2, .peer = peer});
	protocol_is(l, "http/1.1");
	control_links_changed(l->c, 0, "tv", &(struct link_count){.peer = ""});
	protocol_is(l, "http/1.1");
	control_links_changed(l->c, 1, "tv", &(struct link_count){.peer = ""});
	protocol_is(l, "");
}

static void a_removed_device_leaves_certificates_and_dns(void **state)
{
	struct admin_lab *l = *state;
	admin_serve(l, 300);
	json_decref(admin_api(l, "POST", "/api/v1/devices", "{\"name\":\"tv\"}", 201));
	admin_serve(l, 300);
	char *path = xasprintf("%s/state/gate/certs/tv.pem", l->dir);
	assert_int_equal(access(path, F_OK), 0);
	json_decref(admin_api(l, "DELETE", "/api/v1/devices/tv", NULL, 200));
	admin_serve(l, 300);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(l->withdrawals, 1);
	free(path);
	json_t *o = admin_api(l, "GET", "/api/v1/certs", NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "certificates")), 2);
	json_decref(o);
}

static void a_new_token_replaces_the_old_one(void **state)
{
	struct admin_lab *l = *state;
	json_t *a = admin_api(l, "POST", "/api/v1/devices", "{\"name\":\"tv\"}", 201);
	json_t *b = admin_api(l, "POST", "/api/v1/devices/tv/pair", NULL, 200);
	assert_string_not_equal(admin_text(a, "token"), admin_text(b, "token"));
	json_decref(a);
	json_decref(b);
}

static void configured_devices_change_in_the_file_only(void **state)
{
	struct admin_lab *l = *state;
	json_t *o = admin_api(l, "DELETE", "/api/v1/devices/nas", NULL, 409);
	assert_string_equal(admin_text(o, "error.code"), "configured");
	assert_non_null(strstr(admin_text(o, "error.remedy"), "reload"));
	json_decref(o);
}

static void two_hundred_devices_are_the_most(void **state)
{
	struct admin_lab *l = *state;
	struct err e = {0};
	struct db *db;
	char *path = xasprintf("%s/state/gate/gate.db", l->dir);
	admin_stop(l);
	assert_int_equal(db_open(&db, path, DB_GATE, &e), 0);
	assert_int_equal(db_begin(db, &e), 0);
	for (int i = 0; i < 200; i++) {
		struct device d = {.created_at = 1};
		snprintf(d.id, sizeof(d.id), "d%d", i);
		assert_int_equal(devices_add(db, &d, &e), 0);
	}
	assert_int_equal(db_commit(db, &e), 0);
	db_close(db);
	free(path);
	admin_start(l);
	json_t *o = admin_api(l, "POST", "/api/v1/devices", "{\"name\":\"tv\"}", 409);
	assert_string_equal(admin_text(o, "error.code"), "too_many");
	json_decref(o);
}

/* ---- the rest ---- */

static void status_says_how_everything_stands(void **state)
{
	struct admin_lab *l = *state;
	json_t *o = admin_api(l, "GET", "/api/v1/status", NULL, 200);
	assert_false(json_is_true(json_object_get(json_object_get(o, "steward"), "up")));
	assert_string_equal(admin_text(o, "certificates.0.state"), "ordered");
	json_decref(o);
	admin_say_started(l);
	admin_serve(l, 300);
	o = admin_api(l, "GET", "/api/v1/status", NULL, 200);
	assert_string_equal(admin_text(o, "domain"), ADMIN_DOMAIN);
	assert_string_equal(admin_text(o, "url"), "https://" ADMIN_DOMAIN "/");
	assert_string_equal(admin_text(o, "mode"), "per-device");
	assert_string_equal(admin_text(o, "addresses.0"), "192.168.7.1");
	assert_true(json_is_true(json_object_get(json_object_get(o, "steward"), "up")));
	assert_true(json_is_true(json_object_get(json_object_get(o, "time"), "believable")));
	json_t *base = json_array_get(json_object_get(o, "certificates"), 0);
	assert_string_equal(admin_text(base, "state"), "held");
	assert_true(json_is_true(json_object_get(base, "valid")));
	assert_string_equal(admin_text(base, "names.1"), "*." ADMIN_DOMAIN);
	assert_true(json_is_null(json_object_get(base, "failure")));
	json_int_t until = json_integer_value(json_object_get(base, "not_after"));
	json_int_t renew = json_integer_value(json_object_get(base, "next_renewal"));
	assert_true(renew > clock_unix() && renew < until - 29 * 86400);
	json_decref(o);
}

static void a_failure_is_told_with_cause_and_remedy(void **state)
{
	struct admin_lab *l = *state;
	struct procmsg *m = calloc(1, sizeof(*m));
	do
		assert_true(admin_hear(l, m, 2000));
	while (m->type != PROCMSG_ORDER);
	struct procmsg fail = {.type = PROCMSG_STATE,
		.id = m->id,
		.class = STATE_FAIL_DNS,
		.next_at = clock_unix() + 600,
		.text = "ns1.example.com does not answer"};
	admin_say(l, &fail);
	while (admin_hear(l, m, 300))
		continue;
	json_t *o = admin_api(l, "GET", "/api/v1/certs", NULL, 200);
	assert_string_equal(admin_text(o, "certificates.0.failure.class"), "dns");
	assert_string_equal(admin_text(o, "certificates.0.failure.text"), fail.text);
	assert_non_null(strstr(admin_text(o, "certificates.0.failure.remedy"), "dns:"));
	json_t *c = json_array_get(json_object_get(o, "certificates"), 0);
	assert_int_equal(json_integer_value(json_object_get(c, "next_try")), fail.next_at);
	json_decref(o);
	free(m);
}

static void a_name_that_is_not_in_dns_is_told_with_its_remedy(void **state)
{
	struct admin_lab *l = *state;
	admin_serve(l, 300);
	admin_say(l, &(struct procmsg){.type = PROCMSG_STATE,
			     .class = STATE_FAIL_DNS,
			     .n_names = 1,
			     .names = {ADMIN_DOMAIN},
			     .text = "the provider says no"});
	admin_serve(l, 300);
	json_t *o = admin_api(l, "GET", "/api/v1/status", NULL, 200);
	assert_string_equal(admin_text(o, "names.0.name"), ADMIN_DOMAIN);
	assert_string_equal(admin_text(o, "names.0.failure.text"), "the provider says no");
	assert_true(strlen(admin_text(o, "names.0.failure.remedy")) > 10);
	assert_string_equal(admin_text(o, "names.1.name"), "nas." ADMIN_DOMAIN);
	json_decref(o);
}

static void renewing_orders_at_once_but_not_twice(void **state)
{
	struct admin_lab *l = *state;
	struct procmsg *m = calloc(1, sizeof(*m));
	bool forced = false;
	admin_serve(l, 300);
	json_t *o = admin_api(l, "POST", "/api/v1/certs/%40base/renew", NULL, 202);
	assert_string_equal(admin_text(o, "id"), "@base");
	json_decref(o);
	while (!forced && admin_hear(l, m, 1000))
		forced = m->type == PROCMSG_ORDER && (m->flags & PROCMSG_FORCE);
	assert_true(forced);
	json_decref(admin_api(l, "POST", "/api/v1/certs/@base/renew", NULL, 429));
	json_decref(admin_api(l, "POST", "/api/v1/certs/nobody/renew", NULL, 404));
	free(m);
}

static void a_reload_says_what_is_wrong_or_needs_a_restart(void **state)
{
	struct admin_lab *l = *state;
	struct procmsg *m = calloc(1, sizeof(*m));
	bool told = false;
	admin_write_conf(l, "devicez: []\n");
	json_t *o = admin_api(l, "POST", "/api/v1/reload", NULL, 422);
	assert_non_null(strstr(admin_text(o, "error.message"), "devicez"));
	assert_non_null(strstr(admin_text(o, "error.details.0"), "gateway.yaml:"));
	json_decref(o);
	admin_write_conf(l, "listen:\n  port: 8443\nlimits:\n  url: 4KiB\n");
	o = admin_api(l, "POST", "/api/v1/reload", NULL, 200);
	assert_string_equal(admin_text(o, "restart_needed_for.0"), "listen");
	assert_string_equal(admin_text(o, "restart_needed_for.1"), "limits");
	json_decref(o);
	while (!told && admin_hear(l, m, 1000))
		told = m->type == PROCMSG_RELOAD;
	assert_true(told);
	free(m);
}

static void logs_hold_the_stewards_lines_too(void **state)
{
	struct admin_lab *l = *state;
	admin_say(l, &(struct procmsg){.type = PROCMSG_STATE,
			     .class = STATE_LOG,
			     .text = "a line of the steward"});
	admin_serve(l, 200);
	json_t *o = admin_api(l, "GET", "/api/v1/logs?lines=1", NULL, 200);
	assert_int_equal(json_array_size(json_object_get(o, "lines")), 1);
	json_decref(o);
	o = admin_api(l, "GET", "/api/v1/logs?x=2&lines=1000", NULL, 200);
	bool found = false;
	size_t i;
	json_t *line;
	json_array_foreach(json_object_get(o, "lines"), i, line) found |=
		strcmp(json_string_value(line), "a line of the steward") == 0;
	assert_true(found);
	json_decref(o);
}

static void the_description_names_every_call(void **state)
{
	struct admin_lab *l = *state;
	json_t *o = admin_api(l, "GET", "/api/v1/openapi.json", NULL, 200);
	json_t *paths = json_object_get(o, "paths");
	assert_string_equal(admin_text(o, "openapi"), "3.1.0");
	for (const struct api_route *const *t = api_tables; *t; t++)
		for (const struct api_route *r = *t; r->path; r++) {
			char *path = xasprintf("/%s", r->path);
			assert_non_null(json_object_get(paths, path));
			free(path);
		}
	json_t *p = json_object_get(paths, "/devices/{name}/pair");
	assert_string_equal(admin_text(p, "post.parameters.0.name"), "name");
	json_decref(o);
}

#define T(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(only_admins_reach_the_api),
		T(every_call_refuses_who_may_not),
		T(a_refused_removal_ends_no_session),
		T(bodies_are_read_strictly),
		T(a_device_is_paired_seen_and_removed),
		T(the_newest_link_s_kind_is_told_while_there_is_one),
		T(a_removed_device_leaves_certificates_and_dns),
		T(a_new_token_replaces_the_old_one),
		T(configured_devices_change_in_the_file_only),
		T(two_hundred_devices_are_the_most),
		T(status_says_how_everything_stands),
		T(a_failure_is_told_with_cause_and_remedy),
		T(a_name_that_is_not_in_dns_is_told_with_its_remedy),
		T(renewing_orders_at_once_but_not_twice),
		T(a_reload_says_what_is_wrong_or_needs_a_restart),
		T(logs_hold_the_stewards_lines_too),
		T(the_description_names_every_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
