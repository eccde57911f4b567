/* See uacme_run.h. No secret is ever on the command line or in the environment: the account key is
 * a file that uacme reads itself. */
#include "acme/uacme_run.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/hook_line.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/crypto.h"

#define ACCOUNT_DEADLINE_MS 120000
#define ARGS_MAX 40
#define OWNED_MAX (PROCMSG_NAMES_MAX + 4)

struct args {
	const char *v[ARGS_MAX];
	char *owned[OWNED_MAX];
	unsigned n, n_owned;
};

const char *uacme_bare_name(const char *name)
{
	return str_starts(name, "*.") ? name + 2 : name;
}

void uacme_settings_init(struct uacme_settings *s, const struct uacme_opts *o)
{
	uint8_t digest[32];
	char hex[17];
	sha256(digest, o->directory, strlen(o->directory));
	hex_encode(hex, digest, 8);
	*s = (struct uacme_settings){
		.program = xstrdup(o->program),
		.directory = xstrdup(o->directory),
		.email = xstrdup(o->email),
		.ca_file = xstrdup(o->ca_file),
		.state_dir = xstrdup(o->state_dir),
		.self = xstrdup(o->self),
		.hook = xstrdup(o->hook),
		.socket = xstrdup(o->socket),
		.ca_dir = xasprintf("%s/ca-%s", o->state_dir, hex),
		.hook_wait_s = o->hook_wait_s,
		.timeout_ms = o->timeout_ms,
	};
}

void uacme_settings_done(struct uacme_settings *s)
{
	char *const all[] = {s->program, s->directory, s->email, s->ca_file, s->state_dir, s->self,
		s->hook, s->socket, s->ca_dir};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]);
	memset(s, 0, sizeof(*s));
}

static void add(struct args *a, const char *s)
{
	assert(a->n + 1 < ARGS_MAX);
	a->v[a->n++] = s;
	a->v[a->n] = NULL;
}

static void add_all(struct args *a, const char *const *list)
{
	for (; *list; list++)
		add(a, *list);
}

/* Takes `s`. */
static void add_owned(struct args *a, char *s)
{
	assert(a->n_owned < OWNED_MAX);
	a->owned[a->n_owned++] = s;
	add(a, s);
}

/* The account's lock, or one for each name. A busy lock is taken by force, so their order is free.
 */
static void add_locks(struct args *a, const struct uacme_settings *s, const struct uacme_job *job)
{
	if (!job->dir) {
		add(a, "--lock");
		add_owned(a, xasprintf("%s/lock", s->ca_dir));
		return;
	}
	for (unsigned i = 0; i < job->n_names; i++) {
		const char *name = uacme_bare_name(job->names[i]);
		bool seen = false;
		for (unsigned k = 0; k < i; k++)
			seen |= !strcmp(name, uacme_bare_name(job->names[k]));
		if (seen)
			continue;
		add(a, "--lock");
		add_owned(a, xasprintf("%s/locks/%s", s->state_dir, name));
	}
}

static void add_wrapper(struct args *a, const struct uacme_settings *s, const struct uacme_job *job)
{
	add_all(a, (const char *const[]){s->self, "--exec-uacme", "--parent", NULL});
	add_owned(a, xasprintf("%ld", (long)getpid()));
	add_locks(a, s, job);
	if (s->ca_file[0])
		add_all(a, (const char *const[]){"--ca", s->ca_file, NULL});
	add(a, "--");
}

static void add_uacme(struct args *a, const struct uacme_settings *s, const struct uacme_job *job)
{
	/* Retry-After is told only from the third -v on. */
	add_all(a, (const char *const[]){s->program, "-v", "-v", "-v", "-a", s->directory, "-c",
			   s->ca_dir, "-h", s->hook, NULL});
	if (!job->dir) {
		add_all(a, (const char *const[]){"-y", "-t", "EC", "--", "new", NULL});
		if (s->email[0])
			add(a, s->email);
		return;
	}
	/* -f: its own test of dates counts whole days, useless for short certificates. */
	add_all(a, (const char *const[]){"-n", "-o", "-f", "--", "issue", NULL});
	add_owned(a, xasprintf("%s/order.csr", job->dir));
}

int uacme_run(struct run **out, struct loop *loop, const struct uacme_settings *s,
	const struct uacme_job *job, run_done_fn fn, void *ctx, struct err *e)
{
	struct args a = {0};
	add_wrapper(&a, s, job);
	add_uacme(&a, s, job);
	char *socket = xasprintf(HOOK_LINE_ENV_SOCKET "=%s", s->socket);
	char *order = xasprintf(HOOK_LINE_ENV_ORDER "=%llu", (unsigned long long)job->order);
	char *wait = xasprintf(HOOK_LINE_ENV_WAIT "=%llu", (unsigned long long)s->hook_wait_s);
	const char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C", socket, order, wait, NULL};
	struct run_opts o = {.argv = a.v,
		.env = env,
		.dir = s->state_dir,
		.deadline_ms = ACCOUNT_DEADLINE_MS,
		.keep_end = true};
	/* The caller watches the CA's share; this is the end of everything, proofs included. */
	if (job->dir)
		o.deadline_ms =
			s->timeout_ms + job->n_names * (s->hook_wait_s * 1000 + s->timeout_ms);
	int rc = run_start(out, loop, &o, fn, ctx, e);
	for (unsigned i = 0; i < a.n_owned; i++)
		free(a.owned[i]);
	free(socket);
	free(order);
	free(wait);
	return rc;
}
