/* What acme/schedule needs to remember of a set of names, in the steward's database: failures in
 * `attempts`, successes in `meta`. A restart loop therefore never burns the CA's limits. */
#pragma once

#include "acme/schedule.h"
#include "store/attempts.h"

struct db;

#define BACKOFF_REQUEST_LEN 32

struct backoff {
	char key[ATTEMPT_KEY_MAX]; /* of the names */
	struct schedule_backoff when;
	enum state_class class; /* of the last failure */
	char text[PROCMSG_TEXT_MAX];
	uint8_t request[BACKOFF_REQUEST_LEN]; /* of the last success: what was asked for, hashed */
};

/* All zeros but the key when nothing is remembered. */
int backoff_load(struct backoff *b, struct db *db, const struct procmsg *order, struct err *e);
int backoff_save(const struct backoff *b, struct db *db, struct err *e);
