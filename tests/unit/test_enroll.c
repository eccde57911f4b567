/* gate/enroll: a token admits exactly one key, only with the right proof on the right connection,
 * and guessing leads nowhere; renewal is for the same device and key, as long as it was not
 * removed. */
#include "gate_tmp.h"

#include <errno.h>

#include "ask_lab.h"
#include "base/str.h"
#include "gate/ca.h"
#include "gate/enroll.h"
#include "gate/enroll_msg.h"
#include "gate_lab.h"
#include "net/crypto.h"
#include "store/audit.h"
#include "store/db.h"
#include "store/device_tokens.h"
#include "store/devices.h"

#define NOW INT64_C(1790000000)

struct scene {
	char dir[64];
	struct db *db;
	struct ca *ca;
	struct enroll *n;
	struct certs_time now;
	struct token token; /* for "tv" */
	EVP_PKEY *key;
	struct buf csr;
	unsigned changes, replaced;
};

static void on_changed(void *ctx, const char *device, bool replaced)
{
	struct scene *s = ctx;
	assert_string_equal(device, "tv");
	s->changes++;
	s->replaced += replaced;
}

static void new_token(struct scene *s)
{
	char text[TOKEN_TEXT_MAX];
	int64_t expires;
	struct err e = {0};
	if (enroll_token(s->n, "tv", s->now.unix_s, text, &expires, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(expires, s->now.unix_s + 3600);
	assert_int_equal(token_decode(&s->token, text, &e), 0);
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	char path[128];
	struct err e = {0};
	struct device tv = {.id = "tv", .created_at = NOW};
	struct enroll_gateway g = {.port = 8443, .n_addrs = 2, .dns_name = "home.example.com"};
	strcpy(g.addrs[0], "192.168.7.1");
	strcpy(g.addrs[1], "fd00::1");
	s->now = (struct certs_time){NOW, 1000000, true};
	tmp_make(s->dir);
	snprintf(path, sizeof(path), "%s/gate.db", s->dir);
	assert_int_equal(db_open(&s->db, path, DB_GATE, &e), 0);
	snprintf(path, sizeof(path), "%s/ca.pem", s->dir);
	assert_int_equal(ca_open(&s->ca, path, NOW, &e), 0);
	assert_int_equal(devices_add(s->db, &tv, &e), 0);
	s->n = enroll_new(&(struct enroll_opts){s->db, s->ca, on_changed, s});
	enroll_set_gateway(s->n, &g);
	s->key = lab_key("P-256");
	buf_init(&s->csr, CA_CSR_MAX);
	lab_device_csr(&s->csr, s->key, "tv");
	new_token(s);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	EVP_PKEY_free(s->key);
	buf_done(&s->csr);
	enroll_free(s->n);
	ca_free(s->ca);
	db_close(s->db);
	tmp_remove(s->dir);
	free(s);
	return 0;
}

/* ---- a device ---- */

static struct ask agent(const char *name)
{
	struct ask a = {.has_exporter = true};
	snprintf(a.host, sizeof(a.host), "%s.link.lanthorn.internal", name);
	memset(a.exporter, 7, sizeof(a.exporter));
	return a;
}

static char *csr_line(const struct buf *csr)
{
	char *text = malloc(BASE64_LEN(csr->len));
	base64_encode(text, csr->data, csr->len);
	char *line = xasprintf("csr %s\n", text);
	free(text);
	return line;
}

/* Send it; returns the status, and the body's text when `text` (4096) is given. */
static int post(struct scene *s, const struct ask_question *q, char *text)
{
	struct ask_lab *x = ask_lab_new(q);
	enroll_handle(s->n, &x->a, &s->now);
	int status = ask_lab_status(x);
	if (text)
		snprintf(text, 8192, "%s", ask_lab_text(x));
	if (status == 429)
		assert_non_null(msg_get(x->a.resp, "retry-after"));
	ask_lab_free(x);
	return status;
}

struct attempt {
	const char *device; /* named in the body; NULL: tv */
	const struct buf *csr;
	const uint8_t *secret;
	uint8_t exporter; /* what the device saw, repeated; the gateway saw 7 */
	const char *peer;
};

static int enrol(struct scene *s, const struct attempt *t, char *text)
{
	uint8_t mac[64], exporter[32];
	char proof[65];
	const struct buf *csr = t->csr ? t->csr : &s->csr;
	memset(exporter, t->exporter ? t->exporter : 7, sizeof(exporter));
	enroll_proof(mac, t->secret ? t->secret : s->token.secret, exporter, csr);
	hex_encode(proof, mac, 32);
	char *line = csr_line(csr);
	char *body =
		xasprintf("device %s\nproof %s\n%s", t->device ? t->device : "tv", proof, line);
	struct ask like = agent("enroll");
	int status = post(s,
		&(struct ask_question){.kind = ASK_ENROL,
			.method = "POST",
			.target = "/v1/enrol",
			.body = body,
			.peer = t->peer,
			.like = &like},
		text);
	free(body);
	free(line);
	return status;
}

/* The serials that are live. */
static unsigned live(struct scene *s, struct device_cert *last)
{
	struct device_cert *all;
	size_t n;
	assert_int_equal(devices_certs(s->db, &all, &n, NULL), 0);
	if (last && n)
		*last = all[n - 1];
	free(all);
	return (unsigned)n;
}

/* ---- enrolment ---- */

static void the_right_proof_gets_a_certificate(void **state)
{
	struct scene *s = *state;
	char text[8192];
	struct device_cert c;
	size_t ca_len;
	assert_int_equal(enrol(s, &(struct attempt){0}, text), 200);
	assert_true(str_starts(text, "cert "));
	assert_non_null(strstr(text, "\nname tv.link.lanthorn.internal\nport 8443\n"));
	assert_non_null(strstr(text, "\naddr 192.168.7.1\naddr fd00::1\n"));
	assert_non_null(strstr(text, "\ndns home.example.com\ntime 1790000000\n"));
	const uint8_t *der = ca_der(s->ca, &ca_len);
	char *ca = malloc(BASE64_LEN(ca_len));
	base64_encode(ca, der, ca_len);
	assert_non_null(strstr(text, ca));
	free(ca);
	assert_int_equal(live(s, &c), 1);
	assert_string_equal(c.device, "tv");
	assert_int_equal(c.not_after, NOW + CA_DEVICE_LIFE_S);
	assert_int_equal(s->changes, 1);
}

static void nothing_else_gets_one(void **state)
{
	struct scene *s = *state;
	struct buf other = BUF_INIT(CA_CSR_MAX);
	uint8_t wrong[TOKEN_SECRET_LEN], zero[TOKEN_SECRET_LEN] = {0};
	char one[8192], two[8192];
	memcpy(wrong, s->token.secret, sizeof(wrong));
	wrong[15] ^= 1;
	lab_device_csr(&other, s->key, "radio");
	assert_int_equal(
		enrol(s, &(struct attempt){.secret = wrong, .peer = "10.0.0.1"}, one), 403);
	assert_int_equal(enrol(s, &(struct attempt){.exporter = 8, .peer = "10.0.0.2"}, NULL), 403);
	assert_int_equal(
		enrol(s, &(struct attempt){.device = "radio", .csr = &other, .peer = "10.0.0.3"},
			two),
		403);
	assert_string_equal(one, two); /* nobody learns which devices there are */
	assert_int_equal(enrol(s,
				 &(struct attempt){.device = "radio",
					 .csr = &other,
					 .secret = zero,
					 .peer = "10.0.0.4"},
				 NULL),
		403);
	assert_int_equal(enrol(s, &(struct attempt){.device = "tv", .csr = &other}, NULL), 400);
	assert_int_equal(live(s, NULL), 0);
	assert_int_equal(s->changes, 0);
	buf_done(&other);
}

static void the_first_key_has_the_token(void **state)
{
	struct scene *s = *state;
	struct buf csr = BUF_INIT(CA_CSR_MAX);
	EVP_PKEY *key = lab_key("P-256");
	lab_device_csr(&csr, key, "tv");
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	assert_int_equal(enrol(s, &(struct attempt){.csr = &csr}, NULL), 409);
	assert_int_equal(live(s, NULL), 1);
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	assert_int_equal(live(s, NULL), 2);
	assert_int_equal(s->replaced, 0);
	new_token(s);
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200); /* paired again, same device */
	assert_int_equal(live(s, NULL), 3);
	assert_int_equal(s->replaced, 0);
	buf_done(&csr);
	EVP_PKEY_free(key);
}

static void pairing_with_another_key_takes_the_name_from_the_first(void **state)
{
	struct scene *s = *state;
	struct buf csr = BUF_INIT(CA_CSR_MAX);
	EVP_PKEY *key = lab_key("P-256");
	lab_device_csr(&csr, key, "tv");
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	assert_int_equal(live(s, NULL), 2);
	new_token(s);
	assert_int_equal(enrol(s, &(struct attempt){.csr = &csr}, NULL), 200);
	assert_int_equal(live(s, NULL), 1);
	assert_int_equal(s->replaced, 1);
	buf_done(&csr);
	EVP_PKEY_free(key);
}

static void enrolments_are_on_record_with_their_time(void **state)
{
	struct scene *s = *state;
	struct buf csr = BUF_INIT(CA_CSR_MAX);
	EVP_PKEY *key = lab_key("P-256");
	struct audit_row *rows;
	size_t n = 10;
	lab_device_csr(&csr, key, "tv");
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	s->now.unix_s += 60;
	assert_int_equal(enrol(s, &(struct attempt){.csr = &csr}, NULL), 409);
	assert_int_equal(audit_list(s->db, 0, &rows, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].at, NOW + 60);
	assert_string_equal(rows[0].outcome, "another key");
	assert_int_equal(rows[1].at, NOW);
	assert_string_equal(rows[1].actor, "device:tv");
	assert_string_equal(rows[1].outcome, "ok");
	free(rows);
	buf_done(&csr);
	EVP_PKEY_free(key);
}

static void an_expired_or_replaced_token_is_refused(void **state)
{
	struct scene *s = *state;
	struct token old = s->token;
	new_token(s);
	assert_int_equal(enrol(s, &(struct attempt){.secret = old.secret}, NULL), 403);
	s->now.unix_s += 3601;
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 410);
	assert_int_equal(live(s, NULL), 0);
}

