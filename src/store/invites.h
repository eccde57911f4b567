/* One-time links: the first admin's set-up, and a person's first or forgotten password. Only the
 * SHA-256 of the link's token is kept. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/users.h"

enum invite_kind { INVITE_SETUP = 1, INVITE_USER };

struct invite {
	int64_t id;
	enum invite_kind kind;
	int64_t user_id; /* INVITE_USER: whose password it sets; INVITE_SETUP: 0 */
	int64_t created_at, expires_at;
	int64_t used_at; /* 0: not yet */
};

/* Sets i->id. An unused one of the same kind and person is replaced: the newest link counts. */
int invites_add(struct db *db, const uint8_t token_sha256[32], struct invite *i, struct err *e);
/* Until when a person has a link that was not used; 0: there is none. */
int64_t invites_open_until(struct db *db, int64_t user_id, int64_t now);
/* What a link stands for. -ENOENT unknown, -ESTALE used, expired, or made under a clock that ran
 * ahead. */
int invites_find(struct db *db, const uint8_t token_sha256[32], int64_t now, struct invite *out,
	struct err *e);

struct invite_redeem {
	uint8_t token_sha256[32];
	int64_t now;
	const char *name;    /* INVITE_SETUP: of the new admin; else ignored */
	const char *display; /* may be NULL */
	const void *password;
	size_t password_len;
};

/* Use a link up, in one transaction: makes the first admin, or sets the person's password and ends
 * their sessions. Of two at once exactly one succeeds. -ENOENT, -ESTALE as above; -EPERM for a
 * set-up link once an admin can sign in; -EEXIST for a taken name. */
int invites_redeem(struct db *db, const struct invite_redeem *r, struct user *out, struct err *e);
/* Forget what expired or was used before `now` - 30 days. */
int invites_purge(struct db *db, int64_t now, struct err *e);
