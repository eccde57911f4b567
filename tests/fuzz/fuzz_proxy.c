/* Server, proxy, pool and client together: a browser and up to four connections to a device, all of
 * them hostile. The input is a play: text that the present speaker says, and 0xff with a stage
 * direction (see act()). Whatever is said: every exchange ends, a device gets whole requests with
 * what the gateway says of the person and nothing of its own cookies, the browser gets whole
 * answers, and raw bytes cross only after a 101 to a WebSocket. */
#include "fake_net.h"
#include "h1_seen.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gate/pool.h"
#include "gate/proxy.h"
#include "http/server.h"
#include "net/stream.h"

#define LINKS 4u
#define BROWSER LINKS
#define SPEAKERS (LINKS + 1)
#define ASKED_MAX 64u

struct end {
	struct stage *stage;
	struct stream *s; /* NULL: gone */
	struct buf got;
};

struct stage {
	struct loop *loop;
	struct pool *pool;
	struct list all;
	struct end ends[SPEAKERS];
	enum method methods[ASKED_MAX];
	unsigned n, n_links, speaker;
	size_t said; /* by the browser */
	bool tunnel; /* the browser was told 101 */
};

static void on_request(void *ctx, struct exchange *x)
{
	struct stage *g = ctx;
	assert(g->n < ASKED_MAX);
	g->methods[g->n++] = msg_method(x->req);
	if (!msg_authority(x->req)[0]) { /* as the router does */
		exchange_reply(x, 421, NULL, NULL, NULL);
		return;
	}
	proxy_exchange(x, &(struct proxy_opts){.pool = g->pool,
				  .user = "ann",
				  .host = "tv.home.test",
				  .device = "tv",
				  .idle_ms = 60000,
				  .tunnel_idle_ms = 3600000,
				  .all = &g->all});
}

static void on_gone(void *ctx)
{
	((struct end *)ctx)->s = NULL;
}

static struct stream *open_end(struct stage *g, unsigned i)
{
	struct end *e = &g->ends[i];
	e->stage = g;
	e->s = fake_stream(g->loop, on_gone, e);
	buf_init(&e->got, 64u << 20);
	return e->s;
}

static void add_link(void *ctx)
{
	struct stage *g = ctx;
	if (g->n_links < LINKS)
		pool_add(g->pool, open_end(g, g->n_links++));
}

static void read_end(struct end *e, size_t n)
{
	if (e->s)
		fake_read(e->s, n, &e->got);
}

static void settle(struct stage *g)
{
	size_t before, after = 0;
	do {
		before = after;
		after = 0;
		fake_settle(g->loop);
		for (unsigned i = 0; i < SPEAKERS; i++) {
			read_end(&g->ends[i], SIZE_MAX);
			after += g->ends[i].got.len;
		}
	} while (after != before);
	fake_settle(g->loop);
}

/* ---- the play ---- */

static void act(struct stage *g, uint8_t what)
{
	struct stream *s = g->ends[g->speaker].s;
	switch (what & 7u) {
	case 0:
		settle(g);
		break;
	case 1: /* the next words are this one's */
	case 2:
		g->speaker = what >> 3 & 3u;
		break;
	case 3:
		g->speaker = BROWSER;
		break;
	case 4:
		if (s)
			fake_fin(s);
		break;
	case 5:
		if (s)
			fake_reset(s);
		break;
	case 6:
		fake_wait(g->loop);
		break;
	case 7: /* go on while nobody reads */
		fake_settle(g->loop);
		break;
	}
}

static void say(struct stage *g, const uint8_t *p, size_t n)
{
	struct end *e = &g->ends[g->speaker];
	if (!e->s)
		return;
	if (g->speaker == BROWSER)
		g->said += n;
	fake_send(e->s, p, n);
}

static void play(struct stage *g, const uint8_t *p, size_t n)
{
	while (n) {
		const uint8_t *mark = memchr(p, 0xff, n);
		size_t k = mark ? (size_t)(mark - p) : n;
		if (k)
			say(g, p, k);
		if (mark && k + 1 < n)
			act(g, mark[1]);
		k += mark ? 2 : 0;
		if (k > n)
			k = n;
		p += k;
		n -= k;
	}
	settle(g);
}

static void curtain(struct stage *g)
{
	if (g->ends[BROWSER].s)
		fake_fin(g->ends[BROWSER].s);
	for (unsigned i = 0; g->ends[BROWSER].s; i++) {
		settle(g);
		if (g->ends[BROWSER].s)
			assert(fake_wait(g->loop) && i < 1000);
	}
	assert(list_empty(&g->all));
	assert(!pool_waiting(g->pool));
	pool_free(g->pool);
	settle(g);
	while (fake_wait(g->loop))
		settle(g);
}