static void a_removed_device_cannot_enrol(void **state)
{
	struct scene *s = *state;
	assert_int_equal(devices_remove(s->db, "tv", NOW, NULL), 0);
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 403);
}

static void ten_failures_lock_address_and_device(void **state)
{
	struct scene *s = *state;
	uint8_t wrong[TOKEN_SECRET_LEN] = {1};
	for (int i = 0; i < 10; i++)
		assert_int_equal(
			enrol(s, &(struct attempt){.secret = wrong, .peer = "10.0.0.1"}, NULL),
			403);
	assert_int_equal(enrol(s, &(struct attempt){.peer = "10.0.0.1"}, NULL), 429);
	assert_int_equal(enrol(s, &(struct attempt){.peer = "10.0.0.2"}, NULL), 429);
	s->now.mono_ms += ENROLL_LOCK_MS + 1;
	assert_int_equal(enrol(s, &(struct attempt){.peer = "10.0.0.2"}, NULL), 200);
}

static void ten_thousand_guesses_do_not_get_in(void **state)
{
	struct scene *s = *state;
	uint8_t guess[TOKEN_SECRET_LEN] = {0};
	char peer[46];
	unsigned judged = 0;
	for (unsigned i = 0; i < 10000; i++) {
		guess[0] = (uint8_t)i;
		guess[1] = (uint8_t)(i >> 8);
		snprintf(peer, sizeof(peer), "10.1.%u.%u", i >> 8, i & 255);
		/* A new address each time, so that only the device's own lock can stop it. */
		int status = enrol(s, &(struct attempt){.secret = guess, .peer = peer}, NULL);
		assert_true(status == 403 || status == 429);
		judged += status == 403;
	}
	assert_int_equal(judged, ENROLL_FAILURES_MAX);
	assert_int_equal(live(s, NULL), 0);
}

