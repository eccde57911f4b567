/* Tries of a browser that has signed in before, while strangers guess. */
#include "auth_rig.h"

#include "gate/auth_int.h"

static int try_as(const char *form, const char *cookie, const char *peer)
{
	struct answer a;
	take_answer(send_ask(&(struct ask_question){.kind = ASK_BASE,
			    .method = "POST",
			    .target = "/signin",
			    .body = form,
			    .type = "application/x-www-form-urlencoded",
			    .cookie = cookie,
			    .peer = peer}),
		&a);
	return a.status;
}

#define RIGHT "user=ann&password=correct+horse"
#define WRONG "user=ann&password=guessed"

/* Three addresses with twenty tries each are enough to lock an account for strangers. */
static void guess_until_locked(void)
{
	struct auth_keys k;
	char peer[46];
	for (int i = 0; i < 60; i++) {
		snprintf(peer, sizeof(peer), "192.0.2.%d", 1 + i / 20);
		auth_keys_of(&k, "ann", peer);
		auth_note_failure(auth, &k);
	}
	assert_int_equal(try_as(RIGHT, NULL, "192.0.2.99"), 429);
}

static void guesses_of_others_lock_out_nobody_who_was_here_before(void **state)
{
	(void)state;
	char cookie[256], forged[256];
	struct answer a;
	sign_up(cookie);
	ask_base("POST", "/signin", RIGHT, NULL, &a);
	assert_int_equal(strncmp(a.known, "__Host-lanthorn-known=", 22), 0);
	guess_until_locked();
	assert_int_equal(try_as(RIGHT, a.known, "192.0.2.99"), 303);
	/* from an address that is shut out by itself, too */
	assert_int_equal(try_as(RIGHT, a.known, "192.0.2.1"), 303);
	memcpy(forged, a.known, sizeof(forged));
	forged[30] ^= 1;
	assert_int_equal(try_as(RIGHT, forged, "192.0.2.99"), 429);
}

static void a_browser_that_was_here_before_has_five_tries_of_its_own(void **state)
{
	(void)state;
	char cookie[256];
	struct answer a;
	sign_up(cookie);
	ask_base("POST", "/signin", RIGHT, NULL, &a);
	for (int i = 0; i < 5; i++)
		assert_int_equal(try_as(WRONG, a.known, "192.0.2.7"), 403);
	assert_int_equal(try_as(RIGHT, a.known, "192.0.2.7"), 429);
	assert_int_equal(try_as(RIGHT, a.known, "192.0.2.8"), 429); /* moving does not help */
	assert_int_equal(try_as(RIGHT, NULL, "192.0.2.7"), 303);    /* nor was it a stranger's */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AUTH_TEST(guesses_of_others_lock_out_nobody_who_was_here_before),
		AUTH_TEST(a_browser_that_was_here_before_has_five_tries_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
