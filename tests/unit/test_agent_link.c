/* The link pool on a script: dialling, TLS, splices and HTTP/2 are replaced, the clock is a number. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "device-agent/dial.h"
#include "device-agent/h2.h"
#include "device-agent/link.h"
#include "device-agent/splice.h"
#include "device-agent/tls.h"

#define DIALS 64

struct dial {
	dial_done_fn done;
	void *ctx;
};

struct tls {
	int fd;
	const char *protocol;
};

struct h2 {
	struct h2_settings s;
	bool leaves;
	unsigned streams;
};

struct splice {
	struct splice_settings s;
};

static uint64_t now_ms;
static struct dial *open_dials[DIALS];
static struct splice *open_splices[DIALS];
static struct h2 *open_h2[DIALS];
static unsigned n_dials, n_splices, n_h2, dialled;

uint64_t clock_mono_ms(void)
{
	return now_ms;
}

int64_t clock_unix(void)
{
	return 0;
}

struct dial *dial_open(
	struct loop *l, struct gateway *gw, struct tls_ctx *tls, dial_done_fn done, void *ctx)
{
	struct dial *d = xcalloc(1, sizeof(*d));
	(void)l;
	(void)gw;
	(void)tls;
	d->done = done;
	d->ctx = ctx;
	open_dials[n_dials++] = d;
	dialled++;
	return d;
}

static void forget(struct dial *d)
{
	for (unsigned i = 0; i < n_dials; i++) {
		if (open_dials[i] == d)
			open_dials[i] = open_dials[--n_dials];
	}
	free(d);
}

void dial_cancel(struct dial *d)
{
	if (d)
		forget(d);
}

void socket_set_patience(int fd, unsigned user_ms)
{
	(void)fd;
	(void)user_ms;
}

long tls_read(struct tls *t, void *p, size_t n, struct err *e)
{
	ssize_t k = recv(t->fd, p, n, MSG_DONTWAIT);
	(void)e;
	return k >= 0 ? k : TLS_WANT_READ;
}

int tls_close(struct tls *t)
{
	(void)t;
	return 0;
}

void tls_free(struct tls *t)
{
	free(t);
}

struct splice *splice_open(const struct splice_settings *s)
{
	struct splice *k = xcalloc(1, sizeof(*k));
	k->s = *s;
	open_splices[n_splices++] = k;
	return k;
}

void splice_cancel(struct splice *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < n_splices; i++) {
		if (open_splices[i] == k)
			open_splices[i] = open_splices[--n_splices];
	}
	close(k->s.fd);
	tls_free(k->s.tls);
	free(k);
}

const char *tls_protocol(const struct tls *t)
{
	return t->protocol;
}

const char *h2_protocol(void)
{
	return "h2";
}

struct h2 *h2_open(const struct h2_settings *s)
{
	struct h2 *h = xcalloc(1, sizeof(*h));
	h->s = *s;
	open_h2[n_h2++] = h;
	return h;
}

void h2_leave(struct h2 *h)
{
	h->leaves = true;
}

void h2_close(struct h2 *h)
{
	if (!h)
		return;
	for (unsigned i = 0; i < n_h2; i++) {
		if (open_h2[i] == h)
			open_h2[i] = open_h2[--n_h2];
	}
	close(h->s.fd);
	tls_free(h->s.tls);
	free(h);
}

unsigned h2_streams(const struct h2 *h)
{
	return h->streams;
}

uint64_t h2_served(const struct h2 *h)
{
	return h->streams;
}

struct world {
	struct loop loop;
	struct gateway gw;
	struct conf conf;
	struct links *links;
	int gate[DIALS]; /* the gateway's ends of the links, in order of dialling */
	unsigned n_gate;
	unsigned ups, settled, refused, drained;
};

static void on_event(void *ctx, enum link_event event)
{
	struct world *w = ctx;
	switch (event) {
	case LINK_EVENT_UP:
		w->ups++;
		break;
	case LINK_EVENT_SETTLED:
		w->settled++;
		break;
	case LINK_EVENT_REFUSED:
		w->refused++;
		break;
	case LINK_EVENT_DRAINED:
		w->drained++;
		break;
	}
}

static void never(struct watch *w, short revents)
{
	(void)revents;
	w->due_ms = 1;
}

/* Always due: poll() never waits, as the clock stands still. */
static struct watch idle_timer = {.fd = -1, .on_event = never};