#define ZEROS "00000000000000000000000000000000"

static void malformed_requests_are_refused(void **state)
{
	struct scene *s = *state;
	static const char *const bodies[] = {
		"",
		"device tv\n",
		"device tv\nproof 00\ncsr AAAA\n",
		"device tv\ndevice tv\n",
		"hello\n",
		"csr AAAA\n",
		"device ../tv\nproof " ZEROS ZEROS "\ncsr AAAA\n",
	};
	struct ask like = agent("enroll");
	struct ask_question q = {
		.kind = ASK_ENROL, .method = "POST", .target = "/v1/enrol", .like = &like};
	for (unsigned i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		q.body = bodies[i];
		assert_int_equal(post(s, &q, NULL), 400);
	}
	char *long_body = calloc(1, ENROLL_BODY_MAX + 2);
	memset(long_body, 'a', ENROLL_BODY_MAX + 1);
	q.body = long_body;
	assert_int_equal(post(s, &q, NULL), 400);
	free(long_body);
	q.body = bodies[1];
	like.has_exporter = false;
	assert_int_equal(post(s, &q, NULL), 400);
	q.target = "/v1/renew";
	assert_int_equal(post(s, &q, NULL), 404);
	q.target = "/v1/enrol";
	q.method = "GET";
	assert_int_equal(post(s, &q, NULL), 405);
}

