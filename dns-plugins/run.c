/* See run.h. What cannot be said in one line of the contract is refused before any child starts,
 * so neither a name nor a setting can become another argument or another setting. */
#include "dns-plugins/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/run.h"

#define EXIT_NEVER 1
#define EXIT_LATER 75 /* EX_TEMPFAIL of sysexits.h */

struct plugin_call {
	struct run *run;
	plugin_done_fn done;
	void *ctx;
	uint64_t deadline_ms;
	char who[64];
};

/* The first line that says something, without what a terminal or a log could take amiss. */
static void first_line(char out[PLUGIN_MESSAGE_MAX + 1], const char *s)
{
	size_t n = 0;
	s += strspn(s, " \t\r\n");
	for (; *s && *s != '\n' && n < PLUGIN_MESSAGE_MAX; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '\r')
			continue;
		out[n++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	/* Not half a UTF-8 character at the cut. */
	if (n == PLUGIN_MESSAGE_MAX && ((unsigned char)*s & 0xc0) == 0x80) {
		while (n && ((unsigned char)out[n - 1] & 0xc0) == 0x80)
			n--;
		n -= n > 0;
	}
	out[n] = 0;
}

static int verdict(const struct plugin_call *c, const struct run_result *r, struct err *e)
{
	if (r->timed_out)
		return err_set(e, -ETIMEDOUT, "%s did not finish within %" PRIu64 " s", c->who,
			c->deadline_ms / 1000);
	if (r->signal)
		return err_set(e, -EAGAIN, "%s was killed by signal %d", c->who, r->signal);
	if (r->exit_code == 0)
		return 0;
	if (r->exit_code == EXIT_LATER)
		return err_set(e, -EAGAIN, "%s asks to try later and does not say why", c->who);
	if (r->exit_code == EXIT_NEVER)
		return err_set(e, -EPERM, "%s refuses and does not say why", c->who);
	return err_set(e, -EPERM, "%s ended with exit code %d, which the contract does not know",
		c->who, r->exit_code);
}

static void on_done(void *ctx, const struct run_result *r)
{
	struct plugin_call *c = ctx;
	struct err e = {.code = 0};
	char line[PLUGIN_MESSAGE_MAX + 1];
	int rc = verdict(c, r, &e);
	first_line(line, r->errs);
	if (rc == 0)
		line[0] = 0;
	else if (!line[0] || rc == -ETIMEDOUT)
		first_line(line, e.text);
	if (c->done)
		c->done(c->ctx, rc, line);
	free(c);
}

static bool is_one_line(const char *s)
{
	return s && !strpbrk(s, "\r\n");
}

static bool is_key(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == 0;
}

static const char *type_name(enum dns_type type)
{
	if (type == DNS_TXT)
		return "TXT";
	if (type == DNS_A)
		return "A";
	return type == DNS_AAAA ? "AAAA" : NULL;
}

/* A leading dash would be read as an option by somebody's script. */
static bool is_argument(const char *s)
{
	return is_one_line(s) && *s && *s != '-';
}

static int check(const struct plugin_opts *o, struct err *e)
{
	bool exec = o->provider && strcmp(o->provider, "exec") == 0;
	if (!is_argument(o->provider))
		return err_set(e, -EINVAL, "no DNS provider is configured");
	if (exec && (!is_one_line(o->command) || o->command[0] != '/'))
		return err_set(e, -EINVAL, "the command of provider exec must be an absolute path");
	if (!type_name(o->type))
		return err_set(e, -EINVAL, "DNS plugins change TXT, A and AAAA records only");
	if (!is_argument(o->name) || !is_one_line(o->value) || !o->value[0])
		return err_set(e, -EINVAL, "a DNS name or value that cannot be passed to a plugin");
	return 0;
}

static int write_settings(struct buf *b, const struct plugin_opts *o, struct err *e)
{
	for (size_t i = 0; i < o->n_settings; i++) {
		const struct plugin_setting *s = &o->settings[i];
		if (!is_one_line(s->key) || !is_key(s->key) || !is_one_line(s->value))
			return err_set(e, -EINVAL,
				"DNS setting %zu has a line break or a key that "
				"is none",
				i + 1);
		int rc = buf_puts(b, s->key);
		if (rc == 0)
			rc = buf_puts(b, "=");
		if (rc == 0)
			rc = buf_puts(b, s->value);
		if (rc == 0)
			rc = buf_puts(b, "\n");
		if (rc < 0)
			return err_set(e, -EINVAL, "the DNS settings are larger than %u bytes",
				PLUGIN_INPUT_MAX);
	}
	return 0;
}

static int start(struct plugin_call *c, struct loop *loop, const struct plugin_opts *o,
	const struct buf *input, struct err *e)
{
	char ttl[11];
	const char *argv[8];
	size_t n = 0;
	bool exec = strcmp(o->provider, "exec") == 0;
	snprintf(ttl, sizeof(ttl), "%" PRIu32, o->ttl);
	argv[n++] = exec ? o->command : o->program ? o->program : LIBEXECDIR "/lanthorn-dns";
	if (!exec)
		argv[n++] = o->provider;
	argv[n++] = o->op == PLUGIN_SET ? "set" : "unset";
	argv[n++] = o->name;
	argv[n++] = type_name(o->type);
	argv[n++] = ttl;
	argv[n++] = o->value;
	argv[n] = NULL;
	const struct run_opts ro = {
		.argv = argv,
		.input = input->data,
		.input_len = input->len,
		.deadline_ms = c->deadline_ms,
	};
	return run_start(&c->run, loop, &ro, on_done, c, e);
}

int plugin_run(
	struct plugin_call **out, struct loop *loop, const struct plugin_opts *o, struct err *e)
{
	struct buf input = BUF_INIT(PLUGIN_INPUT_MAX);
	struct plugin_call *c = NULL;
	*out = NULL;
	int rc = check(o, e);
	if (rc == 0)
		rc = write_settings(&input, o, e);
	if (rc < 0)
		goto out;
	c = xcalloc(1, sizeof(*c));
	c->done = o->done;
	c->ctx = o->ctx;
	c->deadline_ms = o->deadline_ms ? o->deadline_ms : PLUGIN_DEADLINE_MS;
	snprintf(c->who, sizeof(c->who), "DNS plugin \"%.40s\"", o->provider);
	rc = start(c, loop, o, &input, e);
	if (rc < 0)
		goto out;
	*out = c;
	c = NULL;
out:
	buf_done_secret(&input);
	free(c);
	return rc;
}

void plugin_cancel(struct plugin_call *call)
{
	if (!call)
		return;
	call->done = NULL;
	run_kill(call->run);
}
