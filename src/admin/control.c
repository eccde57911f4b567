/* See control.h. Start and stop, the timer, what the steward says, what other threads post. */
#include "admin/control.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/control_in.h"
#include "admin/logring.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/auth.h"
#include "gate/ca.h"
#include "gate/certs.h"
#include "gate/enroll.h"
#include "gate/events.h"
#include "gate/link.h"
#include "gate/names.h"
#include "gate/snapshot.h"
#include "net/msgpipe.h"
#include "net/tls.h"
#include "store/conf.h"
#include "store/db.h"
#include "store/device_tokens.h"

#define AREA "admin/control"
#define LINK_RENEW_MS (UINT64_C(365) * 86400 * 1000)
#define PURGE_MS 60000u
#define TOKEN_GRACE_S 600 /* an expired token is told apart from a wrong one for so long */

/* ---- time ---- */

bool control_clock_ok(struct control *c, struct err *e)
{
	int64_t now = clock_unix();
	if (schedule_clock_check(now, certs_clock_floor(c->certs), e) < 0)
		return false;
	if (schedule_clock_unsettled(&c->clock, now, clock_mono_ms())) {
		err_set(e, -EAGAIN, "the clock has just jumped; waiting whether it stays");
		return false;
	}
	return true;
}

int64_t control_serving_time(struct control *c)
{
	return control_clock_ok(c, NULL) ? clock_unix() : certs_clock_floor(c->certs);
}

void control_now(struct control *c, struct certs_time *out)
{
	out->unix_s = clock_unix();
	out->mono_ms = clock_mono_ms();
	out->believable = control_clock_ok(c, NULL);
}

static int make_link_certs(struct control *c, struct err *e)
{
	struct tls_cert *link, *enrol;
	int rc = ca_link_certs(c->ca, clock_unix(), &link, &enrol, e);
	if (rc < 0)
		return rc;
	tls_cert_unref(c->link_cert);
	tls_cert_unref(c->enrol_cert);
	c->link_cert = link;
	c->enrol_cert = enrol;
	c->link_made_ms = clock_mono_ms();
	return 0;
}

static void renew_link_certs(struct control *c)
{
	struct err e = {0};
	if (clock_mono_ms() - c->link_made_ms < LINK_RENEW_MS)
		return;
	if (make_link_certs(c, &e) < 0)
		log_error(AREA, "cannot renew the link certificate", "why", e.text);
	else
		control_put_snapshot(c, false);
}

void control_turn(struct control *c)
{
	struct certs_time now;
	control_now(c, &now);
	if (now.believable != c->believed) {
		control_put_snapshot(c, !c->running);
		control_tell(c, EVENT_STATUS);
	}
	uint64_t in = certs_tick(c->certs, &now);
	if (names_push(c->names) && in > 2000)
		in = 2000;
	timer_arm(&c->tick, in < 10 ? 10 : in);
}

static void on_tick(struct timer *t)
{
	struct control *c = container_of(t, struct control, tick);
	uint64_t now = clock_mono_ms();
	renew_link_certs(c);
	if (now - c->purged_ms >= PURGE_MS) {
		c->purged_ms = now;
		device_tokens_purge(c->db, clock_unix() - TOKEN_GRACE_S, NULL);
	}
	control_turn(c);
}

/* ---- the steward ---- */

static int send_steward(void *ctx, const struct procmsg *m, struct err *e)
{
	struct control *c = ctx;
	return c->steward ? msgpipe_send(c->steward, m, e)
			  : err_set(e, -EPIPE, "the steward process is gone");
}

static bool ends_dns_test(struct control *c, const struct procmsg *m)
{
	struct dns_test *t = &c->dns_test;
	if (!t->running || m->id != t->id)
		return false;
	t->running = false;
	t->class = m->class;
	t->at = clock_unix();
	str_copy(t->text, sizeof(t->text), m->text);
	return true;
}

static void on_started(struct control *c)
{
	c->steward_started_at = clock_unix();
	c->steward_starts++;
	log_info(AREA, "steward started", "starts", LOG_NUM(c->steward_starts));
	certs_restart(c->certs);
	names_restart(c->names);
	if (c->dns_test.running)
		ends_dns_test(
			c, &(struct procmsg){.id = c->dns_test.id,
				   .class = STATE_FAIL_OURS,
				   .text = "the certificate process was started anew; test again"});
}

