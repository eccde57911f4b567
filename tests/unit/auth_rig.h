/* For tests of sign-in: a real database, questions made by hand, answers that come on the loop
 * which the test turns, and a record of what the loops were told. */
#pragma once

#include "gate_rig.h"

#include "ask_lab.h"
#include "base/str.h"
#include "gate/auth.h"
#include "gate/codes.h"
#include "gate/form.h"
#include "gate/session_row.h"
#include "net/crypto.h"
#include "store/conf.h"
#include "store/devices.h"
#include "store/invites.h"
#include "store/sessions.h"
#include "store_db.h"

#define BASE "home.example.com"
#define TV "tv." BASE

static struct store st;
static struct auth *auth;
static const struct conf *conf;
static struct {
	unsigned puts, drops;
	struct session_row last;
	uint8_t dropped[64][32];
} told;

static inline void on_put(void *ctx, const struct session_row *row)
{
	(void)ctx;
	told.puts++;
	told.last = *row;
}

static inline void on_drop(void *ctx, const uint8_t hash[32])
{
	(void)ctx;
	if (told.drops < 64)
		memcpy(told.dropped[told.drops], hash, 32);
	told.drops++;
}

static inline void start_auth(void)
{
	struct err e;
	struct auth_opts o = {
		.loop = rig_loop,
		.db = st.db,
		.conf = conf,
		.notify = {.session_put = on_put, .session_drop = on_drop}
        };
	if (auth_new(&auth, &o, &e) < 0)
		fail_msg("%s", e.text);
}

static inline int begin(void **state)
{
	static const char text[] = "domain: " BASE "\nstate_dir: /tmp\nrun_dir: /tmp\n"
				   "dns:\n  provider: exec\n  command: /bin/true\n"
				   "sessions:\n  idle: 1h\n  lifetime: 2h\n";
	static struct conf_errors errors;
	struct conf *c;
	if (rig_begin(state) < 0)
		return -1;
	memset(&told, 0, sizeof(told));
	store_make(&st, DB_GATE);
	if (conf_parse(&c, "f", text, strlen(text), &errors) < 0)
		fail_msg("%s", errors.text[0]);
	conf = c;
	start_auth();
	struct device d = {.id = "tv", .created_at = 1};
	OK(&st, devices_add(st.db, &d, &st.e));
	return 0;
}

static inline int end(void **state)
{
	loop_stop(rig_loop);
	rig_turns(2);
	auth_free(auth);
	conf_unref(conf);
	store_remove(&st);
	return rig_end(state);
}

#define AUTH_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

/* ---- asking ---- */

struct answer {
	int status;
	char location[2600], text[16384];
	char cookie[256],
		cleared[256]; /* "name=value" of what was set; the name of what was removed */
	char known[256];      /* the cookie of a browser that has signed in before */
};

static inline void take_cookies(struct ask_lab *x, struct answer *out)
{
	const char *lines[8];
	unsigned n = x->a.resp ? msg_get_all(x->a.resp, "set-cookie", lines, 8) : 0;
	for (unsigned i = 0; i < n; i++) {
		assert_non_null(strstr(lines[i], "; Secure"));
		assert_non_null(strstr(lines[i], "; HttpOnly"));
		assert_non_null(strstr(lines[i], "; SameSite=Lax"));
		assert_non_null(strstr(lines[i], "; Path=/;"));
		assert_null(strcasestr(lines[i], "domain"));
		assert_int_equal(strncmp(lines[i], "__Host-", 7), 0);
		bool known = strncmp(lines[i], "__Host-lanthorn-known=", 22) == 0;
		char *into = known			  ? out->known
			     : strstr(lines[i], "=;") ? out->cleared
						      : out->cookie;
		snprintf(into, 256, "%.*s", (int)strcspn(lines[i], ";"), lines[i]);
	}
}

static inline struct ask_lab *send_ask(const struct ask_question *q)
{
	struct ask_lab *x = ask_lab_new(q);
	if (auth_handle(auth, &x->a) < 0)
		ask_answer(&x->a, 404, NULL, "");
	return x;
}

static inline void take_answer(struct ask_lab *x, struct answer *out)
{
	UNTIL(x->answers);
	memset(out, 0, sizeof(*out));
	out->status = ask_lab_status(x);
	const char *to = x->a.resp ? msg_get(x->a.resp, "location") : NULL;
	snprintf(out->location, sizeof(out->location), "%s", to ? to : "");
	snprintf(out->text, sizeof(out->text), "%s", ask_lab_text(x));
	take_cookies(x, out);
	assert_string_equal(msg_get(x->a.resp, "cache-control"), "no-store");
	ask_lab_free(x);
}

static inline void ask_base(const char *method, const char *target, const char *body,
	const char *cookie, struct answer *out)
{
	take_answer(send_ask(&(struct ask_question){.kind = ASK_BASE,
			    .method = method,
			    .target = target,
			    .body = body,
			    .type = "application/x-www-form-urlencoded",
			    .cookie = cookie}),
		out);
}

static inline void ask_host(
	const char *host, const char *target, const char *cookie, struct answer *out)
{
	struct ask like = {0};
	str_copy(like.host, sizeof(like.host), host);
	take_answer(send_ask(&(struct ask_question){.kind = ASK_DEVICE,
			    .method = "GET",
			    .target = target,
			    .cookie = cookie,
			    .like = &like}),
		out);
}

/* Sign-in leads on whoever is signed in already. */
static inline bool is_in(const char *cookie)
{
	struct answer a;
	ask_base("GET", "/signin", NULL, cookie, &a);
	return a.status == 303 && strcmp(a.location, "/") == 0;
}

static inline void make_link(const struct user *u, char token[64])
{
	struct auth_link made;
	OK(&st, auth_make_link(auth, u, &made, &st.e));
	assert_non_null(strstr(made.url, u ? "/invite?token=" : "/setup?token="));
	snprintf(token, 64, "%s", strchr(made.url, '=') + 1);
}

static inline void setup_form(char out[300], const char *token, const char *name)
{
	snprintf(out, 300, "token=%s&name=%s&password=correct+horse&password2=correct+horse", token,
		name);
}

/* An administrator "ann" with a session; its cookie into `cookie`. */
static inline struct user sign_up(char cookie[256])
{
	char token[64], form[300];
	struct answer a;
	struct user u;
	make_link(NULL, token);
	setup_form(form, token, "ann");
	ask_base("POST", "/setup", form, NULL, &a);
	assert_int_equal(a.status, 303);
	assert_string_equal(a.location, "/");
	memcpy(cookie, a.cookie, 256);
	OK(&st, users_find(st.db, "ann", &u, &st.e));
	return u;
}

static inline struct user add_person(const char *name)
{
	struct user u = {.created_at = 1};
	str_copy(u.name, sizeof(u.name), name);
	OK(&st, users_add(st.db, &u, &st.e));
	return u;
}

static inline unsigned count_sessions(void)
{
	struct session *list = NULL;
	size_t n = 0;
	OK(&st, sessions_list(st.db, 0, &list, &n, &st.e));
	free(list);
	return (unsigned)n;
}
