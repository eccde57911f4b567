/* Keeping the device's certificate alive: learns the gateway's time, renews with a third of the
 * lifetime left, and an expired one too. The device's own clock is never asked. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "device-agent/dial.h"

struct renewer;

#define RENEW_LOOK_MS                                                                              \
	21600000 /* ask for the time again: a suspended device's clocks stand still                \
		  */

struct renew_settings {
	struct loop *loop;
	struct gateway *gw;        /* outlives the renewer, as do the next two */
	const struct identity *id; /* read anew at each use */
	const char *state;         /* where the key is */
	/* A new certificate: `id` may be moved from. A negative code: it is of no use. */
	int (*on_renewed)(void *ctx, struct identity *id, struct err *e);
	/* The gateway says that this device was removed, or (false) that it is known. */
	void (*on_removed)(void *ctx, bool removed);
	void *ctx;
};

/* `tls`: for short requests, kept until renewer_use. Idle until poked. */
struct renewer *renewer_open(const struct renew_settings *s, struct tls_ctx *tls);
void renewer_use(struct renewer *r, struct tls_ctx *tls);
/* Ask the gateway now, or once the wait after a failure is over. */
void renewer_poke(struct renewer *r);
/* The gateway's time, Unix seconds; 0 while unknown. */
int64_t renewer_time(const struct renewer *r);
void renewer_free(struct renewer *r);
