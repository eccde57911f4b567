/* See enroll.h. What comes in here was sent by somebody who has proved nothing yet. */
#include "gate/enroll.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/ask.h"
#include "gate/ca.h"
#include "gate/enroll_msg.h"
#include "gate/limit.h"
#include "net/crypto.h"
#include "store/audit.h"
#include "store/db.h"
#include "store/device_tokens.h"
#include "store/devices.h"

#define AREA "gate/enroll"

struct enroll {
	struct enroll_opts o;
	struct enroll_gateway gateway;
	struct limit *addrs, *devices;
	struct limit *issued; /* each is a row and a snapshot: a device in a loop is slowed */
};

struct enroll *enroll_new(const struct enroll_opts *o)
{
	struct enroll *n = xcalloc(1, sizeof(*n));
	n->o = *o;
	n->addrs = limit_new(&(struct limit_opts){ENROLL_FAILURES_MAX, ENROLL_LOCK_MS, 4096});
	n->devices = limit_new(&(struct limit_opts){ENROLL_FAILURES_MAX, ENROLL_LOCK_MS, 1024});
	n->issued = limit_new(&(struct limit_opts){ENROLL_ISSUED_MAX, ENROLL_ISSUED_MS, 1024});
	return n;
}

void enroll_free(struct enroll *n)
{
	if (!n)
		return;
	limit_free(n->addrs);
	limit_free(n->devices);
	limit_free(n->issued);
	free(n);
}

void enroll_set_gateway(struct enroll *n, const struct enroll_gateway *g)
{
	n->gateway = *g;
}

int enroll_token(struct enroll *n, const char *device, int64_t now, char text[TOKEN_TEXT_MAX],
	int64_t *expires_at, struct err *e)
{
	const struct enroll_gateway *g = &n->gateway;
	struct device_token row = {.created_at = now, .expires_at = now + ENROLL_TOKEN_LIFE_S};
	struct token t = {.port = g->port, .n_addrs = g->n_addrs, .expires_at = row.expires_at};
	int rc = str_copy(row.device, sizeof(row.device), device);
	if (rc < 0)
		return err_set(e, rc, "the name of the device is too long");
	random_bytes(row.secret, sizeof(row.secret));
	rc = device_tokens_add(n->o.db, &row, e);
	if (rc < 0)
		goto out;
	memcpy(t.device_id, row.device, sizeof(t.device_id));
	memcpy(t.dns_name, g->dns_name, sizeof(t.dns_name));
	memcpy(t.addrs, g->addrs, sizeof(t.addrs));
	memcpy(t.ca_sha256, ca_sha256(n->o.ca), sizeof(t.ca_sha256));
	memcpy(t.secret, row.secret, sizeof(t.secret));
	rc = token_encode(&t, text);
	if (rc < 0)
		err_set(e, rc, "cannot write the token down");
	limit_clear(n->devices, device);
	limit_clear(n->issued, device);
	*expires_at = row.expires_at;
out:
	wipe(&row, sizeof(row));
	wipe(&t, sizeof(t));
	return rc;
}

/* One line for people; no word on whether the device exists. */
static void refuse(struct ask *a, int status, const char *line)
{
	char text[ERR_TEXT_MAX + 2];
	snprintf(text, sizeof(text), "%s\n", line);
	ask_answer(a, status, "text/plain; charset=utf-8", text);
}

static void refuse_wait(struct ask *a, unsigned wait_s)
{
	char seconds[16];
	snprintf(seconds, sizeof(seconds), "%u", wait_s);
	a->resp = msg_new_response(429);
	msg_set(a->resp, "retry-after", seconds);
	refuse(a, 429, "too many tries; wait and try again");
}

static void audit(struct enroll *n, int64_t now, const char *device, const char *outcome)
{
	char actor[65];
	snprintf(actor, sizeof(actor), "device:%.57s", device);
	audit_add(n->o.db,
		&(struct audit){.at = now,
			.actor = actor,
			.action = "device.enrol",
			.object = device,
			.outcome = outcome},
		NULL);
}

