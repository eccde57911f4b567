/* Dialling and listening over loopback, plain and TLS: whom a client trusts, keying material, large
 * transfers under back-pressure, ends in both directions, addresses that do not answer. */
#include "net/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/listen.h"
#include "net/tls.h"
#include "net_end.h"
#include "tls_lab.h"

static struct {
	struct lab_id ca, other_ca, www, old;
	struct tls_cert *www_cert, *old_cert;
	struct tls_server *server;
	struct tls_client *client;
} lab;

static int choose(void *ctx, const struct tls_hello *hello, struct tls_choice *out)
{
	(void)ctx;
	bool old = strcmp(hello->sni, "old.lan.test") == 0;
	*out = (struct tls_choice){.cert = tls_cert_ref(old ? lab.old_cert : lab.www_cert)};
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

static struct tls_client *trusting(const struct lab_id *ca)
{
	struct tls_client *c;
	struct err e;
	char *pem = lab_pem(ca, false);
	assert_int_equal(tls_client_new_ca(&c, pem, strlen(pem), &e), 0);
	free(pem);
	return c;
}

static int make_lab(void **state)
{
	(void)state;
	struct err e;
	lab.ca = lab_make(&(struct lab_want){"Test CA", NULL, true, 0, 0}, NULL);
	lab.other_ca = lab_make(&(struct lab_want){"Other CA", NULL, true, 0, 0}, NULL);
	lab.www = lab_make(
		&(struct lab_want){"www", "DNS:www.lan.test,IP:127.0.0.1", false, 0, 0}, &lab.ca);
	lab.old = lab_make(
		&(struct lab_want){"old", "DNS:old.lan.test", false, -7200, -3600}, &lab.ca);
	lab.www_cert = new_cert(&lab.www);
	lab.old_cert = new_cert(&lab.old);
	lab.client = trusting(&lab.ca);
	return tls_server_new(&lab.server, choose, NULL, &e);
}

static int free_lab(void **state)
{
	(void)state;
	tls_client_unref(lab.client);
	tls_server_unref(lab.server);
	tls_cert_unref(lab.www_cert);
	tls_cert_unref(lab.old_cert);
	lab_free(&lab.ca);
	lab_free(&lab.other_ca);
	lab_free(&lab.www);
	lab_free(&lab.old);
	return 0;
}

/* ---- a listener on a free port; `a` dials, `b` is what was accepted ---- */

struct net {
	struct fixture f;
	struct listener *listener;
	uint16_t port;
	bool tls;
	unsigned accepted;
};

static void on_accept(void *ctx, int fd)
{
	struct net *n = ctx;
	if (n->accepted++ || n->f.b.s) {
		close(fd);
		return;
	}
	if (n->tls)
		n->f.b.s = tls_accept(n->f.loop, fd, lab.server, 5000, &end_cb, &n->f.b);
	else
		n->f.b.s = stream_from_fd(n->f.loop, fd, &end_cb, &n->f.b);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &n), 0);
	return ntohs(((struct sockaddr_in *)&ss)->sin_port); /* the same place for IPv6 */
}

static void set_up_net(struct net *n, bool tls)
{
	struct err e;
	memset(n, 0, sizeof(*n));
	set_up(&n->f, false);
	close(n->f.fds[0]);
	close(n->f.fds[1]);
	n->tls = tls;
	int fd = listen_bind("127.0.0.1", 0, &e);
	assert_true(fd >= 0);
	n->port = port_of(fd);
	assert_int_equal(
		listener_open(&n->listener, n->f.loop, fd, LISTEN_LAN_ONLY, on_accept, n, &e), 0);
}

static void dial_net(struct net *n, const char *host, struct tls_client *tls, const char *name)
{
	struct dial_opts o = {
		.host = host, .port = n->port, .tls = tls, .name = name, .deadline_ms = 5000};
	struct end *end = &n->f.a;
	end->in_call = true;
	end->s = dial(n->f.loop, &o, &end_cb, end);
	end->in_call = false;
}

static void tear_down_net(struct net *n)
{
	listener_close(n->listener);
	tear_down(&n->f);
}

