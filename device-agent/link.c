/* See link.h. */
#include "device-agent/link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "device-agent/dial.h"
#include "device-agent/h2.h"
#include "device-agent/schedule.h"
#include "device-agent/splice.h"
#include "device-agent/tls.h"

#define RETRY_BASE_MS 1000
#define RETRY_CAP_MS 60000
#define REMOVED_CAP_MS 300000
/* A spare must show within this that its peer is gone. A busy link may wait much longer for a
 * person who has paused a film: zero-window probes count as unacknowledged, too. */
#define SPARE_PATIENCE_MS 25000
#define BUSY_PATIENCE_MS 600000

/* IDLE, BUSY: of HTTP/1.1. SHARED, LEAVING: of HTTP/2; one that leaves gets no more streams. */
enum link_state {
	LINK_DIALLING,
	LINK_IDLE,
	LINK_BUSY,
	LINK_SHARED,
	LINK_LEAVING,
	LINK_GONE,
};

struct link {
	struct list node;
	struct links *pool;
	enum link_state state;
	struct watch watch; /* while idle: readable; due: settled */
	struct dial *dial;
	struct tls *tls;
	struct splice *splice;
	struct h2 *h2;
	bool used; /* a stream came */
	uint64_t up_ms;
};

struct links {
	struct links_settings s;
	struct tls_ctx *tls;
	struct list all;
	unsigned count[LINK_GONE + 1];
	unsigned refused;
	uint64_t served;
	struct backoff backoff;
	struct watch retry;
	struct err last_err;
	enum conf_link asked; /* the setting that the links follow */
	bool removed, stopping;
	bool spares; /* the gateway chose HTTP/1.1 last */
};

static void set_state(struct link *k, enum link_state to)
{
	static const bool edge[LINK_GONE + 1][LINK_GONE + 1] = {
		[LINK_DIALLING] = {[LINK_IDLE] = true,  [LINK_SHARED] = true, [LINK_GONE] = true},
		[LINK_IDLE] = {[LINK_BUSY] = true, [LINK_GONE] = true},
		[LINK_BUSY] = {[LINK_GONE] = true },
		[LINK_SHARED] = {[LINK_LEAVING] = true,                   [LINK_GONE] = true},
		[LINK_LEAVING] = {[LINK_GONE] = true                 },
	};
	assert(edge[k->state][to]);
	k->pool->count[k->state]--;
	k->pool->count[to]++;
	k->state = to;
}

static unsigned total(const struct links *l)
{
	return l->count[LINK_DIALLING] + l->count[LINK_IDLE] + l->count[LINK_BUSY] +
	       l->count[LINK_SHARED] + l->count[LINK_LEAVING];
}

/* Frees the link; whatever it holds is cut. */
static void drop(struct link *k)
{
	set_state(k, LINK_GONE);
	list_remove(&k->node);
	loop_remove(&k->watch);
	dial_cancel(k->dial);
	splice_cancel(k->splice);
	h2_close(k->h2);
	if (k->tls) {
		tls_close(k->tls);
		tls_free(k->tls);
		close(k->watch.fd);
	}
	free(k);
}

static void tell(struct links *l, enum link_event event)
{
	l->s.on_event(l->s.ctx, event);
}

static void settled(struct links *l)
{
	bool was = l->backoff.fails || l->refused;
	backoff_reset(&l->backoff);
	l->refused = 0;
	l->last_err.code = 0;
	if (was)
		tell(l, LINK_EVENT_SETTLED);
}

static void retry_later(struct links *l, const struct err *e)
{
	bool unwanted = l->removed || l->refused >= LINK_REFUSED_MOST;
	l->backoff.cap_ms = unwanted ? REMOVED_CAP_MS : RETRY_CAP_MS;
	uint32_t wait = backoff_next(&l->backoff, jitter_random());
	l->last_err = *e;
	watch_after(&l->retry, wait);
	log_warn("link", "no link to the gateway", "cause", e->text, "retry_ms", LOG_NUM(wait));
}

static void fill_up(struct links *l);

static bool is_young(const struct link *k)
{
	return clock_mono_ms() - k->up_ms < LINK_SETTLED_MS;
}

static void refused(struct links *l, const struct err *e)
{
	l->refused++;
	if (!l->retry.due_ms)
		retry_later(l, e);
	tell(l, LINK_EVENT_REFUSED);
}

/* The gateway closed a spare. At once after the handshake that is a refusal: in TLS 1.3 a client
 * learns only so that its certificate did not please. */
static void on_spare_closed(struct link *k, const struct err *e)
{
	struct links *l = k->pool;
	bool at_once = is_young(k);
	drop(k);
	if (at_once) {
		refused(l, e);
		return;
	}
	log_info("link", "the gateway closed a spare", "cause", e->text);
	fill_up(l);
}

