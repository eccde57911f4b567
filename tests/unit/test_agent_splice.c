/* The splice between socket pairs: the TLS library is replaced by plain reads and writes, the
 * clock by a number. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "device-agent/local.h"
#include "device-agent/splice.h"
#include "device-agent/tls.h"

struct tls {
	int fd;
};

static uint64_t now_ms = 1000;

uint64_t clock_mono_ms(void)
{
	return now_ms;
}

int64_t clock_unix(void)
{
	return 0;
}

static long outcome(ssize_t n, int wants)
{
	return n >= 0 ? n : errno == EAGAIN ? wants : -errno;
}

long tls_read(struct tls *t, void *p, size_t n, struct err *e)
{
	(void)e;
	return outcome(recv(t->fd, p, n, 0), TLS_WANT_READ);
}

void tls_read_ahead(struct tls *t, size_t n)
{
	(void)t, (void)n;
}

long tls_write(struct tls *t, const void *p, size_t n, struct err *e)
{
	(void)e;
	return outcome(send(t->fd, p, n, MSG_NOSIGNAL), TLS_WANT_WRITE);
}

/* A close_notify is a byte that no test sends otherwise. */
int tls_close(struct tls *t)
{
	return send(t->fd, "\xff", 1, MSG_NOSIGNAL) == 1 ? 0 : TLS_WANT_WRITE;
}

void tls_free(struct tls *t)
{
	free(t);
}

struct world {
	struct loop loop;
	struct splice *splice;
	int gate, link;      /* the gateway's end, and the splice's */
	int listener, local; /* the service's */
	bool done;
	const char *why;
};

static void on_done(void *ctx, uint64_t moved, const char *why)
{
	struct world *w = ctx;
	(void)moved;
	w->splice = NULL;
	w->done = true;
	w->why = why;
}

static void turn(struct world *w, int times)
{
	for (int i = 0; i < times && !w->done; i++)
		loop_step(&w->loop);
}

static void never(struct watch *w, short revents)
{
	(void)revents;
	w->due_ms = 1;
}

/* Always due: poll() never waits, as the clock stands still. */
static struct watch idle_timer = {.fd = -1, .due_ms = 1, .on_event = never};

static int listen_any(struct sockaddr_storage *at, int backlog)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &n), 0);
	return fd;
}

/* `open`: a service accepts; else its port is closed. */
static void start(struct world *w, bool open)
{
	int pair[2];
	struct sockaddr_storage at = {0};
	memset(w, 0, sizeof(*w));
	loop_init(&w->loop);
	idle_timer.due_ms = 1;
	loop_add(&w->loop, &idle_timer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	w->gate = pair[0];
	w->link = pair[1];
	w->listener = listen_any(&at, 4);
	w->local = -1;
	if (!open)
		close(w->listener);
	struct tls *t = xcalloc(1, sizeof(*t));
	t->fd = pair[1];
	struct splice_settings s = {
		.loop = &w->loop,
		.tls = t,
		.fd = pair[1],
		.service = &at,
		.first = 'G',
		.done = on_done,
		.ctx = w,
	};
	w->splice = splice_open(&s);
	assert_non_null(w->splice);
	turn(w, 5);
	if (open)
		w->local = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK);
}

static void end(struct world *w)
{
	splice_cancel(w->splice);
	loop_remove(&idle_timer);
	assert_int_equal(w->loop.n, 0);
	close(w->gate);
	if (w->local >= 0) {
		close(w->local);
		close(w->listener);
	}
}

/* Read until nothing more comes, turning the loop. Returns the length; 0 only at the end. */
static size_t drain(struct world *w, int fd, char *out, size_t size)
{
	size_t at = 0;
	for (int calm = 0; calm < 20 && at < size;) {
		ssize_t n = recv(fd, out + at, size - at, 0);
		if (n == 0)
			break;
		calm = n > 0 ? 0 : calm + 1;
		at += n > 0 ? (size_t)n : 0;
		turn(w, 1);
	}
	return at;
}

