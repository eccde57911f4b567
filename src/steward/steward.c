/* See steward.h. */
#include "steward/steward.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/uacme.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/loop.h"
#include "net/msgpipe.h"
#include "steward/challenge.h"
#include "steward/dnsop.h"
#include "steward/dnstest.h"
#include "steward/names.h"
#include "steward/orders.h"
#include "steward/proof.h"
#include "steward/publish.h"
#include "steward/removal.h"
#include "store/conf.h"
#include "store/db.h"

#define AREA "steward"
#define SECRET_NAME_MAX 64
#define LOG_BURST 50 /* log lines to the gate in a second */
#define HOOK_SLACK_S 30

struct steward {
	struct loop *loop;
	struct proof_tools tools;
	struct challenges *challenges;
	struct publisher *publisher;
	struct orders *orders;
	struct dnstest *test;
	struct msgpipe *pipe;
	char *self_dir, *self, *state_dir, *run_dir;
	int64_t log_second;
	unsigned log_sent, log_held;
	bool sending;
	void (*gone)(void *ctx);
	void *ctx;
};

/* ---- to the gate ---- */

static void report(void *ctx, const struct procmsg *m)
{
	struct steward *s = ctx;
	struct err e = {0};
	if (!s->pipe)
		return;
	bool outer = s->sending;
	s->sending = true; /* a log line about this must not be sent the same way */
	if (msgpipe_send(s->pipe, m, &e) < 0)
		log_error(
			AREA, "cannot tell the gate", "what", procmsg_name(m->type), "why", e.text);
	s->sending = outer;
}

static void send_log(struct steward *s, const char *line, size_t n)
{
	struct procmsg m = {.type = PROCMSG_STATE, .class = STATE_LOG};
	if (n >= sizeof(m.text))
		n = sizeof(m.text) - 1;
	memcpy(m.text, line, n);
	report(s, &m);
}

static void on_log(void *ctx, enum log_level level, const char *line, size_t n)
{
	struct steward *s = ctx;
	int64_t second = (int64_t)(loop_now_ms(s->loop) / 1000);
	char words[80];
	if (level > LOG_LEVEL_INFO || s->sending)
		return;
	if (second != s->log_second) {
		s->log_second = second;
		s->log_sent = 0;
		if (s->log_held)
			send_log(s, words,
				(size_t)snprintf(words, sizeof(words),
					"%u more lines of the steward were left out", s->log_held));
		s->log_held = 0;
	}
	if (s->log_sent++ < LOG_BURST)
		send_log(s, line, n);
	else
		s->log_held++;
}

static void tell(
	struct steward *s, const struct procmsg *about, enum state_class class, const char *text)
{
	struct procmsg m = {.type = PROCMSG_STATE, .class = class, .id = about->id};
	str_copy(m.text, sizeof(m.text), text);
	if (about->type == PROCMSG_PUBLISH) {
		m.n_names = 1;
		str_copy(m.names[0], sizeof(m.names[0]), about->names[0]);
	}
	report(s, &m);
}

/* ---- from the gate ---- */

static void on_publish(struct steward *s, const struct procmsg *m)
{
	char text[400];
	/* Only what we set is ever taken out, also under a domain that was ours. */
	if (!m->n_addrs || names_allowed(s->tools.conf->domain, m->names[0], true)) {
		publisher_want(s->publisher, m);
		return;
	}
	snprintf(text, sizeof(text), "refused: %s is not a name of %s", m->names[0],
		s->tools.conf->domain);
	log_warn(AREA, "publish refused", "name", m->names[0]);
	tell(s, m, STATE_FAIL_OURS, text);
}

static bool is_secret_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
	return n > 0 && n <= SECRET_NAME_MAX && !name[n] && name[0] != '-';
}

/* Write-only: no message ever reads one back. */
static void on_secret(struct steward *s, const struct procmsg *m)
{
	char path[4096];
	struct err e = {0};
	int rc;
	snprintf(path, sizeof(path), "%s/secrets", s->state_dir);
	if (!is_secret_name(m->text))
		rc = err_set(&e, -EINVAL, "a secret's name has a–z, 0–9, _ and - only");
	else
		rc = dir_make(path, 0700, &e);
	if (!rc) {
		snprintf(path, sizeof(path), "%s/secrets/%s", s->state_dir, m->text);
		rc = file_write_durable(path, m->blob, m->blob_len, 0600, &e);
	}
	if (rc < 0) {
		log_warn(AREA, "secret not kept", "why", e.text);
		tell(s, m, STATE_FAIL_OURS, e.text);
		return;
	}
	log_info(AREA, "secret kept", "name", m->text);
	publisher_reload(s->publisher);
}

static void on_message(void *ctx, const struct procmsg *m, const struct err *e)
{
	struct steward *s = ctx;
	if (!m) {
		log_error(AREA, "message from the gate not understood", "why", e->text);
		return;
	}
	switch (m->type) {
	case PROCMSG_ORDER:
		orders_place(s->orders, m);
		return;
	case PROCMSG_PUBLISH:
		on_publish(s, m);
		return;
	case PROCMSG_CANCEL:
		orders_cancel(s->orders, m->id);
		return;
	case PROCMSG_SET_SECRET:
		on_secret(s, m);
		return;
	case PROCMSG_DNS_TEST:
		if (dnstest_start(&s->test, &s->tools, m->id, report, s) < 0)
			tell(s, m, STATE_FAIL_OURS, "another DNS test is still running");
		return;
	case PROCMSG_RELOAD:
		raise(SIGHUP); /* as if the parent had said it */
		return;
	case PROCMSG_CHAIN:
	case PROCMSG_STATE:
		log_error(AREA, "message of the wrong direction", "type", procmsg_name(m->type));
		return;
	}
}

