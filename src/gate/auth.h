/* Sign-in: pages and forms of the base host, the code flow on device hosts, who a request belongs
 * to. Owns the truth about sessions and feeds the loops' replicas by notify. Control thread only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "gate/notify.h"
#include "store/users.h"

struct ask;
struct auth;
struct conf;
struct db;
struct loop;

struct auth_opts {
	struct loop *loop;       /* the control thread's; kept, for timers */
	struct db *db;           /* kept */
	const struct conf *conf; /* auth takes a reference of its own */
	struct notify notify;
	/* A person's sessions, rights or password changed; may be NULL. */
	void (*person)(void *ctx, int64_t user_id);
	void *ctx;
};

/* Also tells the loops of every session that is still valid, before it returns. */
int auth_new(struct auth **out, const struct auth_opts *o, struct err *e);
void auth_free(struct auth *a);
/* A new configuration counts from now on; auth takes a reference of its own. */
void auth_set_conf(struct auth *a, const struct conf *conf);

/* A question of ASK_BASE (all but /api/) or ASK_DEVICE. 0: taken, it ends with ask_done() now or
 * later. -ENOENT: no such page, and nobody who would read one; the ask is still the
 * caller's. */
int auth_handle(struct auth *a, struct ask *ask);
/* Whose session does this ASK_BASE request carry, and which is it? 0, or -EACCES without a live
 * one. */
int auth_who(struct auth *a, const struct ask *ask, struct user *out, int64_t *session);

/* A loop says that a session was used just now. */
void auth_touched(struct auth *a, const uint8_t hash[32]);
/* A host is gone (its device was removed): its sessions end in the database and on the loops. */
void auth_host_removed(struct auth *a, const char *host);
/* A person's sessions end everywhere (removed, disabled, or their devices changed). */
void auth_end_user(struct auth *a, int64_t user_id);
/* Remove a person and all their sessions; what users_remove() refuses leaves these as they are. */
int auth_remove_user(struct auth *a, int64_t user_id, struct err *e);
/* End a base session and its children, in the store and on the loops. When the store cannot be
 * written they are refused all the same, and it is tried again; yet a restart before that would
 * bring them back, so whoever asked has to be told. */
int auth_end_session(struct auth *a, int64_t id, struct err *e);
/* Their sessions but the base session `keep` and what belongs to it. */
void auth_end_others(struct auth *a, int64_t user_id, int64_t keep);
/* Write display, is_admin and disabled. Who loses rights is signed out. What users_update() refuses
 * changes nothing. */
int auth_update_user(struct auth *a, const struct user *u, struct err *e);

/* How changing a password ended: 0, -EACCES the old one is wrong, -EINVAL the new one is no good,
 * -EAGAIN and -EBUSY try again in `wait_s`, or another negative code. */
struct auth_changed {
	int rc;
	const struct err *e; /* lent */
	unsigned wait_s;
};
typedef void (*auth_changed_fn)(void *ctx, const struct auth_changed *r);
struct auth_change {
	const struct user *user;
	int64_t session; /* stays; all others end */
	const char *peer, *old, *fresh;
	auth_changed_fn fn; /* called once, maybe before auth_change_password() returns */
	void *ctx;
};
/* All of `o` is lent. */
void auth_change_password(struct auth *a, const struct auth_change *o);
/* A one-time link for a person's first or new password (3 days); `u` NULL: for the first
 * administrator (1 hour; -EEXIST once there is one). */
struct auth_link {
	char url[512]; /* secret: wipe it */
	int64_t expires_at;
};
int auth_make_link(struct auth *a, const struct user *u, struct auth_link *out, struct err *e);
/* A token with which a script reaches `host` as this person, for a year, until they are signed out.
 * It is a session of its own kind. Secret: wipe `out` (BASE64_LEN(32)). */
#define AUTH_TOKEN_TEXT 45
int auth_make_token(struct auth *a, const struct user *u, const char *host,
	char out[AUTH_TOKEN_TEXT], struct err *e);