/* ---- renewal ---- */

struct renewal {
	const char *name; /* dialled; NULL: tv */
	const struct buf *csr;
	const char *serial; /* shown; NULL: of the newest */
};

static int renew(struct scene *s, const struct renewal *r)
{
	struct device_cert c;
	struct ask like = agent(r->name ? r->name : "tv");
	live(s, &c);
	snprintf(
		like.peer_serial, sizeof(like.peer_serial), "%s", r->serial ? r->serial : c.serial);
	struct ca_csr facts;
	assert_int_equal(ca_csr_read(&facts, s->csr.data, s->csr.len, NULL), 0);
	memcpy(like.peer_spki, facts.spki_sha256, 32);
	char *body = csr_line(r->csr ? r->csr : &s->csr);
	int status = post(s,
		&(struct ask_question){.kind = ASK_AGENT,
			.method = "POST",
			.target = "/v1/renew",
			.body = body,
			.like = &like},
		NULL);
	free(body);
	return status;
}

static void a_live_device_renews_also_when_expired(void **state)
{
	struct scene *s = *state;
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	s->now.unix_s += 9 * 86400;
	assert_int_equal(renew(s, &(struct renewal){0}), 200);
	assert_int_equal(live(s, NULL), 2); /* the old one lives until it expires */
	struct device_cert newest = {0}, *all;
	size_t n;
	assert_int_equal(devices_certs(s->db, &all, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		if (all[i].not_after > newest.not_after)
			newest = all[i];
	free(all);
	s->now.unix_s += 100 * 86400;
	assert_int_equal(renew(s, &(struct renewal){.serial = newest.serial}), 200);
	/* The one just shown and the new one; the expired one before is gone. */
	assert_int_equal(live(s, NULL), 2);
	assert_int_equal(s->changes, 3);
}

static void a_device_in_a_loop_is_slowed(void **state)
{
	struct scene *s = *state;
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	for (int i = 1; i < ENROLL_ISSUED_MAX; i++)
		assert_int_equal(renew(s, &(struct renewal){0}), 200);
	for (int i = 0; i < 100; i++)
		assert_int_equal(renew(s, &(struct renewal){0}), 429);
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 429);
	assert_int_equal(live(s, NULL), ENROLL_ISSUED_MAX);
	assert_int_equal(s->changes, ENROLL_ISSUED_MAX);
	new_token(s); /* whoever asks for another one is not kept waiting */
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	s->now.mono_ms += ENROLL_ISSUED_MS + 1;
	assert_int_equal(renew(s, &(struct renewal){0}), 200);
}

static void renewal_is_for_the_same_device_and_key(void **state)
{
	struct scene *s = *state;
	struct buf other_key = BUF_INIT(CA_CSR_MAX), other_name = BUF_INIT(CA_CSR_MAX);
	EVP_PKEY *key = lab_key("P-256");
	lab_device_csr(&other_key, key, "tv");
	lab_device_csr(&other_name, s->key, "radio");
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	assert_int_equal(renew(s, &(struct renewal){.csr = &other_key}), 403);
	assert_int_equal(renew(s, &(struct renewal){.csr = &other_name}), 403);
	assert_int_equal(renew(s, &(struct renewal){.name = "radio"}), 403);
	assert_int_equal(renew(s, &(struct renewal){.serial = "00"}), 403);
	assert_int_equal(live(s, NULL), 1);
	buf_done(&other_key);
	buf_done(&other_name);
	EVP_PKEY_free(key);
}

static void nothing_is_dated_by_a_wrong_clock(void **state)
{
	struct scene *s = *state;
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	s->now.believable = false;
	assert_int_equal(renew(s, &(struct renewal){0}), 503);
	s->now.believable = true;
	assert_int_equal(renew(s, &(struct renewal){0}), 200);
}

static void a_removed_device_never_renews(void **state)
{
	struct scene *s = *state;
	struct device_cert c;
	struct device again = {.id = "tv", .created_at = NOW};
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	live(s, &c);
	assert_int_equal(devices_remove(s->db, "tv", NOW, NULL), 0);
	assert_int_equal(renew(s, &(struct renewal){.serial = c.serial}), 410);
	assert_int_equal(devices_add(s->db, &again, NULL), 0);
	assert_int_equal(renew(s, &(struct renewal){.serial = c.serial}), 410);
}

static int ask_time(struct scene *s, const char *name, const char *serial, char *text)
{
	struct ca_csr facts;
	struct ask like = agent(name);
	struct ask_question q = {
		.kind = ASK_AGENT, .method = "GET", .target = "/v1/time", .like = &like};
	assert_int_equal(ca_csr_read(&facts, s->csr.data, s->csr.len, NULL), 0);
	memcpy(like.peer_spki, facts.spki_sha256, 32);
	snprintf(like.peer_serial, sizeof(like.peer_serial), "%s", serial);
	return post(s, &q, text);
}

static void the_time_is_told_to_a_live_device(void **state)
{
	struct scene *s = *state;
	struct device_cert c;
	char text[8192];
	assert_int_equal(enrol(s, &(struct attempt){0}, NULL), 200);
	live(s, &c);
	assert_int_equal(ask_time(s, "tv", c.serial, text), 200);
	assert_string_equal(text, "time 1790000000\n");
	assert_int_equal(ask_time(s, "radio", c.serial, NULL), 403);
	assert_int_equal(ask_time(s, "tv", "", NULL), 403);
	assert_int_equal(devices_remove(s->db, "tv", NOW, NULL), 0);
	assert_int_equal(ask_time(s, "tv", c.serial, NULL), 410);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_right_proof_gets_a_certificate),
		T(nothing_else_gets_one),
		T(the_first_key_has_the_token),
		T(pairing_with_another_key_takes_the_name_from_the_first),
		T(enrolments_are_on_record_with_their_time),
		T(an_expired_or_replaced_token_is_refused),
		T(a_removed_device_cannot_enrol),
		T(ten_failures_lock_address_and_device),
		T(ten_thousand_guesses_do_not_get_in),
		T(malformed_requests_are_refused),
		T(a_live_device_renews_also_when_expired),
		T(a_device_in_a_loop_is_slowed),
		T(renewal_is_for_the_same_device_and_key),
		T(nothing_is_dated_by_a_wrong_clock),
		T(a_removed_device_never_renews),
		T(the_time_is_told_to_a_live_device),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
