/* See worker.h. What other threads say arrives as jobs and is applied in order. */
#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/events.h"
#include "gate/link.h"
#include "gate/session.h"
#include "gate/snapshot.h"
#include "gate/upstream.h"
#include "http/cross.h"
#include "net/listen.h"
#include "net/tls.h"
#include "store/conf.h"
#include "worker/choose.h"
#include "worker/worker_int.h"

#define SWEEP_MS 10000u
#define CROWD 256u

static void on_sweep(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, sweep);
	session_table_sweep(w->router.sessions, clock_unix());
	if (w->conns_peak > w->n_conns + CROWD) {
		xalloc_trim(); /* what a crowd left */
		w->conns_peak = w->n_conns;
	}
	timer_arm(&w->sweep, SWEEP_MS);
}

static struct http_limits limits_of(const struct conf *c)
{
	struct http_limits l = http_limits_default;
	l.head_max = (size_t)c->limits.request_head;
	l.url_max = (size_t)c->limits.url;
	l.fields_max = c->limits.headers;
	l.head_ms = c->limits.head_timeout_ms;
	l.idle_ms = c->limits.idle_timeout_ms;
	l.keepalive_ms = c->limits.keepalive_ms;
	return l;
}

static void on_link_count(void *ctx, const char *device, const struct link_count *now);
static void on_link_news(void *ctx, const char *device, enum link_news news, unsigned order);
static void on_link_full(void *ctx, const char *device, unsigned kinds);
static void on_upstream_news(void *ctx, const char *device);

static struct link_table *new_links(struct worker *w)
{
	return link_table_new(&(struct link_table_opts){.loop = w->o.loop,
		.quota = w->o.quota,
		.on_count = on_link_count,
		.on_news = on_link_news,
		.on_full = on_link_full,
		.ctx = w});
}

struct worker *worker_new(const struct worker_opts *o)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	w->o = *o;
	w->o.tls = tls_server_ref(o->tls);
	w->o.conf = conf_ref(o->conf);
	w->limits = limits_of(o->conf);
	w->conns_max = o->conf->limits.connections / (o->share ? o->share : 1);
	list_init(&w->conns);
	w->peers = map_new();
	struct upstream_opts u = {.loop = o->loop,
		.connect_ms = o->conf->limits.upstream_connect_ms,
		.idle_ms = o->conf->limits.upstream_idle_ms,
		.asks = o->asks,
		.on_health = o->on_health,
		.ctx = o->ctx,
		.on_news = on_upstream_news,
		.news_ctx = w};
	w->router = (struct router){.snap = snapshot_slot_get(o->slot),
		.sessions = session_table_new(),
		.events = event_table_new(o->loop),
		.links = new_links(w),
		.upstreams = upstream_table_new(&u),
		.idle_ms = o->conf->limits.idle_timeout_ms,
		.tunnel_idle_ms = o->conf->limits.websocket_idle_ms,
		.on_touched = o->on_touched,
		.ctx = o->ctx};
	w->cross = cross_new(o->loop, &(struct cross_host){.on_call = link_on_call,
					      .on_expire = link_on_expire,
					      .on_gone = link_on_gone,
					      .ctx = w->router.links});
	link_table_set_cross(w->router.links, w->cross);
	timer_init(&w->sweep, o->loop, on_sweep);
	timer_arm(&w->sweep, SWEEP_MS);
	return w;
}

struct cross *worker_cross(struct worker *w)
{
	return w->cross;
}

void worker_set_peers(struct worker *w, struct worker *const *all, unsigned n)
{
	for (unsigned i = 0; i < n && w->n_others < WORKER_PEERS_MAX; i++) {
		if (all[i] != w)
			w->others[w->n_others++] = all[i];
	}
}

void worker_set_desk(struct worker *w, const struct ask_desk *desk)
{
	w->router.desk = desk;
}

