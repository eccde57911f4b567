/* store/users, invites, sessions: who may sign in and reach what, links that work once, sessions
 * that end with their parent. */
#include "store_db.h"

#include <errno.h>

#include "base/clock.h"
#include "store/invites.h"
#include "store/sessions.h"
#include "store/users.h"

static int64_t make_user(struct store *s, const char *name, bool is_admin)
{
	struct user u = {.is_admin = is_admin, .created_at = 100};
	snprintf(u.name, sizeof(u.name), "%s", name);
	OK(s, users_add(s->db, &u, &s->e));
	OK(s, users_set_password(s->db, u.id, "hash", 4, &s->e));
	return u.id;
}

static void names_are_strict_and_unique(void **state)
{
	struct store *s = *state;
	static const struct {
		const char *name;
		int rc;
	} cases[] = {
		{"anna",			     0      },
		{"a",				0      },
		{"a.b_c-9",                          0      },
		{"abcdefghijklmnopqrstuvwxyz012345", 0      },
		{"anna",			     -EEXIST},
		{"",				 -EINVAL},
		{"Anna",			     -EINVAL},
		{"an na",			    -EINVAL},
		{"änna",			    -EINVAL},
		{"a/b",			      -EINVAL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct user u = {0};
		snprintf(u.name, sizeof(u.name), "%s", cases[i].name);
		assert_int_equal(users_add(s->db, &u, &s->e), cases[i].rc);
	}
	assert_false(users_name_is_valid("abcdefghijklmnopqrstuvwxyz0123456"));
}

static void a_user_comes_back_as_stored(void **state)
{
	struct store *s = *state;
	struct user u, v;
	int64_t id = make_user(s, "anna", true);
	store_reopen(s);
	OK(s, users_find(s->db, "anna", &u, &s->e));
	OK(s, users_get(s->db, id, &v, &s->e));
	assert_memory_equal(&u, &v, sizeof(u));
	assert_true(u.id == id && u.is_admin && !u.disabled && u.has_password);
	assert_int_equal(u.created_at, 100);
	struct buf b = BUF_INIT(USER_PASSWORD_MAX);
	OK(s, users_password(s->db, id, &b, &s->e));
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "hash", 4);
	buf_done(&b);
	assert_int_equal(users_find(s->db, "ann", &u, &s->e), -ENOENT);
	assert_string_equal(s->e.text, "no such user");
	assert_int_equal(users_set_password(s->db, 99, "x", 1, &s->e), -ENOENT);
	assert_int_equal(users_set_password(s->db, id, "", 0, &s->e), -EINVAL);
}

static void the_last_admin_stays(void **state)
{
	struct store *s = *state;
	struct user u;
	int64_t anna = make_user(s, "anna", true);
	make_user(s, "bob", false);
	OK(s, users_get(s->db, anna, &u, &s->e));
	u.disabled = true;
	assert_int_equal(users_update(s->db, &u, &s->e), -EPERM);
	u.disabled = u.is_admin = false;
	assert_int_equal(users_update(s->db, &u, &s->e), -EPERM);
	assert_int_equal(users_remove(s->db, anna, &s->e), -EPERM);
	OK(s, users_get(s->db, anna, &u, &s->e));
	assert_true(u.is_admin && !u.disabled);

	int64_t carol = make_user(s, "carol", true);
	OK(s, users_remove(s->db, anna, &s->e));
	assert_int_equal(users_remove(s->db, carol, &s->e), -EPERM);
	assert_int_equal(users_remove(s->db, anna, &s->e), -ENOENT);
	unsigned all, admins;
	OK(s, users_count(s->db, &all, &admins, &s->e));
	assert_true(all == 2 && admins == 1);
	/* An id must not come back: sessions and logs name it. */
	OK(s, users_find(s->db, "bob", &u, &s->e));
	OK(s, users_remove(s->db, u.id, &s->e));
	assert_true(make_user(s, "dora", false) > carol);
}