static void start_as(
	struct world *w, enum conf_link link, unsigned spares, unsigned connections)
{
	memset(w, 0, sizeof(*w));
	now_ms = 1000;
	n_dials = n_splices = n_h2 = dialled = 0;
	log_setup(LOG_LEVEL_ERROR, false);
	conf_defaults(&w->conf);
	w->conf.link = link;
	w->conf.spares = spares;
	w->conf.connections = connections;
	loop_init(&w->loop);
	idle_timer.due_ms = 1;
	loop_add(&w->loop, &idle_timer);
	struct links_settings s = {
		.loop = &w->loop, .gw = &w->gw, .conf = &w->conf, .on_event = on_event, .ctx = w};
	w->links = links_open(&s, NULL);
}

static void start(struct world *w, unsigned spares, unsigned connections)
{
	start_as(w, CONF_LINK_H1, spares, connections);
}

static void end(struct world *w)
{
	links_free(w->links);
	loop_remove(&idle_timer);
	assert_int_equal(w->loop.n, 0);
	assert_int_equal(n_dials, 0);
	assert_int_equal(n_splices, 0);
	assert_int_equal(n_h2, 0);
	for (unsigned i = 0; i < w->n_gate; i++)
		close(w->gate[i]);
}

static void succeed_as(struct world *w, const char *protocol)
{
	int pair[2];
	struct dial d = *open_dials[0];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	w->gate[w->n_gate++] = pair[0];
	struct tls *t = xcalloc(1, sizeof(*t));
	t->fd = pair[1];
	t->protocol = protocol;
	forget(open_dials[0]);
	d.done(d.ctx, t, pair[1], NULL);
}

static void succeed(struct world *w)
{
	succeed_as(w, LINK_ALPN);
}

static void fail_one(int code)
{
	struct dial d = *open_dials[0];
	struct err e = {0};
	err_set(&e, code, "refused by the script");
	forget(open_dials[0]);
	d.done(d.ctx, NULL, -1, &e);
}

static void later(struct world *w, uint64_t ms)
{
	now_ms += ms;
	loop_step(&w->loop);
	loop_step(&w->loop);
}

static struct links_status look(struct world *w)
{
	struct links_status s;
	links_status(w->links, &s);
	return s;
}

static void spares_are_kept_and_replaced(void **state)
{
	struct world w;
	(void)state;
	start(&w, 2, 16);
	assert_int_equal(n_dials, 2);
	succeed(&w);
	succeed(&w);
	assert_int_equal(w.ups, 1);
	assert_int_equal(n_dials, 0);
	assert_int_equal(send(w.gate[0], "G", 1, 0), 1);
	later(&w, 1);
	assert_int_equal(look(&w).busy, 1);
	assert_int_equal(look(&w).idle, 1);
	assert_int_equal(n_dials, 1);
	succeed(&w);
	assert_int_equal(look(&w).idle, 2);
	end(&w);
}

static void there_are_never_more_connections_than_allowed(void **state)
{
	struct world w;
	(void)state;
	start(&w, 2, 5);
	for (unsigned i = 0; i < 5; i++) {
		succeed(&w);
		assert_int_equal(send(w.gate[i], "G", 1, 0), 1);
		later(&w, 1);
	}
	assert_int_equal(look(&w).busy, 5);
	assert_int_equal(n_dials, 0);
	struct splice *k = open_splices[0];
	void (*done)(void *, uint64_t, const char *) = k->s.done;
	void *ctx = k->s.ctx;
	splice_cancel(k);
	done(ctx, 1, NULL);
	assert_int_equal(look(&w).busy, 4);
	assert_int_equal(n_dials, 1);
	end(&w);
}

static void a_gateway_that_is_away_is_asked_ever_more_rarely(void **state)
{
	struct world w;
	unsigned tries_first_minute = 0;
	(void)state;
	start(&w, 2, 16);
	for (unsigned second = 0; second < 3600; second++) {
		while (n_dials)
			fail_one(-ECONNREFUSED);
		later(&w, 1000);
		if (second == 59)
			tries_first_minute = dialled;
	}
	/* the ceiling is a minute, the mean half of it */
	assert_true(tries_first_minute >= 3 && tries_first_minute < 40);
	assert_true(dialled < 60 + 200);
	assert_true(dialled > 60);
	assert_int_equal(w.refused, 0);
	while (n_dials)
		fail_one(-ECONNREFUSED);
	later(&w, 60001);
	assert_int_equal(n_dials, 1); /* one by one until it is known that we are wanted */
	succeed(&w);
	later(&w, LINK_SETTLED_MS + 1);
	assert_int_equal(w.settled, 1);
	assert_int_equal(n_dials, 1);
	assert_int_equal(look(&w).last_err.code, 0);
	end(&w);
}

