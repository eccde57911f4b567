/* Passwords: hashed by scrypt (N=2^14 r=8 p=5: 16 MiB, about 0.2 s), one at a time on a thread of its
 * own, at most eight waiting. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/loop.h"

#define PASSWORD_MIN 8 /* characters */
#define PASSWORD_MAX 256
#define PASSWORD_BLOB_MAX 96
#define PASSWORD_QUEUE_MAX 8u

struct hasher;

/* A piece of work: embed it. Callbacks come on `home`'s thread. */
struct hash_work {
	struct job job;
	struct hasher *hasher;
	struct loop *home;
	char *password;			 /* wiped when done */
	uint8_t blob[PASSWORD_BLOB_MAX]; /* in: to check against (len > 0); out: the new one */
	size_t blob_len;
	bool check, ok;
	/* `ok`: it matched, or the blob was made. */
	void (*fn)(struct hash_work *w);
};

int hasher_start(struct hasher **out, struct loop *home, struct err *e);
/* Waits for the work under way; the rest is dropped without a call (their owner frees them). The home
 * loop must have stopped, or a finished piece may still be on its way there. */
void hasher_stop(struct hasher *h);
/* Make a blob of `password`, or, with a blob given, check against it; an empty blob costs the same
 * time and never matches (a user who does not exist). -EBUSY when too many wait. */
int hasher_make(struct hasher *h, struct hash_work *w, const char *password);
int hasher_check(struct hasher *h, struct hash_work *w, const char *password);

/* Pure: long enough, short enough, not the name. A sentence for people on failure. */
int password_judge(const char *password, const char *user, struct err *e);
