/* See enroll.h. Order matters: the key is on disk before anybody hears of it, and the identity is
 * one file written in one step, so a crash leaves a device that can enrol with the same token. */
#include "device-agent/enroll.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "base/token.h"
#include "base/xalloc.h"
#include "device-agent/closed.h"
#include "device-agent/identity.h"
#include "device-agent/request.h"
#include "device-agent/tls.h"

#define ENROL_HOST "enroll" LINK_SUFFIX
#define EXIT_REFUSED 1
#define EXIT_LATER 75
#define EXIT_LOCAL 78

struct enrolment {
	const struct conf *conf;
	struct token token;
	struct buf key, csr;
	struct identity id;
	struct loop loop;
	struct gateway gw;
	bool over;
	int code; /* the exit code */
	struct err err;
	bool again;
	int lock; /* of the state folder; below 0: not held */
};

static int read_stdin(struct buf *out, struct err *e)
{
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "Paste the token, then press Enter and Ctrl-D:\n");
	int rc = buf_reserve(out, out->cap); /* at once: growing would leave copies behind */
	if (rc < 0)
		return err_sys(e, rc, "cannot read the token");
	for (;;) {
		size_t room = out->cap - out->len;
		if (room == 0)
			return err_set(e, -ENOBUFS, "this is too long for a token");
		ssize_t n = read(STDIN_FILENO, out->data + out->len, room);
		if (n < 0 && errno != EINTR)
			return err_sys(e, -errno, "cannot read the token");
		if (n == 0)
			return 0;
		out->len += n > 0 ? (size_t)n : 0;
	}
}

static int read_token(struct token *t, const char *file, struct err *e)
{
	struct buf text = BUF_INIT(4 * TOKEN_TEXT_MAX);
	bool from_stdin = !file || strcmp(file, "-") == 0;
	int rc = from_stdin ? read_stdin(&text, e) : file_read(file, &text, e);
	if (rc == 0 && text.len == 0)
		rc = err_set(e, -EINVAL,
			"no token was given; print one on the gateway: "
			"lanthornctl pair NAME");
	if (rc == 0)
		rc = token_decode(t, buf_str(&text), e);
	buf_done_secret(&text);
	return rc;
}

/* Where the agent runs as a user of its own, root enrols for it: as that user, or the agent could
 * not read what is written here. */
static int become_owner(const char *state, struct err *e)
{
	struct stat st;
	if (geteuid() != 0 || stat(state, &st) < 0 || st.st_uid == 0)
		return 0;
	if (setgroups(0, NULL) == 0 && setresgid(st.st_gid, st.st_gid, st.st_gid) == 0 &&
		setresuid(st.st_uid, st.st_uid, st.st_uid) == 0)
		return 0;
	return err_sys(e, -errno, "cannot become the owner of %s", state);
}

/* Two at once would make two keys, of which the token takes one. The agent that runs already may
 * hold the folder while this one enrols anew: it never makes a key. */
static int take_state(struct enrolment *n)
{
	int rc = become_owner(n->conf->state, &n->err);
	if (rc == 0)
		rc = dir_make(n->conf->state, 0700, &n->err);
	if (rc < 0)
		return rc;
	n->lock = state_lock(n->conf->state, &n->err);
	return n->lock >= 0 || (n->again && n->lock == -EBUSY) ? 0 : n->lock;
}

/* A key that a crash left behind is the one that the token may be bound to: use it again. */
static int prepare_key(struct enrolment *n)
{
	int rc = take_state(n);
	if (rc == 0)
		rc = key_load(&n->key, n->conf->state, &n->err);
	if (rc == -ENOENT) {
		rc = tls_key_new(&n->key, &n->err);
		if (rc == 0)
			rc = key_store(&n->key, n->conf->state, &n->err);
	}
	return rc < 0 ? rc : tls_csr_new(&n->key, n->token.device_id, &n->csr, &n->err);
}

static void take_token_addrs(struct enrolment *n)
{
	memcpy(n->gw.addrs, n->token.addrs, sizeof(n->token.addrs));
	n->gw.n_addrs = n->token.n_addrs;
	n->gw.port = n->token.port;
	memcpy(n->gw.dns_name, n->token.dns_name, sizeof(n->gw.dns_name));
}

static int print_request(void *ctx, struct tls *tls, struct buf *out)
{
	struct enrolment *n = ctx;
	struct buf body = BUF_INIT(8192);
	uint8_t proof[32];
	char hex[65], csr[BASE64_LEN(TLS_CERT_MAX)];
	int rc = tls_proof(tls, n->token.secret, &n->csr, proof);
	if (rc < 0)
		return rc;
	hex_encode(hex, proof, sizeof(proof));
	base64_encode(csr, n->csr.data, n->csr.len);
	rc = buf_printf(&body, "device %s\nproof %s\ncsr %s\n", n->token.device_id, hex, csr);
	if (rc == 0)
		rc = http_short_print(out, ENROL_HOST, "/v1/enrol", &body);
	buf_done(&body);
	return rc;
}

