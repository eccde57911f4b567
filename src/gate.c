/* See gate.h. Puts the loop, the control thread and the worker together and takes them apart again.
 */
#include "gate.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "admin/control.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/seccomp.h"
#include "base/xalloc.h"
#include "gate/events.h"
#include "gate/link_quota.h"
#include "gate/snapshot.h"
#include "gate_loops.h"
#include "net/crypto.h"
#include "net/loop.h"
#include "net/tls.h"
#include "store/conf.h"
#include "worker/choose.h"
#include "worker/worker.h"

#define DRAIN_MS 5000u
#define EXIT_CONFIG 78

struct gate {
	struct gate_loops loops;
	struct snapshot_slot *slot;
	struct tls_server *tls;
	struct link_quota *quota;
	struct control *control;
	const struct conf *conf;
	struct sandbox sandbox;
	bool stopping;
};

/* ---- control → loops ---- */

static void notify_snapshot(void *ctx, struct snapshot *s)
{
	struct gate_loops *l = &((struct gate *)ctx)->loops;
	for (unsigned i = 0; i < l->n; i++)
		worker_post_snapshot(l->at[i].worker, snapshot_ref(s));
	snapshot_unref(s);
}

static void notify_session_put(void *ctx, const struct session_row *row)
{
	struct gate_loops *l = &((struct gate *)ctx)->loops;
	for (unsigned i = 0; i < l->n; i++)
		worker_post_session_put(l->at[i].worker, row);
}

static void notify_session_drop(void *ctx, const uint8_t hash[32])
{
	struct gate_loops *l = &((struct gate *)ctx)->loops;
	for (unsigned i = 0; i < l->n; i++)
		worker_post_session_drop(l->at[i].worker, hash);
}

static void notify_news(void *ctx, struct event_news *news)
{
	struct gate_loops *l = &((struct gate *)ctx)->loops;
	for (unsigned i = 1; i < l->n; i++)
		worker_post_news(l->at[i].worker, event_news_copy(news));
	worker_post_news(l->at[0].worker, news);
}

static void notify_device_cut(void *ctx, const char *device)
{
	struct gate_loops *l = &((struct gate *)ctx)->loops;
	for (unsigned i = 0; i < l->n; i++)
		worker_post_device_cut(l->at[i].worker, device);
}

/* ---- loops → control ---- */

static void on_links(
	void *ctx, unsigned loop, const char *device, const struct link_count *now)
{
	struct gate *g = ctx;
	if (g->control)
		control_links_changed(g->control, loop, device, now);
}

static void on_health(void *ctx, const char *device, const char *why)
{
	struct gate *g = ctx;
	if (g->control)
		control_device_reach(g->control, device, why);
}

static void on_touched(void *ctx, const uint8_t hash[32])
{
	struct gate *g = ctx;
	if (g->control)
		control_session_touched(g->control, hash);
}

/* ---- signals ---- */

static void on_term(void *ctx, int signum)
{
	struct gate *g = ctx;
	(void)signum;
	if (g->stopping)
		return;
	g->stopping = true;
	log_info("gate", "stopping");
	gate_loops_drain(&g->loops, DRAIN_MS);
}

static void on_hup(void *ctx, int signum)
{
	(void)signum;
	control_reload(((struct gate *)ctx)->control);
}

/* ---- start ---- */

static int load_conf(struct gate *g, const char *path)
{
	struct conf_errors errors = {0};
	struct conf *c = NULL;
	int rc = conf_load(&c, path, &errors);
	for (unsigned i = 0; i < errors.n; i++)
		log_error("gate", "configuration", "error", errors.text[i]);
	g->conf = c;
	if (rc == 0)
		log_setup(c->log.level, c->log.format == CONF_LOG_JSON);
	return rc;
}

static int start_control(struct gate *g, const struct gate_opts *o, struct err *e)
{
	struct control_opts co = {
		.conf = (struct conf *)g->conf,
		.conf_path = o->conf_path,
		.steward_fd = o->steward_fd,
		.slot = g->slot,
		.sandbox = g->sandbox,
		.notify = {.ctx = g,
			   .snapshot = notify_snapshot,
			   .session_put = notify_session_put,
			   .session_drop = notify_session_drop,
			   .news = notify_news,
			   .device_cut = notify_device_cut}
        };
	int rc = control_start(&g->control, &co, e);
	if (rc < 0)
		return rc;
	const char *ca = control_device_ca(g->control);
	rc = tls_server_client_ca(g->tls, ROLE_LINK, ca, strlen(ca), false, e);
	if (rc == 0)
		rc = tls_server_client_ca(g->tls, ROLE_AGENT, ca, strlen(ca), true, e);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < g->loops.n; i++)
		worker_set_desk(g->loops.at[i].worker, control_desk(g->control));
	struct snapshot *first = snapshot_slot_get(g->slot);
	if (first)
		notify_snapshot(g, first);
	return 0;
}

