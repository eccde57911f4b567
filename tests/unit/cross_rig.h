/* For tests of calls from loop to loop: both loops are turned by hand in one thread, so every moment
 * is seen. Far stands an HTTP/1.1 client over a socket pair, whose other end the test reads and writes.
 */
#pragma once

#include "gate_rig.h"

#include "http/client.h"
#include "http/cross.h"

#define BIG (8u << 20)
#define BLOCK 16000u
#define FLIGHT_MAX (1u << 20) /* both windows, a socket's buffers, and some */

static struct cross *near_end, *far_end;
static struct client *origin, *way; /* NULL once closed */
static struct far dev;

/* ---- the far host ---- */

static struct cross_call *asked[CROSS_CALLS_MAX];
static unsigned n_asked, n_gone;
static bool host_begins, origin_dies;

static void on_call(void *ctx, struct cross_call *k)
{
	(void)ctx;
	asked[n_asked++ % CROSS_CALLS_MAX] = k;
	if (origin_dies)
		far_close(&dev);
	if (host_begins)
		assert_true(cross_begin(k, origin));
}

static void on_gone(void *ctx, struct cross_call *k)
{
	(void)ctx;
	(void)k;
	n_gone++;
}

static void on_expire(void *ctx, struct cross_call *k)
{
	struct err why;
	(void)ctx;
	err_set(&why, -ETIMEDOUT, "none came");
	cross_refuse(k, &why);
}

static const struct cross_host host = {
	.on_call = on_call, .on_expire = on_expire, .on_gone = on_gone};

/* ---- who asks ---- */

struct caller {
	struct call *call; /* NULL: it has ended */
	struct client *then_close;
	char log[400];
	size_t sent, to_send, got, most;
	bool pause, cancel, differs;
};

static uint8_t byte_at(size_t i)
{
	return (uint8_t)((i * 2654435761u) >> 24);
}

static void note(struct caller *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct caller *c, const char *fmt, ...)
{
	size_t at = strlen(c->log);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(c->log + at, sizeof(c->log) - at, fmt, ap);
	va_end(ap);
}

static void on_head(struct call *k, struct msg *head, void *ctx)
{
	struct caller *c = ctx;
	note(c, "%d;", msg_status(head));
	if (c->pause)
		call_pause(k);
	if (c->cancel)
		call_cancel(k);
	if (c->cancel)
		c->call = NULL;
}

static void on_body(struct call *k, const uint8_t *p, size_t n, void *ctx)
{
	struct caller *c = ctx;
	(void)k;
	for (size_t i = 0; i < n && !c->differs; i++)
		c->differs = p[i] != byte_at(c->got + i);
	c->got += n;
}

static void on_end(struct call *k, const struct msg *trailers, void *ctx)
{
	struct caller *c = ctx;
	(void)k;
	c->call = NULL;
	note(c, "end%zu;", c->got);
	for (unsigned i = 0; trailers && i < msg_count(trailers); i++)
		note(c, "%s=%s;", msg_field(trailers, i).name, msg_field(trailers, i).value);
	if (c->then_close)
		client_close(c->then_close);
}

static void pump(struct caller *c)
{
	uint8_t block[BLOCK];
	while (c->sent < c->to_send) {
		size_t n = c->to_send - c->sent < BLOCK ? c->to_send - c->sent : BLOCK;
		for (size_t i = 0; i < n; i++)
			block[i] = byte_at(c->sent + i);
		size_t queued = call_write(c->call, block, n);
		c->sent += n;
		if (queued > c->most)
			c->most = queued;
		if (queued > STREAM_HIGH_WATER)
			return;
	}
	call_end(c->call, NULL);
}

static void on_writable(struct call *k, void *ctx)
{
	struct caller *c = ctx;
	(void)k;
	if (c->sent < c->to_send)
		pump(c);
}

static void on_fail(struct call *k, const struct err *why, bool unsent, void *ctx)
{
	struct caller *c = ctx;
	(void)k;
	c->call = NULL;
	note(c, "fail %s%s: %s;", strerrorname_np(-why->code), unsent ? " unsent" : "", why->text);
}

static const struct call_cb call_cb = {.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
	.on_writable = on_writable,
	.on_fail = on_fail};

static struct msg *request(enum body_kind kind, uint64_t len)
{
	struct msg *m = msg_new_request(kind == BODY_NONE ? "GET" : "POST", "http", "dev:80", "/a?b");
	msg_add(m, "x-one", "1");
	msg_set_body(m, kind, len);
	return m;
}

static void ask(struct caller *c, struct msg *m)
{
	c->call = client_start(way, m, &call_cb, c);
	assert_non_null(c->call);
	msg_free(m);
}

/* ---- the two loops ---- */

static unsigned n_room;
static bool way_closed;

static void on_room(void *ctx, struct client *c)
{
	(void)ctx;
	assert_ptr_equal(c, way);
	n_room++;
}

static void on_way_closed(void *ctx, struct client *c, const struct err *why)
{
	(void)ctx, (void)why;
	assert_ptr_equal(c, way);
	way = NULL;
	way_closed = true;
}

static void on_origin_closed(void *ctx, struct client *c, const struct err *why)
{
	(void)ctx, (void)why;
	if (c == origin)
		origin = NULL;
}

static int begin(void **state)
{
	assert_int_equal(rig_begin(state), 0);
	rig_begin_other();
	near_end = cross_new(rig_loop, &host);
	far_end = cross_new(rig_other, &host);
	n_asked = n_gone = n_room = 0;
	way_closed = origin_dies = false;
	host_begins = true;
	way = cross_client_new(&(struct cross_way){near_end, far_end, "tv"},
		&(struct client_opts){.on_room = on_room, .on_closed = on_way_closed});
	origin = h1_client_new(stream_from_fd(rig_other, far_open(&dev), NULL, NULL),
		&(struct client_opts){.on_closed = on_origin_closed});
	return 0;
}

/* As the gate does it: nobody speaks, then everything closes, then loops and ends go. */
static int end(void **state)
{
	cross_stop(near_end);
	cross_stop(far_end);
	if (way)
		client_close(way);
	if (origin)
		client_close(origin);
	far_close(&dev);
	rig_end(state);
	rig_end_other();
	cross_free(near_end);
	cross_free(far_end);
	cross_free(NULL);
	far_done(&dev);
	return 0;
}

#define CROSS_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
