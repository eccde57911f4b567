/* What an open TLS connection holds, thousands of which are held; and that the streams of a loop,
 * which share a BIO, are told apart; and what they send together. */
#include "net/tls.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dial.h"
#include "net/tls_connect.h"
#include "net/tls_int.h"
#include "net_end.h"
#include "tls_lab.h"

static struct lab_id id;
static struct tls_cert *cert;
static struct tls_server *server;

static int choose(void *ctx, const struct tls_hello *hello, struct tls_choice *out)
{
	(void)ctx, (void)hello;
	*out = (struct tls_choice){.cert = tls_cert_ref(cert)};
	return 0;
}

static int make_server(void **state)
{
	(void)state;
	struct err e;
	id = lab_make(&(struct lab_want){"www", "DNS:www.lan.test", false, 0, 0}, NULL);
	char *pem = lab_pem(&id, true);
	int rc = tls_cert_new(&cert, pem, strlen(pem), &e);
	free(pem);
	return rc < 0 ? rc : tls_server_new(&server, choose, NULL, &e);
}

static int free_server(void **state)
{
	(void)state;
	tls_server_unref(server);
	tls_cert_unref(cert);
	lab_free(&id);
	return 0;
}

struct visit {
	struct lab_client client;
	int fd;
	pthread_t thread;
};

static void *run_visit(void *arg)
{
	struct visit *v = arg;
	lab_client_run(&v->client, v->fd);
	return NULL;
}

static void echo(struct end *end)
{
	stream_write(end->s, end->got.data, end->got.len);
	end->got.len = 0;
}

/* Of two ends the later one stops the loop; without a second one, the first. */
static void end_first(struct end *end)
{
	struct fixture *f = container_of(end, struct fixture, a);
	end->stop_at_close = !f->b.s || f->b.eofs;
	stream_shutdown(end->s);
}

static void end_second(struct end *end)
{
	end->stop_at_close = container_of(end, struct fixture, b)->a.eofs;
	stream_shutdown(end->s);
}

static void accept_one(struct fixture *f, struct end *end, int fd, struct visit *v)
{
	end->on_data = echo;
	end->on_eof = end == &f->a ? end_first : end_second;
	end->s = tls_accept(f->loop, fd, server, 5000, &end_cb, end);
	pthread_create(&v->thread, NULL, run_visit, v);
}

static void assert_served(struct visit *v)
{
	pthread_join(v->thread, NULL);
	assert_true(v->client.echoed);
	SSL_SESSION_free(v->client.session);
}

static void holds_little(struct end *end)
{
	const struct tls_stream *t = (const struct tls_stream *)end->s;
	assert_null(t->objects);
	assert_null(SSL_get_certificate(t->ssl));
	assert_null(SSL_get_privatekey(t->ssl));
	assert_null(t->raw.data);
}

static void an_open_one_holds_neither_certificate_nor_buffer(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fixture f;
		struct visit v = {.client = {.sni = "www.lan.test", .version = versions[i]}};
		set_up(&f, false);
		v.fd = f.fds[1];
		f.a.on_open = holds_little;
		accept_one(&f, &f.a, f.fds[0], &v);
		loop_run(f.loop);
		assert_int_equal(f.a.opened, 1);
		assert_served(&v);
		tear_down(&f);
	}
}

