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
#include "gate/snapshot.h"
#include "net/loop.h"
#include "net/tls.h"
#include "store/conf.h"
#include "worker/choose.h"
#include "worker/worker.h"

#define DRAIN_MS 5000u
#define EXIT_CONFIG 78

struct gate {
	struct loop *loop;
	struct snapshot_slot *slot;
	struct tls_server *tls;
	struct worker *worker;
	struct control *control;
	const struct conf *conf;
	struct sandbox sandbox;
	bool stopping;
};

/* ---- control → loops ---- */

static void notify_snapshot(void *ctx, struct snapshot *s)
{
	worker_post_snapshot(((struct gate *)ctx)->worker, s);
}

static void notify_session_put(void *ctx, const struct session_row *row)
{
	worker_post_session_put(((struct gate *)ctx)->worker, row);
}

static void notify_session_drop(void *ctx, const uint8_t hash[32])
{
	worker_post_session_drop(((struct gate *)ctx)->worker, hash);
}

static void notify_news(void *ctx, struct event_news *news)
{
	worker_post_news(((struct gate *)ctx)->worker, news);
}

static void notify_device_cut(void *ctx, const char *device)
{
	worker_post_device_cut(((struct gate *)ctx)->worker, device);
}

/* ---- loops → control ---- */

static void on_links(void *ctx, const char *device, unsigned links, const char *peer)
{
	struct gate *g = ctx;
	if (g->control)
		control_links_changed(g->control, device, links, peer);
}

static void on_touched(void *ctx, const uint8_t hash[32])
{
	struct gate *g = ctx;
	if (g->control)
		control_session_touched(g->control, hash);
}

/* ---- signals ---- */

static void on_drained(void *ctx)
{
	loop_stop(((struct gate *)ctx)->loop);
}

static void on_term(void *ctx, int signum)
{
	struct gate *g = ctx;
	(void)signum;
	if (g->stopping)
		return;
	g->stopping = true;
	log_info("gate", "stopping");
	worker_drain(g->worker, DRAIN_MS, on_drained, g);
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
	worker_set_desk(g->worker, control_desk(g->control));
	struct snapshot *first = snapshot_slot_get(g->slot);
	if (first)
		worker_post_snapshot(g->worker, first);
	return 0;
}

static int open_doors(struct gate *g, const struct gate_opts *o, struct err *e)
{
	int rc = worker_listen_api(g->worker, o->api_fd, e);
	for (unsigned i = 0; rc == 0 && i < o->n_tls; i++)
		rc = worker_listen_tls(g->worker, o->tls_fds[i], e);
	for (unsigned i = 0; rc == 0 && i < o->n_plain; i++)
		rc = worker_listen_plain(g->worker, o->plain_fds[i], e);
	return rc;
}

static int start(struct gate *g, const struct gate_opts *o, struct err *e)
{
	int rc = loop_new(&g->loop, e);
	if (rc < 0)
		return rc;
	g->slot = snapshot_slot_new();
	rc = tls_server_new(&g->tls, choose, g->slot, e);
	if (rc < 0)
		return rc;
	g->worker = worker_new(&(struct worker_opts){.loop = g->loop,
		.slot = g->slot,
		.tls = g->tls,
		.conf = g->conf,
		.on_links = on_links,
		.on_touched = on_touched,
		.ctx = g});
	rc = start_control(g, o, e);
	if (rc == 0)
		rc = open_doors(g, o, e);
	if (rc == 0)
		rc = loop_on_signal(g->loop, SIGTERM, on_term, g, e);
	if (rc == 0)
		rc = loop_on_signal(g->loop, SIGINT, on_term, g, e);
	if (rc == 0)
		rc = loop_on_signal(g->loop, SIGHUP, on_hup, g, e);
	return rc;
}

static void stop(struct gate *g)
{
	if (g->control)
		control_stop(g->control);
	worker_free(g->worker);
	if (g->loop)
		loop_free(g->loop);
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
			LOG_NUM(g.conf->public_port));
		loop_run(g.loop);
	} else {
		log_error("gate", "cannot start", "why", e.text);
	}
	stop(&g);
	return rc == 0 ? 0 : 1;
}
