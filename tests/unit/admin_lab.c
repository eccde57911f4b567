/* See admin_lab.h. */
#include "admin_lab.h"

#include "api_fits.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/str.h"
#include "gate/events.h"
#include "store/conf.h"

#define HEAR_PARTS 8

/* ---- what a worker would be told ---- */

static void on_snapshot(void *ctx, struct snapshot *s)
{
	struct admin_lab *l = ctx;
	pthread_mutex_lock(l->lock);
	l->snapshots++;
	pthread_mutex_unlock(l->lock);
	snapshot_unref(s);
}

static void on_session_put(void *ctx, const struct session_row *row)
{
	(void)ctx, (void)row;
}

static void on_session_drop(void *ctx, const uint8_t hash[32])
{
	struct admin_lab *l = ctx;
	(void)hash;
	pthread_mutex_lock(l->lock);
	l->drops++;
	pthread_mutex_unlock(l->lock);
}

static void on_cut(void *ctx, const char *device)
{
	struct admin_lab *l = ctx;
	pthread_mutex_lock(l->lock);
	str_copy(l->cut, sizeof(l->cut), device);
	pthread_mutex_unlock(l->lock);
}

static void on_news(void *ctx, struct event_news *news)
{
	struct admin_lab *l = ctx;
	pthread_mutex_lock(l->lock);
	l->news |= news->what;
	if (news->what & EVENT_OF_PERSON)
		l->concerned = news->everybody ? -1 : (int)news->n_users;
	pthread_mutex_unlock(l->lock);
	free(news);
}

void admin_forget_news(struct admin_lab *l)
{
	pthread_mutex_lock(l->lock);
	l->news = 0;
	l->concerned = -2;
	pthread_mutex_unlock(l->lock);
}

unsigned admin_news(struct admin_lab *l, int *concerned)
{
	pthread_mutex_lock(l->lock);
	unsigned news = l->news;
	if (concerned)
		*concerned = l->concerned;
	pthread_mutex_unlock(l->lock);
	return news;
}

/* ---- life ---- */

static char *conf_path(struct admin_lab *l)
{
	return xasprintf("%s/gateway.yaml", l->dir);
}

void admin_write_conf(struct admin_lab *l, const char *more)
{
	char *path = conf_path(l);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f,
		"domain: " ADMIN_DOMAIN "\nstate_dir: %s/state\nrun_dir: %s/run\n"
		"addresses: [192.168.7.1]\nrun_as:\n  gate: \"\"\n  steward: \"\"\n"
		"log:\n  level: error\n"
		"dns:\n  provider: exec\n  command: /bin/true\n%s",
		l->dir, l->dir, more);
	assert_int_equal(fclose(f), 0);
	free(path);
}

void admin_init(struct admin_lab *l)
{
	memset(l, 0, sizeof(*l));
	tmp_make(l->dir);
	l->life_s = 90 * 86400;
	l->lock = calloc(1, sizeof(*l->lock));
	pthread_mutex_init(l->lock, NULL);
	lab_init(&l->ca, clock_unix());
	admin_write_conf(l, "");
}

void admin_start(struct admin_lab *l)
{
	int pair[2];
	struct conf_errors *errors = calloc(1, sizeof(*errors));
	struct conf *conf = NULL;
	struct err e = {0};
	char *path = conf_path(l);
	if (conf_load(&conf, path, errors) < 0)
		fail_msg("%s", errors->text[0]);
	free(errors);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	l->steward = pair[1];
	l->slot = snapshot_slot_new();
	struct control_opts o = {
		.conf = conf,
		.conf_path = path,
		.steward_fd = pair[0],
		.slot = l->slot,
		.notify = {l, on_snapshot, on_session_put, on_session_drop, on_cut, on_news}
        };
	if (control_start(&l->c, &o, &e) < 0)
		fail_msg("control_start: %s", e.text);
	conf_unref(conf);
	free(path);
}

void admin_stop(struct admin_lab *l)
{
	control_stop(l->c);
	l->c = NULL;
	snapshot_slot_free(l->slot);
	close(l->steward);
}

void admin_done(struct admin_lab *l)
{
	lab_done(&l->ca);
	pthread_mutex_destroy(l->lock);
	free(l->lock);
	tmp_remove(l->dir);
}

/* ---- the steward ---- */

void admin_say(struct admin_lab *l, const struct procmsg *m)
{
	uint8_t *out = malloc(PROCMSG_MAX);
	int n = procmsg_encode(m, out);
	assert_true(n > 0);
	assert_int_equal(send(l->steward, out, (size_t)n, MSG_NOSIGNAL), n);
	free(out);
}

void admin_say_started(struct admin_lab *l)
{
	admin_say(l, &(struct procmsg){.type = PROCMSG_STATE, .class = STATE_STARTED});
}

struct turn {
	struct job job;
	sem_t done;
};

