/* Renewal on a script: requests are replaced by answers that the test gives, the clock by a
 * number, the certificate by two dates. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "device-agent/renew.h"
#include "device-agent/request.h"
#include "device-agent/tls.h"

#define DAY 86400
#define BEGIN 1790000000

struct request {
	struct request_settings s;
	bool is_time;
};

static uint64_t now_ms;
static struct request *pending;
static unsigned asked;
static struct tls_cert dates;

uint64_t clock_mono_ms(void)
{
	return now_ms;
}

int64_t clock_unix(void)
{
	return 0; /* a device without a clock */
}

int tls_cert_read(const struct buf *der, struct tls_cert *out, struct err *e)
{
	(void)der;
	(void)e;
	*out = dates;
	return 0;
}

int tls_csr_new(const struct buf *pem, const char *cn, struct buf *der, struct err *e)
{
	(void)pem;
	(void)cn;
	(void)e;
	return buf_puts(der, "csr");
}

struct request *request_open(const struct request_settings *s)
{
	struct buf out = BUF_INIT(4096);
	assert_null(pending);
	pending = xcalloc(1, sizeof(*pending));
	pending->s = *s;
	/* without a key file only the question for the time can be printed */
	pending->is_time = s->print(s->ctx, NULL, &out) == 0;
	buf_done(&out);
	asked++;
	return pending;
}

void request_cancel(struct request *r)
{
	if (!r)
		return;
	pending = NULL;
	free(r);
}

struct world {
	struct loop loop;
	struct gateway gw;
	struct identity id;
	struct renewer *renewer;
	unsigned renewed, removed, known;
};

static int on_renewed(void *ctx, struct identity *id, struct err *e)
{
	struct world *w = ctx;
	(void)id;
	(void)e;
	w->renewed++;
	return 0;
}

static void on_removed(void *ctx, bool removed)
{
	struct world *w = ctx;
	if (removed)
		w->removed++;
	else
		w->known++;
}

static void never(struct watch *w, short revents)
{
	(void)revents;
	w->due_ms = 1;
}

/* Always due: poll() never waits, as the clock stands still. */
static struct watch idle_timer = {.fd = -1, .on_event = never};

static void start(struct world *w, int64_t floor)
{
	memset(w, 0, sizeof(*w));
	now_ms = 1000;
	asked = 0;
	dates = (struct tls_cert){.not_before = BEGIN, .not_after = BEGIN + 15 * DAY};
	log_setup(LOG_LEVEL_ERROR, false);
	identity_init(&w->id);
	strcpy(w->id.name, "tv.link.lanthorn.internal");
	w->id.time = floor;
	loop_init(&w->loop);
	idle_timer.due_ms = 1;
	loop_add(&w->loop, &idle_timer);
	struct renew_settings s = {
		.loop = &w->loop,
		.gw = &w->gw,
		.id = &w->id,
		.state = "/nonexistent",
		.on_renewed = on_renewed,
		.on_removed = on_removed,
		.ctx = w,
	};
	w->renewer = renewer_open(&s, NULL);
}

static void end(struct world *w)
{
	renewer_free(w->renewer);
	loop_remove(&idle_timer);
	assert_int_equal(w->loop.n, 0);
	assert_null(pending);
}

static void later(struct world *w, uint64_t ms)
{
	now_ms += ms;
	loop_step(&w->loop);
}

static void poke(struct world *w)
{
	renewer_poke(w->renewer);
	later(w, 1);
}

static void answer(int status, const char *body)
{
	struct request *r = pending;
	struct http_short a = {
		.status = status, .body = (const uint8_t *)body, .body_len = strlen(body)};
	struct err e = {0};
	pending = NULL;
	err_set(&e, -ETIMEDOUT, "the script");
	r->s.done(r->s.ctx, status ? &a : NULL, &e);
	free(r);
}

static void answer_time(int64_t t)
{
	char text[64];
	snprintf(text, sizeof(text), "future thing\ntime %lld\n", (long long)t);
	assert_true(pending->is_time);
	answer(200, text);
}

static const char identity[] = "cert AAAA\nca AAAA\nname tv.link.lanthorn.internal\nport 1\n"
			       "addr 10.0.0.1\ntime 1790900000\n";

static void nothing_is_asked_before_the_first_link(void **state)
{
	struct world w;
	(void)state;
	start(&w, BEGIN);
	later(&w, 90u * DAY * 1000);
	assert_int_equal(asked, 0);
	assert_int_equal(renewer_time(w.renewer), 0);
	end(&w);
}

