/* admin/api_me, api_sessions, api_users: what people may see and do of themselves and of others. */
#include "api_rig.h"

#include "admin/api.h"
#include "gate/events.h"
#include "gate/link.h"

/* Ask as somebody and check the status; decref what comes. */
static json_t *as(struct admin_lab *l, const char *cookie, const char *method, const char *target,
	const char *body, int status)
{
	struct admin_answer *a = calloc(1, sizeof(*a));
	admin_ask(l,
		&(struct ask_question){.kind = ASK_BASE,
			.method = method,
			.target = target,
			.body = body,
			.cookie = cookie},
		a);
	if (a->status != status || !a->json)
		fail_msg("%s %s: %d %s", method, target, a->status, a->text);
	json_t *o = a->json;
	free(a);
	return o;
}

static void done(json_t *o)
{
	json_decref(o);
}

static json_int_t number(json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static size_t count(json_t *o, const char *name)
{
	return json_array_size(json_object_get(o, name));
}

static void everybody_learns_who_they_are(void **state)
{
	struct admin_lab *l = *state;
	json_t *o = as(l, USER_COOKIE, "GET", "/api/v1/me", NULL, 200);
	assert_string_equal(admin_text(o, "name"), "user");
	assert_true(json_is_false(json_object_get(o, "admin")));
	assert_string_equal(admin_text(o, "url"), "https://" ADMIN_DOMAIN "/");
	assert_true(number(o, "session") > 0);
	done(o);
	o = admin_api(l, "GET", "/api/v1/me", NULL, 200);
	assert_string_equal(admin_text(o, "name"), "cli");
	assert_true(json_is_null(json_object_get(o, "session")));
	done(o);
	done(admin_api(l, "POST", "/api/v1/me/sign-out", NULL, 409));
}

static void the_launcher_shows_what_is_open_and_no_more(void **state)
{
	struct admin_lab *l = *state;
	done(admin_api(l, "POST", "/api/v1/devices", "{\"name\":\"tv\"}", 201));
	json_t *o = as(l, USER_COOKIE, "GET", "/api/v1/launcher", NULL, 200);
	assert_int_equal(count(o, "tiles"), 0);
	done(o);
	done(admin_api(l, "PUT", "/api/v1/users/user/devices/nas", NULL, 200));
	o = as(l, USER_COOKIE, "GET", "/api/v1/launcher", NULL, 200);
	assert_int_equal(count(o, "tiles"), 1);
	assert_string_equal(admin_text(o, "tiles.0.name"), "nas");
	assert_string_equal(admin_text(o, "tiles.0.state"), "configured");
	assert_string_equal(admin_text(o, "tiles.0.certificate"), "none");
	done(o);
	o = as(l, ADMIN_COOKIE, "GET", "/api/v1/launcher", NULL, 200);
	for (int i = 0; i < 100 && strcmp(admin_text(o, "tiles.0.certificate"), "own") != 0; i++) {
		done(o);
		admin_serve(l, 100);
		o = as(l, ADMIN_COOKIE, "GET", "/api/v1/launcher", NULL, 200);
	}
	assert_int_equal(count(o, "tiles"), 2);
	assert_string_equal(admin_text(o, "tiles.0.name"), "tv");
	assert_string_equal(admin_text(o, "tiles.0.state"), "waiting");
	assert_string_equal(admin_text(o, "tiles.0.certificate"), "own");
	done(o);
}

static void a_device_gets_another_title(void **state)
{
	struct admin_lab *l = *state;
	done(admin_api(l, "POST", "/api/v1/devices", "{\"name\":\"tv\"}", 201));
	json_t *o = admin_api(l, "PATCH", "/api/v1/devices/tv", "{\"title\":\"Küche <b>\"}", 200);
	assert_string_equal(admin_text(o, "title"), "Küche <b>");
	assert_string_equal(admin_text(o, "state"), "waiting");
	assert_true(number(o, "pairing_expires") > clock_unix());
	done(o);
	o = admin_api(l, "PATCH", "/api/v1/devices/tv", "{\"title\":\"\"}", 200);
	assert_string_equal(admin_text(o, "title"), "tv");
	done(o);
	char body[200];
	snprintf(body, sizeof(body), "{\"title\":\"%065d\"}", 0);
	done(admin_api(l, "PATCH", "/api/v1/devices/tv", body, 422));
	done(admin_api(l, "PATCH", "/api/v1/devices/nas", "{\"title\":\"x\"}", 409));
	done(admin_api(l, "PATCH", "/api/v1/devices/none", "{\"title\":\"x\"}", 404));
}

static void rights_change_but_the_last_admin_stays(void **state)
{
	struct admin_lab *l = *state;
	static const char *const refused[] = {"{\"admin\":false}", "{\"disabled\":true}"};
	for (int i = 0; i < 2; i++) {
		json_t *o = as(l, ADMIN_COOKIE, "PATCH", "/api/v1/users/admin", refused[i], 409);
		assert_string_equal(admin_text(o, "error.code"), "last_admin");
		done(o);
	}
	json_t *o = as(l, ADMIN_COOKIE, "DELETE", "/api/v1/users/admin", NULL, 409);
	assert_string_equal(admin_text(o, "error.code"), "last_admin");
	done(o);
	o = as(l, ADMIN_COOKIE, "PATCH", "/api/v1/users/user",
		"{\"admin\":true,\"display\":\"Ada\"}", 200);
	assert_string_equal(admin_text(o, "display"), "Ada");
	done(o);
	unsigned drops = l->drops;
	done(as(l, USER_COOKIE, "GET", "/api/v1/users", NULL, 200));
	done(as(l, USER_COOKIE, "PATCH", "/api/v1/users/admin", "{\"admin\":false}", 200));
	assert_int_equal(l->drops, drops + 1);
	done(as(l, ADMIN_COOKIE, "GET", "/api/v1/me", NULL, 401));
	done(as(l, USER_COOKIE, "PATCH", "/api/v1/users/admin", "{\"disabled\":true}", 200));
	o = as(l, USER_COOKIE, "PATCH", "/api/v1/users/user", "{\"admin\":false}", 409);
	assert_string_equal(admin_text(o, "error.code"), "last_admin");
	done(o);
	done(as(l, USER_COOKIE, "PATCH", "/api/v1/users/nobody", "{}", 404));
}

static void sessions_are_listed_and_ended_by_their_owner_or_an_admin(void **state)
{
	struct admin_lab *l = *state;
	char path[100];
	json_t *o = as(l, ADMIN_COOKIE, "GET", "/api/v1/me/sessions", NULL, 200);
	assert_int_equal(count(o, "sessions"), 1);
	json_t *s = json_array_get(json_object_get(o, "sessions"), 0);
	assert_true(json_is_true(json_object_get(s, "current")));
	assert_true(json_is_false(json_object_get(s, "script")));
	json_int_t admins = number(s, "id");
	done(o);
	snprintf(path, sizeof(path), "/api/v1/me/sessions/%lld", (long long)admins);
	done(as(l, USER_COOKIE, "DELETE", path, NULL, 404));
	done(as(l, USER_COOKIE, "GET", "/api/v1/users/admin/sessions", NULL, 403));
	done(as(l, ADMIN_COOKIE, "DELETE", "/api/v1/users/user/sessions/x", NULL, 404));

	done(admin_api(l, "PUT", "/api/v1/users/user/devices/nas", NULL, 200));
	done(admin_api(l, "POST", "/api/v1/users/user/devices/nas/token", NULL, 201));
	o = as(l, ADMIN_COOKIE, "GET", "/api/v1/users/user/sessions", NULL, 200);
	assert_int_equal(count(o, "sessions"), 2);
	json_int_t script = 0;
	size_t i;
	json_array_foreach(json_object_get(o, "sessions"), i, s)
	{
		assert_true(json_is_false(json_object_get(s, "current")));
		if (json_is_true(json_object_get(s, "script"))) {
			script = number(s, "id");
			assert_string_equal(admin_text(s, "device"), "nas");
		}
	}
	assert_true(script);
	done(o);
	unsigned drops = l->drops;
	done(as(l, USER_COOKIE, "POST", "/api/v1/me/sign-out", NULL, 200));
	assert_int_equal(l->drops, drops + 1);
	snprintf(path, sizeof(path), "/api/v1/users/user/sessions/%lld", (long long)script);
	done(as(l, ADMIN_COOKIE, "DELETE", path, NULL, 404));
	o = as(l, USER_COOKIE, "GET", "/api/v1/me", NULL, 200);
	snprintf(path, sizeof(path), "/api/v1/users/user/sessions/%lld",
		(long long)number(o, "session"));
	done(o);
	done(as(l, ADMIN_COOKIE, "DELETE", path, NULL, 200));
	done(as(l, USER_COOKIE, "GET", "/api/v1/me", NULL, 401));
}

static void an_invitation_is_listed_until_it_is_used(void **state)
{
	struct admin_lab *l = *state;
	json_t *o = admin_api(l, "POST", "/api/v1/users", "{\"name\":\"ada\"}", 201);
	assert_non_null(strstr(admin_text(o, "link"), "/invite?token="));
	assert_true(number(o, "expires") > clock_unix() + 86400);
	json_t *u = json_object_get(o, "user");
	assert_int_equal(number(u, "invite_expires"), number(o, "expires"));
	done(o);
	o = admin_api(l, "GET", "/api/v1/users", NULL, 200);
	u = json_array_get(json_object_get(o, "users"), 0);
	assert_string_equal(admin_text(u, "name"), "ada");
	assert_true(json_is_false(json_object_get(u, "has_password")));
	assert_int_equal(number(u, "sessions"), 0);
	assert_int_equal(number(json_array_get(json_object_get(o, "users"), 1), "sessions"), 1);
	done(o);
}

/* What changed is told by words, and only to whom it concerns. */
static void changes_are_told_to_whom_they_concern(void **state)
{
	struct admin_lab *l = *state;
	static const struct {
		const char *method, *target, *body;
		unsigned what;
		int concerned;
	} rows[] = {
		{"POST", "/api/v1/devices", "{\"name\":\"tv\"}",
		EVENT_DEVICES | EVENT_LAUNCHER | EVENT_CERTIFICATES, 0},
		{"PUT", "/api/v1/users/user/devices/tv", NULL, EVENT_PEOPLE | EVENT_OF_PERSON, 1},
		{"PATCH", "/api/v1/devices/tv", "{\"title\":\"TV\"}",
		EVENT_DEVICES | EVENT_LAUNCHER, 1},
		{"POST", "/api/v1/users", "{\"name\":\"ada\"}", EVENT_PEOPLE | EVENT_OF_PERSON, 1},
		{"PATCH", "/api/v1/users/ada", "{\"admin\":true}", EVENT_PEOPLE | EVENT_OF_PERSON,
		1},
		{"DELETE", "/api/v1/users/ada", NULL, EVENT_PEOPLE | EVENT_OF_PERSON, 1},
		{"DELETE", "/api/v1/devices/tv", NULL,
		EVENT_DEVICES | EVENT_LAUNCHER | EVENT_CERTIFICATES | EVENT_PEOPLE, -1},
		{"POST", "/api/v1/reload", NULL, EVENT_ALL, -1},
	};
	admin_say_started(l);
	admin_serve(l, 300);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int created = strcmp(rows[i].method, "POST") == 0 && rows[i].body;
		int concerned;
		admin_forget_news(l);
		done(admin_api(
			l, rows[i].method, rows[i].target, rows[i].body, created ? 201 : 200));
		unsigned news = admin_news(l, &concerned);
		if ((news & rows[i].what) != rows[i].what || concerned != rows[i].concerned)
			fail_msg("row %u: %x, %d people", i, news, concerned);
	}
	admin_forget_news(l);
	done(admin_api(l, "POST", "/api/v1/devices", "{\"name\":\"tv\"}", 201));
	control_links_changed(l->c, 0, "tv", &(struct link_count){.n = 1, .peer = "192.168.7.30"});
	done(admin_api(l, "GET", "/api/v1/me", NULL, 200));
	assert_true(admin_news(l, NULL) & EVENT_DEVICES);
	admin_forget_news(l);
	control_links_changed(l->c, 0, "tv", &(struct link_count){.n = 2, .peer = "192.168.7.30"}); /* no other state */
	done(admin_api(l, "GET", "/api/v1/me", NULL, 200));
	assert_int_equal(admin_news(l, NULL) & (EVENT_LAUNCHER | EVENT_STATUS), 0);
}

