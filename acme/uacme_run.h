/* One run of uacme: its settings, command line and environment. For acme/uacme alone. */
#pragma once

#include "acme/uacme.h"
#include "net/run.h"

struct uacme_settings {
	char *program, *directory, *email, *ca_file, *state_dir, *self, *hook, *socket;
	char *ca_dir; /* uacme's configuration directory for this CA */
	uint64_t hook_wait_s, timeout_ms;
};

struct uacme_job {
	uint64_t order;
	const char (*names)[254];
	unsigned n_names;
	const char *dir; /* of order.csr; NULL: make the account */
};

void uacme_settings_init(struct uacme_settings *s, const struct uacme_opts *o);
void uacme_settings_done(struct uacme_settings *s);
/* As run_start, which it calls; arguments are lent. */
int uacme_run(struct run **out, struct loop *loop, const struct uacme_settings *s,
	const struct uacme_job *job, run_done_fn fn, void *ctx, struct err *e);
/* Without "*.": what is authorized, hooked and locked. */
const char *uacme_bare_name(const char *name);