static void answer(struct enroll *n, struct ask *a, const struct ca_issued *c, int64_t now)
{
	struct enroll_answer m = {.gateway = &n->gateway, .cert = &c->der, .now = now};
	struct buf text = BUF_INIT(ENROLL_ANSWER_MAX);
	char device[64];
	snprintf(device, sizeof(device), "%.*s", (int)strcspn(a->host, "."), a->host);
	m.device = device;
	m.ca_der = ca_der(n->o.ca, &m.ca_len);
	int rc = enroll_answer_put(&text, &m);
	const char *s = rc == 0 ? buf_str(&text) : NULL;
	ask_answer(a, s ? 200 : 500, "text/plain; charset=utf-8", s ? s : "out of memory\n");
	buf_done(&text);
}

/* The certificate and its row, in the caller's transaction. */
static int issue(struct enroll *n, const struct enroll_request *r, const struct certs_time *now,
	struct ca_issued *out, struct err *e)
{
	int rc = ca_issue(n->o.ca, r->csr.data, r->csr.len, now->unix_s, out, e);
	if (rc < 0)
		return rc;
	struct device_cert row = {.not_after = out->not_after};
	memcpy(row.serial, out->serial, sizeof(out->serial));
	memcpy(row.spki_sha256, out->spki_sha256, sizeof(row.spki_sha256));
	str_copy(row.device, sizeof(row.device), r->facts.device);
	rc = devices_cert_add(n->o.db, &row, e);
	if (rc < 0)
		buf_done(&out->der);
	return rc;
}

/* ---- enrol ---- */

static bool proof_is_right(
	const struct enroll_request *r, const struct ask *a, const uint8_t secret[TOKEN_SECRET_LEN])
{
	uint8_t mac[64];
	enroll_proof(mac, secret, a->exporter, &r->csr);
	bool right = bytes_equal_ct(mac, r->proof, sizeof(r->proof));
	wipe(mac, sizeof(mac));
	return right;
}

/* Pairing anew with another key takes the name from whoever had it. How many died, or negative. */
static int revoke_other_keys(struct enroll *n, const struct enroll_request *r, struct err *e)
{
	struct device_cert *all = NULL;
	size_t count = 0;
	int died = 0, rc = devices_certs(n->o.db, &all, &count, e);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (strcmp(all[i].device, r->facts.device) != 0 ||
			memcmp(all[i].spki_sha256, r->facts.spki_sha256, 32) == 0)
			continue;
		rc = devices_cert_revoke(n->o.db, all[i].serial, e);
		died++;
	}
	free(all);
	return rc < 0 ? rc : died;
}

/* Bind, issue and remember in one transaction. How many certificates under other keys died with it,
 * -EEXIST for another key under this token, or negative. */
static int admit(struct enroll *n, const struct enroll_request *r, const struct device_token *t,
	const struct certs_time *now, struct ca_issued *out)
{
	struct err e = {0};
	int died = 0;
	int rc = db_begin(n->o.db, &e);
	if (rc < 0)
		goto out;
	rc = device_tokens_bind(n->o.db, t->id, r->facts.spki_sha256, &e);
	if (rc == 0) {
		rc = issue(n, r, now, out, &e);
		if (rc == -EEXIST)
			rc = -EIO;
	}
	if (rc == 0)
		rc = died = revoke_other_keys(n, r, &e);
	rc = db_settle(n->o.db, rc, &e);
	if (rc >= 0)
		return died;
	buf_done(&out->der);
out:
	if (rc != -EEXIST)
		log_error(AREA, "cannot enrol", "device", r->facts.device, "why", e.text);
	return rc;
}

static void count_failure(struct enroll *n, const char *addr, const struct enroll_request *r,
	const struct device_token *t, uint64_t now_ms)
{
	limit_failed(n->addrs, addr, now_ms);
	limit_failed(n->devices, r->facts.device, now_ms);
	if (t->id)
		device_tokens_failed(n->o.db, t->id, NULL);
	log_warn_limited(AREA, "wrong proof", "device", r->facts.device, "peer", addr);
}