static void links_closed_at_once_count_as_refusals(void **state)
{
	struct world w;
	(void)state;
	start(&w, 1, 16);
	for (unsigned i = 0; i < LINK_REFUSED_MOST; i++) {
		assert_int_equal(n_dials, 1);
		succeed(&w);
		shutdown(w.gate[i], SHUT_RDWR);
		later(&w, 1);
		assert_int_equal(w.refused, i + 1);
		assert_int_equal(n_dials, 0);
		assert_true(look(&w).retry_ms > 0);
		later(&w, 60000);
	}
	assert_int_equal(look(&w).refused, LINK_REFUSED_MOST);
	end(&w);
}

static void a_spare_closed_later_is_no_refusal(void **state)
{
	struct world w;
	(void)state;
	start(&w, 1, 16);
	succeed(&w);
	later(&w, LINK_SETTLED_MS + 1);
	shutdown(w.gate[0], SHUT_RDWR);
	later(&w, 1);
	assert_int_equal(w.refused, 0);
	assert_int_equal(n_dials, 1);
	end(&w);
}

static void stopping_closes_spares_and_waits_for_the_busy(void **state)
{
	struct world w;
	char c;
	(void)state;
	start(&w, 2, 16);
	succeed(&w);
	succeed(&w);
	assert_int_equal(send(w.gate[0], "G", 1, 0), 1);
	later(&w, 1);
	links_stop(w.links);
	assert_int_equal(n_dials, 0);
	assert_int_equal(w.drained, 0);
	assert_int_equal(recv(w.gate[1], &c, 1, 0), 0);
	struct splice *k = open_splices[0];
	void (*done)(void *, uint64_t, const char *) = k->s.done;
	void *ctx = k->s.ctx;
	splice_cancel(k);
	done(ctx, 1, NULL);
	assert_int_equal(w.drained, 1);
	end(&w);
}

/* ---- HTTP/2 ---- */

static void h2_says(struct h2 *h, enum h2_event event, int code)
{
	struct err e = {0};
	err_set(&e, code, "said by the script");
	h->s.on_event(h->s.ctx, event, &e);
}

static void one_link_of_http_2_is_enough(void **state)
{
	struct world w;
	(void)state;
	start_as(&w, CONF_LINK_AUTO, 2, 16);
	assert_int_equal(n_dials, 1);
	succeed_as(&w, "h2");
	assert_int_equal(n_dials, 0);
	assert_int_equal(n_h2, 1);
	assert_int_equal(w.ups, 1);
	assert_true(look(&w).shared && look(&w).idle == 1 && look(&w).busy == 0);
	open_h2[0]->streams = 3;
	h2_says(open_h2[0], H2_EVENT_USED, 0);
	assert_int_equal(look(&w).busy, 1);
	assert_int_equal(look(&w).streams, 3);
	later(&w, LINK_SETTLED_MS + 1);
	assert_int_equal(n_dials, 0);
	h2_says(open_h2[0], H2_EVENT_CLOSED, -ETIMEDOUT);
	assert_int_equal(n_dials, 1);
	assert_int_equal(look(&w).served, 3);
	succeed_as(&w, "h2");
	assert_int_equal(w.ups, 2);
	end(&w);
}

static void a_gateway_that_chooses_http_1_1_gets_spares(void **state)
{
	struct world w;
	(void)state;
	start_as(&w, CONF_LINK_AUTO, 2, 16);
	succeed(&w);
	assert_int_equal(n_dials, 1);
	succeed(&w);
	assert_int_equal(n_dials, 0);
	assert_true(!look(&w).shared && look(&w).idle == 2);
	/* It learns HTTP/2 when it is renewed: then spares are of no use. */
	shutdown(w.gate[0], SHUT_RDWR);
	later(&w, LINK_SETTLED_MS + 1);
	later(&w, 1);
	succeed_as(&w, "h2");
	assert_int_equal(n_dials, 0);
	assert_true(look(&w).shared && look(&w).idle == 1);
	end(&w);
}

static void a_goaway_brings_a_new_link_and_the_old_one_drains(void **state)
{
	struct world w;
	(void)state;
	start_as(&w, CONF_LINK_AUTO, 2, 16);
	succeed_as(&w, "h2");
	struct h2 *old = open_h2[0];
	old->streams = 1;
	h2_says(old, H2_EVENT_USED, 0);
	later(&w, LINK_SETTLED_MS + 1);
	h2_says(old, H2_EVENT_LEAVING, 0);
	assert_int_equal(n_dials, 1);
	succeed_as(&w, "h2");
	assert_int_equal(n_h2, 2);
	assert_int_equal(w.ups, 1);
	h2_says(old, H2_EVENT_CLOSED, 0);
	assert_int_equal(n_h2, 1);
	assert_int_equal(n_dials, 0);
	assert_true(look(&w).shared);
	end(&w);
}