static unsigned two_addresses(struct admin_lab *l)
{
	unsigned n = 0;
	json_t *o = admin_api(l, "GET", "/api/v1/logs?lines=1000", NULL, 200), *line;
	size_t i;
	json_array_foreach(json_object_get(o, "lines"), i, line)
		n += strstr(json_string_value(line), "two addresses") != NULL;
	json_decref(o);
	return n;
}

static void a_device_at_two_addresses_is_told_whatever_its_loops(void **state)
{
	static const struct {
		unsigned loop, links;
		const char *peer;
		unsigned told;
	} rows[] = {
		{0, 1, "192.168.7.30", 0},
		{1, 1, "192.168.7.30", 0},
		{1, 2, "192.168.7.99", 1}, /* on the same loop */
		{1, 0, "",             1},
		{0, 0, "",             1},
		{0, 1, "192.168.7.30", 1}, /* it moved back */
		{1, 1, "192.168.7.99", 2}, /* on another loop */
	};
	struct admin_lab *l = *state;
	done(admin_api(l, "POST", "/api/v1/devices", "{\"name\":\"tv\"}", 201));
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		control_links_changed(l->c, rows[i].loop, "tv",
			&(struct link_count){.n = rows[i].links, .peer = rows[i].peer});
		unsigned told = two_addresses(l);
		if (told != rows[i].told)
			fail_msg("row %u: told %u times", i, told);
	}
}

