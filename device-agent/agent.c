/* See agent.h. */
#include "device-agent/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "device-agent/closed.h"
#include "device-agent/dial.h"
#include "device-agent/h2.h"
#include "device-agent/link.h"
#include "device-agent/renew.h"
#include "device-agent/schedule.h"
#include "device-agent/status.h"
#include "device-agent/tls.h"

#define EXIT_LOCAL 78
#define GRACE_MS 4000 /* for busy links once a stop was asked for */
#define NOT_ENROLLED                                                                               \
	"this device is not enrolled; get a token on the gateway (lanthornctl pair NAME), then "   \
	"run: lanthorn-agent enrol"
#define UNWANTED_HINT                                                                              \
	"the gateway does not want this device; pair it again: lanthornctl pair NAME there, "      \
	"lanthorn-agent enrol --again here"

struct agent {
	struct conf *conf;
	const struct conf_source *from;
	struct loop loop;
	struct identity id;
	struct gateway gw;
	struct tls_ctx *link_tls, *short_tls;
	struct links *links;
	struct renewer *renewer;
	struct status_server *status;
	struct watch signals, grace;
	bool removed, over;
};

int conf_gather(struct conf *c, const struct conf_source *from, struct err *e)
{
	conf_defaults(c);
	int rc = conf_load(c, from->path, from->must_exist, e);
	if (rc == 0 && from->state)
		rc = conf_set(c, "state", from->state, e);
	if (rc == 0 && from->service)
		rc = conf_set(c, "service", from->service, e);
	return rc < 0 ? rc : conf_check(c, e);
}

/* What to offer for links, the best first. False: nothing that this agent can. */
static bool offer(struct tls_settings *s, enum conf_link link)
{
	unsigned n = 0;
	if (link != CONF_LINK_H1 && h2_protocol())
		s->alpn[n++] = h2_protocol();
	if (link != CONF_LINK_H2)
		s->alpn[n++] = LINK_ALPN;
	return n > 0;
}

/* Make both contexts of `id` by the settings `c`; the old ones go only when the new ones are good. */
static int use_identity(
	struct agent *a, const struct conf *c, const struct identity *id, struct err *e)
{
	struct buf pem = BUF_INIT(TLS_KEY_MAX);
	struct tls_ctx *link = NULL, *brief = NULL;
	int rc = key_load(&pem, c->state, e);
	struct tls_settings s = {
		.name = id->name,
		.ca = &id->ca,
		.cert = &id->cert,
		.key = &pem,
	};
	if (rc == 0 && !offer(&s, c->link))
		rc = err_set(e, -EINVAL, "link h2: this agent was built without HTTP/2");
	if (rc == 0)
		link = tls_ctx_new(&s, e);
	s.alpn[0] = "http/1.1";
	s.alpn[1] = NULL;
	if (link)
		brief = tls_ctx_new(&s, e);
	buf_done_secret(&pem);
	if (!brief) {
		tls_ctx_free(link);
		return rc < 0 ? rc : -EINVAL;
	}
	if (a->links) {
		links_use(a->links, link);
		renewer_use(a->renewer, brief);
	}
	tls_ctx_free(a->link_tls);
	tls_ctx_free(a->short_tls);
	a->link_tls = link;
	a->short_tls = brief;
	return 0;
}

/* Stored addresses of before stay behind the new ones: the one that works now is not forgotten. */
static void adopt(struct agent *a, struct identity *id)
{
	char last_good[46];
	memcpy(last_good, a->gw.addrs[0], sizeof(last_good));
	identity_move(&a->id, id);
	gateway_set(&a->gw, &a->id);
	if (last_good[0])
		gateway_prefer(&a->gw, last_good);
}

static int on_renewed(void *ctx, struct identity *id, struct err *e)
{
	struct agent *a = ctx;
	int rc = use_identity(a, a->conf, id, e);
	if (rc < 0)
		return rc;
	rc = identity_store(id, a->conf->state, e);
	adopt(a, id);
	return rc;
}

static void on_removed(void *ctx, bool removed)
{
	struct agent *a = ctx;
	if (removed && !a->removed)
		log_error("agent", "this device was removed at its gateway", "hint", UNWANTED_HINT);
	a->removed = removed;
	links_set_removed(a->links, removed);
}

static void on_link_event(void *ctx, enum link_event event)
{
	struct agent *a = ctx;
	struct links_status s;
	switch (event) {
	case LINK_EVENT_UP:
		if (renewer_time(a->renewer) == 0)
			renewer_poke(a->renewer);
		break;
	case LINK_EVENT_SETTLED:
		if (a->removed)
			on_removed(a, false);
		break;
	case LINK_EVENT_REFUSED:
		links_status(a->links, &s);
		if (s.refused == LINK_REFUSED_MOST)
			log_error("agent", "the gateway closes every link", "hint", UNWANTED_HINT);
		renewer_poke(a->renewer);
		break;
	case LINK_EVENT_DRAINED:
		a->over = true;
		break;
	}
}

static const char *state_word(const struct agent *a, const struct links_status *s)
{
	if (a->removed)
		return "removed";
	if (s->idle + s->busy)
		return "linked";
	return s->refused ? "refused" : "connecting";
}

