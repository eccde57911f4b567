/* For tests of exchanges carried to a device and back: a browser and devices, each the far end of a
 * socket pair, with the real server, pool and client between them. */
#pragma once

#include "gate_rig.h"

#include "gate/pool.h"
#include "gate/proxy.h"
#include "gate/session.h"
#include "http/msg.h"
#include "http/server.h"
#include "net/crypto.h"

static struct pool *pool;
static struct list all;
static struct session *session;
static unsigned closed, asked;
static uint64_t idle_ms;
static struct far browser;
static const struct stream_cb no_cb;

static int64_t away_since;
static struct site *site; /* NULL: none */

static void on_request(void *ctx, struct exchange *x)
{
	(void)ctx;
	asked++;
	proxy_exchange(x, &(struct proxy_opts){.pool = pool,
				  .session = session,
				  .user = session ? "ann" : NULL,
				  .host = "tv.home.test",
				  .device = "tv",
				  .site = site,
				  .away_since = away_since,
				  .idle_ms = idle_ms,
				  .tunnel_idle_ms = 60000,
				  .all = &all});
}

static void on_closed(void *ctx, struct http_conn *c)
{
	(void)ctx, (void)c;
	closed++;
}

static const struct http_server_opts opts = {
	.limits = &http_limits_default, .on_request = on_request, .on_closed = on_closed};

static void open_browser(void)
{
	http_serve(stream_from_fd(rig_loop, far_open(&browser), &no_cb, NULL), &opts);
}

static void add_device(struct far *f)
{
	pool_add(pool, stream_from_fd(rig_loop, far_open(f), &no_cb, NULL));
}

static int begin(void **state)
{
	if (rig_begin(state) < 0)
		return -1;
	list_init(&all);
	pool = pool_new(&(struct pool_opts){.loop = rig_loop});
	session = NULL;
	closed = asked = 0;
	idle_ms = 60000;
	open_browser();
	return 0;
}

static int end(void **state)
{
	far_done(&browser);
	proxy_cut_all(&all);
	pool_free(pool);
	rig_turns(5);
	return rig_end(state);
}

#define PROXY_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
#define GET "GET / HTTP/1.1\r\nHost: tv.home.test\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: tv.home.test\r\n"
#define OK "HTTP/1.1 200 OK\r\n"