static void on_state(struct control *c, const struct procmsg *m, const struct certs_time *now)
{
	if (m->class == STATE_STARTED)
		on_started(c);
	else if (m->class == STATE_LOG)
		logring_add(c->log, m->text, strlen(m->text));
	else if (!ends_dns_test(c, m) && !certs_message(c->certs, m, now) &&
		 !names_state(c->names, m))
		log_debug(AREA, "a message about nothing we know", "type", procmsg_name(m->type));
}

static void on_message(void *ctx, const struct procmsg *m, const struct err *e)
{
	struct control *c = ctx;
	struct certs_time now;
	if (!m) {
		log_error(AREA, "the steward sent nonsense", "why", e->text);
		return;
	}
	c->steward_heard_at = clock_unix();
	control_now(c, &now);
	if (m->type == PROCMSG_CHAIN || m->class != STATE_LOG)
		control_tell(c, EVENT_CERTIFICATES | EVENT_DEVICES | EVENT_STATUS);
	if (m->type == PROCMSG_STATE)
		on_state(c, m, &now);
	else if (m->type == PROCMSG_CHAIN && !certs_message(c->certs, m, &now))
		log_warn(AREA, "a chain that nobody ordered");
	control_turn(c);
}

static void on_steward_gone(void *ctx)
{
	struct control *c = ctx;
	log_error(AREA, "the pipe to the steward is closed");
	control_tell(c, EVENT_STATUS);
	msgpipe_close(c->steward);
	c->steward = NULL;
}

static void on_changed(void *ctx)
{
	control_put_snapshot(ctx, false);
	control_tell(ctx, EVENT_CERTIFICATES | EVENT_DEVICES | EVENT_LAUNCHER);
}

static void on_enrolled(void *ctx, const char *device, bool replaced)
{
	struct control *c = ctx;
	control_put_snapshot(c, false);
	control_tell_device(c, EVENT_DEVICES, device);
	if (replaced)
		c->notify.device_cut(c->notify.ctx, device);
}

static void on_person(void *ctx, int64_t user_id)
{
	control_tell_person(ctx, user_id);
}

static void on_addresses(void *ctx)
{
	control_follow(ctx);
	control_tell(ctx, EVENT_STATUS);
}

/* ---- start ---- */

static char *path_in(const struct control *c, const char *name)
{
	return xasprintf("%s/gate%s%s", c->conf->state_dir, name[0] ? "/" : "", name);
}

static int open_store(struct control *c, struct err *e)
{
	char *dir = path_in(c, ""), *db = path_in(c, "gate.db"), *ca = path_in(c, "device-ca.pem");
	int rc = dir_make(dir, 0700, e);
	dir_sweep(dir);
	if (rc == 0)
		rc = db_open(&c->db, db, DB_GATE, e);
	if (rc == 0)
		rc = ca_open(&c->ca, ca, clock_unix(), e);
	if (rc == 0)
		rc = make_link_certs(c, e);
	free(dir);
	free(db);
	free(ca);
	return rc;
}

static int open_policy(struct control *c, struct err *e)
{
	char *certs = path_in(c, "certs"), *names = path_in(c, "published");
	int rc = certs_open(&c->certs,
		&(struct certs_opts){.db = c->db,
			.dir = certs,
			.send = send_steward,
			.changed = on_changed,
			.ctx = c},
		e);
	if (rc == 0)
		rc = names_open(&c->names, names, send_steward, c, e);
	free(certs);
	free(names);
	if (rc < 0)
		return rc;
	c->enroll = enroll_new(
		&(struct enroll_opts){.db = c->db, .ca = c->ca, .changed = on_enrolled, .ctx = c});
	return auth_new(&c->auth,
		&(struct auth_opts){.loop = c->loop,
			.db = c->db,
			.conf = c->conf,
			.notify = c->notify,
			.person = on_person,
			.ctx = c},
		e);
}

