/* The steward's end of the DNS plugins' contract (README.md): run one change to one record in a
 * child process. Settings, secrets among them, travel on stdin only. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/dnsmsg.h"

struct loop;
struct plugin_call;

#define PLUGIN_INPUT_MAX 16384u
#define PLUGIN_MESSAGE_MAX 300u
#define PLUGIN_DEADLINE_MS 60000u

enum plugin_op { PLUGIN_SET, PLUGIN_UNSET };

struct plugin_setting {
	const char *key, *value;
};

/* `rc`: 0 done; -EAGAIN try later; -EPERM never, until somebody changes something; -ETIMEDOUT the
 * deadline killed it (later is worth a try). `message`: what the plugin says of a failure, one
 * line of at most 300 printable bytes, or our own words; "" when done. Lent. Comes exactly once
 * unless cancelled; the call is gone after it. */
typedef void (*plugin_done_fn)(void *ctx, int rc, const char *message);

struct plugin_opts {
	const char *program;  /* lanthorn-dns; NULL: the installed one */
	const char *provider; /* "rfc2136" …, or "exec" */
	const char *command;  /* for exec: an absolute path */
	const struct plugin_setting *settings;
	size_t n_settings;
	enum plugin_op op;
	const char *name;   /* without final dot */
	enum dns_type type; /* TXT, A, AAAA */
	uint32_t ttl;       /* seconds */
	const char *value;
	uint64_t deadline_ms; /* 0: PLUGIN_DEADLINE_MS */
	plugin_done_fn done;
	void *ctx;
};

/* Start; `o` and all it points to are lent. -EINVAL for what cannot be passed on (line breaks, an
 * unknown type, a relative command, more than 16 KiB of settings), or why no child could start; no
 * callback then. */
int plugin_run(
	struct plugin_call **out, struct loop *loop, const struct plugin_opts *o, struct err *e);
/* Kill it; no callback follows. */
void plugin_cancel(struct plugin_call *call);
