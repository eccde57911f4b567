/* See link.h. */
#include "device-agent/link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "device-agent/dial.h"
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

enum link_state { LINK_DIALLING, LINK_IDLE, LINK_BUSY, LINK_GONE };

struct link {
	struct list node;
	struct links *pool;
	enum link_state state;
	struct watch watch; /* while idle: readable, or settled */
	struct dial *dial;
	struct tls *tls;
	struct splice *splice;
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
	bool removed, stopping;
};

static void set_state(struct link *k, enum link_state to)
{
	static const bool edge[LINK_GONE + 1][LINK_GONE + 1] = {
		[LINK_DIALLING] = {[LINK_IDLE] = true,  [LINK_GONE] = true},
		[LINK_IDLE] = {[LINK_BUSY] = true,                   [LINK_GONE] = true},
		[LINK_BUSY] = {[LINK_GONE] = true},
	};
	assert(edge[k->state][to]);
	k->pool->count[k->state]--;
	k->pool->count[to]++;
	k->state = to;
}

static unsigned total(const struct links *l)
{
	return l->count[LINK_DIALLING] + l->count[LINK_IDLE] + l->count[LINK_BUSY];
}

/* Frees the link; whatever it holds is cut. */
static void drop(struct link *k)
{
	set_state(k, LINK_GONE);
	list_remove(&k->node);
	loop_remove(&k->watch);
	dial_cancel(k->dial);
	splice_cancel(k->splice);
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

/* The gateway closed a spare. At once after the handshake that is a refusal: in TLS 1.3 a client
 * learns only so that its certificate did not please. */
static void on_spare_closed(struct link *k, const struct err *e)
{
	struct links *l = k->pool;
	bool at_once = clock_mono_ms() - k->up_ms < LINK_SETTLED_MS;
	drop(k);
	if (!at_once) {
		log_info("link", "the gateway closed a spare", "cause", e->text);
		fill_up(l);
		return;
	}
	l->refused++;
	if (!l->retry.due_ms)
		retry_later(l, e);
	tell(l, LINK_EVENT_REFUSED);
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
	bool first = l->count[LINK_IDLE] + l->count[LINK_BUSY] == 0;
	k->tls = tls;
	k->up_ms = clock_mono_ms();
	k->watch = (struct watch){.fd = fd, .events = POLLIN, .on_event = on_spare};
	watch_after(&k->watch, LINK_SETTLED_MS);
	if (!loop_add(l->s.loop, &k->watch)) {
		drop(k);
		return;
	}
	set_state(k, LINK_IDLE);
	if (first) {
		log_info("link", "linked to the gateway", "gateway", l->s.gw->addrs[0]);
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

/* Dial until there are spares enough. While it is not known whether we are wanted: one by one. */
static void fill_up(struct links *l)
{
	unsigned spares = l->s.conf->spares, at_once = l->backoff.fails ? 1 : spares;
	while (!l->stopping && !l->retry.due_ms && l->count[LINK_DIALLING] < at_once &&
		l->count[LINK_DIALLING] + l->count[LINK_IDLE] < spares &&
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

void links_wake(struct links *l)
{
	if (!l->stopping)
		watch_after(&l->retry, 0);
}

void links_stop(struct links *l)
{
	l->stopping = true;
	loop_remove(&l->retry);
	list_each_safe(pos, &l->all)
	{
		struct link *k = container_of(pos, struct link, node);
		if (k->state != LINK_BUSY)
			drop(k);
	}
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
		.refused = l->refused,
		.served = l->served,
		.retry_ms = l->retry.due_ms > now ? l->retry.due_ms - now : 0,
		.last_err = l->last_err,
	};
}

void links_free(struct links *l)
{
	if (!l)
		return;
	list_each_safe(pos, &l->all) drop(container_of(pos, struct link, node));
	loop_remove(&l->retry);
	free(l);
}
