/* Who asks an HTTP/2 client: calls by letter, and a log of all that is told. The device is that of
 * h2_device.h. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "h1_peer.h" /* usual_errno */
#include "h2_device.h"
#include "http/client.h"
#include "net/stream.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* RFC 6455 §1.3 */

struct caller;

struct asked {
	struct caller *by;
	struct call *call;
	size_t got;
	char name;
	bool pauses, writable;
	char body[100];
};

struct caller {
	struct loop *loop;
	struct device dev;
	struct client *client;
	struct asked calls[24];
	unsigned n, rooms;
	bool closed;
	char log[2000];
};

static inline void __attribute__((format(printf, 2, 3))) note(struct caller *c, const char *fmt, ...)
{
	size_t at = strlen(c->log);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(c->log + at, sizeof(c->log) - at, fmt, ap);
	va_end(ap);
}

static inline void on_head(struct call *k, struct msg *head, void *ctx)
{
	struct asked *a = ctx;
	(void)k;
	note(a->by, "%c%d", a->name, msg_status(head));
	const char *accept = msg_get(head, "sec-websocket-accept");
	if (accept)
		note(a->by, " %s", accept);
	if (msg_get(head, "a"))
		note(a->by, " a=%s", msg_get(head, "a"));
	note(a->by, ";");
	if (a->pauses)
		call_pause(k);
}

static inline void on_body(struct call *k, const uint8_t *p, size_t n, void *ctx)
{
	struct asked *a = ctx;
	(void)k;
	if (a->got + n < sizeof(a->body))
		memcpy(a->body + a->got, p, n);
	a->got += n;
	if (a->pauses)
		call_pause(k);
}

static inline void on_end(struct call *k, const struct msg *trailers, void *ctx)
{
	struct asked *a = ctx;
	(void)k;
	a->call = NULL;
	if (a->got < sizeof(a->body))
		note(a->by, "%cend[%s]", a->name, a->body);
	else
		note(a->by, "%cend%zu", a->name, a->got);
	for (unsigned i = 0; trailers && i < msg_count(trailers); i++)
		note(a->by, "%s=%s", msg_field(trailers, i).name, msg_field(trailers, i).value);
	note(a->by, ";");
}

static inline void on_writable(struct call *k, void *ctx)
{
	struct asked *a = ctx;
	(void)k;
	a->writable = true;
}

static inline void on_fail(struct call *k, const struct err *why, bool unsent, void *ctx)
{
	struct asked *a = ctx;
	(void)k;
	a->call = NULL;
	assert_true(why->text[0]);
	note(a->by, "%cfail%d%s;", a->name, usual_errno(why->code), unsent ? "u" : "");
}

static const struct call_cb call_cb = {.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
	.on_writable = on_writable,
	.on_fail = on_fail};

static inline void on_room(void *ctx, struct client *b)
{
	struct caller *c = ctx;
	assert_true(b->room > 0);
	c->rooms++;
}

static inline void on_closed(void *ctx, struct client *b, const struct err *why)
{
	struct caller *c = ctx;
	(void)b, (void)why;
	for (unsigned i = 0; i < c->n; i++)
		assert_null(c->calls[i].call);
	c->closed = true;
}

static inline struct asked *ask_for(struct caller *c, struct msg *m)
{
	struct asked *a = &c->calls[c->n];
	a->by = c;
	a->name = (char)('a' + (int)c->n++);
	a->call = client_start(c->client, m, &call_cb, a);
	msg_free(m);
	return a;
}

static inline struct asked *ask(struct caller *c, const char *method, const char *target)
{
	return ask_for(c, msg_new_request(method, "http", "tv:80", target));
}

static inline struct asked *ask_with(struct caller *c, enum body_kind kind, uint64_t len)
{
	struct msg *m = msg_new_request("POST", "http", "tv:80", "/");
	msg_set_body(m, kind, len);
	return ask_for(c, m);
}

static inline struct asked *upgrade(struct caller *c)
{
	struct msg *m = msg_new_request("GET", "http", "tv:80", "/ws");
	msg_add(m, "connection", "upgrade");
	msg_add(m, "upgrade", "websocket");
	msg_add(m, "sec-websocket-key", KEY);
	msg_add(m, "sec-websocket-version", "13");
	return ask_for(c, m);
}

static inline void begin(struct caller *c, const char *settings)
{
	*c = (struct caller){0};
	c->loop = fake_loop_new();
	device_open(&c->dev, c->loop);
	struct client_opts o = {.head_max = 2000,
		.fields_max = 20,
		.idle_ms = 60000,
		.on_room = on_room,
		.on_closed = on_closed,
		.ctx = c};
	c->client = h2_client_new(c->dev.s, &o);
	device_say(&c->dev, settings);
}

static inline void finish(struct caller *c)
{
	if (!c->closed)
		client_close(c->client);
	device_hear(&c->dev);
	while (!c->closed)
		assert_true(fake_wait(c->loop));
	device_close(&c->dev);
	fake_loop_free(c->loop);
}