static void reach_follows_grants_and_rank(void **state)
{
	struct store *s = *state;
	int64_t admin = make_user(s, "anna", true), bob = make_user(s, "bob", false);
	assert_int_equal(users_may_reach(s->db, admin, "tv", &s->e), 1);
	assert_int_equal(users_may_reach(s->db, bob, "tv", &s->e), 0);
	assert_int_equal(users_may_reach(s->db, 99, "tv", &s->e), 0);
	OK(s, users_grant(s->db, bob, "tv", &s->e));
	OK(s, users_grant(s->db, bob, "tv", &s->e));
	assert_int_equal(users_may_reach(s->db, bob, "tv", &s->e), 1);
	assert_int_equal(users_may_reach(s->db, bob, "nas", &s->e), 0);
	assert_int_equal(users_grant(s->db, 99, "tv", &s->e), -ENOENT);
	assert_int_equal(users_grant(s->db, bob, "t.v", &s->e), -EINVAL);
	struct user_grant *g;
	size_t n;
	OK(s, users_grants(s->db, 0, &g, &n, &s->e));
	assert_int_equal(n, 1);
	assert_true(g[0].user_id == bob);
	assert_string_equal(g[0].device, "tv");
	free(g);
	struct user u;
	OK(s, users_get(s->db, bob, &u, &s->e));
	u.disabled = true;
	OK(s, users_update(s->db, &u, &s->e));
	assert_int_equal(users_may_reach(s->db, bob, "tv", &s->e), 0);
	OK(s, users_revoke(s->db, bob, "tv", &s->e));
	OK(s, users_revoke(s->db, bob, "tv", &s->e));
	OK(s, users_grants(s->db, bob, &g, &n, &s->e));
	assert_int_equal(n, 0);
	assert_null(g);
}

static struct invite_redeem redeem_with(uint8_t token, const char *name, int64_t now)
{
	struct invite_redeem r = {.now = now, .name = name, .password = "hash", .password_len = 4};
	memset(r.token_sha256, token, sizeof(r.token_sha256));
	return r;
}

static void the_setup_link_makes_one_admin(void **state)
{
	struct store *s = *state;
	struct user u;
	struct invite i = {.kind = INVITE_SETUP, .created_at = 10, .expires_at = 20};
	struct invite_redeem good = redeem_with(1, "anna", 19);
	struct invite_redeem late = redeem_with(1, "anna", 20);
	struct invite_redeem other = redeem_with(2, "anna", 19);
	struct invite_redeem bad = redeem_with(1, "An na", 19);
	OK(s, invites_add(s->db, good.token_sha256, &i, &s->e));
	assert_int_equal(invites_redeem(s->db, &other, &u, &s->e), -ENOENT);
	assert_int_equal(invites_redeem(s->db, &late, &u, &s->e), -ESTALE);
	assert_int_equal(invites_redeem(s->db, &bad, &u, &s->e), -EINVAL);
	OK(s, invites_redeem(s->db, &good, &u, &s->e));
	assert_true(u.is_admin && u.has_password && u.id);
	assert_int_equal(invites_redeem(s->db, &good, &u, &s->e), -ESTALE);
	store_crash(s);
	OK(s, users_find(s->db, "anna", &u, &s->e));
	assert_true(u.is_admin && u.has_password);
	/* A second set-up link is worth nothing once there is an admin. */
	OK(s, invites_add(s->db, other.token_sha256, &i, &s->e));
	assert_int_equal(invites_redeem(s->db, &other, &u, &s->e), -EPERM);
	OK(s, invites_find(s->db, other.token_sha256, 19, &i, &s->e));
}

