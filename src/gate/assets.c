/* See assets.h. A slow reader holds no memory but what HTTP queues for it: bytes are handed over as
 * they go out. */
#include "gate/assets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "http/exchange.h"

#define PIECE 16384u
#define HIGH_WATER 65536u /* above it, and only then, on_writable comes */

struct sending {
	const unsigned char *data;
	size_t len, sent;
};

const struct asset *assets_find(const struct asset *table, const char *path)
{
	size_t n = strcspn(path, "?");
	for (const struct asset *a = table; a->name; a++) {
		if (strlen(a->name) + 1 == n && path[0] == '/' &&
			memcmp(a->name, path + 1, n - 1) == 0)
			return a;
	}
	return NULL;
}

/* ---- what the browser has and takes ---- */

/* RFC 9110 §13.1.2: a list of tags, compared weakly; "*" is everything. */
static bool is_known(const struct msg *req, const char *etag)
{
	const char *have = msg_get(req, "if-none-match");
	size_t n = strlen(etag);
	if (!have)
		return false;
	if (strcmp(have, "*") == 0)
		return true;
	for (const char *p = have; (p = strstr(p, etag)); p += n) {
		if (p[n] == 0 || p[n] == ',' || p[n] == ' ')
			return true;
	}
	return false;
}

/* RFC 9110 §12.5.3. A weight of zero refuses; other weights do not matter with one choice. */
static bool takes_gzip(const struct msg *req)
{
	const char *p = msg_get(req, "accept-encoding");
	while (p && *p) {
		size_t n = strcspn(p, ",");
		size_t word = strcspn(p, ",; ");
		if ((word == 4 && strncasecmp(p, "gzip", 4) == 0) || (word == 1 && *p == '*')) {
			char rest[32];
			snprintf(rest, sizeof(rest), "%.*s", (int)(n - word), p + word);
			const char *q = strstr(rest, "q=0");
			return !q || strpbrk(q + 3, "123456789");
		}
		p += n;
		p += strspn(p, ", ");
	}
	return false;
}

/* ---- sending ---- */

static void send_on(struct exchange *x)
{
	struct sending *s = x->ctx;
	size_t queued = 0;
	while (s->sent < s->len && queued <= HIGH_WATER) {
		size_t n = s->len - s->sent < PIECE ? s->len - s->sent : PIECE;
		queued = exchange_write(x, s->data + s->sent, n);
		s->sent += n;
	}
	if (s->sent == s->len && s->len) {
		s->len = s->sent = 0; /* on_writable may come once more */
		exchange_end(x, NULL);
	}
}

static void on_done(struct exchange *x, int status)
{
	(void)status;
	free(x->ctx);
}

static const struct handler sender = {.on_writable = send_on, .on_done = on_done};

static void put_head(struct msg *head, const struct asset *a, const char *etag)
{
	msg_set(head, "content-type", a->type);
	msg_set(head, "etag", etag);
	msg_set(head, "cache-control", "no-cache");
	msg_set(head, "x-content-type-options", "nosniff");
	msg_set(head, "cross-origin-resource-policy", "same-origin");
	if (a->gz)
		msg_set(head, "vary", "accept-encoding");
}

void assets_reply(struct exchange *x, const struct asset *a, const struct msg *extra)
{
	bool gzip = a->gz && takes_gzip(x->req);
	char etag[48];
	/* A strong tag names one sequence of bytes: the packed ones have a tag of their own. */
	snprintf(etag, sizeof(etag), "\"%s%s\"", a->hash, gzip ? "-gz" : "");
	struct msg *head = extra ? msg_copy(extra) : msg_new_response(200);
	struct sending *s = xcalloc(1, sizeof(*s));
	bool known = is_known(x->req, etag);
	s->data = gzip ? a->gz : a->data;
	s->len = gzip ? a->gz_len : a->len;
	put_head(head, a, etag);
	msg_set_status(head, known ? 304 : 200);
	if (gzip && !known)
		msg_set(head, "content-encoding", "gzip");
	msg_set_body(head, BODY_LENGTH, s->len);
	x->handler = &sender;
	x->ctx = s;
	bool bare = known || msg_method(x->req) == METHOD_HEAD || !s->len;
	if (exchange_respond(x, head, bare) == 0 && !bare)
		send_on(x);
	msg_free(head);
}