static void print_status(void *ctx, struct buf *out)
{
	struct agent *a = ctx;
	struct links_status s;
	struct tls_cert c = {0};
	links_status(a->links, &s);
	tls_cert_read(&a->id.cert, &c, NULL);
	buf_printf(out, "state %s\ndevice %s\ngateway %s\nservice %s\n", state_word(a, &s),
		a->id.name, a->gw.n_addrs ? a->gw.addrs[0] : a->gw.dns_name, a->conf->service);
	if (s.idle + s.busy)
		buf_printf(out, "protocol %s\n", s.shared ? "h2" : "h1");
	buf_printf(out, "idle %u\nbusy %u\nstreams %u\nserved %llu\n", s.idle, s.busy, s.streams,
		(unsigned long long)s.served);
	buf_printf(out, "not_after %lld\nrenew_at %lld\n", (long long)c.not_after,
		(long long)renew_at(c.not_before, c.not_after));
	int64_t now = renewer_time(a->renewer);
	if (now)
		buf_printf(out, "gateway_time %lld\n", (long long)now);
	if (s.last_err.code)
		buf_printf(out, "last_error %s\n", s.last_err.text);
	if (s.retry_ms)
		buf_printf(out, "retry_ms %llu\n", (unsigned long long)s.retry_ms);
	if (a->removed || s.refused >= LINK_REFUSED_MOST)
		buf_puts(out, "hint " UNWANTED_HINT "\n");
}

static void reload(struct agent *a)
{
	struct conf fresh;
	struct identity id;
	struct err e = {0};
	identity_init(&id);
	int rc = conf_gather(&fresh, a->from, &e);
	if (rc == 0 && strcmp(fresh.state, a->conf->state) != 0)
		rc = err_set(&e, -EINVAL, "state cannot change while the agent runs");
	if (rc == 0)
		rc = identity_load(&id, fresh.state, &e);
	if (rc == 0)
		rc = use_identity(a, &fresh, &id, &e);
	if (rc < 0) {
		log_error("agent", "not reloaded, all stays as it was", "cause", e.text);
	} else {
		*a->conf = fresh;
		adopt(a, &id);
		log_setup(fresh.level, fresh.log_json);
		on_removed(a, false);
		links_wake(a->links);
		log_info("agent", "reloaded", "service", fresh.service);
	}
	identity_done(&id);
}

static void on_signal(struct watch *w, short revents)
{
	struct agent *a = container_of(w, struct agent, signals);
	struct signalfd_siginfo info;
	(void)revents;
	if (read(w->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		reload(a);
		return;
	}
	log_info("agent", "stopping");
	watch_after(&a->grace, GRACE_MS);
	links_stop(a->links);
}

static void on_grace_over(struct watch *w, short revents)
{
	(void)revents;
	container_of(w, struct agent, grace)->over = true;
}

static int watch_signals(struct agent *a, struct err *e)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, -errno, "signalfd");
	a->signals = (struct watch){.fd = fd, .events = POLLIN, .on_event = on_signal};
	a->grace = (struct watch){.fd = -1, .on_event = on_grace_over};
	loop_add(&a->loop, &a->signals);
	loop_add(&a->loop, &a->grace);
	return 0;
}

static int start(struct agent *a, struct err *e)
{
	struct identity id;
	identity_init(&id);
	int rc = identity_load(&id, a->conf->state, e);
	if (rc == -ENOENT)
		err_set(e, rc, NOT_ENROLLED);
	if (rc == 0)
		rc = use_identity(a, a->conf, &id, e);
	if (rc == 0)
		adopt(a, &id);
	if (rc == 0)
		rc = watch_signals(a, e);
	identity_done(&id);
	return rc;
}

static void open_parts(struct agent *a)
{
	struct err e = {0};
	struct renew_settings rs = {
		.loop = &a->loop,
		.gw = &a->gw,
		.id = &a->id,
		.state = a->conf->state,
		.on_renewed = on_renewed,
		.on_removed = on_removed,
		.ctx = a,
	};
	struct links_settings ls = {
		.loop = &a->loop,
		.gw = &a->gw,
		.conf = a->conf,
		.on_event = on_link_event,
		.ctx = a,
	};
	a->renewer = renewer_open(&rs, a->short_tls);
	a->links = links_open(&ls, a->link_tls);
	a->status = status_open(&a->loop, a->conf->state, print_status, a, &e);
	if (!a->status)
		log_warn("agent", "status will not be known", "cause", e.text);
	log_info("agent", "started", "device", a->id.name, "service", a->conf->service);
}

static void stop(struct agent *a)
{
	status_close(a->status);
	links_free(a->links);
	renewer_free(a->renewer);
	tls_ctx_free(a->link_tls);
	tls_ctx_free(a->short_tls);
	loop_remove(&a->signals);
	loop_remove(&a->grace);
	if (a->signals.fd > 0)
		close(a->signals.fd);
	identity_done(&a->id);
}

int agent_run(struct conf *c, const struct conf_source *from)
{
	struct agent a = {.conf = c, .from = from};
	struct err e = {0};
	identity_init(&a.id);
	loop_init(&a.loop);
	sandbox_harden(); /* the key is in memory */
	signal(SIGPIPE, SIG_IGN);
	log_setup(c->level, c->log_json);
	int lock = state_lock(c->state, &e);
	if (lock == -ENOENT) /* enrolling makes the folder */
		err_set(&e, lock, NOT_ENROLLED);
	int rc = lock < 0 ? lock : close_in(c->state, from->path, &e);
	if (rc == 0)
		rc = start(&a, &e);
	if (rc == 0) {
		open_parts(&a);
		while (!a.over && rc == 0)
			rc = loop_step(&a.loop);
		log_info("agent", "stopped");
	}
	if (rc < 0)
		log_error("agent", "cannot run", "cause", e.text);
	stop(&a);
	if (lock >= 0)
		close(lock);
	return rc < 0 ? EXIT_LOCAL : 0;
}
