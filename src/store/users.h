/* People: who may sign in, and which devices they may reach. An admin reaches all. The password is
 * an opaque blob (hash, salt and parameters) that gate/password makes and checks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct db;

#define USER_NAME_MAX 32
#define USER_DISPLAY_MAX 64
#define USER_PASSWORD_MAX 512
#define USERS_MAX 1000

struct user {
	int64_t id; /* never used again after removal */
	char name[USER_NAME_MAX + 1];
	char display[USER_DISPLAY_MAX + 1]; /* UTF-8; "" : show the name */
	bool is_admin;
	bool disabled;
	bool has_password; /* read only: false until an invite was redeemed */
	int64_t created_at;
};

/* 1–32 of a–z 0–9 . _ - */
bool users_name_is_valid(const char *name);

/* Add without a password; sets u->id. -EEXIST for a taken name, -EINVAL for a bad one and above
 * USERS_MAX. */
int users_add(struct db *db, struct user *u, struct err *e);
int users_get(struct db *db, int64_t id, struct user *out, struct err *e);
int users_find(struct db *db, const char *name, struct user *out, struct err *e);
int users_list(struct db *db, struct user **out, size_t *n, struct err *e);
/* How many people there are, and how many admins that can sign in. Either may be NULL. */
int users_count(struct db *db, unsigned *all, unsigned *admins, struct err *e);
/* Write display, is_admin and disabled. Disabling ends the person's sessions. -EPERM where no
 * enabled admin with a password would remain. */
int users_update(struct db *db, const struct user *u, struct err *e);
/* Remove with sessions, invites and grants. -EPERM as above. */
int users_remove(struct db *db, int64_t id, struct err *e);

int users_set_password(struct db *db, int64_t id, const void *p, size_t n, struct err *e);
/* Append the blob. -ENOENT also where no password is set. */
int users_password(struct db *db, int64_t id, struct buf *out, struct err *e);

/* Devices are named by their label, agents and configured ones alike. Granting twice is no error,
 * nor is revoking what was never granted. */
int users_grant(struct db *db, int64_t id, const char *device, struct err *e);
int users_revoke(struct db *db, int64_t id, const char *device, struct err *e);
/* 1 may, 0 may not (unknown and disabled people too), negative. */
int users_may_reach(struct db *db, int64_t id, const char *device, struct err *e);

struct user_grant {
	int64_t user_id;
	char device[64];
};
/* Of one person, or of all with id 0. */
int users_grants(struct db *db, int64_t id, struct user_grant **out, size_t *n, struct err *e);
