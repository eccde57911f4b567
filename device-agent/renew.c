/* See renew.h. One request at a time: first the time, then the renewal where that says so. */
#include "device-agent/renew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "device-agent/request.h"
#include "device-agent/schedule.h"
#include "device-agent/tls.h"

#define FAIL_BASE_MS 10000
#define FAIL_CAP_MS 3600000

struct renewer {
	struct renew_settings s;
	struct tls_ctx *tls;
	struct watch watch; /* due: ask */
	struct request *request;
	struct gwtime time;
	struct backoff backoff;
};

static void failed(struct renewer *r, const char *what, const char *why, unsigned least_s)
{
	uint32_t wait = backoff_next(&r->backoff, jitter_random());
	if (wait / 1000 < least_s)
		wait = least_s * 1000;
	watch_after(&r->watch, wait);
	log_warn("renew", what, "cause", why, "retry_ms", LOG_NUM(wait));
}

/* True: 200. Else it was logged, and will be tried again. */
static bool is_welcome(
	struct renewer *r, const struct http_short *a, const struct err *e, const char *what)
{
	char line[160];
	r->request = NULL;
	if (!a) {
		failed(r, what, e->text, 0);
		return false;
	}
	if (a->status == 200 || a->status == 410)
		r->s.on_removed(r->s.ctx, a->status == 410);
	if (a->status == 200)
		return true;
	size_t n = 0;
	while (n < a->body_len && n < sizeof(line) - 1 && a->body[n] >= 0x20)
		n++;
	memcpy(line, a->body, n);
	line[n] = 0;
	failed(r, what, n ? line : "the gateway refused", a->retry_after);
	return false;
}

/* The body as a string; false where it is none. */
static bool to_text(const struct http_short *a, struct buf *out)
{
	return buf_append(out, a->body, a->body_len) == 0 && !memchr(a->body, 0, a->body_len) &&
	       buf_str(out);
}

static void take_renewal(struct renewer *r, const struct http_short *a)
{
	struct identity id;
	struct err e = {0};
	struct buf text = BUF_INIT(HTTP_SHORT_BODY_MAX);
	identity_init(&id);
	int rc = to_text(a, &text) ? identity_parse(&id, buf_str(&text), &e)
				   : err_set(&e, -EBADMSG, "not text");
	if (rc == 0 && strcmp(id.name, r->s.id->name) != 0)
		rc = err_set(&e, -EBADMSG, "it is for another device");
	if (rc == 0) {
		r->time.floor = id.time;
		gwtime_learn(&r->time, id.time, clock_mono_ms());
		rc = r->s.on_renewed(r->s.ctx, &id, &e);
	}
	if (rc < 0) {
		failed(r, "the renewed certificate is of no use", e.text, 0);
	} else {
		backoff_reset(&r->backoff);
		watch_after(&r->watch, RENEW_LOOK_MS);
		log_info("renew", "the device's certificate is renewed");
	}
	identity_done(&id);
	buf_done(&text);
}

static void on_renew_answer(void *ctx, const struct http_short *a, const struct err *e)
{
	struct renewer *r = ctx;
	if (is_welcome(r, a, e, "the certificate cannot be renewed"))
		take_renewal(r, a);
}

static int print_csr(struct renewer *r, struct buf *out)
{
	struct buf pem = BUF_INIT(TLS_KEY_MAX), der = BUF_INIT(TLS_CERT_MAX);
	char id[64], text[BASE64_LEN(TLS_CERT_MAX)];
	size_t n = strcspn(r->s.id->name, ".");
	memcpy(id, r->s.id->name, n);
	id[n] = 0;
	int rc = key_load(&pem, r->s.state, NULL);
	if (rc == 0)
		rc = tls_csr_new(&pem, id, &der, NULL);
	if (rc == 0) {
		base64_encode(text, der.data, der.len);
		rc = buf_printf(out, "csr %s\n", text);
	}
	buf_done_secret(&pem);
	buf_done(&der);
	return rc;
}

static int print_renew(void *ctx, struct tls *tls, struct buf *out)
{
	struct renewer *r = ctx;
	struct buf body = BUF_INIT(8192);
	(void)tls;
	int rc = print_csr(r, &body);
	if (rc == 0)
		rc = http_short_print(out, r->s.id->name, "/v1/renew", &body);
	buf_done(&body);
	return rc;
}