static void bytes_go_both_ways(void **state)
{
	struct world w;
	char got[64];
	(void)state;
	start(&w, true);
	assert_int_equal(send(w.gate, "ET / ", 5, 0), 5);
	assert_int_equal(drain(&w, w.local, got, sizeof(got)), 6);
	assert_memory_equal(got, "GET / ", 6);
	assert_int_equal(send(w.local, "fine", 4, 0), 4);
	assert_int_equal(drain(&w, w.gate, got, sizeof(got)), 4);
	assert_memory_equal(got, "fine", 4);
	assert_false(w.done);
	end(&w);
}

static void the_service_closing_delivers_its_last_bytes_then_closes_the_link(void **state)
{
	static char out[200000], got[300000];
	struct world w;
	(void)state;
	start(&w, true);
	memset(out, 'a', sizeof(out));
	size_t put = 0;
	while (put < sizeof(out)) { /* more than the buffers hold: the end waits behind bytes */
		ssize_t n = send(w.local, out + put, sizeof(out) - put, 0);
		if (n < 0)
			break;
		put += (size_t)n;
		turn(&w, 2);
	}
	shutdown(w.local, SHUT_RDWR);
	size_t n = drain(&w, w.gate, got, sizeof(got));
	assert_int_equal(n, put + 1);
	assert_int_equal((uint8_t)got[n - 1], 0xff);
	assert_memory_equal(got, out, put);
	assert_int_equal(recv(w.gate, got, 1, 0), 0);
	close(w.gate);
	turn(&w, 3);
	assert_true(w.done);
	assert_null(w.why);
	w.gate = -1;
	end(&w);
}

static void the_gateway_closing_closes_the_service_after_its_last_bytes(void **state)
{
	struct world w;
	char got[64];
	(void)state;
	start(&w, true);
	assert_int_equal(send(w.gate, "bye", 3, 0), 3);
	shutdown(w.gate, SHUT_WR);
	assert_int_equal(drain(&w, w.local, got, sizeof(got)), 4);
	assert_memory_equal(got, "Gbye", 4);
	assert_int_equal(recv(w.local, got, 1, 0), 0);
	assert_true(w.done);
	end(&w);
}

/* What fits into two socket buffers and one of ours. */
static size_t stuff(struct world *w, int fd)
{
	static char block[8192];
	size_t total = 0;
	for (int calm = 0; calm < 50;) {
		ssize_t n = send(fd, block, sizeof(block), MSG_NOSIGNAL);
		calm = n > 0 ? 0 : calm + 1;
		total += n > 0 ? (size_t)n : 0;
		assert_true(total < 64 << 20);
		turn(w, 1);
	}
	return total;
}

static void a_reader_that_stalls_stops_the_writer(void **state)
{
	struct world w;
	static char got[32 << 20];
	(void)state;
	start(&w, true);
	size_t up = stuff(&w, w.gate), down = stuff(&w, w.local);
	assert_true(up > SPLICE_BUF && down > SPLICE_BUF);
	assert_int_equal(drain(&w, w.local, got, sizeof(got)), up + 1);
	assert_int_equal(drain(&w, w.gate, got, sizeof(got)), down);
	assert_false(w.done);
	end(&w);
}

static void an_early_answer_to_an_upload_arrives(void **state)
{
	struct world w;
	static char got[4096];
	(void)state;
	start(&w, true);
	stuff(&w, w.gate); /* nobody reads the upload */
	assert_int_equal(send(w.local, "HTTP/1.1 413 ", 13, 0), 13);
	close(w.local); /* with unread bytes: a reset */
	w.local = -1;
	close(w.listener);
	size_t n = drain(&w, w.gate, got, sizeof(got));
	assert_int_equal(n, 14);
	assert_memory_equal(got, "HTTP/1.1 413 ", 13);
	assert_false(w.done); /* it lingers, and takes the rest of the upload */
	for (int i = 0; i < 100; i++) {
		assert_true(send(w.gate, got, sizeof(got), MSG_NOSIGNAL) > 0);
		turn(&w, 2);
	}
	assert_true(send(w.gate, got, sizeof(got), MSG_NOSIGNAL) > 0);
	now_ms += SPLICE_LINGER_MS + 1;
	turn(&w, 1); /* though more is there to be read */
	assert_true(w.done);
	end(&w);
}