static void handshakes_of_one_loop_may_interleave(void **state)
{
	struct fixture f;
	struct visit v[2] = {0};
	int fds[2];
	(void)state;
	set_up(&f, false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	for (int i = 0; i < 2; i++) {
		v[i].client = (struct lab_client){
			.sni = "www.lan.test", .version = TLS1_3_VERSION, .drip = true};
		v[i].fd = i ? fds[1] : f.fds[1];
		accept_one(&f, i ? &f.b : &f.a, i ? fds[0] : f.fds[0], &v[i]);
	}
	loop_run(f.loop);
	for (int i = 0; i < 2; i++)
		assert_served(&v[i]);
	tear_down(&f);
}

/* A server as OpenSSL is one, which never comes to the point. */
struct chatter {
	int fd;
	unsigned rekeys;
};

static void *chat(void *arg)
{
	struct chatter *c = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(ctx, id.cert);
	SSL_CTX_use_PrivateKey(ctx, id.key);
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, c->fd);
	bool going = SSL_accept(ssl) == 1;
	for (unsigned i = 0; going && i < c->rekeys; i++)
		going = SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
			SSL_do_handshake(ssl) == 1;
	if (going && SSL_write(ssl, "ping", 4) == 4)
		SSL_shutdown(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(c->fd);
	return NULL;
}

static void a_server_cannot_change_keys_without_end(void **state)
{
	(void)state;
	char *pem = lab_pem(&id, false);
	for (int many = 0; many < 2; many++) {
		struct fixture f;
		struct tls_client *client;
		struct err e;
		pthread_t thread;
		set_up(&f, false);
		struct chatter c = {.fd = f.fds[1], .rekeys = many ? 20000 : 100};
		assert_int_equal(tls_client_new_ca(&client, pem, strlen(pem), &e), 0);
		pthread_create(&thread, NULL, chat, &c);
		f.a.on_eof = end_first;
		f.a.stop_at_close = true;
		f.a.s = tls_connect_new(f.loop, client, "www.lan.test", &end_cb, &f.a);
		stream_attach(f.a.s, f.fds[0]);
		stream_advance(f.a.s);
		loop_run(f.loop);
		pthread_join(thread, NULL);
		assert_int_equal(f.a.code, many ? -EPROTO : 0);
		assert_int_equal(f.a.got.len, many ? 0 : 4);
		tls_client_unref(client);
		tear_down(&f);
	}
	free(pem);
}

/* A client on a socket that keeps what is sent apart. */
struct packets {
	int fd;
	unsigned count; /* from its last flight to the echo */
};

static bool push(struct packets *p, BIO *out)
{
	char *data;
	long n = BIO_get_mem_data(out, &data);
	bool good = n <= 0 || send(p->fd, data, (size_t)n, MSG_NOSIGNAL) == n;
	(void)BIO_reset(out);
	return good;
}

static bool pull(struct packets *p, BIO *in)
{
	char packet[32768];
	ssize_t n = recv(p->fd, packet, sizeof(packet), 0);
	p->count++;
	return n > 0 && BIO_write(in, packet, (int)n) == n;
}

static void *ask_with_last_flight(void *arg)
{
	struct packets *p = arg;
	char word[4];
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(in, -1);
	SSL_set_bio(ssl, in, out);
	SSL_set_tlsext_host_name(ssl, "www.lan.test");
	bool going = true;
	while (going && SSL_connect(ssl) != 1)
		going = push(p, out) && pull(p, in);
	going = going && SSL_write(ssl, "ping", 4) == 4 && push(p, out);
	p->count = 0;
	while (going && SSL_read(ssl, word, 4) != 4)
		going = pull(p, in);
	SSL_shutdown(ssl);
	push(p, out);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(p->fd);
	return NULL;
}

static void tickets_and_the_first_answer_are_one_send(void **state)
{
	struct fixture f;
	int fds[2];
	pthread_t thread;
	(void)state;
	set_up(&f, false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	struct packets p = {.fd = fds[1]};
	f.a.on_data = echo;
	f.a.on_eof = end_first;
	f.a.s = tls_accept(f.loop, fds[0], server, 5000, &end_cb, &f.a);
	pthread_create(&thread, NULL, ask_with_last_flight, &p);
	loop_run(f.loop);
	pthread_join(thread, NULL);
	assert_int_equal(f.a.got.len, 0); /* all echoed */
	assert_int_equal(p.count, 1);
	tear_down(&f);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_one_holds_neither_certificate_nor_buffer),
		cmocka_unit_test(handshakes_of_one_loop_may_interleave),
		cmocka_unit_test(a_server_cannot_change_keys_without_end),
		cmocka_unit_test(tickets_and_the_first_answer_are_one_send),
	};
	return cmocka_run_group_tests(tests, make_server, free_server);
}