static void say_hello(struct end *end)
{
	stream_write(end->s, "hello", 5);
	stream_shutdown(end->s);
}

static void answer(struct end *end)
{
	stream_write(end->s, "bye", 3);
	stream_shutdown(end->s);
}

static void both_ends_part_in_order(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct net n;
		set_up_net(&n, tls);
		n.f.a.on_open = say_hello;
		n.f.b.on_eof = answer;
		n.f.a.stop_at_close = true;
		dial_net(&n, "127.0.0.1", tls ? lab.client : NULL, tls ? "www.lan.test" : NULL);
		loop_run(n.f.loop);
		assert_int_equal(n.f.a.code, 0);
		assert_int_equal(n.f.b.got.len, 5);
		assert_memory_equal(n.f.b.got.data, "hello", 5);
		assert_memory_equal(n.f.a.got.data, "bye", 3);
		assert_int_equal(n.f.a.eofs + n.f.b.eofs, 2);
		tear_down_net(&n);
		assert_int_equal(n.f.b.code, 0);
	}
}

static void a_name_is_resolved(void **state)
{
	(void)state;
	struct net n;
	set_up_net(&n, false);
	n.f.a.on_open = close_self;
	n.f.a.stop_at_close = true;
	dial_net(&n, "localhost", NULL, NULL);
	loop_run(n.f.loop);
	assert_int_equal(n.f.a.opened, 1);
	assert_int_equal(n.f.a.code, 0);
	tear_down_net(&n);
}

static void nobody_there_is_told(void **state)
{
	(void)state;
	struct net n;
	set_up_net(&n, false);
	listener_close(n.listener);
	n.listener = NULL;
	n.f.a.stop_at_close = true;
	dial_net(&n, "127.0.0.1", NULL, NULL);
	loop_run(n.f.loop);
	assert_int_equal(n.f.a.opened, 0);
	assert_int_equal(n.f.a.code, -ECONNREFUSED);
	assert_non_null(strstr(n.f.a.why, "127.0.0.1"));
	tear_down_net(&n);
}

static void a_dial_may_be_closed_at_once(void **state)
{
	(void)state;
	static const char *const hosts[] = {"127.0.0.1", "localhost"};
	for (size_t i = 0; i < 2; i++) {
		struct net n;
		set_up_net(&n, true);
		n.f.a.stop_at_close = true;
		dial_net(&n, hosts[i], lab.client, NULL);
		close_self(&n.f.a);
		loop_run(n.f.loop);
		assert_int_equal(n.f.a.opened, 0);
		assert_int_equal(n.f.a.code, 0);
		tear_down_net(&n);
	}
}

/* A listener whose backlog is full: connecting to it takes for ever. */
static int full_backlog(int held[4], uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	a.sin_port = htons(*port);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 0), 0);
	for (int i = 0; i < 4; i++) {
		held[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(held[i], (struct sockaddr *)&a, sizeof(a));
	}
	return fd;
}

static void another_address_is_tried_soon(void **state)
{
	(void)state;
	static const struct {
		const char *hosts[3]; /* .1 listens, .2 is silent, .3 refuses */
		uint64_t most_ms;
		int code;
	} rows[] = {
		{{"127.0.0.3", "127.0.0.1"},              200,  0            },
		{{"127.0.0.2", "127.0.0.1"},              900,  0            },
		{{"127.0.0.2", "127.0.0.3", "127.0.0.1"}, 900,  0            },
		{{"nowhere.invalid", "127.0.0.1"},        2000, 0            },
		{{"127.0.0.1", "127.0.0.2"},              200,  0            },
		{{"127.0.0.3", "127.0.0.3"},              200,  -ECONNREFUSED},
		{{"127.0.0.2", "127.0.0.3"},              3000, -ETIMEDOUT   },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct net n;
		int held[4];
		set_up_net(&n, false);
		int silent = full_backlog(held, &n.port);
		unsigned more = rows[i].hosts[2] ? 2 : 1;
		n.f.a.on_open = close_self;
		n.f.a.stop_at_close = true;
		uint64_t begun = loop_now_ms(n.f.loop);
		n.f.a.s = dial(n.f.loop,
			&(struct dial_opts){.host = rows[i].hosts[0],
				.port = n.port,
				.deadline_ms = 2000,
				.more = rows[i].hosts + 1,
				.n_more = more},
			&end_cb, &n.f.a);
		loop_run(n.f.loop);
		if (n.f.a.code != rows[i].code)
			fail_msg("row %zu: %d, %s", i, n.f.a.code, n.f.a.why);
		assert_true(loop_now_ms(n.f.loop) - begun <= rows[i].most_ms * 3);
		if (rows[i].code)
			assert_non_null(strstr(n.f.a.why, "cannot connect to 127.0.0."));
		tear_down_net(&n);
		close(silent);
		for (int k = 0; k < 4; k++)
			close(held[k]);
	}
}

