/* A person changes their own password: the old one is checked, the new one judged and made, and all
 * sessions but the one that asks end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/auth_int.h"

struct change {
	struct hash_work hash;
	struct list node;
	struct auth *auth;
	struct user user;
	int64_t session;
	struct auth_keys keys;
	char *fresh;
	auth_changed_fn fn;
	void *ctx;
};

static void change_free(struct change *c)
{
	list_remove(&c->node);
	free_secret_str(c->fresh);
	free_secret(c, sizeof(*c));
}

static void finish(struct change *c, int rc, const struct err *e)
{
	struct auth_changed r = {.rc = rc,
		.e = e,
		.wait_s = rc == -EAGAIN  ? auth_must_wait(c->auth, &c->keys)
			  : rc == -EBUSY ? 2
					 : 0};
	c->fn(c->ctx, &r);
	change_free(c);
}

void auth_drop_changes(struct auth *a)
{
	struct err e;
	err_set(&e, -ECANCELED, "the gateway is stopping");
	while (!list_empty(&a->changes))
		finish(container_of(a->changes.next, struct change, node), -ECANCELED, &e);
}

static void on_made(struct hash_work *h)
{
	struct change *c = container_of(h, struct change, hash);
	struct auth *a = c->auth;
	struct err e = {0};
	int rc = h->ok ? users_set_password(a->o.db, c->user.id, h->blob, h->blob_len, &e)
		       : err_set(&e, -ENOMEM, "there is not enough memory to store a password");
	if (rc == 0) {
		auth_end_others(a, c->user.id, c->session);
		auth_audit(a, c->user.name, "user.password", c->user.name, "ok");
	}
	finish(c, rc, &e);
}

static int busy(struct err *e)
{
	return err_set(e, -EBUSY, "several people are signing in at once; try again in a moment");
}

static void on_checked(struct hash_work *h)
{
	struct change *c = container_of(h, struct change, hash);
	struct err e = {0};
	int rc = 0;
	if (!h->ok) {
		auth_note_failure(c->auth, &c->keys);
		auth_audit(c->auth, c->user.name, "user.password", c->user.name, "refused");
		rc = err_set(&e, -EACCES, "this is not the present password");
	}
	if (rc == 0) {
		h->fn = on_made;
		h->blob_len = 0;
		if (hasher_make(c->auth->hasher, h, c->fresh) == -EBUSY)
			rc = busy(&e);
	}
	if (rc < 0)
		finish(c, rc, &e);
}

static int load_old(struct change *c, struct err *e)
{
	struct buf blob = BUF_INIT(PASSWORD_BLOB_MAX);
	int rc = users_password(c->auth->o.db, c->user.id, &blob, e);
	if (rc >= 0) {
		memcpy(c->hash.blob, blob.data, blob.len);
		c->hash.blob_len = blob.len;
	}
	buf_done_secret(&blob);
	return rc < 0 ? rc : 0;
}

void auth_change_password(struct auth *a, const struct auth_change *o)
{
	struct change *c = xcalloc(1, sizeof(*c));
	struct err e = {0};
	c->auth = a;
	c->user = *o->user;
	c->session = o->session;
	c->fresh = xstrdup(o->fresh);
	c->fn = o->fn;
	c->ctx = o->ctx;
	c->hash.fn = on_checked;
	list_push_back(&a->changes, &c->node);
	auth_keys_of(&c->keys, c->user.name, o->peer);
	int rc = password_judge(o->fresh, c->user.name, &e);
	if (rc == 0 && auth_must_wait(a, &c->keys))
		rc = err_set(&e, -EAGAIN, "too many tries; wait a few minutes");
	if (rc == 0)
		rc = load_old(c, &e);
	if (rc == 0 && hasher_check(a->hasher, &c->hash, o->old) == -EBUSY)
		rc = busy(&e);
	if (rc < 0)
		finish(c, rc, &e);
}
