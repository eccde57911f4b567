/* Shared by auth.c (who is who), auth_forms.c (sign-in, set-up), auth_flow.c (codes to device
 * hosts) and auth_pages.c (what people see). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "gate/auth.h"
#include "gate/form.h"
#include "gate/password.h"
#include "store/users.h"

struct ask;
struct codes;
struct limit;
struct map;
struct session;

struct auth {
	struct auth_opts o;
	struct hasher *hasher;
	struct codes *codes;
	struct limit *by_pair, *by_addr, *by_account;
	/* Wrong one-time links, apart: any web page can make a browser open such a link. */
	struct limit *links_by_addr;
	struct list works;   /* forms whose password is being hashed */
	struct list changes; /* passwords being changed */
	struct timer sweep;
	/* Sessions that ended and that the disk does not let go, by hash: refused until it does. */
	struct map *ended;
	struct timer again;
};

/* Where a sign-in wants to end; from the query or the form, checked. */
struct auth_target {
	char host[254]; /* "" : the gateway's own pages */
	uint8_t state[32];
	char to[2100]; /* a path */
};

/* ---- auth.c ---- */
const char *auth_domain(const struct auth *a);
/* The label of a host right below the domain, into out[64]. 0 or -EINVAL. */
int auth_device_of(const struct auth *a, const char *host, char *out);
/* Is it the host of a device that we have? */
bool auth_host_is_known(struct auth *a, const char *host);
/* "https://HOST:PORT" into out[300]. */
void auth_origin(const struct auth *a, const char *host, char *out);
/* Make the session that `s` describes by user, host and parent; fill in the rest, tell the loops
 * and put its cookie into the answer. */
int auth_begin_session(struct auth *a, struct ask *ask, struct session *s, struct err *e);
/* The base session of this request. 0 or -EACCES. */
int auth_session_of(struct auth *a, const struct ask *ask, struct session *s, struct user *u);
void auth_audit(struct auth *a, const char *actor, const char *action, const char *object,
	const char *outcome);
/* A Set-Cookie that removes `name`. */
void auth_clear_cookie(struct ask *ask, const char *name);
bool auth_path_is_safe(const char *to);

/* ---- auth_forms.c ---- */
/* Who is limited: an account from an address, an address, an account. A browser that has signed in
 * to the account before is limited alone: nobody else can use up its tries. */
struct auth_keys {
	char pair[128], addr[46], account[64];
	bool known; /* `pair` is the account in that browser; the others do not count */
};
void auth_keys_of(struct auth_keys *k, const char *name, const char *peer);
/* Seconds until they may try again; 0: now. */
unsigned auth_must_wait(struct auth *a, const struct auth_keys *k);
void auth_note_failure(struct auth *a, const struct auth_keys *k);
/* The hasher has stopped: answer and free what it left. */
void auth_drop_works(struct auth *a);
void auth_signin_page(struct auth *a, struct ask *ask);
void auth_signin_form(struct auth *a, struct ask *ask);
void auth_link_page(struct auth *a, struct ask *ask);
void auth_link_form(struct auth *a, struct ask *ask);
void auth_signout_form(struct auth *a, struct ask *ask);

/* ---- auth_password.c ---- */
/* As auth_drop_works. */
void auth_drop_changes(struct auth *a);

/* ---- auth_flow.c ---- */
void auth_target_read(struct auth *a, const struct form *f, struct auth_target *t);
/* Signed in as `u` by session `s`: go where `t` says, by a code when that is a device's host. */
void auth_go(struct auth *a, struct ask *ask, const struct session *s, const struct user *u,
	const struct auth_target *t);
/* /.lanthorn/cb on a device's host. */
void auth_callback(struct auth *a, struct ask *ask);

/* ---- auth_pages.c ---- */
struct auth_page {
	int status;
	const char *note; /* one sentence, or NULL */
	const struct auth_target *target;
	const char *token; /* set-up and invitation */
	const char *name;  /* what was typed, or whose password it is */
	bool setup;        /* the first admin chooses a name too */
	unsigned retry_after;
};
void auth_page_signin(struct auth *a, struct ask *ask, const struct auth_page *p);
void auth_page_link(struct auth *a, struct ask *ask, const struct auth_page *p);
/* A page with one heading, one sentence, and a path that leads on. */
struct auth_words {
	const char *title, *text, *link;
};
void auth_page_plain(struct auth *a, struct ask *ask, int status, const struct auth_words *w);
/* 404 for people. -ENOENT: whoever asks does not read pages; nothing was answered. */
int auth_page_nothing(struct auth *a, struct ask *ask);