static void a_silent_peer_meets_the_deadline(void **state)
{
	(void)state;
	struct net n;
	set_up_net(&n, false); /* accepts, and never speaks TLS */
	n.f.a.stop_at_close = true;
	struct dial_opts o = {.host = "127.0.0.1",
		.port = n.port,
		.tls = lab.client,
		.name = "www.lan.test",
		.deadline_ms = 60};
	n.f.a.s = dial(n.f.loop, &o, &end_cb, &n.f.a);
	loop_run(n.f.loop);
	assert_int_equal(n.f.a.code, -ETIMEDOUT);
	tear_down_net(&n);
}

/* ---- whom to trust ---- */

static void spki_of(const struct lab_id *id, uint8_t out[32])
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(id->key, &der);
	EVP_Digest(der, (size_t)n, out, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
}

struct trust_case {
	const char *name;
	char trust; /* c: the CA, o: another CA, p: the key, q: another key, s: the leaf itself */
	int code;
	const char *says;
};

static const struct trust_case trust_cases[] = {
	{"www.lan.test",    'c', 0,             NULL      },
	{NULL,              'c', 0,             NULL      }, /* the IP address itself */
	{"tv.lan.test",     'c', -EKEYREJECTED, "mismatch"},
	{"127.0.0.2",       'c', -EKEYREJECTED, "mismatch"},
	{"old.lan.test",    'c', -EKEYREJECTED, "expired" },
	{"www.lan.test",    'o', -EKEYREJECTED, "issuer"  },
	{"www.lan.test",    's', 0,             NULL      },
	{"www.lan.test",    'p', 0,             NULL      },
	{"any.name.at.all", 'p', 0,             NULL      },
	{"old.lan.test",    'p', -EKEYREJECTED, "pinned"  },
	{"www.lan.test",    'q', -EKEYREJECTED, "pinned"  },
};

static struct tls_client *client_for(char trust)
{
	struct tls_client *c;
	uint8_t pin[32];
	if (trust == 'c' || trust == 'o')
		return trusting(trust == 'c' ? &lab.ca : &lab.other_ca);
	if (trust == 's')
		return trusting(&lab.www);
	spki_of(trust == 'p' ? &lab.www : &lab.other_ca, pin);
	assert_int_equal(tls_client_new_pin(&c, pin, NULL), 0);
	return c;
}

static void a_client_trusts_what_it_was_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(trust_cases) / sizeof(*trust_cases); i++) {
		const struct trust_case *t = &trust_cases[i];
		struct net n;
		struct tls_client *client = client_for(t->trust);
		set_up_net(&n, true);
		n.f.a.on_open = close_self;
		n.f.a.stop_at_close = true;
		dial_net(&n, "127.0.0.1", client, t->name);
		tls_client_unref(client);
		loop_run(n.f.loop);
		if (n.f.a.code != t->code)
			fail_msg("case %zu: %d, %s", i, n.f.a.code, n.f.a.why);
		assert_int_equal(n.f.a.opened, t->code == 0);
		if (t->says && !strstr(n.f.a.why, t->says))
			fail_msg("case %zu says: %s", i, n.f.a.why);
		tear_down_net(&n);
	}
}

static uint8_t exported[2][32];
static unsigned n_exported;