/* ---- what must hold ---- */

static void check_fields_to_device(const struct msg *m)
{
	static const char *const ours[] = {"forwarded", "x-forwarded-for", "x-forwarded-host",
		"x-forwarded-proto", "lanthorn-user"};
	static const char *const say[] = {"for=192.168.1.7;host=\"tv.home.test\";proto=https",
		"192.168.1.7", "tv.home.test", "https", "ann"};
	const char *all[2];
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		assert(msg_get_all(m, ours[i], all, 2) == 1);
		assert(!strcmp(all[0], say[i]));
	}
	unsigned extra = 0;
	for (unsigned i = 0; i < msg_count(m); i++) {
		struct field f = msg_field(m, i);
		extra += !strncmp(f.name, "x-forwarded-", 12) || !strncmp(f.name, "lanthorn-", 9);
		assert(strncmp(f.name, "x_forwarded_", 12) && strncmp(f.name, "lanthorn_", 9));
		assert(strcmp(f.name, "keep-alive") && strcmp(f.name, "proxy-connection"));
		if (!strcmp(f.name, "cookie"))
			assert(!strstr(f.value, "; __Host-lanthorn=") &&
				strncmp(f.value, "__Host-lanthorn=", 16));
	}
	assert(extra == 4);
}

static void check_link(const struct stage *g, const struct end *e, unsigned *requests)
{
	const uint8_t *p = e->got.data;
	size_t n = e->got.len;
	while (n) {
		struct h1_seen m;
		size_t used = h1_see_request(&m, p, n);
		p += used;
		n -= used;
		bool upgrade = m.whole && msg_upgrade(m.head);
		if (m.head)
			check_fields_to_device(m.head);
		assert(m.whole || !n);
		*requests += m.whole;
		h1_seen_done(&m);
		if (upgrade && g->tunnel) {
			assert(n <= g->said);
			return;
		}
	}
}

static void check_fields_to_browser(const struct msg *m)
{
	const char *clear = msg_get(m, "clear-site-data");
	assert(!clear || (msg_status(m) == 431 && !strcmp(clear, "\"cookies\"")));
	assert(!msg_get(m, "alt-svc"));
	for (unsigned i = 0; i < msg_count(m); i++) {
		struct field f = msg_field(m, i);
		if (!strcmp(f.name, "set-cookie"))
			assert(strncmp(f.value, "__Host-lanthorn=", 16) &&
				!strcasestr(f.value, ";domain=") &&
				!strcasestr(f.value, "; domain="));
		if (msg_status(m) == 103)
			assert(!strcmp(f.name, "link"));
	}
}

static void check_browser(struct stage *g)
{
	const uint8_t *p = g->ends[BROWSER].got.data;
	size_t n = g->ends[BROWSER].got.len;
	for (unsigned i = 0; n;) {
		struct h1_seen m;
		size_t used = h1_see_response(&m, p, n, i < g->n ? g->methods[i] : METHOD_GET);
		int status = m.head ? msg_status(m.head) : 0;
		p += used;
		n -= used;
		if (m.head)
			check_fields_to_browser(m.head);
		assert(m.whole || !n);
		/* Behind the answers, one refusal of what is no request. */
		assert(i < g->n || (status >= 400 && !n) || !m.whole);
		h1_seen_done(&m);
		i += status >= 200;
		g->tunnel = status == 101;
		if (g->tunnel)
			return;
	}
}

static void check(struct stage *g)
{
	unsigned requests = 0;
	check_browser(g);
	for (unsigned i = 0; i < g->n_links; i++)
		check_link(g, &g->ends[i], &requests);
	assert(requests <= 2 * g->n); /* one may be tried again */
	for (unsigned i = 0; i < SPEAKERS; i++)
		buf_done(&g->ends[i].got);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n > 6000)
		return 0;
	log_setup(LOG_LEVEL_ERROR, false);
	struct stage g = {.loop = fake_loop_new(), .speaker = BROWSER};
	list_init(&g.all);
	g.pool = pool_new(&(struct pool_opts){.loop = g.loop, .on_need = add_link, .ctx = &g});
	struct http_server_opts o = {
		.limits = &http_limits_default, .on_request = on_request, .ctx = &g};
	http_serve(open_end(&g, BROWSER), &o);
	play(&g, p, n);
	curtain(&g);
	fake_loop_free(g.loop);
	check(&g);
	return 0;
}