/* A password of the rig is no hash, so that none is the right one until a link made one. */
static void a_wrong_password_changes_nothing_and_is_limited(void **state)
{
	struct admin_lab *l = *state;
	static const char good[] = "{\"old\":\"x\",\"new\":\"a calm long one\"}";
	done(as(l, USER_COOKIE, "POST", "/api/v1/me/password", "{\"old\":\"x\"}", 422));
	json_t *o = as(l, USER_COOKIE, "POST", "/api/v1/me/password",
		"{\"old\":\"x\",\"new\":\"short\"}", 422);
	assert_string_equal(admin_text(o, "error.code"), "invalid");
	done(o);
	for (int i = 0; i < 5; i++) {
		o = as(l, USER_COOKIE, "POST", "/api/v1/me/password", good, 403);
		assert_string_equal(admin_text(o, "error.code"), "wrong_password");
		done(o);
	}
	o = as(l, USER_COOKIE, "POST", "/api/v1/me/password", good, 429);
	assert_string_equal(admin_text(o, "error.code"), "too_many_tries");
	done(o);
	done(as(l, USER_COOKIE, "GET", "/api/v1/me", NULL, 200));
}

#define T(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_device_at_two_addresses_is_told_whatever_its_loops),
		T(everybody_learns_who_they_are),
		T(the_launcher_shows_what_is_open_and_no_more),
		T(a_device_gets_another_title),
		T(rights_change_but_the_last_admin_stays),
		T(sessions_are_listed_and_ended_by_their_owner_or_an_admin),
		T(an_invitation_is_listed_until_it_is_used),
		T(changes_are_told_to_whom_they_concern),
		T(a_wrong_password_changes_nothing_and_is_limited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