static void export(struct end *end)
{
	struct err e;
	assert_int_equal(tls_exporter(end->s, "lanthorn test", exported[n_exported], 32, &e), 0);
	if (++n_exported == 2)
		loop_stop(end->loop);
}

static void both_ends_export_the_same(void **state)
{
	(void)state;
	struct net n;
	set_up_net(&n, true);
	n_exported = 0;
	n.f.a.on_open = n.f.b.on_open = export;
	dial_net(&n, "127.0.0.1", lab.client, "www.lan.test");
	loop_run(n.f.loop);
	assert_memory_equal(exported[0], exported[1], 32);
	tear_down_net(&n);
}

/* ---- ten megabytes there and back ---- */

#define BIG (10u << 20)

static size_t sent;

static void send_more(struct end *end)
{
	uint8_t part[10007];
	stream_cork(end->s);
	while (sent < BIG) {
		size_t n = BIG - sent < sizeof(part) ? BIG - sent : sizeof(part);
		for (size_t i = 0; i < n; i++)
			part[i] = pattern(sent + i);
		sent += n;
		if (stream_write(end->s, part, n) > STREAM_HIGH_WATER)
			break;
	}
	stream_uncork(end->s);
	if (sent == BIG)
		stream_shutdown(end->s);
}

static void echo(struct end *end)
{
	if (stream_write(end->s, end->got.data, end->got.len) > STREAM_HIGH_WATER)
		stream_pause(end->s);
	assert_true(stream_queued(end->s) < 4 * STREAM_HIGH_WATER);
	end->got.len = 0;
}

static void read_on(struct end *end)
{
	stream_resume(end->s);
}

static void shut_down(struct end *end)
{
	stream_shutdown(end->s);
}

static void ten_megabytes_come_back(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct net n;
		set_up_net(&n, tls);
		sent = 0;
		n.f.a.on_open = n.f.a.on_writable = send_more;
		n.f.b.on_data = echo;
		n.f.b.on_writable = read_on;
		n.f.b.on_eof = shut_down;
		n.f.a.stop_at_close = true;
		dial_net(&n, "127.0.0.1", tls ? lab.client : NULL, "www.lan.test");
		loop_run(n.f.loop);
		assert_int_equal(n.f.a.code, 0);
		assert_pattern(&n.f.a, BIG);
		tear_down_net(&n);
	}
}

/* Records that were decoded behind a pause are delivered after it. */
static void resume_once(struct timer *t)
{
	struct net *n = container_of(t, struct net, f.limit);
	stream_resume(n->f.b.s);
	timer_arm(t, 2);
}

static void pauses_lose_nothing_under_tls(void **state)
{
	(void)state;
	struct net n;
	set_up_net(&n, true);
	sent = BIG - 400000;
	n.f.a.on_open = n.f.a.on_writable = send_more;
	n.f.b.on_data = pause_self;
	n.f.b.use_most = 5000;
	n.f.b.stop_at_len = 400000;
	n.f.limit.fn = resume_once;
	dial_net(&n, "127.0.0.1", lab.client, "www.lan.test");
	timer_arm(&n.f.limit, 100);
	loop_run(n.f.loop);
	assert_int_equal(n.f.b.got.len, 400000);
	for (size_t i = 0; i < n.f.b.got.len; i++)
		assert_int_equal(n.f.b.got.data[i], pattern(BIG - 400000 + i));
	tear_down_net(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_part_in_order),
		cmocka_unit_test(a_name_is_resolved),
		cmocka_unit_test(nobody_there_is_told),
		cmocka_unit_test(a_dial_may_be_closed_at_once),
		cmocka_unit_test(another_address_is_tried_soon),
		cmocka_unit_test(a_silent_peer_meets_the_deadline),
		cmocka_unit_test(a_client_trusts_what_it_was_told),
		cmocka_unit_test(both_ends_export_the_same),
		cmocka_unit_test(ten_megabytes_come_back),
		cmocka_unit_test(pauses_lose_nothing_under_tls),
	};
	return cmocka_run_group_tests(tests, make_lab, free_lab);
}
