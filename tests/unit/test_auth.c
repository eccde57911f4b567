/* Sign-in on a real database: links, forms, the code flow, and what the loops are told. */
#include "auth_rig.h"

/* ---- links ---- */

static void a_setup_link_works_once_and_makes_an_administrator(void **state)
{
	(void)state;
	char token[64], form[300], cookie[256], link[300];
	struct answer a;
	make_link(NULL, token);
	snprintf(link, sizeof(link), "/setup?token=%s", token);
	ask_base("GET", link, NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	snprintf(link, sizeof(link), "/invite?token=%s", token);
	ask_base("GET", link, NULL, NULL, &a); /* of the wrong kind */
	assert_int_equal(a.status, 410);
	snprintf(form, sizeof(form), "token=%s&name=ann&password=longenough&password2=longenouGh",
		token);
	ask_base("POST", "/setup", form, NULL, &a);
	assert_int_equal(a.status, 400);
	assert_non_null(strstr(a.text, "differ"));
	setup_form(form, token, "A%20nn");
	ask_base("POST", "/setup", form, NULL, &a);
	assert_int_equal(a.status, 400);
	setup_form(form, token, "ann");
	ask_base("POST", "/setup", form, NULL, &a);
	assert_int_equal(a.status, 303);
	memcpy(cookie, a.cookie, sizeof(cookie));
	assert_int_equal(told.puts, 1);
	assert_true(told.last.is_admin);
	assert_true(is_in(cookie));
	setup_form(form, token, "eve");
	ask_base("POST", "/setup", form, NULL, &a);
	assert_int_equal(a.status, 410);
	struct auth_link out;
	assert_int_equal(auth_make_link(auth, NULL, &out, &st.e), -EEXIST);
}

static void two_at_once_on_one_link_make_one_administrator(void **state)
{
	(void)state;
	char token[64], form[2][300];
	struct ask_lab *x[2];
	struct answer a[2];
	unsigned all_users, admins;
	make_link(NULL, token);
	for (int i = 0; i < 2; i++) {
		setup_form(form[i], token, i ? "eve" : "ann");
		x[i] = send_ask(&(struct ask_question){.kind = ASK_BASE,
			.method = "POST",
			.target = "/setup",
			.body = form[i],
			.type = "application/x-www-form-urlencoded"});
	}
	for (int i = 0; i < 2; i++)
		take_answer(x[i], &a[i]);
	assert_int_equal(a[0].status, 303);
	assert_int_equal(a[1].status, 410);
	assert_string_equal(a[1].cookie, "");
	OK(&st, users_count(st.db, &all_users, &admins, &st.e));
	assert_int_equal(all_users, 1);
	assert_int_equal(admins, 1);
}

static void expired_and_invented_links_are_refused(void **state)
{
	(void)state;
	char form[300];
	uint8_t hash[32];
	struct answer a;
	struct invite inv = {.kind = INVITE_SETUP, .created_at = 1, .expires_at = 2};
	sha256(hash, "old", 3);
	OK(&st, invites_add(st.db, hash, &inv, &st.e));
	setup_form(form, "old", "ann");
	ask_base("POST", "/setup", form, NULL, &a);
	assert_int_equal(a.status, 410);
	for (int i = 0; i < 20; i++) {
		ask_base("GET", "/setup?token=guess", NULL, NULL, &a);
		assert_int_equal(a.status, 410);
	}
	char token[64], link[128];
	make_link(NULL, token);
	snprintf(link, sizeof(link), "/setup?token=%s", token);
	ask_base("GET", link, NULL, NULL, &a);
	assert_int_equal(a.status, 429);
	/* any page can make a browser do that: signing in must not suffer */
	ask_base("POST", "/signin", "user=nobody&password=x", NULL, &a);
	assert_int_equal(a.status, 403);
}

static void a_new_password_ends_what_was_open(void **state)
{
	(void)state;
	char cookie[256], token[64], form[300];
	struct answer a;
	struct user u = sign_up(cookie);
	make_link(&u, token);
	setup_form(form, token, "ignored");
	told.drops = 0;
	ask_base("POST", "/invite", form, NULL, &a);
	assert_int_equal(a.status, 303);
	assert_int_equal(told.drops, 1); /* the loops know, too */
	assert_false(is_in(cookie));
	assert_int_equal(count_sessions(), 1);
}

static void the_password_is_not_the_name_whatever_the_form_says(void **state)
{
	(void)state;
	char token[64], form[300];
	struct answer a;
	struct user u = add_person("long-name");
	make_link(&u, token);
	snprintf(form, sizeof(form), "token=%s&name=x&password=Long-Name&password2=Long-Name",
		token);
	ask_base("POST", "/invite", form, NULL, &a);
	assert_int_equal(a.status, 400);
	assert_non_null(strstr(a.text, "must not be the name"));
}

/* ---- signing in and out ---- */

static void names_and_passwords_are_checked_and_tries_are_counted(void **state)
{
	(void)state;
	char cookie[256];
	struct answer a;
	sign_up(cookie);
	ask_base("POST", "/signin", "user=ann&password=correct+horse", NULL, &a);
	assert_int_equal(a.status, 303);
	assert_string_not_equal(a.cookie, cookie);
	add_person("eve"); /* no password yet */
	ask_base("POST", "/signin", "user=eve&password=", NULL, &a);
	assert_int_equal(a.status, 403);
	ask_base("POST", "/signin", "user=nobody&password=x", NULL, &a);
	assert_int_equal(a.status, 403);
	assert_string_equal(a.cookie, "");
	for (int i = 0; i < 5; i++) {
		ask_base("POST", "/signin", "user=ann&password=wrong%3Cb%3E", NULL, &a);
		assert_int_equal(a.status, 403);
	}
	ask_base("POST", "/signin", "user=ann&password=correct+horse", NULL, &a);
	assert_int_equal(a.status, 429);
	assert_null(strstr(a.text, "correct horse"));
	ask_base("POST", "/signin", "user=%zz", NULL, &a);
	assert_int_equal(a.status, 400);
}

static void sign_in_leads_back_to_the_page_that_asked(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"/devices/tv?x=1",       "/devices/tv?x=1"},
                {"/",                     "/"              },
                {"//evil.example",        "/"              },
		{"/\\evil.example",       "/"              },
                {"https://evil.example/", "/"              },
                {"/a%20b",                "/"              },
		{"",		      "/"              }
        };
	char cookie[256], form[200];
	struct answer a;
	sign_up(cookie);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(form, sizeof(form), "user=ann&password=correct+horse&to=%s", rows[i][0]);
		ask_base("POST", "/signin", form, NULL, &a);
		assert_int_equal(a.status, 303);
		assert_string_equal(a.location, rows[i][1]);
	}
	ask_base("GET", "/signin?to=/devices", NULL, NULL, &a);
	assert_non_null(strstr(a.text, "name=\"to\" value=\"/devices\""));
}

