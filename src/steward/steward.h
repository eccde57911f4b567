/* The certificate process: takes the gate's messages, checks every name against its own reading of
 * the configuration, and answers. Holds the ACME account and the DNS credentials. */
#pragma once

#include "base/err.h"

struct conf;
struct loop;
struct steward;

struct steward_opts {
	const struct conf *conf; /* kept by reference */
	int fd;                  /* our end of the SOCK_SEQPACKET pair; taken */
	const char *self;        /* path of this program; siblings lie beside it */
	/* The gate's end is gone for good. */
	void (*gone)(void *ctx);
	void *ctx;
};

int steward_open(
	struct steward **out, struct loop *loop, const struct steward_opts *o, struct err *e);
/* Go on with another configuration; on failure the old one stays. */
int steward_configure(struct steward *s, const struct conf *conf, struct err *e);
/* NULL is accepted. Children are killed; their ends come while the loop is freed. */
void steward_free(struct steward *s);