static int open_door(struct worker *w, int fd, enum door door, struct err *e)
{
	struct door_ctx *d = &w->doors[w->n_doors];
	bool lan_only = door != DOOR_API && w->o.conf->listen.from == CONF_FROM_LAN;
	*d = (struct door_ctx){.worker = w, .door = door};
	int rc = listener_open(
		&d->listener, w->o.loop, fd, lan_only ? LISTEN_LAN_ONLY : 0, conns_accept, d, e);
	if (rc == 0)
		w->n_doors++;
	return rc;
}

int worker_listen_tls(struct worker *w, int fd, struct err *e)
{
	return open_door(w, fd, DOOR_TLS, e);
}

int worker_listen_plain(struct worker *w, int fd, struct err *e)
{
	return open_door(w, fd, DOOR_PLAIN, e);
}

int worker_listen_api(struct worker *w, int fd, struct err *e)
{
	return open_door(w, fd, DOOR_API, e);
}

/* ---- the end ---- */

static void drain_is_over(struct worker *w)
{
	void (*done)(void *) = w->drained;
	w->drained = NULL;
	timer_cancel(&w->drain);
	if (done)
		done(w->drained_ctx);
}

void worker_conns_empty(struct worker *w)
{
	if (w->drained)
		timer_arm(&w->drain, 0);
}

static void on_drain_deadline(struct timer *t)
{
	drain_is_over(container_of(t, struct worker, drain));
}

static void close_doors(struct worker *w)
{
	for (unsigned i = 0; i < w->n_doors; i++)
		listener_close(w->doors[i].listener);
	w->n_doors = 0;
}

static void drain(struct worker *w, uint64_t ms)
{
	close_doors(w);
	timer_init(&w->drain, w->o.loop, on_drain_deadline);
	timer_arm(&w->drain, w->n_conns ? ms + 500 : 0);
	event_end_all(w->router.events);
	conns_drain(w, ms);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	close_doors(w);
	conns_orphan(w);
	timer_cancel(&w->sweep);
	timer_cancel(&w->drain);
	link_table_free(w->router.links);
	upstream_table_free(w->router.upstreams);
	session_table_free(w->router.sessions);
	event_table_free(w->router.events);
	map_free(w->peers, free);
	snapshot_unref(w->router.snap);
	tls_server_unref(w->o.tls);
	conf_unref(w->o.conf);
	free(w);
}

/* ---- posts ---- */

struct post {
	struct job job;
	struct worker *worker, *from;
	struct snapshot *snap;
	struct event_news *news;
	struct session_row row;
	enum link_news links;
	unsigned kinds, order;
	uint64_t ms;
	void (*done)(void *ctx);
	void *ctx;
	char device[64];
};

static struct post *post_new(
	struct worker *w, void (*run)(struct job *), void (*cancel)(struct job *))
{
	struct post *p = xcalloc(1, sizeof(*p));
	p->worker = w;
	p->job = (struct job){.run = run, .cancel = cancel};
	return p;
}

static void post_send(struct post *p)
{
	loop_post(p->worker->o.loop, &p->job);
}

static void free_post(struct job *job)
{
	struct post *p = container_of(job, struct post, job);
	snapshot_unref(p->snap);
	free(p->news);
	free_secret(p, sizeof(*p));
}

static void run_snapshot(struct job *job)
{
	struct post *p = container_of(job, struct post, job);
	struct snapshot *old = p->worker->router.snap;
	p->worker->router.snap = p->snap;
	upstream_follow(p->worker->router.upstreams, p->snap);
	p->snap = old;
	free_post(job);
}

void worker_post_snapshot(struct worker *w, struct snapshot *s)
{
	struct post *p = post_new(w, run_snapshot, free_post);
	p->snap = s;
	post_send(p);
}

static void run_session_put(struct job *job)
{
	struct post *p = container_of(job, struct post, job);
	session_table_put(p->worker->router.sessions, &p->row);
	free_post(job);
}