static void the_newest_invitation_counts(void **state)
{
	struct store *s = *state;
	struct user bob = {.name = "bob"}, u;
	OK(s, users_add(s->db, &bob, &s->e));
	struct invite i = {.kind = INVITE_USER, .user_id = bob.id, .expires_at = 50};
	struct invite_redeem first = redeem_with(1, NULL, 5), second = redeem_with(2, NULL, 5);
	OK(s, invites_add(s->db, first.token_sha256, &i, &s->e));
	OK(s, invites_add(s->db, second.token_sha256, &i, &s->e));
	assert_int_equal(invites_redeem(s->db, &first, &u, &s->e), -ENOENT);
	struct session se = {.user_id = bob.id, .host = "home.example.com", .expires_at = 100};
	OK(s, sessions_add(s->db, &se, &s->e));
	OK(s, invites_redeem(s->db, &second, &u, &s->e));
	assert_string_equal(u.name, "bob");
	assert_true(u.has_password && !u.is_admin);
	assert_int_equal(sessions_find(s->db, se.cookie_sha256, 1, &se, &s->e), -ENOENT);
	i.user_id = 99;
	assert_int_equal(invites_add(s->db, first.token_sha256, &i, &s->e), -ENOENT);
	OK(s, invites_purge(s->db, 5 + 30 * 86400, &s->e));
	assert_int_equal(invites_find(s->db, second.token_sha256, 5, &i, &s->e), -ESTALE);
	OK(s, invites_purge(s->db, 6 + 30 * 86400, &s->e));
	assert_int_equal(invites_find(s->db, second.token_sha256, 5, &i, &s->e), -ENOENT);
}

static struct session make_session(struct store *s, int64_t user, uint8_t cookie, int64_t parent)
{
	struct session se = {.user_id = user,
		.parent = parent,
		.host = "home.example.com",
		.created_at = 1,
		.last_seen_at = cookie,
		.expires_at = 100,
		.agent = "Firefox"};
	memset(se.cookie_sha256, cookie, sizeof(se.cookie_sha256));
	if (parent)
		strcpy(se.host, "tv.home.example.com");
	OK(s, sessions_add(s->db, &se, &s->e));
	return se;
}

static void children_end_with_their_parent(void **state)
{
	struct store *s = *state;
	struct session got;
	int64_t anna = make_user(s, "anna", true);
	struct session base = make_session(s, anna, 1, 0);
	struct session tv = make_session(s, anna, 2, base.id);
	struct session other = make_session(s, anna, 3, 0);
	OK(s, sessions_find(s->db, tv.cookie_sha256, 99, &got, &s->e));
	assert_memory_equal(&got, &tv, sizeof(got));
	assert_int_equal(sessions_find(s->db, tv.cookie_sha256, 100, &got, &s->e), -ENOENT);
	struct session orphan = {.user_id = anna, .parent = 99, .host = "x"};
	assert_int_equal(sessions_add(s->db, &orphan, &s->e), -ENOENT);
	OK(s, sessions_remove(s->db, base.id, &s->e));
	assert_int_equal(sessions_find(s->db, tv.cookie_sha256, 9, &got, &s->e), -ENOENT);
	OK(s, sessions_find(s->db, other.cookie_sha256, 9, &got, &s->e));
	assert_int_equal(sessions_remove(s->db, base.id, &s->e), -ENOENT);
}

static void what_a_clock_ahead_made_is_not_believed(void **state)
{
	struct store *s = *state;
	struct session got, se = {.host = "home.example.com", .expires_at = 99999};
	struct invite i = {.kind = INVITE_USER, .created_at = 5000, .expires_at = 99999};
	se.user_id = i.user_id = make_user(s, "anna", true);
	se.created_at = 5000;
	OK(s, sessions_add(s->db, &se, &s->e));
	OK(s, invites_add(s->db, se.cookie_sha256, &i, &s->e));
	int64_t just = 5000 - CLOCK_SKEW_S;
	OK(s, sessions_find(s->db, se.cookie_sha256, just, &got, &s->e));
	OK(s, invites_find(s->db, se.cookie_sha256, just, &i, &s->e));
	assert_true(invites_open_until(s->db, se.user_id, just) == 99999);
	assert_int_equal(sessions_find(s->db, se.cookie_sha256, just - 1, &got, &s->e), -ENOENT);
	assert_int_equal(invites_find(s->db, se.cookie_sha256, just - 1, &i, &s->e), -ESTALE);
	assert_non_null(strstr(s->e.text, "clock"));
	assert_true(invites_open_until(s->db, se.user_id, just - 1) == 0);
}

