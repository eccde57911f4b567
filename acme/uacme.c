/* See uacme.h. An obtain is QUEUED until no other one runs for any of its names, then makes sure
 * that there is an account, then issues. Results are delivered one a turn from a timer, so that a
 * callback may do anything, even free the driver. Files: CA/private/key.pem and CA/account (the
 * marker) per directory URL, orders/NAME-HASH/order.{csr,sha256} and order-cert.pem, locks/NAME. */
#include "acme/uacme.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/csr.h"
#include "acme/uacme_output.h"
#include "acme/uacme_run.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/crypto.h"
#include "net/loop.h"
#include "net/run.h"

#define AREA "acme/uacme"
#define RUNNING_MAX 4
#define LOGGED_MAX 800   /* bytes of uacme's last words in the log */
#define CHAIN_MAX 60000u /* what fits a process message */
#define KEY_MIN 64       /* bytes: no PEM key is shorter */
#define REUSE_S 86400    /* how long an issued chain answers the same request again */

struct uacme {
	struct driver driver;
	struct loop *loop;
	struct uacme_settings set;
	struct list obtains; /* in order of arrival */
	struct timer kick;
	bool account_ready;
};

enum state { QUEUED, ACCOUNT_WAIT, ACCOUNT, ISSUE, DONE, DEAD };

struct obtain {
	struct list node;
	struct uacme *u;
	enum state state;
	uint64_t id;
	char names[PROCMSG_NAMES_MAX][254];
	unsigned n_names;
	struct buf csr;   /* PEM */
	char digest[65];  /* of what the CSR asks for */
	struct buf chain; /* PEM; empty on failure */
	struct uacme_verdict verdict;
	char *dir; /* orders/… */
	struct run *run;
	struct timer deadline; /* of the CA's share in the run */
	bool account_retried, timed_out;
	obtain_fn fn;
	void *ctx;
};

static const char *const state_names[] = {
	"queued", "account-wait", "account", "issue", "done", "dead"};

static void set_state(struct obtain *o, enum state to)
{
	static const unsigned may[] = {
		[QUEUED] = 1u << ACCOUNT_WAIT | 1u << DONE | 1u << DEAD,
		[ACCOUNT_WAIT] = 1u << ACCOUNT | 1u << ISSUE | 1u << DONE | 1u << DEAD,
		[ACCOUNT] = 1u << ISSUE | 1u << DONE | 1u << DEAD,
		[ISSUE] = 1u << ACCOUNT_WAIT | 1u << DONE | 1u << DEAD,
		[DONE] = 1u << DEAD,
	};
	assert(may[o->state] & 1u << to);
	log_debug(AREA, "state", "name", o->names[0], "from", state_names[o->state], "to",
		state_names[to]);
	o->state = to;
}

static void obtain_free(struct obtain *o)
{
	timer_cancel(&o->deadline);
	buf_done(&o->csr);
	buf_done(&o->chain);
	free(o->dir);
	free(o);
}

/* --- results ------------------------------------------------------------------------------------
 */

static void done(struct obtain *o)
{
	set_state(o, DONE);
	timer_arm(&o->u->kick, 0);
}

static void fail(struct obtain *o, enum state_class class, const char *text)
{
	memset(&o->verdict, 0, sizeof(o->verdict));
	o->verdict.class = class;
	snprintf(o->verdict.text, sizeof(o->verdict.text), "%s", text);
	done(o);
}

/* Calls out: touches nothing of the driver afterwards. */
static void deliver(struct obtain *o)
{
	struct obtain_result r = {.class = o->verdict.class,
		.text = o->verdict.text,
		.retry_after_s = o->verdict.retry_after_s};
	if (o->chain.len) {
		r.chain = buf_str(&o->chain);
		r.chain_len = o->chain.len;
		r.text = NULL;
	}
	list_remove(&o->node);
	timer_arm(&o->u->kick, 0);
	set_state(o, DEAD);
	o->fn(o->ctx, &r);
	obtain_free(o);
}