static void a_disabled_person_is_out(void **state)
{
	(void)state;
	char cookie[256], token[64], form[300], hers[256];
	struct answer a;
	sign_up(cookie);
	struct user eve = add_person("eve");
	make_link(&eve, token);
	setup_form(form, token, "eve");
	ask_base("POST", "/invite", form, NULL, &a);
	assert_int_equal(a.status, 303);
	memcpy(hers, a.cookie, sizeof(hers));
	assert_true(is_in(hers));
	told.drops = 0;
	auth_end_user(auth, eve.id);
	assert_int_equal(told.drops, 1);
	OK(&st, users_get(st.db, eve.id, &eve, &st.e));
	eve.disabled = true;
	OK(&st, users_update(st.db, &eve, &st.e));
	assert_false(is_in(hers));
	ask_base("POST", "/signin", "user=eve&password=correct+horse", NULL, &a);
	assert_int_equal(a.status, 403);
}

/* ---- the code flow ---- */

#define SECRET "browser-secret"

/* The query that a device's host sends the browser with. */
static void target_of(char out[600], const char *host, const char *to)
{
	uint8_t hash[32];
	char state[64];
	sha256(hash, SECRET, strlen(SECRET));
	base64url_encode(state, hash, sizeof(hash));
	snprintf(out, 600, "/signin?host=%s&state=%s&to=%s", host, state, to);
}

