/* See compress.h. */
#include "gate/compress.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/list.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "gate/etag.h"
#include "http/exchange.h"
#include "net/loop.h"

#define LENGTH_MIN 1024u /* less fits into one packet anyway */
#define FLUSH_MS 5u
#define LISTS_MAX 8u /* fields of a request that say what it takes */

struct compressor {
	struct coder *coder;
	struct compress_room *room;
	struct exchange *x;
	struct timer flush;
	size_t queued;
};

/* ---- what the browser takes ---- */

/* "q=0.5" in thousandths; 1000 where it says nothing, 0 where it says it wrongly. */
static unsigned weight_of(const char *p, const char *end)
{
	unsigned q = 0, unit = 100;
	p = memchr(p, ';', (size_t)(end - p));
	if (!p)
		return 1000;
	for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
		;
	if (end - p < 3 || strncasecmp(p, "q=", 2) != 0 || (p[2] != '0' && p[2] != '1'))
		return 0;
	if (p[2] == '1')
		return 1000;
	for (p += 3; p < end && unit; p++) {
		if (*p == '.' && unit == 100)
			continue;
		if (*p < '0' || *p > '9')
			break;
		q += (unsigned)(*p - '0') * unit;
		unit /= 10;
	}
	return q;
}

struct weights {
	int br, gzip, identity, any; /* -1: not named */
};

static void weigh(struct weights *w, const char *p, const char *end)
{
	const char *name = p;
	size_t n = 0;
	while (name + n < end && !strchr("; \t", name[n]))
		n++;
	int q = (int)weight_of(p, end);
	if (n == 2 && strncasecmp(name, "br", n) == 0)
		w->br = q;
	else if ((n == 4 && strncasecmp(name, "gzip", n) == 0) ||
		 (n == 6 && strncasecmp(name, "x-gzip", n) == 0))
		w->gzip = q;
	else if (n == 8 && strncasecmp(name, "identity", n) == 0)
		w->identity = q;
	else if (n == 1 && *name == '*')
		w->any = q;
}

static enum coding accepted(const struct msg *req)
{
	struct weights w = {-1, -1, -1, -1};
	const char *all[LISTS_MAX];
	unsigned n = msg_get_all(req, "accept-encoding", all, LISTS_MAX);
	for (unsigned i = 0; i < n; i++) {
		for (const char *p = all[i]; *(p += strspn(p, ", \t"));) {
			const char *end = p + strcspn(p, ",");
			weigh(&w, p, end);
			p = end;
		}
	}
	int br = w.br >= 0 ? w.br : w.any, gzip = w.gzip >= 0 ? w.gzip : w.any;
	if (!coding_is_built(CODING_BR))
		br = 0;
	if (br > 0 && br >= gzip && br >= w.identity)
		return CODING_BR;
	return gzip > 0 && gzip >= w.identity ? CODING_GZIP : CODING_NONE;
}

/* ---- what the device sends ---- */

static bool subtype_ends(const char *s, size_t n, const char *end)
{
	size_t k = strlen(end);
	return n >= k && strncasecmp(s + n - k, end, k) == 0;
}

static bool subtype_is(const char *s, size_t n, const char *whole)
{
	return n == strlen(whole) && strncasecmp(s, whole, n) == 0;
}

static bool is_text(const char *type)
{
	static const char *const of_application[] = {"json", "javascript", "x-javascript",
		"ecmascript", "xml", "wasm", "x-ndjson", "graphql"};
	const char *s = strchr(type, '/');
	if (!s)
		return false;
	size_t n = strcspn(++s, "; \t");
	if (strncasecmp(type, "text/", 5) == 0)
		return !subtype_is(s, n, "event-stream");
	if (subtype_ends(s, n, "+json") || subtype_ends(s, n, "+xml"))
		return true;
	if (strncasecmp(type, "application/", 12) != 0)
		return false;
	for (size_t i = 0; i < sizeof(of_application) / sizeof(*of_application); i++)
		if (subtype_is(s, n, of_application[i]))
			return true;
	return false;
}