/* Two devices with one identity send each other away: with a pause, though both are used. */
static void a_young_link_sent_away_is_replaced_after_a_pause(void **state)
{
	struct world w;
	(void)state;
	start_as(&w, CONF_LINK_AUTO, 2, 16);
	for (int i = 0; i < 3; i++) {
		succeed_as(&w, "h2");
		h2_says(open_h2[0], H2_EVENT_USED, 0);
		h2_says(open_h2[0], H2_EVENT_LEAVING, 0);
		h2_says(open_h2[0], H2_EVENT_CLOSED, 0);
		assert_true(n_dials == 0 && look(&w).retry_ms > 0);
		later(&w, 60000);
		assert_int_equal(n_dials, 1);
	}
	end(&w);
}

/* An unused link that is sent away at once would otherwise be dialled again without end. */
static void a_link_sent_away_or_closed_at_once_is_a_refusal(void **state)
{
	struct world w;
	(void)state;
	start_as(&w, CONF_LINK_AUTO, 2, 16);
	succeed_as(&w, "h2");
	h2_says(open_h2[0], H2_EVENT_LEAVING, 0);
	assert_int_equal(n_dials, 0);
	assert_int_equal(w.refused, 1);
	h2_says(open_h2[0], H2_EVENT_CLOSED, 0);
	assert_int_equal(n_dials, 0);
	assert_int_equal(w.refused, 1);
	later(&w, 60000);
	succeed_as(&w, "h2");
	h2_says(open_h2[0], H2_EVENT_CLOSED, -ECONNRESET);
	assert_int_equal(n_dials, 0);
	assert_int_equal(w.refused, 2);
	later(&w, 60000);
	succeed_as(&w, "h2");
	later(&w, LINK_SETTLED_MS + 1);
	assert_int_equal(look(&w).refused, 0);
	h2_says(open_h2[0], H2_EVENT_CLOSED, -ECONNRESET);
	assert_int_equal(n_dials, 1);
	end(&w);
}

static void stopping_lets_the_streams_end(void **state)
{
	struct world w;
	(void)state;
	start_as(&w, CONF_LINK_AUTO, 2, 16);
	succeed_as(&w, "h2");
	links_stop(w.links);
	assert_true(open_h2[0]->leaves);
	assert_int_equal(w.drained, 0);
	h2_says(open_h2[0], H2_EVENT_CLOSED, 0);
	assert_int_equal(w.drained, 1);
	assert_int_equal(n_dials, 0);
	end(&w);
}

static void another_protocol_in_the_settings_replaces_the_links(void **state)
{
	struct world w;
	(void)state;
	start_as(&w, CONF_LINK_AUTO, 2, 16);
	succeed_as(&w, "h2");
	w.conf.link = CONF_LINK_H1;
	links_wake(w.links);
	assert_true(open_h2[0]->leaves);
	later(&w, 1);
	assert_int_equal(n_dials, 2);
	succeed(&w);
	succeed(&w);
	h2_says(open_h2[0], H2_EVENT_CLOSED, 0);
	assert_int_equal(look(&w).idle, 2);
	w.conf.link = CONF_LINK_H2;
	links_wake(w.links);
	assert_int_equal(look(&w).idle, 0);
	later(&w, 1);
	assert_int_equal(n_dials, 1);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spares_are_kept_and_replaced),
		cmocka_unit_test(there_are_never_more_connections_than_allowed),
		cmocka_unit_test(a_gateway_that_is_away_is_asked_ever_more_rarely),
		cmocka_unit_test(links_closed_at_once_count_as_refusals),
		cmocka_unit_test(a_spare_closed_later_is_no_refusal),
		cmocka_unit_test(stopping_closes_spares_and_waits_for_the_busy),
		cmocka_unit_test(one_link_of_http_2_is_enough),
		cmocka_unit_test(a_gateway_that_chooses_http_1_1_gets_spares),
		cmocka_unit_test(a_goaway_brings_a_new_link_and_the_old_one_drains),
		cmocka_unit_test(a_young_link_sent_away_is_replaced_after_a_pause),
		cmocka_unit_test(a_link_sent_away_or_closed_at_once_is_a_refusal),
		cmocka_unit_test(stopping_lets_the_streams_end),
		cmocka_unit_test(another_protocol_in_the_settings_replaces_the_links),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