static void on_deadline(struct timer *t)
{
	struct obtain *o = container_of(t, struct obtain, deadline);
	o->timed_out = true;
	if (o->run)
		run_kill(o->run);
}

/* --- the account --------------------------------------------------------------------------------
 */

static int start_run(struct obtain *o, bool account, run_done_fn fn, struct err *e)
{
	struct uacme_job job = {
		.order = o->id,
		.names = (const char(*)[254])o->names,
		.n_names = o->n_names,
		.dir = account ? NULL : o->dir,
	};
	int rc = uacme_run(&o->run, o->u->loop, &o->u->set, &job, fn, o, e);
	o->timed_out = false;
	if (!rc)
		timer_arm(&o->deadline, o->u->set.timeout_ms);
	return rc;
}

static void judge(struct obtain *o, const struct run_result *r)
{
	uacme_classify(&o->verdict, r->errs, clock_unix());
	if (r->timed_out || o->timed_out) {
		o->verdict.class = STATE_FAIL_CA;
		snprintf(o->verdict.text, sizeof(o->verdict.text),
			"uacme did not finish in %llu s and was ended; the certificate authority hangs, or "
			"acme.timeout is too short",
			(unsigned long long)(o->u->set.timeout_ms / 1000));
	} else if (r->signal) {
		o->verdict.class = STATE_FAIL_OURS;
		snprintf(o->verdict.text, sizeof(o->verdict.text), "uacme was ended by signal %d",
			r->signal);
	}
	size_t skip = r->errs_len > LOGGED_MAX ? r->errs_len - LOGGED_MAX : 0;
	log_debug(AREA, "uacme failed", "name", o->names[0], "stderr", r->errs + skip);
}

/* --- the account --------------------------------------------------------------------------------
 */

static void marker_path(const struct uacme_settings *s, char *out, size_t size)
{
	snprintf(out, size, "%s/account", s->ca_dir);
}

/* A full disk leaves an empty key that uacme calls saved and then cannot load. */
static int repair_key(const struct uacme_settings *s, bool *missing, struct err *e)
{
	char path[4096];
	struct stat st;
	snprintf(path, sizeof(path), "%s/private/key.pem", s->ca_dir);
	*missing = stat(path, &st) < 0;
	if (*missing || st.st_size >= KEY_MIN)
		return 0;
	*missing = true;
	log_warn(AREA, "account key is cut short, making a new one", "file", path);
	return file_remove_durable(path, e);
}

static int account_check(struct uacme *u, struct err *e)
{
	char path[4096];
	bool missing;
	int rc = repair_key(&u->set, &missing, e);
	if (rc < 0)
		return rc;
	marker_path(&u->set, path, sizeof(path));
	u->account_ready = !missing && access(path, F_OK) == 0;
	return 0;
}

/* The marker is written only after the key is on disk, so that it never vouches for a lost one. */
static int account_made(struct uacme *u, struct err *e)
{
	char path[4096];
	struct buf key = BUF_INIT(65536);
	snprintf(path, sizeof(path), "%s/private/key.pem", u->set.ca_dir);
	int rc = file_read(path, &key, e);
	if (!rc)
		rc = file_write_durable(path, key.data, key.len, 0400, e);
	buf_done_secret(&key);
	if (rc < 0)
		return rc;
	marker_path(&u->set, path, sizeof(path));
	rc = file_write_durable(path, u->set.directory, strlen(u->set.directory), 0600, e);
	u->account_ready = !rc;
	return rc;
}

/* Everybody who waited for the account goes on, or fails with the same words. */
static void account_settled(struct uacme *u, const struct uacme_verdict *bad)
{
	list_each(n, &u->obtains)
	{
		struct obtain *o = container_of(n, struct obtain, node);
		if (!bad || o->state != ACCOUNT_WAIT)
			continue;
		o->verdict = *bad;
		set_state(o, DONE);
	}
	timer_arm(&u->kick, 0);
}