static void on_splice_done(void *ctx, uint64_t moved, const char *why)
{
	struct link *k = ctx;
	struct links *l = k->pool;
	k->splice = NULL;
	if (why)
		log_warn("link", "the local service cannot be reached", "service",
			l->s.conf->service, "cause", why);
	log_debug("link", "closed", "bytes", LOG_NUM(moved));
	drop(k);
	fill_up(l);
	if (l->stopping && total(l) == 0)
		tell(l, LINK_EVENT_DRAINED);
}

static void turn_busy(struct link *k, uint8_t first)
{
	struct links *l = k->pool;
	loop_remove(&k->watch);
	socket_set_patience(k->watch.fd, BUSY_PATIENCE_MS);
	struct splice_settings s = {
		.loop = l->s.loop,
		.tls = k->tls,
		.fd = k->watch.fd,
		.service = &l->s.conf->service_addr,
		.first = first,
		.done = on_splice_done,
		.ctx = k,
	};
	k->tls = NULL;
	k->splice = splice_open(&s);
	if (!k->splice) {
		drop(k);
		return;
	}
	set_state(k, LINK_BUSY);
	l->served++;
	settled(l);
	fill_up(l);
}

static void on_spare(struct watch *w, short revents)
{
	struct link *k = container_of(w, struct link, watch);
	struct err e = {0};
	uint8_t first;
	if (!revents) {
		settled(k->pool);
		fill_up(k->pool);
		return;
	}
	long n = tls_read(k->tls, &first, 1, &e);
	if (n == TLS_WANT_READ || n == TLS_WANT_WRITE)
		return; /* a session ticket */
	if (n > 0) {
		turn_busy(k, first);
		return;
	}
	if (n == 0)
		err_set(&e, -ECONNRESET, "the gateway closed the link");
	on_spare_closed(k, &e);
}

/* ---- one link for all, over HTTP/2 ---- */

static void on_shared_closed(struct link *k, const struct err *why)
{
	struct links *l = k->pool;
	struct err e = *why;
	bool unwanted = k->state == LINK_SHARED && is_young(k) && !k->used;
	l->served += h2_served(k->h2);
	drop(k);
	if (l->stopping) {
		if (total(l) == 0)
			tell(l, LINK_EVENT_DRAINED);
		return;
	}
	log_info("link", "a link over HTTP/2 is closed", "cause", e.code ? e.text : "in order");
	if (unwanted)
		refused(l, &e);
	else
		fill_up(l);
}

/* The gateway will use it no more; a new one takes its place. Not at once where this one was new
 * itself: two devices with one identity would send each other away without end. */
static void on_leaving(struct link *k)
{
	struct links *l = k->pool;
	struct err e;
	if (k->state == LINK_LEAVING)
		return;
	set_state(k, LINK_LEAVING);
	if (!is_young(k)) {
		fill_up(l);
		return;
	}
	err_set(&e, -ECONNRESET, "the gateway sent the link away");
	if (!k->used)
		refused(l, &e);
	else if (!l->retry.due_ms)
		retry_later(l, &e);
}

static void on_h2_event(void *ctx, enum h2_event event, const struct err *why)
{
	struct link *k = ctx;
	switch (event) {
	case H2_EVENT_USED:
		k->used = true;
		settled(k->pool);
		break;
	case H2_EVENT_LEAVING:
		on_leaving(k);
		break;
	case H2_EVENT_CLOSED:
		on_shared_closed(k, why);
		break;
	}
}

/* Spares, and those that would become some, are of no use beside it. */
static void drop_spares(struct links *l)
{
	list_each_safe(pos, &l->all)
	{
		struct link *k = container_of(pos, struct link, node);
		if (k->state == LINK_DIALLING || k->state == LINK_IDLE)
			drop(k);
	}
}

static void share(struct link *k, struct tls *tls, int fd)
{
	struct links *l = k->pool;
	struct h2_settings s = {
		.loop = l->s.loop,
		.tls = tls,
		.fd = fd,
		.conf = l->s.conf,
		.on_event = on_h2_event,
		.ctx = k,
	};
	k->h2 = h2_open(&s);
	k->watch = (struct watch){.fd = -1, .on_event = on_spare};
	watch_after(&k->watch, LINK_SETTLED_MS);
	if (!k->h2 || !loop_add(l->s.loop, &k->watch)) {
		drop(k);
		return;
	}
	set_state(k, LINK_SHARED);
	l->spares = false;
	drop_spares(l);
}

/* ---- dialling ---- */

static void keep_spare(struct link *k, struct tls *tls, int fd)
{
	k->tls = tls;
	k->watch = (struct watch){.fd = fd, .events = POLLIN, .on_event = on_spare};
	watch_after(&k->watch, LINK_SETTLED_MS);
	if (!loop_add(k->pool->s.loop, &k->watch)) {
		drop(k);
		return;
	}
	set_state(k, LINK_IDLE);
	k->pool->spares = true;
}

static bool is_h2(const struct tls *tls)
{
	const char *p = tls_protocol(tls);
	return p && h2_protocol() && strcmp(p, h2_protocol()) == 0;
}