static int print_time(void *ctx, struct tls *tls, struct buf *out)
{
	struct renewer *r = ctx;
	(void)tls;
	return http_short_print(out, r->s.id->name, "/v1/time", NULL);
}

static void send_request(struct renewer *r, int (*print)(void *, struct tls *, struct buf *),
	void (*done)(void *, const struct http_short *, const struct err *))
{
	struct request_settings s = {
		.loop = r->s.loop,
		.gw = r->s.gw,
		.tls = r->tls,
		.print = print,
		.done = done,
		.ctx = r,
	};
	r->watch.due_ms = 0;
	r->request = request_open(&s);
	if (!r->request)
		failed(r, "the gateway cannot be asked", "too many things at once", 0);
}

/* Due by the later of the gateway's time and the one on record, so that neither a clock that was
 * set back nor one that had run ahead strands a device; and at once for a certificate of a future
 * that has not come. */
static void act_on_time(struct renewer *r, int64_t now)
{
	struct tls_cert c;
	struct err e = {0};
	if (tls_cert_read(&r->s.id->cert, &c, &e) < 0) {
		failed(r, "the device's certificate cannot be read", e.text, 0);
		return;
	}
	int64_t latest = now > r->time.floor ? now : r->time.floor;
	uint64_t wait = wait_until(renew_at(c.not_before, c.not_after), latest, RENEW_LOOK_MS);
	if (wait == 0 || now < c.not_before) {
		send_request(r, print_renew, on_renew_answer);
		return;
	}
	backoff_reset(&r->backoff);
	watch_after(&r->watch, wait);
}

/* "time N" alone on its line; 0 where it is not said. */
static int64_t find_time(const char *text)
{
	char number[24];
	uint64_t t;
	while (*text && !str_starts(text, "time ")) {
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	if (!*text)
		return 0;
	size_t n = strcspn(text + 5, "\r\n");
	if (n >= sizeof(number))
		return 0;
	memcpy(number, text + 5, n);
	number[n] = 0;
	return str_to_u64(number, INT64_MAX, &t) < 0 ? 0 : (int64_t)t;
}

static void on_time_answer(void *ctx, const struct http_short *a, const struct err *e)
{
	struct renewer *r = ctx;
	struct buf text = BUF_INIT(HTTP_SHORT_BODY_MAX);
	if (!is_welcome(r, a, e, "the gateway's time is not known"))
		return;
	int64_t now = to_text(a, &text) ? find_time(buf_str(&text)) : 0;
	buf_done(&text);
	if (now == 0) {
		failed(r, "the gateway's time is not known", "its answer has none", 0);
		return;
	}
	if (!gwtime_learn(&r->time, now, clock_mono_ms()))
		log_warn("renew", "the gateway's clock has gone back");
	act_on_time(r, now);
}

static void on_due(struct watch *w, short revents)
{
	struct renewer *r = container_of(w, struct renewer, watch);
	(void)revents;
	send_request(r, print_time, on_time_answer);
}

struct renewer *renewer_open(const struct renew_settings *s, struct tls_ctx *tls)
{
	struct renewer *r = xcalloc(1, sizeof(*r));
	r->s = *s;
	r->tls = tls;
	r->time.floor = s->id->time;
	r->backoff = (struct backoff){.base_ms = FAIL_BASE_MS, .cap_ms = FAIL_CAP_MS};
	r->watch = (struct watch){.fd = -1, .on_event = on_due};
	loop_add(s->loop, &r->watch);
	return r;
}

void renewer_use(struct renewer *r, struct tls_ctx *tls)
{
	if (r->request) {
		request_cancel(r->request); /* it holds the old context */
		r->request = NULL;
		watch_after(&r->watch, 0);
	}
	r->tls = tls;
}

void renewer_poke(struct renewer *r)
{
	bool waits = r->backoff.fails && r->watch.due_ms;
	if (!r->request && !waits)
		watch_after(&r->watch, 0);
}

int64_t renewer_time(const struct renewer *r)
{
	return gwtime_now(&r->time, clock_mono_ms());
}

void renewer_free(struct renewer *r)
{
	if (!r)
		return;
	request_cancel(r->request);
	loop_remove(&r->watch);
	free(r);
}