static void one_sign_out_elsewhere_keeps_this_one(void **state)
{
	struct store *s = *state;
	struct session *list;
	size_t n;
	int64_t anna = make_user(s, "anna", true), bob = make_user(s, "bob", false);
	struct session base = make_session(s, anna, 1, 0);
	struct session tv = make_session(s, anna, 2, base.id);
	make_session(s, anna, 3, 0);
	make_session(s, bob, 4, 0);
	OK(s, sessions_remove_user(s->db, anna, base.id, &s->e));
	OK(s, sessions_list(s->db, anna, &list, &n, &s->e));
	assert_int_equal(n, 2);
	assert_true(list[0].id == tv.id && list[1].id == base.id);
	free(list);
	OK(s, sessions_touch(s->db, base.id, 50, 200, &s->e));
	OK(s, sessions_touch(s->db, base.id, 40, 210, &s->e));
	OK(s, sessions_list(s->db, 0, &list, &n, &s->e));
	assert_int_equal(n, 3);
	assert_true(list[0].id == base.id && list[0].last_seen_at == 50);
	assert_int_equal(list[0].expires_at, 210);
	free(list);
	assert_true(sessions_purge(s->db, 100, &s->e) == 2);
	OK(s, sessions_remove_host(s->db, "home.example.com", &s->e));
	OK(s, sessions_list(s->db, 0, &list, &n, &s->e));
	assert_int_equal(n, 0);
}

static void the_oldest_session_makes_room(void **state)
{
	struct store *s = *state;
	struct session got, *list;
	size_t n;
	int64_t anna = make_user(s, "anna", true);
	struct session base = make_session(s, anna, 1, 0);
	struct session second = make_session(s, anna, 2, 0);
	OK(s, db_begin(s->db, &s->e));
	for (int i = 0; i < SESSIONS_PER_USER_MAX - 1; i++) {
		struct session se = {.user_id = anna,
			.parent = base.id,
			.host = "tv",
			.last_seen_at = 10,
			.expires_at = 100};
		memcpy(se.cookie_sha256, &i, sizeof(i));
		OK(s, sessions_add(s->db, &se, &s->e));
	}
	OK(s, db_commit(s->db, &s->e));
	OK(s, sessions_list(s->db, anna, &list, &n, &s->e));
	assert_int_equal(n, SESSIONS_PER_USER_MAX);
	free(list);
	/* The base session is the least recent, but the new ones hang on it. */
	OK(s, sessions_find(s->db, base.cookie_sha256, 1, &got, &s->e));
	assert_int_equal(sessions_find(s->db, second.cookie_sha256, 1, &got, &s->e), -ENOENT);
}

static void a_disabled_person_has_no_session(void **state)
{
	struct store *s = *state;
	struct session got;
	struct user u;
	make_user(s, "anna", true);
	int64_t bob = make_user(s, "bob", false);
	struct session se = make_session(s, bob, 1, 0);
	OK(s, users_get(s->db, bob, &u, &s->e));
	strcpy(u.display, "Bob");
	OK(s, users_update(s->db, &u, &s->e));
	OK(s, sessions_find(s->db, se.cookie_sha256, 1, &got, &s->e));
	u.disabled = true;
	OK(s, users_update(s->db, &u, &s->e));
	assert_int_equal(sessions_find(s->db, se.cookie_sha256, 1, &got, &s->e), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GATE_TEST(names_are_strict_and_unique),
		GATE_TEST(a_user_comes_back_as_stored),
		GATE_TEST(the_last_admin_stays),
		GATE_TEST(reach_follows_grants_and_rank),
		GATE_TEST(the_setup_link_makes_one_admin),
		GATE_TEST(the_newest_invitation_counts),
		GATE_TEST(children_end_with_their_parent),
		GATE_TEST(what_a_clock_ahead_made_is_not_believed),
		GATE_TEST(one_sign_out_elsewhere_keeps_this_one),
		GATE_TEST(the_oldest_session_makes_room),
		GATE_TEST(a_disabled_person_has_no_session),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