static void on_dialled(void *ctx, struct tls *tls, int fd, const struct err *e)
{
	struct link *k = ctx;
	struct links *l = k->pool;
	k->dial = NULL;
	if (!tls) {
		struct err why = *e;
		drop(k);
		if (!l->retry.due_ms)
			retry_later(l, &why);
		if (why.code == -EPROTO)
			tell(l, LINK_EVENT_REFUSED);
		return;
	}
	unsigned linked = total(l) - l->count[LINK_DIALLING];
	k->up_ms = clock_mono_ms();
	if (is_h2(tls))
		share(k, tls, fd);
	else
		keep_spare(k, tls, fd);
	if (linked == 0 && total(l) > l->count[LINK_DIALLING]) {
		log_info("link", "linked to the gateway", "gateway", l->s.gw->addrs[0], "protocol",
			l->spares ? "h1" : "h2");
		tell(l, LINK_EVENT_UP);
	}
	fill_up(l);
}

static bool dial_one(struct links *l)
{
	struct link *k = xcalloc(1, sizeof(*k));
	k->pool = l;
	k->dial = dial_open(l->s.loop, l->s.gw, l->tls, on_dialled, k);
	if (!k->dial) {
		free(k);
		return false;
	}
	l->count[LINK_DIALLING]++;
	list_push_back(&l->all, &k->node);
	return true;
}

/* Dial until there are spares enough, or the one that all share. While it is not known whether we
 * are wanted: one by one. */
static void fill_up(struct links *l)
{
	unsigned want = l->spares ? l->s.conf->spares : 1, at_once = l->backoff.fails ? 1 : want;
	while (!l->stopping && !l->retry.due_ms && l->count[LINK_DIALLING] < at_once &&
		l->count[LINK_DIALLING] + l->count[LINK_IDLE] + l->count[LINK_SHARED] < want &&
		total(l) < l->s.conf->connections) {
		if (!dial_one(l))
			return;
	}
}

static void on_retry(struct watch *w, short revents)
{
	(void)revents;
	fill_up(container_of(w, struct links, retry));
}

struct links *links_open(const struct links_settings *s, struct tls_ctx *tls)
{
	struct links *l = xcalloc(1, sizeof(*l));
	l->s = *s;
	l->tls = tls;
	l->asked = s->conf->link;
	l->spares = l->asked == CONF_LINK_H1 || !h2_protocol();
	l->backoff = (struct backoff){.base_ms = RETRY_BASE_MS, .cap_ms = RETRY_CAP_MS};
	list_init(&l->all);
	l->retry = (struct watch){.fd = -1, .on_event = on_retry};
	loop_add(s->loop, &l->retry);
	fill_up(l);
	return l;
}

void links_use(struct links *l, struct tls_ctx *tls)
{
	l->tls = tls;
	list_each_safe(pos, &l->all)
	{
		struct link *k = container_of(pos, struct link, node);
		if (k->state == LINK_DIALLING)
			drop(k); /* it holds the old context */
	}
	links_wake(l);
}

void links_set_removed(struct links *l, bool removed)
{
	l->removed = removed;
}

static void leave_shared(struct links *l)
{
	list_each(pos, &l->all)
	{
		struct link *k = container_of(pos, struct link, node);
		if (k->state != LINK_SHARED)
			continue;
		set_state(k, LINK_LEAVING);
		h2_leave(k->h2);
	}
}

void links_wake(struct links *l)
{
	if (l->stopping)
		return;
	if (l->asked != l->s.conf->link) {
		l->asked = l->s.conf->link;
		l->spares = l->asked == CONF_LINK_H1 || !h2_protocol();
		drop_spares(l);
		leave_shared(l);
	}
	watch_after(&l->retry, 0);
}

void links_stop(struct links *l)
{
	l->stopping = true;
	loop_remove(&l->retry);
	drop_spares(l);
	leave_shared(l);
	if (total(l) == 0)
		tell(l, LINK_EVENT_DRAINED);
}

void links_status(const struct links *l, struct links_status *out)
{
	uint64_t now = clock_mono_ms();
	*out = (struct links_status){
		.dialling = l->count[LINK_DIALLING],
		.idle = l->count[LINK_IDLE],
		.busy = l->count[LINK_BUSY],
		.shared = l->count[LINK_SHARED] > 0,
		.refused = l->refused,
		.served = l->served,
		.retry_ms = l->retry.due_ms > now ? l->retry.due_ms - now : 0,
		.last_err = l->last_err,
	};
	list_each(pos, &l->all)
	{
		const struct link *k = container_of(pos, struct link, node);
		if (!k->h2)
			continue;
		out->streams += h2_streams(k->h2);
		out->served += h2_served(k->h2);
		out->idle += h2_streams(k->h2) == 0;
		out->busy += h2_streams(k->h2) > 0;
	}
}

void links_free(struct links *l)
{
	if (!l)
		return;
	list_each_safe(pos, &l->all) drop(container_of(pos, struct link, node));
	loop_remove(&l->retry);
	free(l);
}
