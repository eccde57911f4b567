/* Who this device is, as its gateway said at enrolment: certificate, CA, where the gateway is.
 * The answer of the gateway and the state's file `identity` have one form, `key value` lines. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define IDENTITY_ADDRS_MAX 8
#define IDENTITY_TEXT_MAX 16384

struct identity {
	struct buf cert, ca; /* DER */
	char name[128];      /* tv.link.lanthorn.internal */
	char addrs[IDENTITY_ADDRS_MAX][46];
	unsigned n_addrs;
	uint16_t port;
	char dns_name[254]; /* "": none */
	int64_t time;       /* the gateway's, when it wrote this; a floor for later */
};

#define LINK_SUFFIX ".link.lanthorn.internal"

void identity_init(struct identity *id);
void identity_done(struct identity *id);
/* Strict on what is known, deaf to unknown keys. `id` was inited; after failure it is empty. */
int identity_parse(struct identity *id, const char *text, struct err *e);
/* Appends to `out` (cap ≥ IDENTITY_TEXT_MAX). */
int identity_print(const struct identity *id, struct buf *out);
/* `id` takes what `from` holds; `from` is empty afterwards. */
void identity_move(struct identity *id, struct identity *from);

/* Take the state folder for this process, until the descriptor that is returned is closed, and
 * remove what a crash left half written there. -EBUSY: another process has it. */
int state_lock(const char *state, struct err *e);

/* The files of the state folder. -ENOENT: not enrolled. */
int identity_load(struct identity *id, const char *state, struct err *e);
/* In one durable step. */
int identity_store(const struct identity *id, const char *state, struct err *e);
/* The private key, PEM, to `pem` (wipe it). -ENOENT: none yet. */
int key_load(struct buf *pem, const char *state, struct err *e);
int key_store(const struct buf *pem, const char *state, struct err *e);
