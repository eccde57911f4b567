/* The life of public certificates: which are wanted, keys and orders, judging and storing what
 * comes back, renewal, failures. ID.pem in the directory holds key and chain together and is
 * replaced in one step; the key of an open order waits beside it in ID.key. Control thread only; no
 * clock and no loop of its own, so that tests can replay it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "gate/certs_life.h"
#include "gate/names.h"
#include "store/certs.h"

struct certs;
struct db;
struct tls_cert;

struct certs_opts {
	struct db *db;   /* kept */
	const char *dir; /* state_dir/gate/certs; made when missing; copied */
	names_send_fn send;
	void (*changed)(void *ctx); /* another certificate is to be served: make a snapshot */
	void *ctx;
};

int certs_open(struct certs **out, const struct certs_opts *o, struct err *e);
void certs_free(struct certs *c);

/* What should exist. All lent. */
struct certs_plan {
	const char *domain;
	bool per_device;
	const char *const *devices; /* labels */
	unsigned n_devices;
	uint64_t timeout_ms; /* acme.timeout */
};
/* Follow a plan: loads what is on disk for new ones, withdraws what is wanted no more. Calls
 * changed where that matters. */
void certs_follow(struct certs *c, const struct certs_plan *p, int64_t now);

/* Place and repeat orders that are due. Returns in how many milliseconds to call again, at most
 * CERTS_LOOK_MAX_MS; call also after any of the functions here. */
uint64_t certs_tick(struct certs *c, const struct certs_time *now);
/* STATE_STARTED: open orders are sent again. */
void certs_restart(struct certs *c);
/* CHAIN, or STATE with an id. False when it is about no order of ours. */
bool certs_message(struct certs *c, const struct procmsg *m, const struct certs_time *now);
/* A person asks for a new one now. -ENOENT, -EAGAIN with words so soon after the last time. */
int certs_renew(struct certs *c, const char *id, const struct certs_time *now, struct err *e);

/* Lent; NULL when none is held, or it is expired. */
struct tls_cert *certs_serving(const struct certs *c, const char *id, int64_t now);
/* The latest moment that a certificate at hand proves to have passed; 0 without any. */
int64_t certs_clock_floor(const struct certs *c);
/* All rows, "@base" first. Lent until the next call of any function here. */
unsigned certs_count(const struct certs *c);
const struct certs_row *certs_at(struct certs *c, unsigned i);
const struct certs_row *certs_find(struct certs *c, const char *id);

/* One sentence for people: what to do about a failure of this class. */
const char *class_remedy(enum state_class class);
/* A word for scripts: "dns", "ca", "limit" … */
const char *class_word(enum state_class class);
