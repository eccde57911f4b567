/* The TLS server against OpenSSL as the client: what the ClientHello decides, the walls between
 * roles, tickets, alerts, ends. Every case runs in TLS 1.2 and 1.3 where that makes a difference.
 */
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dial.h"
#include "net_end.h"
#include "tls_lab.h"

enum { BROWSER, LINK, ENROL };

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
#define each_version(v)                                                                            \
	for (size_t v##_i = 0, v; v##_i < 2 && (v = (size_t)versions[v##_i], true); v##_i++)

static struct {
	struct lab_id ca, www, gate, dev1, dev2, old_dev, foreign;
	struct tls_cert *www_cert, *gate_cert;
	struct tls_server *server;
} lab;

static int choose(void *ctx, const struct tls_hello *hello, struct tls_choice *out)
{
	(void)ctx;
	if (strcmp(hello->sni, "www.lan.test") == 0) {
		*out = (struct tls_choice){BROWSER, tls_cert_ref(lab.www_cert), NULL, false, false};
		if (hello->alpn_len)
			out->alpn = "http/1.1";
		return 0;
	}
	if (strcmp(hello->sni, "enroll.link.test") == 0) {
		*out = (struct tls_choice){ENROL, tls_cert_ref(lab.gate_cert), NULL, false, false};
		return 0;
	}
	const char *dot = strchr(hello->sni, '.');
	if (!dot || strcmp(dot, ".link.test") != 0)
		return 112;
	*out = (struct tls_choice){LINK, tls_cert_ref(lab.gate_cert),
		hello->alpn_len ? TLS_ALPN_RHTTP1 : NULL, true,
		strcmp(hello->sni, "undated.link.test") == 0};
	return 0;
}

static struct tls_cert *new_cert(const struct lab_id *id)
{
	struct tls_cert *c;
	struct err e;
	char *pem = lab_pem(id, true);
	assert_int_equal(tls_cert_new(&c, pem, strlen(pem), &e), 0);
	free(pem);
	return c;
}

static struct tls_server *new_server(bool ignore_dates)
{
	struct tls_server *s;
	struct err e;
	char *ca = lab_pem(&lab.ca, false);
	assert_int_equal(tls_server_new(&s, choose, NULL, &e), 0);
	assert_int_equal(tls_server_client_ca(s, LINK, ca, strlen(ca), ignore_dates, &e), 0);
	free(ca);
	return s;
}

static int make_lab(void **state)
{
	(void)state;
	lab.ca = lab_make(&(struct lab_want){"Test CA", NULL, true, 0, 0}, NULL);
	lab.www = lab_make(&(struct lab_want){"www", "DNS:www.lan.test", false, 0, 0}, &lab.ca);
	lab.gate = lab_make(&(struct lab_want){"gate", "DNS:*.link.test", false, 0, 0}, &lab.ca);
	lab.dev1 = lab_make(&(struct lab_want){"dev1", NULL, false, 0, 0}, &lab.ca);
	lab.dev2 = lab_make(&(struct lab_want){"dev2", NULL, false, 0, 0}, &lab.ca);
	lab.old_dev = lab_make(&(struct lab_want){"old", NULL, false, -7200, -3600}, &lab.ca);
	lab.foreign = lab_make(&(struct lab_want){"dev1", NULL, false, 0, 0}, NULL);
	lab.www_cert = new_cert(&lab.www);
	lab.gate_cert = new_cert(&lab.gate);
	lab.server = new_server(false);
	return 0;
}

static int free_lab(void **state)
{
	(void)state;
	tls_server_unref(lab.server);
	tls_cert_unref(lab.www_cert);
	tls_cert_unref(lab.gate_cert);
	struct lab_id *ids[] = {
		&lab.ca, &lab.www, &lab.gate, &lab.dev1, &lab.dev2, &lab.old_dev, &lab.foreign};
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		lab_free(ids[i]);
	return 0;
}

/* ---- one connection ---- */

struct meeting {
	struct fixture f;
	struct lab_client *client;
	struct tls_info info; /* as it was at on_open */
	struct tls_peer peer;
	char sni[254], alpn[17];
	uint8_t exported[32];
	int export_rc;
};

static void note_info(struct end *end)
{
	struct meeting *m = container_of(end, struct meeting, f.a);
	const struct tls_info *info = stream_tls(end->s);
	struct err e;
	assert_non_null(info);
	m->info = *info;
	if (info->peer)
		m->peer = *info->peer;
	snprintf(m->sni, sizeof(m->sni), "%s", info->sni);
	snprintf(m->alpn, sizeof(m->alpn), "%s", info->alpn);
	m->export_rc = tls_exporter(end->s, "EXPORTER-test", m->exported, 32, &e);
}

static void echo(struct end *end)
{
	stream_write(end->s, end->got.data, end->got.len);
	end->got.len = 0;
}

static void shut_down(struct end *end)
{
	stream_shutdown(end->s);
}

static void *run_client(void *arg)
{
	struct meeting *m = arg;
	lab_client_run(m->client, m->f.fds[1]);
	return NULL;
}

static void meet(struct meeting *m, struct tls_server *server, struct lab_client *c)
{
	pthread_t t;
	*m = (struct meeting){.client = c};
	set_up(&m->f, false);
	struct end *end = &m->f.a;
	end->on_open = note_info;
	end->on_data = echo;
	end->on_eof = shut_down;
	end->stop_at_close = true;
	end->s = tls_accept(m->f.loop, m->f.fds[0], server, 25000, &end_cb, end);
	pthread_create(&t, NULL, run_client, m);
	loop_run(m->f.loop);
	pthread_join(t, NULL);
	tear_down(&m->f);
}

static void a_browser_is_served(void **state)
{
	(void)state;
	each_version(v)
	{
		struct meeting m;
		struct lab_client c = {
			.sni = "WWW.lan.test", .alpn = "http/1.1", .version = (int)v};
		meet(&m, lab.server, &c);
		assert_true(c.echoed);
		assert_string_equal(c.answered_alpn, "http/1.1");
		assert_int_equal(m.f.a.code, 0);
		assert_int_equal(m.f.a.eofs, 1);
		assert_int_equal(m.info.role, BROWSER);
		assert_string_equal(m.sni, "www.lan.test");
		assert_string_equal(m.alpn, "http/1.1");
		assert_ptr_equal(m.info.cert, lab.www_cert);
		assert_false(m.info.resumed || m.info.peer);
		assert_int_equal(m.export_rc, 0);
		assert_memory_equal(m.exported, c.exported, 32);
		SSL_SESSION_free(c.session);
	}
}

static void a_device_is_known_by_its_certificate(void **state)
{
	(void)state;
	each_version(v)
	{
		struct meeting m;
		struct lab_client c = {.sni = "dev1.link.test",
			.alpn = TLS_ALPN_RHTTP1,
			.version = (int)v,
			.id = &lab.dev1};
		meet(&m, lab.server, &c);
		assert_true(c.echoed);
		assert_string_equal(c.answered_alpn, TLS_ALPN_RHTTP1);
		assert_int_equal(m.info.role, LINK);
		assert_non_null(m.info.peer);
		assert_string_equal(m.peer.cn, "dev1");
		char serial[41];
		snprintf(serial, sizeof(serial), "%04lx",
			ASN1_INTEGER_get(X509_get0_serialNumber(lab.dev1.cert)));
		assert_string_equal(m.peer.serial, serial);
		assert_true(m.peer.not_after > 1700000000);
		SSL_SESSION_free(c.session);
	}
}

static void a_device_without_certificate_is_refused(void **state)
{
	(void)state;
	each_version(v)
	{
		struct meeting m;
		struct lab_client c = {.sni = "dev1.link.test", .version = (int)v};
		meet(&m, lab.server, &c);
		assert_false(c.echoed);
		assert_int_equal(m.f.a.opened, 0);
		assert_int_equal(m.f.a.code, -EKEYREJECTED);
		/* the alert is on the wire: handshake_failure, or certificate_required in 1.3 */
		assert_int_equal(c.reason, 1000 + (v == TLS1_3_VERSION ? 116 : 40));
	}
}

static void a_foreign_or_expired_device_is_refused(void **state)
{
	(void)state;
	const struct lab_id *bad[] = {&lab.foreign, &lab.old_dev};
	for (size_t i = 0; i < 2; i++) {
		each_version(v)
		{
			struct meeting m;
			struct lab_client c = {
				.sni = "dev1.link.test", .version = (int)v, .id = bad[i]};
			meet(&m, lab.server, &c);
			assert_false(c.echoed);
			assert_int_equal(m.f.a.opened, 0);
			assert_int_equal(m.f.a.code, -EKEYREJECTED);
			assert_true(c.reason > 1000);
			if (i == 1)
				assert_non_null(strstr(m.f.a.why, "expired"));
		}
	}
}

static void dates_may_be_left_to_the_caller(void **state)
{
	(void)state;
	struct tls_server *s = new_server(true);
	struct meeting m;
	struct lab_client c = {.sni = "old.link.test", .id = &lab.old_dev};
	meet(&m, s, &c);
	assert_true(c.echoed);
	assert_string_equal(m.peer.cn, "old");
	SSL_SESSION_free(c.session);
	c = (struct lab_client){.sni = "dev1.link.test", .id = &lab.foreign};
	meet(&m, s, &c);
	assert_false(c.echoed);
	tls_server_unref(s);
	/* Or for one connection. */
	c = (struct lab_client){.sni = "undated.link.test", .id = &lab.old_dev};
	meet(&m, lab.server, &c);
	assert_true(c.echoed);
	SSL_SESSION_free(c.session);
	c = (struct lab_client){.sni = "undated.link.test", .id = &lab.foreign};
	meet(&m, lab.server, &c);
	assert_false(c.echoed);
}

/* Earns a session under `first`, offers it under `then`. */
static void meet_twice(struct meeting *m, struct lab_client *first, struct lab_client *then)
{
	meet(m, lab.server, first);
	assert_true(first->echoed);
	then->session = first->session;
	first->session = NULL;
	meet(m, lab.server, then);
	SSL_SESSION_free(then->session);
}

static void tickets_resume_within_a_role(void **state)
{
	(void)state;
	each_version(v)
	{
		struct meeting m;
		struct lab_client one = {.sni = "www.lan.test", .version = (int)v}, two = one;
		meet_twice(&m, &one, &two);
		assert_true(two.echoed && two.resumed && m.info.resumed);
		one = two = (struct lab_client){
			.sni = "dev1.link.test", .version = (int)v, .id = &lab.dev1};
		meet_twice(&m, &one, &two);
		assert_true(two.echoed && two.resumed && m.info.resumed);
		assert_non_null(m.info.peer);
		assert_string_equal(m.peer.cn, "dev1");
	}
}

static void a_browsers_ticket_is_no_device(void **state)
{
	(void)state;
	static const char *const earned_at[] = {"www.lan.test", "enroll.link.test"};
	for (size_t i = 0; i < 2; i++) {
		each_version(v)
		{
			struct meeting m;
			struct lab_client one = {.sni = earned_at[i], .version = (int)v};
			struct lab_client two = {.sni = "dev1.link.test", .version = (int)v};
			meet_twice(&m, &one, &two);
			assert_false(two.echoed);
			assert_int_equal(m.f.a.opened, 0);
			assert_int_equal(m.f.a.code, -EKEYREJECTED);
			/* with a certificate it is a full handshake */
			two = (struct lab_client){
				.sni = "dev1.link.test", .version = (int)v, .id = &lab.dev1};
			one = (struct lab_client){.sni = earned_at[i], .version = (int)v};
			meet_twice(&m, &one, &two);
			assert_true(two.echoed);
			assert_false(m.info.resumed);
		}
	}
}

static void a_devices_ticket_tells_who_earned_it(void **state)
{
	(void)state;
	each_version(v)
	{
		struct meeting m;
		struct lab_client one = {
			.sni = "dev1.link.test", .version = (int)v, .id = &lab.dev1};
		struct lab_client two = {.sni = "dev2.link.test", .version = (int)v};
		meet_twice(&m, &one, &two);
		if (!m.f.a.opened)
			fail_msg("version %zx did not resume", v);
		assert_string_equal(m.sni, "dev2.link.test");
		assert_string_equal(m.peer.cn, "dev1");
	}
}

static void rotation_forgets_when_told(void **state)
{
	(void)state;
	each_version(v)
	{
		for (int drop = 0; drop < 2; drop++) {
			struct meeting m;
			struct lab_client c = {.sni = "www.lan.test", .version = (int)v};
			meet(&m, lab.server, &c);
			tls_server_rotate_tickets(lab.server, BROWSER, drop);
			meet(&m, lab.server, &c);
			assert_true(c.echoed);
			assert_int_equal(m.info.resumed, !drop);
			SSL_SESSION_free(c.session);
			c.session = NULL;
		}
	}
}

static void an_unknown_name_gets_the_alert(void **state)
{
	(void)state;
	static const char *const names[] = {"evil.test", "bad_name.lan.test", NULL};
	for (size_t i = 0; i < 3; i++) {
		each_version(v)
		{
			struct meeting m;
			struct lab_client c = {.sni = names[i], .version = (int)v};
			meet(&m, lab.server, &c);
			assert_false(c.shaken);
			assert_int_equal(c.reason, 1112);
			assert_int_equal(m.f.a.opened, 0);
			assert_int_equal(m.f.a.code, -EPROTO);
		}
	}
}

static void an_answer_that_was_not_offered_is_not_given(void **state)
{
	(void)state;
	struct meeting m;
	struct lab_client c = {.sni = "www.lan.test", .alpn = "spdy/9"};
	meet(&m, lab.server, &c);
	assert_false(c.shaken);
	assert_int_equal(c.reason, 1120);
}

static void a_hello_may_come_byte_by_byte(void **state)
{
	(void)state;
	each_version(v)
	{
		struct meeting m;
		struct lab_client c = {.sni = "dev1.link.test",
			.version = (int)v,
			.id = &lab.dev1,
			.drip = true,
			.alpn = TLS_ALPN_RHTTP1};
		meet(&m, lab.server, &c);
		assert_true(c.echoed);
		assert_int_equal(m.f.a.code, 0);
		SSL_SESSION_free(c.session);
	}
}

static void a_cut_without_close_notify_is_told(void **state)
{
	(void)state;
	each_version(v)
	{
		struct meeting m;
		struct lab_client c = {.sni = "www.lan.test", .version = (int)v, .rude = true};
		meet(&m, lab.server, &c);
		assert_true(c.echoed);
		assert_int_equal(m.f.a.code, -ECONNRESET);
		assert_int_equal(m.f.a.eofs, 0);
		SSL_SESSION_free(c.session);
	}
}

static void new_keys_without_end_are_cut_off(void **state)
{
	(void)state;
	for (int many = 0; many < 2; many++) {
		struct meeting m;
		struct lab_client c = {.sni = "www.lan.test", .rekeys = many ? 20000 : 100};
		meet(&m, lab.server, &c);
		assert_int_equal(c.echoed, !many);
		assert_int_equal(m.f.a.code, many ? -EPROTO : 0);
		SSL_SESSION_free(c.session);
	}
}

static void no_exporter_without_extended_master_secret(void **state)
{
	(void)state;
	struct meeting m;
	struct lab_client c = {.sni = "www.lan.test", .version = TLS1_2_VERSION, .no_ems = true};
	meet(&m, lab.server, &c);
	assert_true(c.echoed);
	assert_int_equal(m.export_rc, -EPROTO);
	SSL_SESSION_free(c.session);
}

static void a_handshake_has_a_deadline(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	f.a.stop_at_close = true;
	f.a.s = tls_accept(f.loop, f.fds[0], lab.server, 50, &end_cb, &f.a);
	assert_int_equal(write(f.fds[1], "\x16\x03\x01", 3), 3);
	loop_run(f.loop);
	assert_int_equal(f.a.code, -ETIMEDOUT);
	close(f.fds[1]);
	tear_down(&f);
}

static void what_is_not_tls_ends_the_connection(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, false);
	f.a.stop_at_close = true;
	f.a.s = tls_accept(f.loop, f.fds[0], lab.server, 5000, &end_cb, &f.a);
	assert_int_equal(write(f.fds[1], "GET / HTTP/1.1\r\n\r\n", 18), 18);
	loop_run(f.loop);
	assert_int_equal(f.a.code, -EPROTO);
	assert_int_equal(f.a.opened, 0);
	close(f.fds[1]);
	tear_down(&f);
}

