/* Requests that two readers may take for different ones, through server, proxy and client to a
 * device that answers whatever is a request: each must be refused or mean the same on both sides,
 * sent whole or byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/log.h"
#include "gate/pool.h"
#include "gate/proxy.h"
#include "http/server.h"
#include "smuggle_rows.h"
#include "tests/fuzz/fake_net.h"
#include "tests/fuzz/h1_seen.h"

#define LINKS 8u

struct link {
	struct stream *s; /* NULL: gone */
	struct buf got;
	size_t answered; /* bytes of `got` that were requests */
};

struct house {
	struct loop *loop;
	struct pool *pool;
	struct list all;
	struct stream *browser;
	struct buf got; /* by the browser */
	struct link links[LINKS];
	enum method methods[16];
	unsigned asked, n_links, seen;
};

static void on_request(void *ctx, struct exchange *x)
{
	struct house *h = ctx;
	assert_true(h->asked < 16);
	h->methods[h->asked++] = msg_method(x->req);
	proxy_exchange(x, &(struct proxy_opts){.pool = h->pool,
				  .user = "ann",
				  .host = "tv.home.test",
				  .device = "tv",
				  .idle_ms = 60000,
				  .tunnel_idle_ms = 60000,
				  .all = &h->all});
}

static void on_gone(void *ctx)
{
	*(struct stream **)ctx = NULL;
}

static void add_link(void *ctx)
{
	struct house *h = ctx;
	if (h->n_links == LINKS)
		return;
	struct link *l = &h->links[h->n_links++];
	buf_init(&l->got, 1u << 20);
	l->s = fake_stream(h->loop, on_gone, &l->s);
	pool_add(h->pool, l->s);
}

/* ---- the device ---- */

static void check_request(const struct msg *m)
{
	const char *all[2], *cookie = msg_get(m, "cookie");
	assert_int_equal(msg_get_all(m, "lanthorn-user", all, 2), 1);
	assert_string_equal(all[0], "ann");
	assert_int_equal(msg_get_all(m, "x-forwarded-for", all, 2), 1);
	assert_null(msg_get(m, "lanthorn_user"));
	assert_true(!cookie || !strstr(cookie, "secret"));
}

static void serve(struct house *h, struct link *l)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	struct h1_seen m;
	if (!l->s)
		return;
	fake_read(l->s, SIZE_MAX, &l->got);
	while (l->answered < l->got.len) {
		size_t used =
			h1_see_request(&m, l->got.data + l->answered, l->got.len - l->answered);
		bool head = m.whole && msg_method(m.head) == METHOD_HEAD;
		if (m.whole)
			check_request(m.head);
		h1_seen_done(&m);
		if (!m.whole)
			return;
		l->answered += used;
		h->seen++;
		fake_send(l->s, (const uint8_t *)ok, sizeof(ok) - 1 - (head ? 2 : 0));
	}
}

static void settle(struct house *h)
{
	for (size_t before = SIZE_MAX; before != h->got.len + h->seen;) {
		before = h->got.len + h->seen;
		fake_settle(h->loop);
		for (unsigned i = 0; i < h->n_links; i++)
			serve(h, &h->links[i]);
		fake_settle(h->loop);
		if (h->browser)
			fake_read(h->browser, SIZE_MAX, &h->got);
	}
}

/* ---- the browser ---- */

static void read_statuses(const struct house *h, char *out, size_t size)
{
	size_t at = 0, len = 0;
	struct h1_seen m;
	for (unsigned i = 0; at < h->got.len; i++) {
		at += h1_see_response(&m, h->got.data + at, h->got.len - at,
			i < h->asked ? h->methods[i] : METHOD_GET);
		assert_true(m.whole);
		len += (size_t)snprintf(
			out + len, size - len, "%s%d", len ? " " : "", msg_status(m.head));
		h1_seen_done(&m);
	}
	if (!len)
		snprintf(out, size, "cut");
}

static void talk(const struct smuggle_row *row, size_t piece, struct house *h)
{
	for (size_t at = 0; at < row->n && h->browser; at += piece) {
		size_t k = row->n - at < piece ? row->n - at : piece;
		fake_send(h->browser, (const uint8_t *)row->in + at, k);
		settle(h);
	}
	if (h->browser)
		fake_fin(h->browser);
	settle(h);
	while (h->browser && fake_wait(h->loop))
		settle(h);
}

static bool holds(const struct smuggle_row *row, size_t piece)
{
	struct house h = {.loop = fake_loop_new()};
	char statuses[64];
	list_init(&h.all);
	buf_init(&h.got, 1u << 20);
	h.pool = pool_new(&(struct pool_opts){.loop = h.loop, .on_need = add_link, .ctx = &h});
	h.browser = fake_stream(h.loop, on_gone, &h.browser);
	http_serve(h.browser,
		&(struct http_server_opts){
			.limits = &http_limits_default, .on_request = on_request, .ctx = &h});
	talk(row, piece, &h);
	read_statuses(&h, statuses, sizeof(statuses));
	pool_free(h.pool);
	while (fake_wait(h.loop))
		settle(&h);
	fake_loop_free(h.loop);
	for (unsigned i = 0; i < h.n_links; i++)
		buf_done(&h.links[i].got);
	buf_done(&h.got);
	bool ok = !strcmp(statuses, row->statuses) && h.seen == row->seen;
	if (!ok)
		fprintf(stderr, "%.*s\n... in pieces of %zu: %s and %u, not %s and %u\n",
			(int)row->n, row->in, piece, statuses, h.seen, row->statuses, row->seen);
	return ok;
}

static void doubtful_requests_mean_the_same_to_everybody(void **state)
{
	unsigned wrong = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(smuggle_rows) / sizeof(*smuggle_rows); i++)
		wrong += !holds(&smuggle_rows[i], SIZE_MAX) || !holds(&smuggle_rows[i], 1);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubtful_requests_mean_the_same_to_everybody),
	};
	log_setup(LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