static void on_account(void *ctx, const struct run_result *r)
{
	struct obtain *o = ctx;
	struct err e = {0};
	o->run = NULL;
	timer_cancel(&o->deadline);
	if (o->state == DEAD) {
		obtain_free(o);
		return;
	}
	if (r->exit_code != 0)
		judge(o, r);
	if (r->exit_code == 0 || o->verdict.has_account) {
		if (account_made(o->u, &e) < 0) {
			fail(o, STATE_FAIL_OURS, e.text);
			account_settled(o->u, &o->verdict);
			return;
		}
		log_info(AREA, "account ready", "directory", o->u->set.directory);
		set_state(o, ISSUE);
	} else {
		done(o);
	}
	account_settled(o->u, o->state == DONE ? &o->verdict : NULL);
}

static bool account_busy(const struct uacme *u)
{
	list_each(n, &u->obtains)
	{
		if (container_of(n, struct obtain, node)->state == ACCOUNT)
			return true;
	}
	return false;
}

/* --- issuing ------------------------------------------------------------------------------------
 */

static int read_chain(struct obtain *o, struct err *e)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/order-cert.pem", o->dir);
	int rc = file_read(path, &o->chain, e);
	const char *text = rc < 0 ? NULL : buf_str(&o->chain);
	if (rc < 0)
		return rc;
	if (!text || strncmp(text, "-----BEGIN CERTIFICATE-----", 27) != 0 ||
		!strstr(text, "-----END CERTIFICATE-----")) {
		buf_done(&o->chain);
		return err_set(e, -EBADMSG,
			"the certificate authority sent something that is no certificate chain");
	}
	return 0;
}

/* The CA does not know the key any more (its database was reset): make an account, once. */
static bool retry_with_account(struct obtain *o)
{
	char path[4096];
	if (!o->verdict.no_account || o->account_retried)
		return false;
	o->account_retried = true;
	log_warn(AREA, "the certificate authority forgot our account, making one", "name",
		o->names[0]);
	marker_path(&o->u->set, path, sizeof(path));
	if (file_remove_durable(path, NULL) < 0)
		return false;
	o->u->account_ready = false;
	set_state(o, ACCOUNT_WAIT);
	timer_arm(&o->u->kick, 0);
	return true;
}

static void on_issued(void *ctx, const struct run_result *r)
{
	struct obtain *o = ctx;
	struct err e = {0};
	int rc;
	o->run = NULL;
	timer_cancel(&o->deadline);
	if (o->state == DEAD) {
		obtain_free(o);
		return;
	}
	if (r->exit_code == 0) {
		rc = read_chain(o, &e);
		if (rc < 0)
			fail(o, rc == -EBADMSG ? STATE_FAIL_CA : STATE_FAIL_OURS, e.text);
		else
			done(o);
		return;
	}
	judge(o, r);
	if (!retry_with_account(o))
		done(o);
}

/* A gate that asks again for the same key (it was restarted meanwhile) gets the chain of before:
 * the CA is not asked twice. */
static bool answer_again(struct obtain *o)
{
	char path[4096];
	struct stat st;
	struct buf old = BUF_INIT(256);
	snprintf(path, sizeof(path), "%s/order.sha256", o->dir);
	bool same = file_read(path, &old, NULL) == 0 && old.len == strlen(o->digest) &&
		    !memcmp(old.data, o->digest, old.len);
	buf_done(&old);
	snprintf(path, sizeof(path), "%s/order-cert.pem", o->dir);
	if (!same || stat(path, &st) < 0 || clock_unix() - st.st_mtime > REUSE_S)
		return false;
	return read_chain(o, NULL) == 0;
}