static void on_turn(struct job *job)
{
	sem_post(&container_of(job, struct turn, job)->done);
}

/* Until the control thread has come round once more. */
static void wait_for_turn(struct admin_lab *l)
{
	struct turn t = {.job.run = on_turn};
	sem_init(&t.done, 0, 0);
	assert_int_equal(loop_post(control_desk(l->c)->loop, &t.job), 0);
	while (sem_wait(&t.done) < 0)
		continue;
	sem_destroy(&t.done);
}

/* Silence counts only while the control thread has its turns: on a busy machine it may get none for
 * as long as that. */
static bool hears(struct admin_lab *l, int ms)
{
	struct pollfd p = {.fd = l->steward, .events = POLLIN};
	for (int part = 0; part < HEAR_PARTS; part++) {
		if (poll(&p, 1, ms / HEAR_PARTS) == 1)
			return true;
		wait_for_turn(l);
	}
	return poll(&p, 1, 0) == 1;
}

bool admin_hear(struct admin_lab *l, struct procmsg *m, int ms)
{
	struct err e = {0};
	if (!hears(l, ms))
		return false;
	ssize_t n = recv(l->steward, l->in, sizeof(l->in), 0);
	assert_true(n > 0);
	if (procmsg_decode(m, l->in, (size_t)n, &e) < 0)
		fail_msg("%s", e.text);
	return true;
}

static void serve_order(struct admin_lab *l, const struct procmsg *m)
{
	struct buf pem = BUF_INIT(PROCMSG_MAX);
	for (unsigned i = 0; i < l->orders && i < 16; i++)
		if (l->ids[i] == m->id)
			return; /* under way already */
	if (l->orders < 16)
		l->ids[l->orders] = m->id;
	if (l->orders < 16)
		memcpy(l->ordered[l->orders], m->names[0], 254);
	l->orders++;
	lab_sign(&l->ca, m->blob, m->blob_len, l->life_s, l->fault, &pem);
	struct procmsg chain = {
		.type = PROCMSG_CHAIN, .id = m->id, .blob = pem.data, .blob_len = pem.len};
	if (!l->mute)
		admin_say(l, &chain);
	buf_done(&pem);
}

static void serve_publish(struct admin_lab *l, const struct procmsg *m)
{
	struct procmsg state = {.type = PROCMSG_STATE, .class = STATE_PUBLISHED, .n_names = 1};
	if (m->n_addrs)
		l->publishes++;
	else
		l->withdrawals++;
	memcpy(state.names[0], m->names[0], sizeof(state.names[0]));
	if (!l->mute)
		admin_say(l, &state);
}

void admin_serve(struct admin_lab *l, int ms)
{
	struct procmsg *m = malloc(sizeof(*m));
	while (admin_hear(l, m, ms)) {
		if (m->type == PROCMSG_ORDER)
			serve_order(l, m);
		else if (m->type == PROCMSG_PUBLISH)
			serve_publish(l, m);
	}
	free(m);
}

/* ---- questions ---- */

static void on_desk(struct job *job)
{
	struct ask_lab *q = container_of(job, struct ask_lab, job);
	q->desk->fn(q->desk->ctx, &q->a);
}

void admin_ask(struct admin_lab *l, const struct ask_question *q, struct admin_answer *out)
{
	struct ask_lab *x = ask_lab_new(q);
	x->desk = control_desk(l->c);
	x->job.run = on_desk;
	assert_int_equal(loop_post(x->desk->loop, &x->job), 0);
	ask_lab_wait(x);
	memset(out, 0, sizeof(*out));
	out->status = ask_lab_status(x);
	assert_true(x->a.resp_body.len < sizeof(out->text));
	snprintf(out->text, sizeof(out->text), "%s", ask_lab_text(x));
	out->json = json_loads(out->text, 0, NULL);
	if (out->json)
		api_fits(q->method, q->target, out->status, out->json);
	ask_lab_free(x);
}

json_t *admin_api(
	struct admin_lab *l, const char *method, const char *target, const char *body, int status)
{
	struct admin_answer *a = calloc(1, sizeof(*a));
	struct ask_question q = {
		.kind = ASK_LOCAL, .method = method, .target = target, .body = body};
	admin_ask(l, &q, a);
	if (a->status != status || !a->json)
		fail_msg("%s %s: %d %s", method, target, a->status, a->text);
	json_t *o = a->json;
	free(a);
	return o;
}

const char *admin_text(const json_t *o, const char *path)
{
	char part[64];
	for (const char *p = path; *p; p += strcspn(p, "."), p += *p == '.') {
		snprintf(part, sizeof(part), "%.*s", (int)strcspn(p, "."), p);
		o = json_is_array(o) ? json_array_get(o, (size_t)atoi(part))
				     : json_object_get(o, part);
	}
	if (!json_is_string(o))
		fail_msg("no text at %s", path);
	return json_string_value(o);
}