/* Ask for a code; the path and query of the callback into `cb`, "" when none was given. */
static void get_code(const char *cookie, const char *host, const char *to, char cb[600])
{
	char target[600];
	struct answer a;
	target_of(target, host, to);
	ask_base("GET", target, NULL, cookie, &a);
	const char *at = strstr(a.location, "/.lanthorn/cb?code=");
	snprintf(cb, 600, "%s", at ? at : "");
	if (at)
		assert_int_equal(
			strncmp(a.location, "https://" TV "/", strlen("https://" TV "/")), 0);
}

static void a_code_opens_the_device_once_for_the_browser_that_asked(void **state)
{
	(void)state;
	char cookie[256], cb[600];
	struct answer a;
	sign_up(cookie);
	get_code(cookie, TV, "/a%3Fb=1", cb);
	assert_true(cb[0]);
	ask_host(TV, cb, "__Host-ls=" SECRET, &a);
	assert_int_equal(a.status, 303);
	assert_string_equal(a.location, "/a?b=1");
	assert_string_equal(told.last.host, TV);
	assert_string_equal(a.cleared, "__Host-ls=");
	assert_true(str_starts(a.cookie, SESSION_COOKIE "="));
	assert_false(is_in(a.cookie)); /* of the device's host alone */
	ask_host(TV, cb, "__Host-ls=" SECRET, &a);
	assert_int_equal(a.status, 403);
	get_code(cookie, TV, "/", cb);
	ask_host(TV, cb, "__Host-ls=other", &a);
	assert_int_equal(a.status, 403);
	get_code(cookie, TV, "/", cb);
	ask_host(TV, cb, NULL, &a);
	assert_int_equal(a.status, 403);
	get_code(cookie, TV, "/", cb);
	ask_host("lamp." BASE, cb, "__Host-ls=" SECRET, &a);
	assert_int_equal(a.status, 403);
	assert_string_equal(a.cookie, "");
}

static void what_ended_in_between_ends_the_code(void **state)
{
	(void)state;
	char cookie[256], cb[600];
	struct answer a;
	sign_up(cookie);
	struct user eve = add_person("eve");
	get_code(cookie, TV, "/", cb);
	ask_base("POST", "/signout", "", cookie, &a);
	assert_int_equal(a.status, 303);
	assert_string_equal(a.cleared, SESSION_COOKIE "=");
	ask_host(TV, cb, "__Host-ls=" SECRET, &a);
	assert_int_equal(a.status, 403);
	char token[64], form[300];
	make_link(&eve, token);
	setup_form(form, token, "eve");
	ask_base("POST", "/invite", form, NULL, &a);
	memcpy(cookie, a.cookie, sizeof(cookie));
	get_code(cookie, TV, "/", cb);
	assert_string_equal(cb, ""); /* not opened to her */
	OK(&st, users_grant(st.db, eve.id, "tv", &st.e));
	get_code(cookie, TV, "/", cb);
	assert_true(cb[0]);
	OK(&st, users_revoke(st.db, eve.id, "tv", &st.e));
	ask_host(TV, cb, "__Host-ls=" SECRET, &a);
	assert_int_equal(a.status, 403);
	OK(&st, users_grant(st.db, eve.id, "tv", &st.e));
	get_code(cookie, TV, "/", cb);
	OK(&st, devices_remove(st.db, "tv", 5, &st.e));
	ask_host(TV, cb, "__Host-ls=" SECRET, &a);
	assert_int_equal(a.status, 403);
}