/* Two connections on one loop, whose answers are written by turns. */
struct caller {
	struct lab_client client;
	int fd;
};

static void *call(void *arg)
{
	struct caller *c = arg;
	lab_client_run(&c->client, c->fd);
	return NULL;
}

static void answer_by_turns(struct fixture *f)
{
	if (f->a.got.len < 4 || f->b.got.len < 4)
		return;
	size_t tickets = stream_queued(f->a.s); /* those may wait for the first answer */
	stream_cork(f->a.s);
	stream_cork(f->b.s);
	stream_write(f->a.s, "pi", 2);
	stream_write(f->b.s, "pi", 2);
	assert_int_equal(stream_queued(f->a.s), tickets + 2);
	stream_write(f->a.s, "ng", 2);
	stream_write(f->b.s, "ng", 2);
	stream_uncork(f->a.s);
	stream_uncork(f->b.s);
}

static void first_came(struct end *end)
{
	answer_by_turns(container_of(end, struct fixture, a));
}

static void second_came(struct end *end)
{
	answer_by_turns(container_of(end, struct fixture, b));
}

/* The client reads one record, and wants the whole answer in it. */
static void what_is_corked_by_turns_is_a_record_each(void **state)
{
	(void)state;
	pthread_t threads[2];
	struct fixture f;
	int fds[2];
	set_up(&f, false);
	tcp_pair(fds);
	struct caller callers[] = {{{.sni = "www.lan.test"}, f.fds[1]}, {{.sni = "www.lan.test"}, fds[1]}};
	f.a.on_data = first_came;
	f.b.on_data = second_came;
	f.a.on_eof = f.b.on_eof = shut_down;
	f.a.s = tls_accept(f.loop, f.fds[0], lab.server, 5000, &end_cb, &f.a);
	f.b.s = tls_accept(f.loop, fds[0], lab.server, 5000, &end_cb, &f.b);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, call, &callers[i]);
	f.limit.fn = on_nap;
	for (int i = 0; i < 500 && (!f.a.closed || !f.b.closed); i++) {
		timer_arm(&f.limit, 20);
		loop_run(f.loop);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_true(callers[i].client.echoed);
		SSL_SESSION_free(callers[i].client.session);
	}
	tear_down(&f);
}