static int open_loop(struct control *c, int steward_fd, struct err *e)
{
	int rc = loop_new(&c->loop, e);
	if (rc < 0) {
		close(steward_fd);
		return rc;
	}
	timer_init(&c->tick, c->loop, on_tick);
	rc = msgpipe_open(&c->steward, c->loop, steward_fd, on_message, on_steward_gone, c, e);
	if (rc == 0)
		rc = ifwatch_open(&c->ifwatch, c->loop, on_addresses, c, e);
	return rc;
}

static void on_log(void *ctx, enum log_level level, const char *line, size_t n)
{
	(void)level;
	logring_add(ctx, line, n);
}

static void *run(void *arg)
{
	struct control *c = arg;
	pthread_setname_np(pthread_self(), "gate-control");
	loop_run(c->loop);
	return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct control *c, struct err *e)
{
	sigset_t all, was;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	c->running = true;
	int rc = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (rc) {
		c->running = false;
		return err_sys(e, -rc, "cannot start the control thread");
	}
	return 0;
}

int control_start(struct control **out, const struct control_opts *o, struct err *e)
{
	struct control *c = xcalloc(1, sizeof(*c));
	c->conf = conf_ref(o->conf);
	c->started = conf_ref(o->conf);
	c->conf_path = xstrdup(o->conf_path);
	c->slot = o->slot;
	c->notify = o->notify;
	c->sandbox = o->sandbox;
	c->links = map_new();
	c->reach = map_new();
	c->log = logring_new();
	log_set_sink(on_log, c->log);
	c->started_at = clock_unix();
	c->started_ms = clock_mono_ms();
	int rc = open_loop(c, o->steward_fd, e);
	if (rc == 0)
		rc = open_store(c, e);
	if (rc == 0)
		rc = open_policy(c, e);
	if (rc == 0)
		rc = control_use_conf(c, c->conf, e);
	if (rc == 0) {
		c->desk = (struct ask_desk){.loop = c->loop, .fn = control_on_ask, .ctx = c};
		control_follow(c);
		db_shrink(c->db);
		rc = start_thread(c, e);
	}
	if (rc < 0) {
		control_stop(c);
		return rc;
	}
	*out = c;
	return 0;
}

/* Whoever is here when the gateway goes was last seen now: the next one tells since when. */
static void note_who_is_here(struct control *c)
{
	const char *name;
	size_t at = 0;
	for (struct device_links *l; (l = map_next(c->links, &at, &name));) {
		if (l->n)
			devices_seen(c->db, name, clock_unix(), NULL);
	}
}

static void free_reach(void *p)
{
	struct device_reach *r = p;
	if (r)
		free(r->why);
	free(r);
}

void control_forget_reach(struct control *c, const char *device)
{
	free_reach(map_remove(c->reach, device));
}

void control_stop(struct control *c)
{
	if (!c)
		return;
	if (c->running) {
		loop_stop(c->loop);
		pthread_join(c->thread, NULL);
		note_who_is_here(c);
	}
	log_set_sink(NULL, NULL);
	timer_cancel(&c->tick);
	auth_free(c->auth);
	enroll_free(c->enroll);
	names_free(c->names);
	certs_free(c->certs);
	tls_cert_unref(c->link_cert);
	tls_cert_unref(c->enrol_cert);
	ca_free(c->ca);
	db_close(c->db);
	if (c->ifwatch)
		ifwatch_close(c->ifwatch);
	if (c->steward)
		msgpipe_close(c->steward);
	if (c->loop)
		loop_free(c->loop);
	for (unsigned i = 0; i < c->n_routes; i++)
		route_unref(c->routes[i]);
	free(c->routes);
	map_free(c->links, free);
	map_free(c->reach, free_reach);
	conf_unref(c->conf);
	conf_unref(c->started);
	logring_free(c->log);
	free(c->conf_path);
	free(c);
}

const struct ask_desk *control_desk(struct control *c)
{
	return &c->desk;
}

const char *control_device_ca(struct control *c)
{
	return ca_pem(c->ca);
}

/* ---- from other threads ---- */

struct word {
	struct job job;
	struct control *c;
	char device[DEVICE_ID_MAX + 1], peer[46];
	unsigned loop, links;
	bool h2;
	uint8_t hash[32];
	char why[ERR_TEXT_MAX];
};

static void word_free(struct job *job)
{
	free(container_of(job, struct word, job));
}