static void on_gone(void *ctx)
{
	struct steward *s = ctx;
	s->gone(s->ctx);
}

/* ---- for the challenges ---- */

static bool is_ordered(void *ctx, uint64_t order, const char *ident)
{
	struct steward *s = ctx;
	return orders_has(s->orders, order, ident);
}

static void proof_began(void *ctx, uint64_t order, uint64_t ms)
{
	struct steward *s = ctx;
	orders_proof_began(s->orders, order, ms);
}

static void proof_said(void *ctx, uint64_t order, int rc, const char *text)
{
	struct steward *s = ctx;
	orders_proof_said(s->orders, order, rc, text);
}

/* ---- opening ---- */

static struct uacme_opts uacme_opts_of(
	const struct steward *s, const struct conf *conf, char *const p[3])
{
	return (struct uacme_opts){
		.program = conf->acme.uacme,
		.directory = conf->acme.directory,
		.email = conf->acme.email,
		.ca_file = conf->acme.ca_file,
		.state_dir = p[0],
		.self = s->self,
		.hook = p[1],
		.socket = p[2],
		.hook_wait_s = proof_most_ms(conf) / 1000 + HOOK_SLACK_S,
		.timeout_ms = conf->acme.timeout_ms,
	};
}

/* Makes the driver, or gives it other settings. */
static int set_driver(struct steward *s, const struct conf *conf, struct driver **d, struct err *e)
{
	char *p[3] = {xasprintf("%s/acme", s->state_dir),
		xasprintf("%s/lanthorn-hook", s->self_dir), xasprintf("%s/hook.sock", s->run_dir)};
	struct uacme_opts o = uacme_opts_of(s, conf, p);
	int rc = *d ? uacme_configure(*d, &o, e) : uacme_new(d, s->loop, &o, e);
	for (int i = 0; i < 3; i++)
		free(p[i]);
	return rc;
}

static int open_state(struct steward *s, struct err *e)
{
	char *path = xasprintf("%s/steward.db", s->state_dir);
	dir_sweep(s->state_dir);
	int rc = db_open(&s->tools.db, path, DB_STEWARD, e);
	free(path);
	return rc;
}

static int open_workers(struct steward *s, struct err *e)
{
	struct proof_tools *t = &s->tools;
	struct driver *driver = NULL;
	char *plugin = xasprintf("%s/lanthorn-dns", s->self_dir);
	char *socket = xasprintf("%s/hook.sock", s->run_dir);
	resolvers_load(&t->resolvers, t->conf);
	t->ops = dnsops_new(s->loop, t->conf, plugin);
	t->removals = removals_new(s->loop, t->db, t->ops);
	int rc = set_driver(s, t->conf, &driver, e);
	if (!rc) {
		s->orders = orders_new(t, driver, report, s);
		s->publisher = publisher_new(t, report, s);
		struct challenges_opts o = {.tools = t,
			.socket = socket,
			.is_ordered = is_ordered,
			.began = proof_began,
			.said = proof_said,
			.ctx = s};
		rc = challenges_open(&s->challenges, s->loop, &o, e);
	}
	free(plugin);
	free(socket);
	return rc;
}

static char *dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(LIBEXECDIR);
}

int steward_open(
	struct steward **out, struct loop *loop, const struct steward_opts *o, struct err *e)
{
	struct steward *s = xcalloc(1, sizeof(*s));
	s->loop = loop;
	s->self = xstrdup(o->self);
	s->self_dir = dir_of(o->self);
	s->state_dir = xasprintf("%s/steward", o->conf->state_dir);
	s->run_dir = xasprintf("%s/steward", o->conf->run_dir);
	s->gone = o->gone;
	s->ctx = o->ctx;
	s->tools.loop = loop;
	s->tools.conf = conf_ref(o->conf);
	int rc = msgpipe_open(&s->pipe, loop, o->fd, on_message, on_gone, s, e);
	if (!rc)
		rc = open_state(s, e);
	if (!rc)
		rc = open_workers(s, e);
	if (rc < 0) {
		steward_free(s);
		return rc;
	}
	db_shrink(s->tools.db);
	log_set_sink(on_log, s);
	removals_add_order(s->tools.removals, 0, NULL);
	report(s, &(struct procmsg){.type = PROCMSG_STATE, .class = STATE_STARTED});
	*out = s;
	return 0;
}

int steward_configure(struct steward *s, const struct conf *conf, struct err *e)
{
	struct driver *driver = orders_driver(s->orders);
	int rc = set_driver(s, conf, &driver, e);
	if (rc < 0)
		return rc;
	conf_unref(s->tools.conf);
	s->tools.conf = conf_ref(conf);
	resolvers_load(&s->tools.resolvers, conf);
	dnsops_configure(s->tools.ops, conf);
	publisher_reload(s->publisher);
	return 0;
}

void steward_free(struct steward *s)
{
	if (!s)
		return;
	log_set_sink(NULL, NULL);
	dnstest_free(s->test);
	challenges_free(s->challenges);
	orders_free(s->orders);
	publisher_free(s->publisher);
	removals_free(s->tools.removals);
	dnsops_free(s->tools.ops);
	db_close(s->tools.db);
	if (s->pipe)
		msgpipe_close(s->pipe);
	conf_unref(s->tools.conf);
	free(s->self);
	free(s->self_dir);
	free(s->state_dir);
	free(s->run_dir);
	free(s);
}
