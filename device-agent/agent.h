/* The verb run: what ties identity, links, renewal, status and signals together. */
#pragma once

#include "device-agent/conf.h"

/* Where settings come from: the file, then what the command line says on top. */
struct conf_source {
	const char *path;
	bool must_exist;             /* the person named it */
	const char *state, *service; /* NULL: not given */
};

int conf_gather(struct conf *c, const struct conf_source *from, struct err *e);
/* Until SIGTERM or SIGINT. Exit code: 0, or 78 for local trouble. */
int agent_run(struct conf *c, const struct conf_source *from);
