/* What a running agent tells about itself: `key value` lines over a Unix socket in the state
 * folder, one connection an answer. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "device-agent/conf.h"
#include "device-agent/loop.h"

#define STATUS_MAX 4096

struct status_server;

/* `print` appends the lines (cap STATUS_MAX). NULL: see `e`; the agent can go on without. */
struct status_server *status_open(struct loop *l, const char *state,
	void (*print)(void *ctx, struct buf *out), void *ctx, struct err *e);
void status_close(struct status_server *s);

/* Ask the agent that runs on `state`. -ENOENT or -ECONNREFUSED: none does. */
int status_ask(const char *state, struct buf *out, struct err *e);
/* The lines as a JSON object; numbers as numbers. */
int status_to_json(const char *lines, struct buf *out);
/* The verb: exit code 0 linked, 1 running but not linked, 3 not running, 78 not enrolled. */
int status_show(const struct conf *c, bool json);
