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

#include "answer_rows.h"
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
	const struct answer_row *hostile; /* what the first request is answered; NULL: well */
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

static void answer(struct house *h, struct link *l, bool to_head)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	if (h->hostile && h->seen == 1) {
		fake_send(l->s, (const uint8_t *)h->hostile->in, h->hostile->n);
		fake_fin(l->s);
	} else {
		fake_send(l->s, (const uint8_t *)ok, sizeof(ok) - 1 - (to_head ? 2 : 0));
	}
}

static void serve(struct house *h, struct link *l)
{
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
		answer(h, l, head);
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
		int status = m.whole ? msg_status(m.head) : 0;
		h1_seen_done(&m);
		i -= status >= 100 && status < 200;
		if (status >= 200)
			len += (size_t)snprintf(
				out + len, size - len, "%s%d", len ? " " : "", status);
		if (!status)
			len = 0;
	}
	if (!len)
		snprintf(out, size, "cut");
}

static void talk(struct house *h, const char *p, size_t n, size_t piece)
{
	for (size_t at = 0; at < n && h->browser; at += piece) {
		size_t k = n - at < piece ? n - at : piece;
		fake_send(h->browser, (const uint8_t *)p + at, k);
		settle(h);
	}
	if (h->browser)
		fake_fin(h->browser);
	settle(h);
	while (h->browser && fake_wait(h->loop))
		settle(h);
}

static void begin(struct house *h)
{
	h->loop = fake_loop_new();
	list_init(&h->all);
	buf_init(&h->got, 1u << 20);
	h->pool = pool_new(&(struct pool_opts){.loop = h->loop, .on_need = add_link, .ctx = h});
	h->browser = fake_stream(h->loop, on_gone, &h->browser);
	http_serve(h->browser,
		&(struct http_server_opts){
			.limits = &http_limits_default, .on_request = on_request, .ctx = h});
}

static void end(struct house *h)
{
	pool_free(h->pool);
	while (fake_wait(h->loop))
		settle(h);
	fake_loop_free(h->loop);
	for (unsigned i = 0; i < h->n_links; i++)
		buf_done(&h->links[i].got);
	buf_done(&h->got);
}

static bool request_holds(const struct smuggle_row *row, size_t piece)
{
	struct house h = {.asked = 0};
	char statuses[64];
	begin(&h);
	talk(&h, row->in, row->n, piece);
	read_statuses(&h, statuses, sizeof(statuses));
	end(&h);
	bool ok = !strcmp(statuses, row->statuses) && h.seen == row->seen;
	if (!ok)
		fprintf(stderr, "%.*s\n... in pieces of %zu: %s and %u, not %s and %u\n",
			(int)row->n, row->in, piece, statuses, h.seen, row->statuses, row->seen);
	return ok;
}

static bool answer_holds(const struct answer_row *row)
{
	struct house h = {.hostile = row};
	char statuses[64], in[128];
	int n = snprintf(in, sizeof(in), "%s /1 HTTP/1.1\r\nHost: a\r\n\r\n" NEXT, row->method);
	begin(&h);
	talk(&h, in, (size_t)n, SIZE_MAX);
	read_statuses(&h, statuses, sizeof(statuses));
	bool evil = h.got.len && strstr(buf_str(&h.got), "EVIL");
	end(&h);
	bool ok = !strcmp(statuses, row->statuses) && !evil;
	if (!ok)
		fprintf(stderr, "%s: %.*s\n... %s%s, not %s\n", row->method, (int)row->n, row->in,
			statuses, evil ? " and evil" : "", row->statuses);
	return ok;
}

static void doubtful_requests_mean_the_same_to_everybody(void **state)
{
	unsigned wrong = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(smuggle_rows) / sizeof(*smuggle_rows); i++)
		wrong += !request_holds(&smuggle_rows[i], SIZE_MAX) ||
			 !request_holds(&smuggle_rows[i], 1);
	assert_int_equal(wrong, 0);
}

static void hostile_answers_stay_with_their_request(void **state)
{
	unsigned wrong = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(answer_rows) / sizeof(*answer_rows); i++)
		wrong += !answer_holds(&answer_rows[i]);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubtful_requests_mean_the_same_to_everybody),
		cmocka_unit_test(hostile_answers_stay_with_their_request),
	};
	log_setup(LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