static int open_doors(struct gate *g, const struct gate_opts *o, struct err *e)
{
	struct gate_loop *at = g->loops.at;
	unsigned n = g->loops.n;
	int rc = worker_listen_api(at[0].worker, o->api_fd, e);
	for (unsigned i = 0; rc == 0 && i < o->n_tls; i++)
		rc = worker_listen_tls(at[i % n].worker, o->tls_fds[i], e);
	for (unsigned i = 0; rc == 0 && i < o->n_plain; i++)
		rc = worker_listen_plain(at[i % n].worker, o->plain_fds[i], e);
	return rc;
}

static int watch_signals(struct gate *g, struct err *e)
{
	struct loop *first = g->loops.at[0].loop;
	int rc = loop_on_signal(first, SIGTERM, on_term, g, e);
	if (rc == 0)
		rc = loop_on_signal(first, SIGINT, on_term, g, e);
	if (rc == 0)
		rc = loop_on_signal(first, SIGHUP, on_hup, g, e);
	return rc;
}

static int start(struct gate *g, const struct gate_opts *o, struct err *e)
{
	g->slot = snapshot_slot_new();
	g->quota = link_quota_new();
	g->loops.on_links = on_links;
	g->loops.ctx = g;
	int rc = tls_server_new(&g->tls, conns_choose, g->slot, e);
	if (rc < 0)
		return rc;
	rc = gate_loops_open(&g->loops, gate_loops_wanted(g->conf),
		&(struct worker_opts){.slot = g->slot,
			.tls = g->tls,
			.quota = g->quota,
			.conf = g->conf,
			.on_health = on_health,
		.on_touched = on_touched,
			.ctx = g},
		e);
	if (rc == 0)
		rc = start_control(g, o, e);
	if (rc == 0)
		rc = open_doors(g, o, e);
	if (rc == 0)
		rc = watch_signals(g, e);
	if (rc == 0)
		rc = gate_loops_start(&g->loops, e);
	return rc;
}

static void stop(struct gate *g)
{
	gate_loops_join(&g->loops); /* they speak to the control thread */
	if (g->control)
		control_stop(g->control);
	gate_loops_free(&g->loops);
	link_quota_free(g->quota);
	tls_server_unref(g->tls);
	snapshot_slot_free(g->slot);
	conf_unref(g->conf);
}

/* Keys are in this memory: no core file, nobody attaches. And every connection is a descriptor. */
static void prepare_process(void)
{
	struct rlimit files;
	prctl(PR_SET_NAME, "lanthorn-gate", 0, 0, 0); /* started as /proc/self/exe */
	sandbox_harden();
	signal(SIGPIPE, SIG_IGN);
	xalloc_give_back();
	crypto_quiet(false);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* Before anything is opened, and so before threads and the first byte from outside. Files that a
 * reload may read are in folders that may be read. */
static int close_in(struct gate *g, const char *conf_path, struct err *e)
{
	const struct conf *c = g->conf;
	struct landlock *l = landlock_new();
	char state[PATH_MAX];
	snprintf(state, sizeof(state), "%s/gate", c->state_dir);
	landlock_allow_system(l);
	landlock_allow(l, "/etc", LANDLOCK_READ);
	landlock_allow_beside(l, conf_path, LANDLOCK_READ);
	for (unsigned i = 0; i < c->n_devices; i++)
		landlock_allow_beside(l, c->devices[i].ca_file, LANDLOCK_READ);
	landlock_allow(l, state, LANDLOCK_WRITE);
	landlock_stay_alone(l);
	int rc = sandbox_enter(&g->sandbox, l, CALLS_FILES | CALLS_NET | CALLS_THREADS, e);
	if (rc == 0)
		log_info("gate", "closed in", "calls", sandbox_calls(&g->sandbox), "files",
			sandbox_files(&g->sandbox));
	return rc;
}

int gate_run(const struct gate_opts *o)
{
	struct gate g = {0};
	struct err e = {0};
	prepare_process();
	if (load_conf(&g, o->conf_path) < 0)
		return EXIT_CONFIG;
	int rc = close_in(&g, o->conf_path, &e);
	if (rc == 0)
		rc = start(&g, o, &e);
	if (rc == 0) {
		log_info("gate", "ready", "domain", g.conf->domain, "port",
			LOG_NUM(g.conf->public_port), "loops", LOG_NUM(g.loops.n));
		xalloc_trim(); /* what starting left; later there is much in between */
		loop_run(g.loops.at[0].loop);
	} else {
		log_error("gate", "cannot start", "why", e.text);
	}
	stop(&g);
	return rc == 0 ? 0 : 1;
}
