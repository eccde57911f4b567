/* Unit tests of net/dnsask against a small server of UDP and TCP on the same loop. */
#include "net/dnsask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/list.h"
#include "net/loop.h"

/* What the server does with a datagram. */
enum way {
	ANSWER,
	SECOND_ONLY, /* the first is lost */
	LIE_FIRST,   /* another id, rubbish, another name, then the answer */
	LIE_ONLY,
	TRUNCATE,   /* and answer over TCP */
	TCP_SLOW,   /* over TCP one byte a turn */
	TCP_CLOSES, /* without an answer */
	SILENT,
};

struct bench {
	struct loop *loop;
	enum way way;
	int udp, tcp, client;
	uint16_t port;
	unsigned datagrams, calls;
	struct timer tick;
	bool answered, truncated;
	unsigned n_rrs, rcode;
	char text[64];
	struct err why;
	uint8_t out[600];
	size_t out_len, out_sent;
	uint64_t tick_ms, gap_ms, took_ms; /* the last tick; the longest time between two; all */
};

static const uint8_t record[] = "\300\014\0\1\0\1\0\0\0\74\0\4\300\250\1\2";

/* The question again with one A record; returns its length. */
static size_t make_answer(uint8_t *out, const uint8_t *q, size_t n)
{
	n -= 11; /* without OPT */
	memcpy(out, q, n);
	out[2] = 0x84;
	out[7] = 1;
	out[11] = 0;
	memcpy(out + n, record, sizeof(record) - 1);
	return n + sizeof(record) - 1;
}

static void send_lies(struct bench *b, const struct sockaddr_in *to, const uint8_t *q, size_t n)
{
	uint8_t lie[600];
	size_t len = make_answer(lie, q, n);
	lie[0] ^= 1;
	sendto(b->udp, lie, len, 0, (const struct sockaddr *)to, sizeof(*to));
	lie[0] ^= 1;
	lie[13] ^= 2; /* another name */
	sendto(b->udp, lie, len, 0, (const struct sockaddr *)to, sizeof(*to));
	sendto(b->udp, "rubbish", 7, 0, (const struct sockaddr *)to, sizeof(*to));
	sendto(b->udp, lie, 0, 0, (const struct sockaddr *)to, sizeof(*to));
}

static void on_datagram(struct bench *b, const struct sockaddr_in *to, const uint8_t *q, size_t n)
{
	uint8_t a[600];
	size_t len = make_answer(a, q, n);
	b->datagrams++;
	if (b->way == SILENT || (b->way == SECOND_ONLY && b->datagrams == 1))
		return;
	if (b->way == LIE_FIRST || b->way == LIE_ONLY)
		send_lies(b, to, q, n);
	if (b->way == LIE_ONLY)
		return;
	if (b->way == TRUNCATE || b->way == TCP_SLOW || b->way == TCP_CLOSES)
		a[2] |= 2;
	sendto(b->udp, a, len, 0, (const struct sockaddr *)to, sizeof(*to));
}