/* The certificate must be of our key and name, and of the CA that the token names. */
static int check_identity(struct enrolment *n)
{
	struct tls_cert ca;
	char name[sizeof(n->id.name)];
	snprintf(name, sizeof(name), "%s" LINK_SUFFIX, n->token.device_id);
	int rc = tls_cert_read(&n->id.ca, &ca, &n->err);
	if (rc < 0)
		return rc;
	if (!bytes_equal_ct(ca.sha256, n->token.ca_sha256, sizeof(ca.sha256)))
		return err_set(&n->err, -EINVAL, "it is of another CA than the token's");
	if (strcmp(name, n->id.name) != 0)
		return err_set(&n->err, -EINVAL, "it is for another device: %s", n->id.name);
	struct tls_settings s = {
		.name = name,
		.alpn = {"http/1.1"},
		.ca = &n->id.ca,
		.cert = &n->id.cert,
		.key = &n->key,
	};
	struct tls_ctx *ctx = tls_ctx_new(&s, &n->err);
	tls_ctx_free(ctx);
	return ctx ? 0 : -EINVAL;
}

static void take_identity(struct enrolment *n, const struct http_short *a)
{
	struct buf text = BUF_INIT(HTTP_SHORT_BODY_MAX);
	int rc = buf_append(&text, a->body, a->body_len);
	if (rc == 0 && memchr(a->body, 0, a->body_len))
		rc = err_set(&n->err, -EBADMSG, "it is not text");
	if (rc == 0)
		rc = identity_parse(&n->id, buf_str(&text), &n->err);
	if (rc == 0)
		rc = check_identity(n);
	if (rc < 0)
		err_prefix(&n->err, "the gateway's answer is of no use");
	n->code = rc < 0 ? EXIT_REFUSED : 0;
	buf_done(&text);
}

static void take_refusal(struct enrolment *n, const struct http_short *a)
{
	char line[200];
	size_t k = 0;
	while (k < a->body_len && k < sizeof(line) - 1 && a->body[k] >= 0x20 && a->body[k] != 0x7f)
		k++;
	memcpy(line, a->body, k);
	line[k] = 0;
	n->code = a->status == 429 || a->status >= 500 ? EXIT_LATER : EXIT_REFUSED;
	if (a->retry_after)
		err_set(&n->err, -EAGAIN, "the gateway refused: %s; try again in %u s",
			k ? line : "too many tries", a->retry_after);
	else
		err_set(&n->err, -EACCES, "the gateway refused: %s (%d)",
			k ? line : "no reason given", a->status);
}

static void on_answer(void *ctx, const struct http_short *a, const struct err *e)
{
	struct enrolment *n = ctx;
	n->over = true;
	if (a && a->status == 200) {
		take_identity(n, a);
	} else if (a) {
		take_refusal(n, a);
	} else if (e->code == TLS_STRANGER) {
		n->code = EXIT_REFUSED;
		err_set(&n->err, TLS_STRANGER,
			"this is not the gateway the token names; nothing was sent (%.300s)",
			e->text);
	} else {
		n->code = EXIT_LATER;
		err_set(&n->err, e->code, "the gateway was not reached: %.400s", e->text);
	}
}

static void ask_gateway(struct enrolment *n)
{
	struct tls_settings s = {
		.name = ENROL_HOST,
		.alpn = {"http/1.1"},
		.ca_sha256 = n->token.ca_sha256,
	};
	struct tls_ctx *ctx = tls_ctx_new(&s, &n->err);
	loop_init(&n->loop);
	take_token_addrs(n);
	struct request_settings r = {
		.loop = &n->loop,
		.gw = &n->gw,
		.tls = ctx,
		.print = print_request,
		.done = on_answer,
		.ctx = n,
	};
	n->code = EXIT_LOCAL;
	if (ctx && request_open(&r)) {
		while (!n->over && loop_step(&n->loop) == 0)
			;
	}
	tls_ctx_free(ctx);
}

static int enrol(struct enrolment *n, const char *token_file)
{
	if (read_token(&n->token, token_file, &n->err) < 0)
		return EXIT_REFUSED;
	if (prepare_key(n) < 0 || close_in(n->conf->state, "", &n->err) < 0)
		return EXIT_LOCAL;
	ask_gateway(n);
	if (n->code == 0 && identity_store(&n->id, n->conf->state, &n->err) < 0)
		return EXIT_LOCAL;
	return n->code;
}

static bool is_enrolled(const struct conf *c)
{
	struct identity id;
	identity_init(&id);
	bool yes = identity_load(&id, c->state, NULL) == 0;
	if (yes)
		fprintf(stderr,
			"lanthorn-agent: this device is enrolled already, as %s. To enrol it anew, "
			"with a new token: lanthorn-agent enrol --again\n",
			id.name);
	identity_done(&id);
	return yes;
}

int enroll_run(const struct conf *c, const char *token_file, bool again)
{
	if (!again && is_enrolled(c))
		return EXIT_REFUSED;
	struct enrolment n = {.conf = c, .again = again, .lock = -1};
	buf_init(&n.key, TLS_KEY_MAX);
	buf_init(&n.csr, TLS_CERT_MAX);
	identity_init(&n.id);
	int code = enrol(&n, token_file);
	if (code == 0)
		printf("Enrolled as %s. Start the agent with: lanthorn-agent run%s\n", n.id.name,
			again ? " (one that runs already: send it SIGHUP)" : "");
	else
		fprintf(stderr, "lanthorn-agent: %s\n", n.err.text);
	wipe(&n.token, sizeof(n.token));
	buf_done_secret(&n.key);
	buf_done(&n.csr);
	identity_done(&n.id);
	if (n.lock >= 0)
		close(n.lock);
	return code;
}