static void renewal_comes_with_a_third_left_by_the_gateways_clock(void **state)
{
	struct world w;
	unsigned hours = 0;
	(void)state;
	start(&w, BEGIN);
	poke(&w);
	answer_time(BEGIN + DAY);
	for (; !w.renewed && hours < 24 * 30; hours++) {
		later(&w, 3600 * 1000);
		if (!pending)
			continue;
		if (pending->is_time)
			answer_time(BEGIN + DAY + (hours + 1) * 3600);
		if (pending)
			answer(200, identity);
	}
	assert_int_equal(w.renewed, 1);
	assert_int_equal(hours, 9 * 24); /* two thirds of 15 days, less the first */
	assert_true(asked < 9 * 4 + 3);
	end(&w);
}

static void odd_clocks_never_strand_a_device(void **state)
{
	static const struct {
		int64_t floor, time;
		bool renews;
	} cases[] = {
		{BEGIN,             BEGIN + DAY,       false},
                {BEGIN,             BEGIN + 10 * DAY,  true },
		{BEGIN,             BEGIN + 400 * DAY, true }, /* expired long ago */
		{BEGIN + DAY,       BEGIN + 1,         false}, /* a step back */
		{BEGIN + 400 * DAY, BEGIN + 1,         true }, /* it had run ahead */
		{BEGIN,             BEGIN - DAY,       true }, /* the certificate's days have not come */
		{0,                 17,                true }, /* the gateway is in 1970 */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;
		start(&w, cases[i].floor);
		poke(&w);
		answer_time(cases[i].time);
		if (cases[i].renews != !!pending)
			fail_msg("case %zu", i);
		if (pending)
			answer(200, identity);
		assert_int_equal(w.renewed, cases[i].renews);
		end(&w);
	}
}

static void a_failure_is_tried_again_ever_more_rarely(void **state)
{
	struct world w;
	(void)state;
	start(&w, BEGIN);
	poke(&w);
	for (unsigned minute = 0; minute < 24 * 60; minute++) {
		if (pending)
			answer(minute % 2 ? 500 : 0, "not now\n");
		poke(&w); /* a nervous link does not hurry it */
		later(&w, 60000);
	}
	assert_true(asked >= 24 && asked < 120);
	assert_int_equal(w.removed + w.known, 0);
	end(&w);
}

static void retry_after_is_heeded(void **state)
{
	struct world w;
	(void)state;
	start(&w, BEGIN);
	poke(&w);
	struct request *r = pending;
	struct http_short a = {.status = 429, .retry_after = 600, .body = (const uint8_t *)""};
	pending = NULL;
	r->s.done(r->s.ctx, &a, NULL);
	free(r);
	later(&w, 599 * 1000);
	assert_int_equal(asked, 1);
	later(&w, 2000);
	assert_int_equal(asked, 2);
	end(&w);
}

static void removal_and_return_are_told(void **state)
{
	struct world w;
	(void)state;
	start(&w, BEGIN);
	poke(&w);
	answer(410, "this device was removed\n");
	assert_int_equal(w.removed, 1);
	later(&w, 3600 * 1000);
	answer_time(BEGIN + DAY);
	assert_int_equal(w.known, 1);
	end(&w);
}

static void an_answer_for_another_device_is_refused(void **state)
{
	struct world w;
	(void)state;
	start(&w, BEGIN);
	poke(&w);
	answer_time(BEGIN + 10 * DAY);
	answer(200, "cert AAAA\nca AAAA\nname radio.link.lanthorn.internal\nport 1\n"
		    "addr 10.0.0.1\ntime 1790900000\n");
	assert_int_equal(w.renewed, 0);
	end(&w);
}

static void a_new_context_repeats_the_question_under_way(void **state)
{
	struct world w;
	(void)state;
	start(&w, BEGIN);
	poke(&w);
	renewer_use(w.renewer, NULL);
	assert_null(pending);
	later(&w, 1);
	assert_non_null(pending);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_asked_before_the_first_link),
		cmocka_unit_test(renewal_comes_with_a_third_left_by_the_gateways_clock),
		cmocka_unit_test(odd_clocks_never_strand_a_device),
		cmocka_unit_test(a_failure_is_tried_again_ever_more_rarely),
		cmocka_unit_test(retry_after_is_heeded),
		cmocka_unit_test(removal_and_return_are_told),
		cmocka_unit_test(an_answer_for_another_device_is_refused),
		cmocka_unit_test(a_new_context_repeats_the_question_under_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