static void only_our_devices_and_paths_are_targets(void **state)
{
	(void)state;
	static const char *const hosts[] = {"evil.example.com", "tv." BASE ".evil.com",
		"a.tv." BASE, BASE, "TV." BASE, "tv." BASE ".", "unknown." BASE, ""};
	static const char *const paths[] = {
		"//evil.com", "/%5Cevil.com", "https%3A//evil.com", "", "/a%20b"};
	char cookie[256], cb[600];
	sign_up(cookie);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
		get_code(cookie, hosts[i], "/", cb);
		if (cb[0])
			fail_msg("a code for %s", hosts[i]);
	}
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		get_code(cookie, TV, paths[i], cb);
		if (!str_ends(cb, "&to=/"))
			fail_msg("%s led to %s", paths[i], cb);
	}
	struct answer a;
	get_code(cookie, TV, "/", cb);
	strcpy(strstr(cb, "&to=/"), "&to=//evil.com"); /* changed on the way */
	ask_host(TV, cb, "__Host-ls=" SECRET, &a);
	assert_string_equal(a.location, "/");
}

/* ---- lives ---- */

static void open_device(const char *cookie, uint8_t hash[32])
{
	char cb[600];
	struct answer a;
	get_code(cookie, TV, "/", cb);
	ask_host(TV, cb, "__Host-ls=" SECRET, &a);
	assert_int_equal(a.status, 303);
	memcpy(hash, told.last.hash, 32);
}

static void signing_out_ends_parent_and_children_on_the_loops(void **state)
{
	(void)state;
	char cookie[256], other[256];
	uint8_t tv[32];
	struct answer a;
	sign_up(cookie);
	ask_base("POST", "/signin", "user=ann&password=correct+horse", NULL, &a);
	memcpy(other, a.cookie, sizeof(other));
	open_device(cookie, tv);
	told.drops = 0;
	ask_base("POST", "/signout", "", cookie, &a);
	assert_int_equal(told.drops, 2);
	assert_true(!memcmp(told.dropped[0], tv, 32) || !memcmp(told.dropped[1], tv, 32));
	assert_int_equal(count_sessions(), 1);
	assert_true(is_in(other));
	/* Signing in again with a session replaces it. */
	open_device(other, tv);
	told.drops = 0;
	ask_base("POST", "/signin", "user=ann&password=correct+horse", other, &a);
	assert_int_equal(told.drops, 2);
	assert_false(is_in(other));
}

static void a_removed_host_ends_its_sessions(void **state)
{
	(void)state;
	char cookie[256];
	uint8_t tv[32];
	sign_up(cookie);
	open_device(cookie, tv);
	told.drops = 0;
	auth_host_removed(auth, "lamp." BASE);
	assert_int_equal(told.drops, 0);
	auth_host_removed(auth, TV);
	assert_int_equal(told.drops, 1);
	assert_memory_equal(told.dropped[0], tv, 32);
	assert_true(is_in(cookie));
}

static void find(const uint8_t hash[32], struct session *s)
{
	OK(&st, sessions_find(st.db, hash, clock_unix(), s, &st.e));
}

/* Make it `age` seconds old, with its expiry as it would be if it was used all the time. */
static void set_age(struct session *s, int64_t age)
{
	int64_t now = clock_unix();
	OK(&st, db_run(st.db, &st.e,
			"UPDATE sessions SET created_at = ?, last_seen_at = ?, expires_at = ? WHERE id = ?",
			"iiii", now - age, now - 10, now + 60, s->id) -
			1);
}