static int prepare(struct obtain *o, struct err *e)
{
	char path[4096];
	const struct uacme_settings *s = &o->u->set;
	snprintf(path, sizeof(path), "%s/locks", s->state_dir);
	int rc = dir_make(path, 0700, e);
	if (!rc)
		rc = dir_make(o->dir, 0700, e);
	snprintf(path, sizeof(path), "%s/private", s->ca_dir);
	if (!rc)
		rc = dir_make(path, 0700, e);
	if (rc || answer_again(o))
		return rc;
	/* A uacme that was killed leaves the second, which it then may not write again. */
	snprintf(path, sizeof(path), "%s/order-cert.pem", o->dir);
	rc = file_remove_durable(path, e);
	snprintf(path, sizeof(path), "%s/order-cert.pem.tmp", o->dir);
	if (!rc)
		rc = file_remove_durable(path, e);
	snprintf(path, sizeof(path), "%s/order.csr", o->dir);
	if (!rc)
		rc = file_write_durable(path, o->csr.data, o->csr.len, 0600, e);
	snprintf(path, sizeof(path), "%s/order.sha256", o->dir);
	return rc ? rc : file_write_durable(path, o->digest, strlen(o->digest), 0600, e);
}

/* --- the queue ----------------------------------------------------------------------------------
 */

static bool share_a_name(const struct obtain *a, const struct obtain *b)
{
	for (unsigned i = 0; i < a->n_names; i++) {
		for (unsigned k = 0; k < b->n_names; k++) {
			if (!strcmp(uacme_bare_name(a->names[i]), uacme_bare_name(b->names[k])))
				return true;
		}
	}
	return false;
}

static bool is_active(const struct obtain *o)
{
	return o->state == ACCOUNT_WAIT || o->state == ACCOUNT || o->state == ISSUE;
}

/* First come, first served per name; at most RUNNING_MAX at once. */
static bool may_start(const struct obtain *o)
{
	unsigned running = 0;
	list_each(n, &o->u->obtains)
	{
		const struct obtain *other = container_of(n, struct obtain, node);
		running += is_active(other);
	}
	for (const struct list *n = o->node.prev; n != &o->u->obtains; n = n->prev) {
		const struct obtain *earlier = container_of(n, struct obtain, node);
		if (earlier->state != DONE && share_a_name(earlier, o))
			return false;
	}
	return running < RUNNING_MAX;
}

static void step(struct obtain *o)
{
	struct err e = {0};
	int rc = 0;
	if (o->state == QUEUED && may_start(o)) {
		rc = prepare(o, &e);
		if (!rc && o->chain.len) {
			done(o);
			return;
		}
		if (!rc)
			set_state(o, ACCOUNT_WAIT);
	}
	if (!rc && o->state == ACCOUNT_WAIT && !account_busy(o->u)) {
		rc = account_check(o->u, &e);
		if (!rc)
			set_state(o, o->u->account_ready ? ISSUE : ACCOUNT);
		if (!rc && o->state == ACCOUNT)
			rc = start_run(o, true, on_account, &e);
	}
	if (!rc && o->state == ISSUE && !o->run)
		rc = start_run(o, false, on_issued, &e);
	if (rc < 0)
		fail(o, STATE_FAIL_OURS, e.text);
}

static void on_kick(struct timer *t)
{
	struct uacme *u = container_of(t, struct uacme, kick);
	list_each(n, &u->obtains)
	{
		struct obtain *o = container_of(n, struct obtain, node);
		if (o->state == DONE) {
			deliver(o);
			return;
		}
	}
	list_each(n, &u->obtains) step(container_of(n, struct obtain, node));
}

/* --- the driver's vtable ------------------------------------------------------------------------
 */

static void csr_to_pem(struct buf *out, const uint8_t *der, size_t n)
{
	char *text = xcalloc(1, BASE64_LEN(n));
	base64_encode(text, der, n);
	int rc = buf_puts(out, "-----BEGIN CERTIFICATE REQUEST-----\n");
	for (size_t i = 0, len = strlen(text); i < len && !rc; i += 64)
		rc = buf_printf(out, "%.64s\n", text + i);
	if (!rc)
		rc = buf_puts(out, "-----END CERTIFICATE REQUEST-----\n");
	if (rc)
		buf_done(out);
	free(text);
}

