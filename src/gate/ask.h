/* A request that the control thread answers (pages, API, sign-in, enrolment): the loop reads the body
 * whole (it is small), posts it over, and sends the answer when it comes back. Thus no handler on a
 * loop ever waits for a disk or a password hash. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/exchange.h"
#include "net/loop.h"

#define ASK_BODY_MAX 65536u

enum ask_kind {
	ASK_BASE,   /* the gateway's own host: pages, sign-in, API */
	ASK_DEVICE, /* /.lanthorn/… on a device's host */
	ASK_ENROL,  /* an agent without a certificate */
	ASK_AGENT,  /* an agent with one: renew, time */
	ASK_LOCAL,  /* the Unix socket: API for lanthornctl, allowed everything */
};

struct ask {
	enum ask_kind kind;
	struct msg *req;  /* head; owned */
	struct buf body;  /* whole */
	char host[254];	  /* of the route, or the SNI for agents; no port */
	char peer[46];	  /* the client's address, or "local" */
	uint8_t exporter[32]; /* ASK_ENROL: label EXPORTER-lanthorn-enrol-1 */
	bool has_exporter;
	char peer_serial[41]; /* ASK_AGENT: of the client certificate */
	uint8_t peer_spki[32];
	int64_t peer_not_after;

	/* The answer. Fill in resp (NULL: 500) and resp_body, then ask_done(). */
	struct msg *resp;
	struct buf resp_body; /* cap 16 MiB */

	/* ask.c's own */
	struct job job;
	struct loop *loop;
	struct exchange *x;
};

/* Where questions go. `fn` runs on `loop`'s thread, takes the ask and ends with ask_done() there,
 * now or later. */
typedef void (*ask_fn)(void *ctx, struct ask *a);
struct ask_desk {
	struct loop *loop;
	ask_fn fn;
	void *ctx;
};

/* On a worker's loop: become the exchange's handler, gather the body (413 above ASK_BODY_MAX), ask,
 * answer. `desk` is kept. `exporter`: 32 bytes, or NULL. */
void ask_exchange(struct exchange *x, enum ask_kind kind, const char *host,
	const struct ask_desk *desk, const uint8_t *exporter);
/* On the desk's thread: the answer is complete. Takes `a`. */
void ask_done(struct ask *a);
/* Shorthands for the desk: set status, type and body (copied), keeping fields already in a->resp. */
void ask_answer(struct ask *a, int status, const char *type, const char *body);
/* A redirect. */
void ask_redirect(struct ask *a, int status, const char *location);