static void a_closed_port_becomes_a_502(void **state)
{
	struct world w;
	char got[1024] = "";
	(void)state;
	start(&w, false);
	size_t n = drain(&w, w.gate, got, sizeof(got) - 1);
	assert_true(n > 60);
	assert_memory_equal(got, "HTTP/1.1 502 Bad Gateway\r\n", 26);
	assert_non_null(strstr(got, "\r\nConnection: close\r\n"));
	assert_int_equal(strlen(strstr(got, "\r\n\r\n") + 4), 48 + 1);
	assert_false(w.done);
	now_ms += SPLICE_LINGER_MS + 1;
	turn(&w, 3);
	assert_true(w.done);
	assert_string_equal(w.why, "refused");
	end(&w);
}

static void a_service_that_does_not_accept_becomes_a_502(void **state)
{
	struct world w;
	struct sockaddr_storage at = {0};
	int pair[2], more[8];
	char got[1024] = "";
	(void)state;
	memset(&w, 0, sizeof(w));
	loop_init(&w.loop);
	idle_timer.due_ms = 1;
	loop_add(&w.loop, &idle_timer);
	int listener = listen_any(&at, 0);
	for (int i = 0; i < 8; i++) { /* fill the queue: further SYNs are dropped */
		more[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(more[i], (struct sockaddr *)&at, sizeof(struct sockaddr_in));
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	struct tls *t = xcalloc(1, sizeof(*t));
	t->fd = pair[1];
	w.gate = pair[0];
	w.local = -1;
	struct splice_settings s = {.loop = &w.loop,
		.tls = t,
		.fd = pair[1],
		.service = &at,
		.first = 'G',
		.done = on_done,
		.ctx = &w};
	w.splice = splice_open(&s);
	now_ms += LOCAL_CONNECT_MS - 1;
	turn(&w, 5);
	assert_int_equal(recv(w.gate, got, sizeof(got), 0), -1);
	now_ms += 2;
	turn(&w, 5);
	assert_true(drain(&w, w.gate, got, sizeof(got) - 1) > 60);
	assert_memory_equal(got, "HTTP/1.1 502 ", 13);
	for (int i = 0; i < 8; i++)
		close(more[i]);
	close(listener);
	end(&w);
}

static void a_peer_that_takes_nothing_is_given_up(void **state)
{
	struct world w;
	static char block[8192];
	(void)state;
	start(&w, true);
	while (send(w.link, block, sizeof(block), 0) > 0)
		; /* the gateway reads no more */
	assert_int_equal(send(w.local, "last", 4, 0), 4);
	shutdown(w.local, SHUT_WR);
	turn(&w, 5);
	now_ms += SPLICE_FLUSH_MS - 1;
	turn(&w, 5);
	assert_false(w.done);
	now_ms += 2;
	turn(&w, 5);
	now_ms += SPLICE_LINGER_MS + 1;
	turn(&w, 5);
	assert_true(w.done);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways),
		cmocka_unit_test(the_service_closing_delivers_its_last_bytes_then_closes_the_link),
		cmocka_unit_test(the_gateway_closing_closes_the_service_after_its_last_bytes),
		cmocka_unit_test(a_reader_that_stalls_stops_the_writer),
		cmocka_unit_test(an_early_answer_to_an_upload_arrives),
		cmocka_unit_test(a_closed_port_becomes_a_502),
		cmocka_unit_test(a_service_that_does_not_accept_becomes_a_502),
		cmocka_unit_test(a_peer_that_takes_nothing_is_given_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