void worker_post_session_put(struct worker *w, const struct session_row *row)
{
	struct post *p = post_new(w, run_session_put, free_post);
	p->row = *row;
	post_send(p);
}

static void run_session_drop(struct job *job)
{
	struct post *p = container_of(job, struct post, job);
	session_table_drop(p->worker->router.sessions, p->row.hash);
	free_post(job);
}

void worker_post_session_drop(struct worker *w, const uint8_t hash[32])
{
	struct post *p = post_new(w, run_session_drop, free_post);
	memcpy(p->row.hash, hash, sizeof(p->row.hash));
	post_send(p);
}

static void run_news(struct job *job)
{
	struct post *p = container_of(job, struct post, job);
	event_tell(p->worker->router.events, p->news);
	free_post(job);
}

void worker_post_news(struct worker *w, struct event_news *news)
{
	struct post *p = post_new(w, run_news, free_post);
	p->news = news;
	post_send(p);
}

static void run_device_cut(struct job *job)
{
	struct post *p = container_of(job, struct post, job);
	tls_server_rotate_tickets(p->worker->o.tls, ROLE_LINK, true);
	tls_server_rotate_tickets(p->worker->o.tls, ROLE_AGENT, true);
	link_cut(p->worker->router.links, p->device);
	upstream_cut(p->worker->router.upstreams, p->device);
	free_post(job);
}

void worker_post_device_cut(struct worker *w, const char *device)
{
	struct post *p = post_new(w, run_device_cut, free_post);
	str_copy(p->device, sizeof(p->device), device);
	post_send(p);
}

static void run_drain(struct job *job)
{
	struct post *p = container_of(job, struct post, job);
	p->worker->drained = p->done;
	p->worker->drained_ctx = p->ctx;
	drain(p->worker, p->ms);
	free_post(job);
}

void worker_post_drain(struct worker *w, uint64_t ms, void (*done)(void *ctx), void *ctx)
{
	struct post *p = post_new(w, run_drain, free_post);
	p->ms = ms;
	p->done = done;
	p->ctx = ctx;
	post_send(p);
}

/* ---- from worker to worker ---- */

static void run_link_news(struct job *job)
{
	struct post *p = container_of(job, struct post, job);
	link_heard(p->worker->router.links, p->device, p->from->cross, p->links,
		p->order);
	free_post(job);
}

static void on_link_news(void *ctx, const char *device, enum link_news news, unsigned order)
{
	struct worker *w = ctx;
	for (unsigned i = 0; i < w->n_others; i++) {
		struct post *p = post_new(w->others[i], run_link_news, free_post);
		p->from = w;
		p->links = news;
		p->order = order;
		str_copy(p->device, sizeof(p->device), device);
		post_send(p);
	}
}

static void run_link_full(struct job *job)
{
	struct post *p = container_of(job, struct post, job);
	link_heard_full(p->worker->router.links, p->device, p->from->cross, p->kinds);
	free_post(job);
}

static void on_link_full(void *ctx, const char *device, unsigned kinds)
{
	struct worker *w = ctx;
	for (unsigned i = 0; i < w->n_others; i++) {
		struct post *p = post_new(w->others[i], run_link_full, free_post);
		p->from = w;
		p->kinds = kinds;
		str_copy(p->device, sizeof(p->device), device);
		post_send(p);
	}
}

static void run_upstream_news(struct job *job)
{
	struct post *p = container_of(job, struct post, job);
	upstream_heard(p->worker->router.upstreams, p->device);
	free_post(job);
}

static void on_upstream_news(void *ctx, const char *device)
{
	struct worker *w = ctx;
	for (unsigned i = 0; i < w->n_others; i++) {
		struct post *p = post_new(w->others[i], run_upstream_news, free_post);
		str_copy(p->device, sizeof(p->device), device);
		post_send(p);
	}
}

static void on_link_count(void *ctx, const char *device, const struct link_count *now)
{
	struct worker *w = ctx;
	w->o.on_links(w->o.links_ctx, device, now);
}