/* Several loops share one server. */
static void *meet_often(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 5; i++) {
		each_version(v)
		{
			struct meeting m;
			struct lab_client one = {
				.sni = "dev1.link.test", .version = (int)v, .id = &lab.dev1};
			struct lab_client two = one;
			meet_twice(&m, &one, &two);
			assert_true(two.echoed);
			tls_server_rotate_tickets(lab.server, LINK, i & 1);
		}
	}
	return NULL;
}

static void loops_share_a_server(void **state)
{
	(void)state;
	pthread_t t[3];
	for (unsigned i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, meet_often, NULL);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_browser_is_served),
		cmocka_unit_test(a_device_is_known_by_its_certificate),
		cmocka_unit_test(a_device_without_certificate_is_refused),
		cmocka_unit_test(a_foreign_or_expired_device_is_refused),
		cmocka_unit_test(dates_may_be_left_to_the_caller),
		cmocka_unit_test(tickets_resume_within_a_role),
		cmocka_unit_test(a_browsers_ticket_is_no_device),
		cmocka_unit_test(a_devices_ticket_tells_who_earned_it),
		cmocka_unit_test(rotation_forgets_when_told),
		cmocka_unit_test(an_unknown_name_gets_the_alert),
		cmocka_unit_test(an_answer_that_was_not_offered_is_not_given),
		cmocka_unit_test(a_hello_may_come_byte_by_byte),
		cmocka_unit_test(a_cut_without_close_notify_is_told),
		cmocka_unit_test(new_keys_without_end_are_cut_off),
		cmocka_unit_test(no_exporter_without_extended_master_secret),
		cmocka_unit_test(a_handshake_has_a_deadline),
		cmocka_unit_test(what_is_not_tls_ends_the_connection),
		cmocka_unit_test(what_is_corked_by_turns_is_a_record_each),
		cmocka_unit_test(loops_share_a_server),
	};
	return cmocka_run_group_tests(tests, make_lab, free_lab);
}