static void judge(struct enroll *n, struct ask *a, const struct enroll_request *r,
	const struct device_token *t, const struct certs_time *now)
{
	char addr[46];
	limit_key_of_addr(addr, a->peer);
	/* An unknown device takes the same steps, with a secret of zeros and no row. */
	if (!proof_is_right(r, a, t->secret) || !t->id) {
		count_failure(n, addr, r, t, now->mono_ms);
		refuse(a, 403, "wrong proof or unknown device");
		return;
	}
	unsigned wait = limit_wait_s(n->issued, r->facts.device, now->mono_ms);
	if (wait) {
		refuse_wait(a, wait);
		return;
	}
	struct ca_issued c = {0};
	int rc = admit(n, r, t, now, &c);
	if (rc == -EEXIST) {
		audit(n, now->unix_s, r->facts.device, "another key");
		refuse(a, 409, "this token was used with another key; make a new one");
		return;
	}
	if (rc < 0) {
		refuse(a, 500, "the gateway could not write that down; try again");
		return;
	}
	limit_clear(n->addrs, addr);
	limit_clear(n->devices, r->facts.device);
	limit_failed(n->issued, r->facts.device, now->mono_ms);
	audit(n, now->unix_s, r->facts.device, rc ? "ok, in place of another key" : "ok");
	log_info(AREA, "enrolled", "device", r->facts.device, "serial", c.serial, "peer", a->peer);
	n->o.changed(n->o.ctx, r->facts.device, rc > 0);
	/* The answer names the device, the SNI here was that of enrolment. */
	snprintf(a->host, sizeof(a->host), "%s." CA_LINK_ZONE, r->facts.device);
	answer(n, a, &c, now->unix_s);
	buf_done(&c.der);
}

static void enrol(struct enroll *n, struct ask *a, const struct certs_time *now)
{
	struct enroll_request r;
	struct device_token t = {0};
	struct err e = {0};
	char addr[46];
	limit_key_of_addr(addr, a->peer);
	unsigned wait = limit_wait_s(n->addrs, addr, now->mono_ms);
	if (wait) {
		refuse_wait(a, wait);
		return;
	}
	if (!a->has_exporter || enroll_request_read(&r, &a->body, true, &e) < 0) {
		refuse(a, 400, e.code ? e.text : "this TLS connection cannot prove anything");
		return;
	}
	wait = limit_wait_s(n->devices, r.facts.device, now->mono_ms);
	int rc = wait ? 0 : device_tokens_find(n->o.db, r.facts.device, now->unix_s, &t, &e);
	if (wait)
		refuse_wait(a, wait);
	else if (rc == -ESTALE)
		refuse(a, 410, "this token has expired; make a new one");
	else if (rc < 0 && rc != -ENOENT)
		refuse(a, 500, "the gateway could not look that up; try again");
	else
		judge(n, a, &r, &t, now);
	wipe(&t, sizeof(t));
	enroll_request_done(&r);
}

/* ---- renew ---- */

/* Which device speaks: its certificate's row, which must be live and fit the name it dialled. */
static int identify(struct enroll *n, struct ask *a, struct device_cert *c)
{
	char want[128];
	int rc = a->peer_serial[0] ? devices_cert_find(n->o.db, a->peer_serial, c, NULL) : -ENOENT;
	if (rc < 0) {
		refuse(a, rc == -ENOENT ? 403 : 500, "unknown certificate");
		return -1;
	}
	if (!c->live) {
		refuse(a, 410, "this device was removed; pair it again");
		return -1;
	}
	snprintf(want, sizeof(want), "%s." CA_LINK_ZONE, c->device);
	if (strcmp(want, a->host) != 0 ||
		!bytes_equal_ct(c->spki_sha256, a->peer_spki, sizeof(c->spki_sha256))) {
		log_warn_limited(AREA, "one device dialled another's name", "device", c->device, "name",
			a->host, "peer", a->peer);
		refuse(a, 403, "this certificate is another device's");
		return -1;
	}
	return 0;
}