static char *order_dir(const struct obtain *o)
{
	uint8_t digest[32];
	char hex[17];
	sha256(digest, o->names, sizeof(o->names[0]) * o->n_names);
	hex_encode(hex, digest, 8);
	return xasprintf(
		"%s/orders/%.100s-%s", o->u->set.state_dir, uacme_bare_name(o->names[0]), hex);
}

static struct obtain *on_obtain(
	struct driver *d, const struct obtain_opts *opts, obtain_fn fn, void *ctx)
{
	struct uacme *u = container_of(d, struct uacme, driver);
	struct obtain *o = xcalloc(1, sizeof(*o));
	assert(opts->n_names >= 1 && opts->n_names <= PROCMSG_NAMES_MAX);
	o->u = u;
	o->id = opts->id;
	o->n_names = opts->n_names;
	for (unsigned i = 0; i < opts->n_names; i++)
		str_copy(o->names[i], sizeof(o->names[i]), opts->names[i]);
	buf_init(&o->csr, 2 * PROCMSG_MAX);
	buf_init(&o->chain, CHAIN_MAX);
	csr_to_pem(&o->csr, opts->csr, opts->csr_len);
	uint8_t digest[32];
	if (csr_digest(digest, opts->csr, opts->csr_len) < 0)
		sha256(digest, opts->csr, opts->csr_len);
	hex_encode(o->digest, digest, sizeof(digest));
	o->dir = order_dir(o);
	o->fn = fn;
	o->ctx = ctx;
	timer_init(&o->deadline, u->loop, on_deadline);
	list_push_back(&u->obtains, &o->node);
	timer_arm(&u->kick, 0);
	return o;
}

static void on_extend(struct driver *d, struct obtain *o, uint64_t ms)
{
	struct uacme *u = container_of(d, struct uacme, driver);
	if (o->state == ISSUE && o->run && !o->timed_out)
		timer_arm(&o->deadline, ms + u->set.timeout_ms);
}

static void on_cancel(struct driver *d, struct obtain *o)
{
	struct uacme *u = container_of(d, struct uacme, driver);
	list_remove(&o->node);
	set_state(o, DEAD);
	timer_arm(&u->kick, 0);
	o->u = NULL;
	if (o->run)
		run_kill(o->run); /* the memory goes in its callback */
	else
		obtain_free(o);
}

static void on_free(struct driver *d)
{
	struct uacme *u = container_of(d, struct uacme, driver);
	list_each_safe(n, &u->obtains) on_cancel(d, container_of(n, struct obtain, node));
	timer_cancel(&u->kick);
	uacme_settings_done(&u->set);
	free(u);
}

int uacme_configure(struct driver *d, const struct uacme_opts *o, struct err *e)
{
	struct uacme *u = container_of(d, struct uacme, driver);
	int rc = dir_make(o->state_dir, 0700, e);
	if (rc < 0)
		return rc;
	uacme_settings_done(&u->set);
	uacme_settings_init(&u->set, o);
	return 0;
}

int uacme_new(struct driver **out, struct loop *loop, const struct uacme_opts *o, struct err *e)
{
	struct uacme *u = xcalloc(1, sizeof(*u));
	int rc = uacme_configure(&u->driver, o, e);
	if (rc < 0) {
		free(u);
		return rc;
	}
	u->driver.obtain = on_obtain;
	u->driver.cancel = on_cancel;
	u->driver.extend = on_extend;
	u->driver.free = on_free;
	u->loop = loop;
	list_init(&u->obtains);
	timer_init(&u->kick, loop, on_kick);
	*out = &u->driver;
	return 0;
}