/* Not known: UINT64_MAX. */
static uint64_t length_of(const struct msg *req, const struct msg *resp)
{
	uint64_t n;
	switch (msg_body(resp)) {
	case BODY_LENGTH:
		return msg_body_length(resp);
	case BODY_CHUNKED:
	case BODY_UNTIL_CLOSE:
		return UINT64_MAX;
	case BODY_NONE:
		break;
	}
	if (msg_method(req) != METHOD_HEAD)
		return 0;
	const char *said = msg_get(resp, "content-length"); /* of what GET would bring */
	return said && str_to_u64(said, UINT64_MAX, &n) == 0 ? n : UINT64_MAX;
}

static bool is_compressible(const struct msg *req, const struct msg *resp)
{
	int status = msg_status(resp);
	const char *type = msg_get(resp, "content-type");
	if (status < 200 || status == 204 || status == 205 || status == 206 || status == 304)
		return false;
	if (length_of(req, resp) < LENGTH_MIN)
		return false;
	if (!type || !is_text(type) || msg_get(resp, "content-encoding") ||
		msg_get(resp, "content-range"))
		return false;
	return !msg_has_token(resp, "cache-control", "no-transform");
}

/* Did this very host make the browser ask? Where it does not say, its Referer is believed. */
static bool is_own_request(const struct msg *req)
{
	static const char https[] = "https://";
	const char *site = msg_get(req, "sec-fetch-site");
	if (site)
		return strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
	const char *from = msg_get(req, "referer"), *host = msg_authority(req);
	size_t n = strlen(host);
	return !from || (str_starts(from, https) && strncmp(from + 8, host, n) == 0 &&
				(from[8 + n] == '/' || !from[8 + n]));
}

bool compress_choose(const struct msg *req, const struct msg *resp, enum coding *c)
{
	if (!is_compressible(req, resp))
		return false;
	*c = is_own_request(req) ? accepted(req) : CODING_NONE;
	return true;
}

/* ---- the head ---- */

void compress_vary(struct msg *resp)
{
	if (!msg_has_token(resp, "vary", "accept-encoding") && !msg_has_token(resp, "vary", "*"))
		msg_add_own(resp, "vary", "accept-encoding");
}

void compress_head(struct msg *resp, enum coding c)
{
	static const char *const gone[] = {
		"content-length", "accept-ranges", "content-md5", "content-digest", "digest"};
	for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++)
		msg_remove(resp, gone[i]);
	etag_mark(resp);
	msg_add(resp, "content-encoding", coding_name(c));
	msg_set_body(resp, BODY_CHUNKED, 0);
}

void compress_unchanged(struct msg *resp)
{
	etag_mark(resp);
	compress_vary(resp);
}

/* ---- the body ---- */

static void on_piece(void *ctx, const void *p, size_t n)
{
	struct compressor *z = ctx;
	z->queued = exchange_write(z->x, p, n);
}

static void put(struct compressor *z, const uint8_t *p, size_t n, enum coder_step step)
{
	struct coder_sink sink = {on_piece, z};
	if (coder_put(z->coder, p, n, step, &sink) < 0)
		exchange_abort(z->x);
}

static void on_flush(struct timer *t)
{
	put(container_of(t, struct compressor, flush), NULL, 0, CODER_FLUSH);
}

struct compressor *compressor_new(enum coding c, struct compress_room *room, struct exchange *x)
{
	struct coder *coder = room->n < COMPRESS_MAX ? coder_new(c) : NULL;
	if (!coder)
		return NULL;
	struct compressor *z = xcalloc(1, sizeof(*z));
	z->coder = coder;
	z->room = room;
	z->x = x;
	timer_init(&z->flush, x->conn->loop, on_flush);
	room->n++;
	return z;
}

void compressor_free(struct compressor *z)
{
	if (!z)
		return;
	timer_cancel(&z->flush);
	coder_free(z->coder);
	z->room->n--;
	free(z);
}

size_t compressor_write(struct compressor *z, const uint8_t *p, size_t n)
{
	z->queued = 0; /* while the coder keeps what it gets, nothing is known to be in the way */
	put(z, p, n, CODER_MORE);
	if (!z->flush.at_ms)
		timer_arm(&z->flush, FLUSH_MS);
	return z->queued;
}

void compressor_end(struct compressor *z)
{
	timer_cancel(&z->flush);
	put(z, NULL, 0, CODER_END);
}