/* Expired ones of the same device are of no more use, save the one just shown: until the agent has
 * stored the new one, it has no other. */
static int revoke_expired(struct enroll *n, const char *keep, const char *device, int64_t now)
{
	struct device_cert *all = NULL;
	size_t count = 0;
	int rc = devices_certs(n->o.db, &all, &count, NULL);
	for (size_t i = 0; rc == 0 && i < count; i++)
		if (strcmp(all[i].device, device) == 0 && all[i].not_after < now &&
			strcmp(all[i].serial, keep) != 0)
			rc = devices_cert_revoke(n->o.db, all[i].serial, NULL);
	free(all);
	return rc;
}

static void renew_with(struct enroll *n, struct ask *a, const struct enroll_request *r,
	const struct certs_time *now)
{
	struct ca_issued c = {0};
	struct err e = {0};
	unsigned wait = limit_wait_s(n->issued, r->facts.device, now->mono_ms);
	if (wait) {
		refuse_wait(a, wait);
		return;
	}
	limit_failed(n->issued, r->facts.device, now->mono_ms);
	int rc = db_begin(n->o.db, &e);
	if (rc == 0) {
		rc = issue(n, r, now, &c, &e);
		if (rc == 0)
			rc = revoke_expired(n, a->peer_serial, r->facts.device, now->unix_s);
		rc = db_settle(n->o.db, rc, &e);
	}
	if (rc < 0) {
		log_error(AREA, "cannot renew", "device", r->facts.device, "why", e.text);
		refuse(a, 500, "the gateway could not write that down; try again");
	} else {
		log_info(AREA, "renewed", "device", r->facts.device, "serial", c.serial);
		n->o.changed(n->o.ctx, r->facts.device, false);
		answer(n, a, &c, now->unix_s);
	}
	buf_done(&c.der);
}

static void renew(struct enroll *n, struct ask *a, const struct certs_time *now)
{
	struct device_cert c;
	struct enroll_request r;
	struct err e = {0};
	if (identify(n, a, &c) < 0)
		return;
	if (enroll_request_read(&r, &a->body, false, &e) < 0) {
		refuse(a, 400, e.text);
		return;
	}
	if (strcmp(r.facts.device, c.device) != 0 ||
		!bytes_equal_ct(r.facts.spki_sha256, a->peer_spki, 32))
		refuse(a, 403, "a renewal is for the same device and the same key");
	else
		renew_with(n, a, &r, now);
	enroll_request_done(&r);
}

static void tell_time(struct enroll *n, struct ask *a, int64_t now)
{
	char text[40];
	struct device_cert c;
	if (identify(n, a, &c) < 0)
		return;
	snprintf(text, sizeof(text), "time %lld\n", (long long)now);
	ask_answer(a, 200, "text/plain; charset=utf-8", text);
}

void enroll_handle(struct enroll *n, struct ask *a, const struct certs_time *now)
{
	static const struct {
		enum ask_kind kind;
		enum method method;
		const char *path;
	} routes[] = {
		{ASK_ENROL, METHOD_POST, "/v1/enrol"},
		{ASK_AGENT, METHOD_POST, "/v1/renew"},
		{ASK_AGENT, METHOD_GET,  "/v1/time" },
	};
	for (unsigned i = 0; i < 3; i++) {
		if (a->kind != routes[i].kind || strcmp(msg_target(a->req), routes[i].path) != 0)
			continue;
		if (msg_method(a->req) != routes[i].method) {
			refuse(a, 405, "this path wants another method");
			return;
		}
		/* Dates from a wrong clock would outlast it, on the device and in its mind. */
		if (i > 0 && !now->believable)
			refuse(a, 503, "the gateway's clock is wrong; try again later");
		else if (i == 0)
			enrol(n, a, now);
		else if (i == 1)
			renew(n, a, now);
		else
			tell_time(n, a, now->unix_s);
		return;
	}
	refuse(a, 404, "there is nothing here");
}
