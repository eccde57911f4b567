/* A connection from accept to close: TLS, the checks that follow every handshake (design decision
 * 4), then HTTP served to a browser or an agent, or a link handed to its device. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/ask.h"
#include "gate/limit.h"
#include "gate/link.h"
#include "gate/link_quota.h"
#include "gate/pages.h"
#include "gate/snapshot.h"
#include "net/dial.h"
#include "net/tls.h"
#include "worker/choose.h"
#include "worker/worker_int.h"

#define PEER_CONNS_MIN 16u
#define ALERT_ACCESS_DENIED 49 /* RFC 8446 §6.2 */
#define EXPORTER_SIZE 32u
#define EXPORTER_LABEL "EXPORTER-lanthorn-enrol-1"

struct conn {
	struct worker *worker;
	struct list node;
	struct http_conn *http; /* NULL until served, and again when it ended */
	struct stream *stream;  /* NULL once somebody else owns it */
	struct peer *peer;      /* NULL for the API's door */
	enum door door;
	bool claims; /* to be a device, and has not proved it yet */
	uint8_t *exporter; /* of who wants to enrol; NULL: none */
};

static void peer_leaves(struct worker *w, struct peer *p)
{
	if (!p || --p->n)
		return;
	map_remove(w->peers, p->key);
	free(p);
}

static void conn_free(struct conn *c)
{
	struct worker *w = c->worker;
	list_remove(&c->node);
	free_secret(c->exporter, EXPORTER_SIZE);
	if (!w) {
		free(c);
		return;
	}
	peer_leaves(w, c->peer);
	w->n_conns--;
	w->full_said = w->full_said && w->n_conns + w->conns_max / 10 > w->conns_max;
	free(c);
	if (w->n_conns == 0)
		worker_conns_empty(w);
}

/* ---- HTTP ---- */

static void on_request(void *ctx, struct exchange *x)
{
	struct conn *c = ctx;
	struct router *r = &c->worker->router;
	switch (c->door) {
	case DOOR_API:
		ask_exchange(x, ASK_LOCAL, "local", r->desk, NULL);
		return;
	case DOOR_PLAIN:
		router_plain(r, x);
		return;
	case DOOR_TLS:
		break;
	}
	switch ((enum worker_role)x->conn->tls->role) {
	case ROLE_BROWSER:
		router_browser(r, x);
		return;
	case ROLE_ENROL:
		ask_exchange(x, ASK_ENROL, x->conn->tls->sni, r->desk, c->exporter);
		return;
	case ROLE_AGENT:
		ask_exchange(x, ASK_AGENT, x->conn->tls->sni, r->desk, NULL);
		return;
	case ROLE_LINK:
		break; /* never served: handed over in on_open */
	}
	exchange_abort(x);
}

static void on_http_closed(void *ctx, struct http_conn *h)
{
	(void)h;
	conn_free(ctx);
}

static void serve(struct conn *c)
{
	struct stream *s = c->stream;
	c->stream = NULL;
	c->http = http_serve(s, &(struct http_server_opts){.limits = &c->worker->limits,
						.on_request = on_request,
						.on_closed = on_http_closed,
						.ctx = c});
}

/* ---- links ---- */

static struct link_quota *quota_of(const struct conn *c)
{
	return link_table_quota(c->worker->router.links);
}

static uint64_t now_ms(const struct conn *c)
{
	return loop_now_ms(c->worker->o.loop);
}

int conns_choose(void *ctx, const struct tls_hello *hello, struct tls_choice *out)
{
	struct conn *c = hello->conn;
	char device[64];
	int alert = choose(ctx, hello, out);
	if (alert || (out->role != ROLE_LINK && out->role != ROLE_AGENT))
		return alert;
	if (!c->worker || choose_device_of(device, hello->sni) < 0)
		return ALERT_ACCESS_DENIED;
	const char *addr = stream_peer_addr(c->stream);
	if (!link_quota_admits(quota_of(c), device, addr, now_ms(c)))
		return ALERT_ACCESS_DENIED;
	c->claims = true;
	return 0;
}

static void claim_failed(struct conn *c, const char *addr)
{
	if (!c->claims || !c->worker)
		return;
	c->claims = false;
	if (link_quota_failed(quota_of(c), addr, now_ms(c)))
		log_warn_limited("worker/conns", "an address claims to be devices again and again,"
			" refused for a while", "peer", addr, "remedy",
			"see which machine has this address; if it is an agent's, look in its log");
}

/* It is the device that it says it is; but may it be here so often? */
static bool claim_admitted(struct conn *c, const char *device)
{
	const char *addr = stream_peer_addr(c->stream);
	c->claims = false;
	switch (link_quota_opened(quota_of(c), device, addr, now_ms(c))) {
	case LINK_QUOTA_FINE:
		return true;
	case LINK_QUOTA_SPENT:
		log_warn_limited("worker/conns", "a device opens link upon link, refused for a while",
			"device", device, "peer", addr, "remedy", LINK_FLOOD_REMEDY);
		return true;
	case LINK_QUOTA_OVER:
		break;
	}
	return false;
}