static void serve_udp(struct bench *b)
{
	uint8_t q[600];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n =
		recvfrom(b->udp, q, sizeof(q), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
	if (n > 23)
		on_datagram(b, &from, q, (size_t)n);
}

static void serve_tcp(struct bench *b)
{
	uint8_t q[600];
	if (b->client < 0)
		b->client = accept(b->tcp, NULL, NULL);
	if (b->client < 0)
		return;
	ssize_t n = b->out_len ? 0 : recv(b->client, q, sizeof(q), MSG_DONTWAIT);
	if (n > 25) {
		b->out_len = make_answer(b->out + 2, q + 2, (size_t)n - 2);
		b->out[0] = (uint8_t)(b->out_len >> 8);
		b->out[1] = (uint8_t)b->out_len;
		b->out_len += 2;
	}
	if (n > 25 && b->way == TCP_CLOSES) {
		close(b->client);
		b->client = -1;
		b->out_len = 0;
		return;
	}
	size_t k = b->way == TCP_SLOW ? b->out_sent < b->out_len : b->out_len - b->out_sent;
	if (k && send(b->client, b->out + b->out_sent, k, MSG_NOSIGNAL) > 0)
		b->out_sent += k;
}

static void on_tick(struct timer *t)
{
	struct bench *b = container_of(t, struct bench, tick);
	uint64_t now = clock_mono_ms();
	b->gap_ms = now - b->tick_ms > b->gap_ms ? now - b->tick_ms : b->gap_ms;
	b->tick_ms = now;
	serve_udp(b);
	serve_tcp(b);
	timer_arm(t, 2);
}

static void on_answer(void *ctx, const struct dns_reply *r, const struct err *e)
{
	struct bench *b = ctx;
	b->calls++;
	b->answered = r != NULL;
	assert_true(!r == !!e);
	if (e)
		b->why = *e;
	if (r) {
		b->n_rrs = r->n_rrs;
		b->rcode = r->rcode;
		b->truncated = r->truncated;
		if (r->n_rrs)
			snprintf(b->text, sizeof(b->text), "%.63s", r->rrs[0].text);
	}
	loop_stop(b->loop);
}

static void open_bench(struct bench *b, enum way way)
{
	memset(b, 0, sizeof(*b));
	b->way = way;
	b->client = -1;
	assert_int_equal(loop_new(&b->loop, NULL), 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	for (int i = 0; i < 20; i++) { /* one port for both */
		b->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		b->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		at.sin_port = 0;
		assert_int_equal(bind(b->tcp, (struct sockaddr *)&at, sizeof(at)), 0);
		getsockname(b->tcp, (struct sockaddr *)&at, &len);
		if (bind(b->udp, (struct sockaddr *)&at, sizeof(at)) == 0)
			break;
		close(b->udp);
		close(b->tcp);
	}
	listen(b->tcp, 4);
	b->port = ntohs(at.sin_port);
	timer_init(&b->tick, b->loop, on_tick);
	timer_arm(&b->tick, 1);
	b->tick_ms = clock_mono_ms();
}

static struct dnsask_opts question(const struct bench *b, uint64_t deadline_ms)
{
	return (struct dnsask_opts){
		.server = "127.0.0.1",
		.port = b->port,
		.name = "tv.home.test",
		.type = DNS_A,
		.deadline_ms = deadline_ms,
	};
}

static void close_bench(struct bench *b)
{
	timer_cancel(&b->tick);
	loop_free(b->loop);
	close(b->udp);
	close(b->tcp);
	if (b->client >= 0)
		close(b->client);
}

static void ask_once(struct bench *b, enum way way, uint64_t deadline_ms)
{
	uint64_t begun = clock_mono_ms(); /* the loop's clock is read as it is made */
	open_bench(b, way);
	struct dnsask_opts o = question(b, deadline_ms);
	assert_non_null(dnsask_start(b->loop, &o, on_answer, b));
	assert_int_equal(b->calls, 0);
	loop_run(b->loop);
	assert_int_equal(b->calls, 1);
	b->took_ms = clock_mono_ms() - begun;
	close_bench(b);
	assert_int_equal(b->calls, 1);
}

/* Where this thread had to wait for much of the time, the server was away as well: once more. */
static void ask(struct bench *b, enum way way, uint64_t deadline_ms)
{
	unsigned tries = 0;
	do {
		ask_once(b, way, deadline_ms);
	} while (b->gap_ms >= deadline_ms / 4 && ++tries < 20);
}

static void an_answer_is_handed_over(void **state)
{
	(void)state;
	struct bench b;
	ask(&b, ANSWER, 5000);
	assert_true(b.answered);
	assert_string_equal(b.text, "192.168.1.2");
	assert_int_equal(b.datagrams, 1);
}

static void a_lost_question_is_sent_again(void **state)
{
	(void)state;
	struct bench b;
	ask(&b, SECOND_ONLY, 400);
	assert_true(b.answered);
	assert_int_equal(b.datagrams, 2);
}

static void lies_are_passed_over(void **state)
{
	(void)state;
	struct bench b;
	ask(&b, LIE_FIRST, 5000);
	assert_true(b.answered);
	assert_string_equal(b.text, "192.168.1.2");
	ask(&b, LIE_ONLY, 200);
	assert_false(b.answered);
	assert_int_equal(b.why.code, -EBADMSG);
}

static void a_cut_answer_is_asked_for_over_tcp(void **state)
{
	(void)state;
	struct bench b;
	ask(&b, TRUNCATE, 5000);
	assert_true(b.answered);
	assert_false(b.truncated);
	assert_int_equal(b.n_rrs, 1);
	ask(&b, TCP_SLOW, 5000);
	assert_true(b.answered);
	assert_string_equal(b.text, "192.168.1.2");
	ask(&b, TCP_CLOSES, 5000);
	assert_false(b.answered);
	assert_int_equal(b.why.code, -ECONNRESET);
}

static void silence_ends_at_the_deadline(void **state)
{
	(void)state;
	struct bench b;
	ask(&b, SILENT, 300);
	assert_false(b.answered);
	assert_int_equal(b.why.code, -ETIMEDOUT);
	assert_int_equal(b.datagrams, 2);
	assert_true(b.took_ms >= 290 && b.took_ms < 3000);
	assert_non_null(strstr(b.why.text, "127.0.0.1"));
}

static void a_closed_port_is_told_at_once(void **state)
{
	(void)state;
	struct bench b;
	open_bench(&b, SILENT);
	close(b.udp);
	struct dnsask_opts o = question(&b, 5000);
	uint64_t start = clock_mono_ms();
	dnsask_start(b.loop, &o, on_answer, &b);
	b.udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	loop_run(b.loop);
	assert_int_equal(b.why.code, -ECONNREFUSED);
	assert_true(clock_mono_ms() - start < 3000);
	close_bench(&b);
}

static void what_cannot_be_asked_fails_by_the_callback(void **state)
{
	(void)state;
	static const struct {
		const char *server, *name;
	} t[] = {
		{"localhost", "a.test" },
                {"",          "a.test" },
                {"127.0.0.1", "a..test"}
        };
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct bench b;
		open_bench(&b, SILENT);
		struct dnsask_opts o = question(&b, 5000);
		o.server = t[i].server;
		o.name = t[i].name;
		dnsask_start(b.loop, &o, on_answer, &b);
		assert_int_equal(b.calls, 0);
		loop_run(b.loop);
		assert_int_equal(b.calls, 1);
		assert_int_equal(b.why.code, -EINVAL);
		close_bench(&b);
	}
}

static void a_cancelled_question_calls_nobody(void **state)
{
	(void)state;
	struct bench b;
	open_bench(&b, SILENT);
	struct dnsask_opts o = question(&b, 50);
	dnsask_cancel(dnsask_start(b.loop, &o, on_answer, &b));
	o.server = "none";
	dnsask_cancel(dnsask_start(b.loop, &o, on_answer, &b));
	dnsask_cancel(NULL);
	close_bench(&b);
	assert_int_equal(b.calls, 0);
	/* Freeing the loop ends one that is open. */
	open_bench(&b, SILENT);
	o = question(&b, 5000);
	dnsask_start(b.loop, &o, on_answer, &b);
	close_bench(&b);
	assert_int_equal(b.calls, 1);
	assert_int_equal(b.why.code, -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_handed_over),
		cmocka_unit_test(a_lost_question_is_sent_again),
		cmocka_unit_test(lies_are_passed_over),
		cmocka_unit_test(a_cut_answer_is_asked_for_over_tcp),
		cmocka_unit_test(silence_ends_at_the_deadline),
		cmocka_unit_test(a_closed_port_is_told_at_once),
		cmocka_unit_test(what_cannot_be_asked_fails_by_the_callback),
		cmocka_unit_test(a_cancelled_question_calls_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
