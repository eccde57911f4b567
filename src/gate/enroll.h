/* How a device gets its identity: tokens that a person carries over, the proof that answers one,
 * the device's certificate and its renewal (device-agent/PROTOCOL.md). Control thread only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/token.h"
#include "gate/certs_life.h"

struct ask;
struct ca;
struct db;
struct enroll;

#define ENROLL_TOKEN_LIFE_S 3600
#define ENROLL_FAILURES_MAX 10
#define ENROLL_LOCK_MS (15u * 60 * 1000)
#define ENROLL_ISSUED_MAX 16 /* certificates of one device, in … */
#define ENROLL_ISSUED_MS (3600u * 1000)
#define ENROLL_BODY_MAX 8192u

struct enroll_opts {
	struct db *db;                                  /* kept */
	struct ca *ca;                                  /* kept */
	/* A serial more lives: make a snapshot. `replaced`: others of the device died, because it came
	 * with another key: cut what runs. */
	void (*changed)(void *ctx, const char *device, bool replaced);
	void *ctx;
};

struct enroll *enroll_new(const struct enroll_opts *o);
void enroll_free(struct enroll *n);

/* Where agents find this gateway: told to them in tokens and answers. */
struct enroll_gateway {
	char addrs[TOKEN_ADDRS_MAX][46];
	unsigned n_addrs;
	uint16_t port;
	char dns_name[254];
};
void enroll_set_gateway(struct enroll *n, const struct enroll_gateway *g);

/* A new token for a registered device, in text form; an earlier one stops working. Secret: wipe
 * `text`. */
int enroll_token(struct enroll *n, const char *device, int64_t now, char text[TOKEN_TEXT_MAX],
	int64_t *expires_at, struct err *e);

/* ASK_ENROL and ASK_AGENT: always ends with ask_done(). Takes `a`. */
void enroll_handle(struct enroll *n, struct ask *a, const struct certs_time *now);