static void use_prolongs_a_session_but_never_past_its_lifetime(void **state)
{
	(void)state;
	char cookie[256];
	uint8_t tv[32], base[32];
	struct session s, parent;
	sign_up(cookie);
	memcpy(base, told.last.hash, 32);
	open_device(cookie, tv);
	find(tv, &s);
	find(base, &parent);
	set_age(&s, 1800);
	set_age(&parent, 1800);
	auth_touched(auth, tv);
	int64_t now = clock_unix();
	find(tv, &s);
	find(base, &parent);
	assert_in_range(s.expires_at, now + 3590, now + 3600); /* idle */
	assert_in_range(parent.expires_at, now + 3590, now + 3600);
	assert_int_equal(told.last.expires_at, s.expires_at);
	assert_memory_equal(told.last.hash, base, 32); /* the loops know of both */
	/* The sign-in is old, the device's session young: it must not outlive nor renew the
	 * sign-in. */
	set_age(&parent, 2 * 3600 - 600);
	auth_touched(auth, tv);
	find(tv, &s);
	find(base, &parent);
	assert_in_range(parent.expires_at, now + 590, now + 601);
	assert_in_range(s.expires_at, now + 590, now + 601);
	assert_int_equal(told.last.expires_at, s.expires_at);
	/* So is a new one. */
	open_device(cookie, tv);
	find(tv, &s);
	assert_in_range(s.expires_at, now + 590, now + 601);
	unsigned puts = told.puts;
	auth_touched(auth, (const uint8_t[32]){1});
	assert_int_equal(told.puts, puts);
}

static void what_makes_room_for_a_session_ends_on_the_loops_too(void **state)
{
	(void)state;
	char cookie[256];
	uint8_t base[32];
	struct answer a;
	struct session s;
	int64_t now = clock_unix();
	sign_up(cookie);
	memcpy(base, told.last.hash, 32);
	find(base, &s);
	OK(&st, db_run(st.db, &st.e, "UPDATE sessions SET last_seen_at = ?", "i", now - 20) - 1);
	int made = db_run(st.db, &st.e,
		"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)"
		" INSERT INTO sessions (cookie_sha256, user_id, host, created_at, last_seen_at,"
		" expires_at, agent, address)"
		" SELECT randomblob(32), ?2, ?3, ?4, ?4, ?4 + 600, '', '' FROM n",
		"iiti", (int64_t)SESSIONS_PER_USER_MAX, s.user_id, BASE, now);
	assert_int_equal(made, SESSIONS_PER_USER_MAX - 1);
	told.drops = 0;
	ask_base("POST", "/signin", "user=ann&password=correct+horse", NULL, &a);
	assert_int_equal(a.status, 303);
	assert_int_equal(told.drops, 1);
	assert_memory_equal(told.dropped[0], base, 32);
	assert_false(is_in(cookie));
}

static void the_gateways_own_pages_are_use_as_well(void **state)
{
	(void)state;
	char cookie[256];
	struct session s;
	int64_t now = clock_unix();
	sign_up(cookie);
	find(told.last.hash, &s);
	OK(&st, sessions_touch(st.db, s.id, now, now + 60, &st.e));
	assert_true(is_in(cookie));
	find(s.cookie_sha256, &s);
	assert_int_equal(s.expires_at, now + 60); /* not at each request */
	OK(&st, db_run(st.db, &st.e, "UPDATE sessions SET last_seen_at = ?", "i", now - 300) - 1);
	assert_true(is_in(cookie));
	find(s.cookie_sha256, &s);
	assert_in_range(s.expires_at, now + 3590, now + 3610);
}

static void sessions_are_told_again_at_the_next_start(void **state)
{
	(void)state;
	char cookie[256];
	uint8_t tv[32];
	sign_up(cookie);
	open_device(cookie, tv);
	auth_free(auth);
	told.puts = 0;
	start_auth();
	assert_int_equal(told.puts, 2);
}

static void the_end_answers_what_waits_for_a_password(void **state)
{
	(void)state;
	char cookie[256];
	struct ask_lab *x[10];
	unsigned busy = 0;
	sign_up(cookie);
	for (int i = 0; i < 10; i++) {
		x[i] = send_ask(&(struct ask_question){.kind = ASK_BASE,
			.method = "POST",
			.target = "/signin",
			.body = "user=ann&password=x",
			.type = "application/x-www-form-urlencoded"});
		busy += x[i]->answers;
	}
	assert_in_range(busy, 1, 2); /* eight wait */
	loop_stop(rig_loop);
	auth_free(auth);
	auth = NULL;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(x[i]->answers, 1);
		int status = ask_lab_status(x[i]);
		assert_true(status == 503 || status == 429);
		ask_lab_free(x[i]);
	}
}