static void open_link(struct conn *c, const struct tls_info *t)
{
	char device[64] = "";
	const char *fault = choose_link_fault(c->worker->router.snap, t, clock_unix(), device);
	struct stream *s = c->stream;
	if (fault) {
		log_warn_limited("worker/conns", "link refused", "why", fault, "name", t->sni, "serial",
			t->peer ? t->peer->serial : "", "peer", stream_peer_addr(s));
		claim_failed(c, stream_peer_addr(s));
		stream_close(s);
		return;
	}
	if (!claim_admitted(c, device)) {
		stream_close(s);
		return;
	}
	struct link_table *links = c->worker->router.links;
	conn_free(c);
	link_add(links, device, s);
}

/* Whether the certificate has expired is for the desk, which renews it. */
static bool agent_admitted(struct conn *c, const struct tls_info *t)
{
	const struct snapshot *snap = c->worker->router.snap;
	const char *owner = snap && t->peer ? snapshot_device_of_serial(snap, t->peer->serial) : NULL;
	char device[64];
	if (owner && choose_device_of(device, t->sni) == 0 && strcmp(owner, device) == 0)
		return claim_admitted(c, device);
	claim_failed(c, stream_peer_addr(c->stream));
	return true;
}

static void keep_exporter(struct conn *c, const struct stream *s)
{
	c->exporter = xcalloc(1, EXPORTER_SIZE);
	if (tls_exporter(s, EXPORTER_LABEL, c->exporter, EXPORTER_SIZE, NULL) == 0)
		return;
	free_secret(c->exporter, EXPORTER_SIZE);
	c->exporter = NULL;
}

static void on_open(struct stream *s, void *ctx)
{
	struct conn *c = ctx;
	const struct tls_info *t = stream_tls(s);
	if (c->door != DOOR_TLS) {
		serve(c);
		return;
	}
	if (t->role == ROLE_LINK) {
		open_link(c, t);
		return;
	}
	if (t->role == ROLE_ENROL)
		keep_exporter(c, s);
	if (t->role == ROLE_AGENT && !agent_admitted(c, t))
		stream_close(s);
	else
		serve(c);
}

static size_t on_data(struct stream *s, const uint8_t *p, size_t n, void *ctx)
{
	(void)s;
	(void)p;
	(void)n;
	(void)ctx;
	return 0; /* nothing is read before somebody else took over in on_open */
}

static void on_nothing(struct stream *s, void *ctx)
{
	(void)s;
	(void)ctx;
}

static void on_close(struct stream *s, const struct err *why, void *ctx)
{
	struct conn *c = ctx;
	log_debug("worker/conns", "closed before it was served", "peer", stream_peer_addr(s), "why",
		why->text);
	claim_failed(c, stream_peer_addr(s));
	conn_free(c);
}

static const struct stream_cb conn_cb = {.on_open = on_open,
	.on_data = on_data,
	.on_eof = on_nothing,
	.on_writable = on_nothing,
	.on_close = on_close};

/* ---- accept and drain ---- */

static bool has_room(struct worker *w)
{
	if (w->n_conns < w->conns_max)
		return true;
	if (!w->full_said)
		log_warn("worker/conns", "no room for more connections", "limit",
			LOG_NUM(w->conns_max));
	w->full_said = true;
	return false;
}

/* One host must not take all the room: it gets an eighth. NULL when it has that already. */
static struct peer *peer_enters(struct worker *w, int fd)
{
	char addr[46], key[46];
	unsigned most = w->conns_max / 8 > PEER_CONNS_MIN ? w->conns_max / 8 : PEER_CONNS_MIN;
	stream_peer_of(fd, addr);
	limit_key_of_addr(key, addr);
	struct peer *p = map_get(w->peers, key);
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		str_copy(p->key, sizeof(p->key), key);
		map_put(w->peers, key, p);
	}
	if (p->n < most) {
		p->n++;
		return p;
	}
	if (!p->full_said)
		log_warn_limited("worker/conns", "one address has all the connections it may have", "peer",
			addr, "limit", LOG_NUM(most));
	p->full_said = true;
	return NULL;
}

void conns_accept(void *ctx, int fd)
{
	struct door_ctx *d = ctx;
	struct worker *w = d->worker;
	struct peer *peer = NULL;
	/* The API's door stays open when the house is full: it is how people look what is wrong. */
	if (d->door != DOOR_API && (!has_room(w) || !(peer = peer_enters(w, fd)))) {
		close(fd);
		return;
	}
	struct conn *c = xcalloc(1, sizeof(*c));
	c->peer = peer;
	c->worker = w;
	c->door = d->door;
	list_push_back(&w->conns, &c->node);
	if (++w->n_conns > w->conns_peak)
		w->conns_peak = w->n_conns;
	if (d->door == DOOR_TLS)
		c->stream = tls_accept(w->o.loop, fd, w->o.tls, w->limits.head_ms, &conn_cb, c);
	else
		c->stream = stream_from_fd(w->o.loop, fd, &conn_cb, c);
}

void conns_orphan(struct worker *w)
{
	while (!list_empty(&w->conns)) {
		struct conn *c = container_of(w->conns.next, struct conn, node);
		list_remove(&c->node);
		c->worker = NULL;
	}
}

void conns_drain(struct worker *w, uint64_t ms)
{
	list_each_safe(at, &w->conns)
	{
		struct conn *c = container_of(at, struct conn, node);
		if (c->http)
			http_conn_drain(c->http, ms);
		else if (c->stream)
			stream_close(c->stream);
	}
}
