/* See dnsop.h. Calls start and failures are told from a timer, never from inside dnsop_start. */
#include "steward/dnsop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/loop.h"
#include "store/conf.h"

#define RUNNING_MAX 4

struct dnsops {
	struct loop *loop;
	const struct conf *conf;
	struct list ops; /* in order of arrival */
	struct timer kick;
	char *program; /* of lanthorn-dns */
};

struct dnsop {
	struct list node;
	struct dnsops *q;
	enum plugin_op op;
	enum dns_type type;
	char name[DNS_NAME_MAX];
	char value[DNS_RDATA_MAX];
	struct plugin_call *call;
	struct err failed; /* could not start */
	plugin_done_fn fn;
	void *ctx;
};

/* Calls out: touches nothing afterwards but the op itself. */
static void finish(struct dnsop *op, int rc, const char *message)
{
	list_remove(&op->node);
	timer_arm(&op->q->kick, 0);
	op->fn(op->ctx, rc, message);
	free(op);
}

static void on_done(void *ctx, int rc, const char *message)
{
	struct dnsop *op = ctx;
	op->call = NULL;
	finish(op, rc, message);
}

struct secrets {
	struct plugin_setting set[CONF_SETTINGS_MAX];
	struct buf values[CONF_SETTINGS_MAX];
	unsigned n;
};

static void secrets_done(struct secrets *s)
{
	for (unsigned i = 0; i < s->n; i++)
		buf_done_secret(&s->values[i]);
}

static int secrets_load(struct secrets *s, const struct conf *c, struct err *e)
{
	for (unsigned i = 0; i < c->dns.n_settings && i < CONF_SETTINGS_MAX; i++) {
		const struct conf_setting *from = &c->dns.settings[i];
		buf_init(&s->values[i], PLUGIN_INPUT_MAX);
		s->n = i + 1;
		s->set[i].key = from->key;
		s->set[i].value = from->value;
		if (!from->is_file)
			continue;
		int rc = conf_secret_read(from->value, &s->values[i], e);
		if (rc < 0)
			return rc;
		s->set[i].value = buf_str(&s->values[i]);
	}
	return 0;
}

static int start(struct dnsop *op, struct err *e)
{
	const struct conf *c = op->q->conf;
	struct secrets s = {.n = 0};
	if (!c->dns.provider[0])
		return err_set(e, -EINVAL, "dns.provider is not set: nothing can be put into DNS");
	int rc = secrets_load(&s, c, e);
	if (!rc) {
		struct plugin_opts o = {
			.program = op->q->program,
			.provider = c->dns.provider,
			.command = c->dns.command,
			.settings = s.set,
			.n_settings = s.n,
			.op = op->op,
			.name = op->name,
			.type = op->type,
			.ttl = (uint32_t)(c->dns.ttl_ms / 1000),
			.value = op->value,
			.deadline_ms = c->dns.timeout_ms,
			.done = on_done,
			.ctx = op,
		};
		rc = plugin_run(&op->call, op->q->loop, &o, e);
	}
	secrets_done(&s);
	return rc;
}

static bool may_start(const struct dnsop *op)
{
	unsigned running = 0;
	for (const struct list *n = op->node.prev; n != &op->q->ops; n = n->prev) {
		const struct dnsop *earlier = container_of(n, struct dnsop, node);
		running += earlier->call != NULL;
		if (!strcmp(earlier->name, op->name))
			return false;
	}
	return running < RUNNING_MAX;
}

static void on_kick(struct timer *t)
{
	struct dnsops *q = container_of(t, struct dnsops, kick);
	list_each(n, &q->ops)
	{
		struct dnsop *op = container_of(n, struct dnsop, node);
		if (op->call || !may_start(op))
			continue;
		int rc = start(op, &op->failed);
		if (rc < 0) {
			finish(op, rc, op->failed.text);
			return;
		}
	}
}

struct dnsops *dnsops_new(struct loop *loop, const struct conf *conf, const char *program)
{
	struct dnsops *q = xcalloc(1, sizeof(*q));
	q->loop = loop;
	q->conf = conf_ref(conf);
	q->program = xstrdup(program);
	list_init(&q->ops);
	timer_init(&q->kick, loop, on_kick);
	return q;
}

void dnsops_configure(struct dnsops *q, const struct conf *conf)
{
	conf_unref(q->conf);
	q->conf = conf_ref(conf);
}

void dnsops_free(struct dnsops *q)
{
	if (!q)
		return;
	list_each_safe(n, &q->ops) dnsop_cancel(container_of(n, struct dnsop, node));
	timer_cancel(&q->kick);
	conf_unref(q->conf);
	free(q->program);
	free(q);
}

struct dnsop *dnsop_start(
	struct dnsops *q, const struct dnsop_opts *o, plugin_done_fn fn, void *ctx)
{
	struct dnsop *op = xcalloc(1, sizeof(*op));
	op->q = q;
	op->op = o->op;
	op->type = o->type;
	op->fn = fn;
	op->ctx = ctx;
	str_copy(op->name, sizeof(op->name), o->name);
	str_copy(op->value, sizeof(op->value), o->value);
	list_push_back(&q->ops, &op->node);
	timer_arm(&q->kick, 0);
	return op;
}

void dnsop_cancel(struct dnsop *op)
{
	if (!op)
		return;
	if (op->call)
		plugin_cancel(op->call);
	timer_arm(&op->q->kick, 0);
	list_remove(&op->node);
	free(op);
}