static void unknown_pages_stay_the_callers(void **state)
{
	(void)state;
	static const struct {
		enum ask_kind kind;
		const char *method, *target;
	} rows[] = {
		{ASK_BASE,   "GET",    "/nothing"     },
		{ASK_BASE,   "DELETE", "/signin"      },
		{ASK_BASE,   "GET",    "/signout"     },
		{ASK_DEVICE, "GET",    "/signin"      },
		{ASK_DEVICE, "POST",   "/.lanthorn/cb"},
		{ASK_BASE,   "GET",    "/.lanthorn/cb"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ask_lab *x = ask_lab_new(&(struct ask_question){
			.kind = rows[i].kind, .method = rows[i].method, .target = rows[i].target});
		assert_int_equal(auth_handle(auth, &x->a), -ENOENT);
		ask_done(&x->a);
		ask_lab_free(x);
	}
	struct ask_lab *x = ask_lab_new(&(struct ask_question){
		.kind = ASK_BASE, .method = "GET", .target = "/nothing"});
	msg_add(x->a.req, "accept", "text/html,*/*;q=0.8");
	assert_int_equal(auth_handle(auth, &x->a), 0);
	assert_int_equal(msg_status(x->a.resp), 404);
	assert_non_null(strstr(buf_str(&x->a.resp_body), "leads nowhere"));
	ask_lab_free(x);
}

static void a_sign_out_that_is_not_stored_is_told_and_holds(void **state)
{
	(void)state;
	char cookie[256];
	struct answer a;
	sign_up(cookie);
	OK(&st, db_run(st.db, &st.e,
			"CREATE TEMP TRIGGER full BEFORE DELETE ON sessions"
			" BEGIN SELECT RAISE(FAIL, 'full'); END",
			""));
	ask_base("POST", "/signout", "", cookie, &a);
	assert_int_equal(a.status, 503);
	assert_string_equal(a.cleared, SESSION_COOKIE "=");
	assert_false(is_in(cookie));
	OK(&st, db_run(st.db, &st.e, "DROP TRIGGER full", ""));
	ask_base("POST", "/signout", "", cookie, &a);
	assert_int_equal(a.status, 303);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AUTH_TEST(a_setup_link_works_once_and_makes_an_administrator),
		AUTH_TEST(two_at_once_on_one_link_make_one_administrator),
		AUTH_TEST(a_sign_out_that_is_not_stored_is_told_and_holds),
		AUTH_TEST(expired_and_invented_links_are_refused),
		AUTH_TEST(a_new_password_ends_what_was_open),
		AUTH_TEST(the_password_is_not_the_name_whatever_the_form_says),
		AUTH_TEST(names_and_passwords_are_checked_and_tries_are_counted),
		AUTH_TEST(sign_in_leads_back_to_the_page_that_asked),
		AUTH_TEST(a_disabled_person_is_out),
		AUTH_TEST(a_code_opens_the_device_once_for_the_browser_that_asked),
		AUTH_TEST(what_ended_in_between_ends_the_code),
		AUTH_TEST(only_our_devices_and_paths_are_targets),
		AUTH_TEST(signing_out_ends_parent_and_children_on_the_loops),
		AUTH_TEST(a_removed_host_ends_its_sessions),
		AUTH_TEST(use_prolongs_a_session_but_never_past_its_lifetime),
		AUTH_TEST(what_makes_room_for_a_session_ends_on_the_loops_too),
		AUTH_TEST(the_gateways_own_pages_are_use_as_well),
		AUTH_TEST(sessions_are_told_again_at_the_next_start),
		AUTH_TEST(the_end_answers_what_waits_for_a_password),
		AUTH_TEST(unknown_pages_stay_the_callers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
