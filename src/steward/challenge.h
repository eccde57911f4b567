/* The proofs that the CA asks for: serves lanthorn-hook on a Unix socket. `begin` puts the record
 * into DNS and is answered when every name server has it; `done` and `failed` take it out again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct challenges;
struct loop;
struct proof_tools;

struct challenges_opts {
	struct proof_tools *tools; /* must outlive it */
	const char *socket;        /* path to listen on; lent */
	/* Is this host name one of the running order's? */
	bool (*is_ordered)(void *ctx, uint64_t order, const char *ident);
	/* A proof is under way, for at most `ms`. */
	void (*began)(void *ctx, uint64_t order, uint64_t ms);
	/* How `begin` ended: 0, or a negative code and why the CA will not be told to look. */
	void (*said)(void *ctx, uint64_t order, int rc, const char *text);
	void *ctx;
};

int challenges_open(
	struct challenges **out, struct loop *loop, const struct challenges_opts *o, struct err *e);
/* NULL is accepted. */
void challenges_free(struct challenges *c);