static struct word *word_new(struct control *c, void (*fn)(struct job *))
{
	struct word *w = xcalloc(1, sizeof(*w));
	w->job = (struct job){.run = fn, .cancel = word_free};
	w->c = c;
	return w;
}

/* What a stolen key looks like, whichever loops the links are on; a device that moved looks so for a
 * moment. */
static void judge_peer(const struct device_links *l, const struct word *w)
{
	if (l->n && w->links && w->peer[0] && l->peer[0] && strcmp(l->peer, w->peer) != 0)
		log_warn_limited(AREA, "one device links from two addresses", "device", w->device,
			"first", l->peer, "second", w->peer);
}

static void note_links(struct control *c, const struct word *w)
{
	struct device_links *l = map_get(c->links, w->device);
	int64_t now = clock_unix();
	if (devices_seen(c->db, w->device, now, NULL) == -ENOENT)
		return; /* removed meanwhile */
	if (!l) {
		l = xcalloc(1, sizeof(*l));
		map_put(c->links, w->device, l);
	}
	judge_peer(l, w);
	unsigned n = l->n - l->n_of[w->loop] + w->links;
	if ((l->n == 0) != (n == 0)) {
		l->since = now;
		control_tell_device(c, EVENT_DEVICES, w->device);
		log_info(AREA, n ? "device online" : "device offline", "device", w->device,
			"peer", w->peer);
	}
	l->n = n;
	l->n_of[w->loop] = (uint16_t)w->links;
	l->seen_at = now;
	if (!w->links)
		return;
	l->h2 = w->h2;
	if (w->peer[0])
		memcpy(l->peer, w->peer, sizeof(l->peer));
}

static void on_links_word(struct job *job)
{
	struct word *w = container_of(job, struct word, job);
	note_links(w->c, w);
	free(w);
}

void control_links_changed(
	struct control *c, unsigned loop, const char *device, const struct link_count *now)
{
	assert(loop < CONTROL_LOOPS_MAX);
	struct word *w = word_new(c, on_links_word);
	str_copy(w->device, sizeof(w->device), device);
	str_copy(w->peer, sizeof(w->peer), now->peer);
	w->loop = loop;
	w->links = now->n;
	w->h2 = now->h2;
	loop_post(c->loop, &w->job);
}

/* Loops that differ take turns: the last word counts. */
static void note_reach(struct control *c, const struct word *w)
{
	struct device_reach *r = map_get(c->reach, w->device);
	bool ok = !w->why[0], first = !r;
	if (!conf_device_find(c->conf, w->device))
		return; /* taken out meanwhile */
	if (!r) {
		r = xcalloc(1, sizeof(*r));
		map_put(c->reach, w->device, r);
	}
	if (first || r->ok != ok) {
		r->since = clock_unix();
		log_info(AREA, ok ? "device reached" : "device out of reach", "device", w->device,
			"why", ok ? NULL : w->why);
	}
	r->ok = ok;
	free(r->why);
	r->why = ok ? NULL : xstrdup(w->why);
	control_tell_device(c, EVENT_DEVICES, w->device);
}

static void on_reach_word(struct job *job)
{
	struct word *w = container_of(job, struct word, job);
	note_reach(w->c, w);
	free(w);
}

void control_device_reach(struct control *c, const char *device, const char *why)
{
	struct word *w = word_new(c, on_reach_word);
	str_copy(w->device, sizeof(w->device), device);
	snprintf(w->why, sizeof(w->why), "%s", why ? why : "");
	loop_post(c->loop, &w->job);
}

static void on_touched_word(struct job *job)
{
	struct word *w = container_of(job, struct word, job);
	auth_touched(w->c->auth, w->hash);
	free(w);
}

void control_session_touched(struct control *c, const uint8_t hash[32])
{
	struct word *w = word_new(c, on_touched_word);
	memcpy(w->hash, hash, sizeof(w->hash));
	loop_post(c->loop, &w->job);
}

static void on_reload_word(struct job *job)
{
	struct word *w = container_of(job, struct word, job);
	char words[CONTROL_RELOAD_TEXT];
	control_load_conf(w->c, true, words); /* the parent tells the steward too */
	free(w);
}

void control_reload(struct control *c)
{
	struct word *w = word_new(c, on_reload_word);
	loop_post(c->loop, &w->job);
}
