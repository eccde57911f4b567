/* The desk of the control thread: pages, sign-in, API and enrolment, whose questions are whole
 * requests. The first byte says where from; then head and body. A real control thread with a
 * database answers, so one input finds what others left. Each question gets one answer: JSON is
 * JSON, a page holds nothing of the question unescaped, and a redirect leads to the house alone. */
#include "tests/unit/admin_lab.h"

#include <assert.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/list.h"
#include "http/h1_parse.h"
#include "net/crypto.h"
#include "store/db.h"
#include "store/sessions.h"
#include "store/users.h"

#define FRESH_AFTER 3000u /* questions: what they left would slow the next ones down */

static struct admin_lab lab;
static unsigned asked;
static bool running;

/* ---- what would cost time ---- */

int __wrap_scrypt(uint8_t *out, size_t n, const char *password, const uint8_t *salt,
	size_t salt_len, uint32_t cost, uint32_t r, uint32_t p);
int __wrap_scrypt(uint8_t *out, size_t n, const char *password, const uint8_t *salt,
	size_t salt_len, uint32_t cost, uint32_t r, uint32_t p)
{
	uint8_t hash[32];
	(void)salt, (void)salt_len, (void)cost, (void)r, (void)p;
	sha256(hash, password, strlen(password));
	memset(out, 0, n);
	memcpy(out, hash, n < sizeof(hash) ? n : sizeof(hash));
	return 0;
}

int fsync(int fd)
{
	(void)fd;
	return 0;
}

int fdatasync(int fd)
{
	(void)fd;
	return 0;
}

/* ---- the control thread ---- */

static void add_person(struct db *db, const char *name, bool is_admin)
{
	struct user u = {.is_admin = is_admin, .created_at = clock_unix()};
	struct session s = {.host = ADMIN_DOMAIN, .created_at = clock_unix()};
	struct err e = {0};
	char cookie[64];
	snprintf(u.name, sizeof(u.name), "%s", name);
	snprintf(cookie, sizeof(cookie), "%s-cookie", name);
	assert(users_add(db, &u, &e) == 0);
	sha256(s.cookie_sha256, cookie, strlen(cookie));
	s.user_id = u.id;
	s.last_seen_at = s.created_at;
	s.expires_at = s.created_at + 86400;
	assert(sessions_add(db, &s, &e) == 0);
}

static void stop(void)
{
	if (!running)
		return;
	running = false;
	admin_stop(&lab);
	admin_done(&lab);
}

static void start(void)
{
	struct err e = {0};
	struct db *db;
	admin_init(&lab);
	char *dir = xasprintf("%s/state/gate", lab.dir), *path = xasprintf("%s/gate.db", dir);
	assert(dir_make(dir, 0700, &e) == 0);
	assert(db_open(&db, path, DB_GATE, &e) == 0);
	add_person(db, "admin", true);
	add_person(db, "user", false);
	db_close(db);
	free(dir);
	free(path);
	admin_write_conf(&lab, "devices:\n  - name: nas\n    upstream: http://192.168.7.20:5000\n");
	admin_start(&lab);
	lab.mute = true;
	running = true;
}

/* Nobody reads what the steward is told; it must not fill up. */
static void drain_steward(void)
{
	while (recv(lab.steward, lab.in, sizeof(lab.in), MSG_DONTWAIT) > 0)
		;
}

static void check_location(const char *to)
{
	if (!to)
		return;
	if (to[0] == '/') {
		assert(to[1] != '/' && to[1] != '\\');
		return;
	}
	assert(!strncmp(to, "https://", 8));
	const char *host = to + 8;
	size_t n = strcspn(host, "/?#:"), own = strlen(ADMIN_DOMAIN);
	assert(n >= own && !memcmp(host + n - own, ADMIN_DOMAIN, own));
	assert(n == own || host[n - own - 1] == '.');
}

static void check(struct ask_lab *x)
{
	int status = ask_lab_status(x);
	assert(status >= 200 && status <= 599);
	check_location(msg_get(x->a.resp, "location"));
	const char *type = msg_get(x->a.resp, "content-type"), *text = ask_lab_text(x);
	if (type && !strncmp(type, "application/json", 16)) {
		json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
		assert(o);
		json_decref(o);
	} else if (type && !strncmp(type, "text/html", 9)) {
		assert(!strcasestr(text, "<fuzz") && !strcasestr(text, "\"fuzz=\""));
	}
}

static struct ask_lab *question(uint8_t kind, struct msg *m, const uint8_t *body, size_t n)
{
	static const struct ask agent = {
		.host = "nas.link.lanthorn.internal", .has_exporter = true};
	struct ask_question q = {.kind = (enum ask_kind)(kind % 5), .method = "GET", .target = "/"};
	if (q.kind == ASK_ENROL || q.kind == ASK_AGENT)
		q.like = &agent;
	struct ask_lab *x = ask_lab_new(&q);
	msg_free(x->a.req);
	x->a.req = m;
	if (q.kind == ASK_DEVICE)
		strcpy(x->a.host, "nas." ADMIN_DOMAIN);
	/* From somewhere else each time, so that limits by address do not close the desk. */
	snprintf(x->a.peer, sizeof(x->a.peer), "10.%u.%u.%u", asked >> 16 & 255, asked >> 8 & 255,
		asked & 255);
	assert(buf_append(&x->a.body, body, n) == 0);
	return x;
}

static void on_desk(struct job *job)
{
	struct ask_lab *x = container_of(job, struct ask_lab, job);
	x->desk->fn(x->desk->ctx, &x->a);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct h1_limits limits = {
		.head_max = 8192, .url_max = 4096, .fields_max = 30};
	struct h1_head h;
	int k = n ? h1_parse_request(&h, p + 1, n - 1, &limits, "https", NULL) : 0;
	if (k <= 0)
		return 0;
	if (asked % FRESH_AFTER == 0) {
		stop();
		start();
		if (!asked)
			atexit(stop); /* before OpenSSL cleans up behind itself */
	}
	asked++;
	struct ask_lab *x = question(p[0], h.msg, p + 1 + k, n - 1 - (size_t)k);
	x->desk = control_desk(lab.c);
	x->job.run = on_desk;
	assert(loop_post(x->desk->loop, &x->job) == 0);
	while (sem_wait(&x->done) < 0)
		; /* a signal; what never comes is libFuzzer's -timeout */
	check(x);
	ask_lab_free(x);
	drain_steward();
	return 0;
}
