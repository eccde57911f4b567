/* Heads that cross between browser and device, cookies and the guard's questions included: the
 * first byte says which way, and whether the device's own addresses are known. What is left keeps the house's promises, and what is written of it is
 * read again as the same message. */
#include "fake_net.h"
#include "h1_seen.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gate/compress.h"
#include "gate/etag.h"
#include "gate/guard.h"
#include "gate/headers.h"
#include "gate/rewrite.h"
#include "gate/session_row.h"
#include "gate/snapshot.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "http/h2_priority.h"
#include "net/loop.h"
#include "net/stream.h"

static const struct h1_limits limits = {.head_max = 8192, .url_max = 4096, .fields_max = 60};
static char friend[] = "radio.home.test", *friends[] = {friend};
static const struct route route = {
	.kind = ROUTE_LINK, .host = "tv.home.test", .embed_from = friends, .n_embed_from = 1};

static const char *const addrs[] = {"10.0.0.2", "fd00::2"};
static const struct rewrite self = {.authority = "tv.home.test",
	.host = "tv.home.test",
	.addrs = addrs,
	.n_addrs = 2,
	.port = 80};

static bool is_framing(const char *name)
{
	static const char *const names[] = {"content-length", "transfer-encoding", "connection",
		"upgrade", "keep-alive", "te", "date", "server", "host", "proxy-connection",
		"http2-settings"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* The same fields in the same order, but for those that each connection has of its own. */
static void check_same(const struct msg *a, const struct msg *b)
{
	unsigned i = 0, k = 0;
	for (;;) {
		while (i < msg_count(a) && is_framing(msg_field(a, i).name))
			i++;
		while (k < msg_count(b) && is_framing(msg_field(b, k).name))
			k++;
		if (i == msg_count(a) || k == msg_count(b))
			break;
		assert(!strcmp(msg_field(a, i).name, msg_field(b, k).name));
		assert(!strcmp(msg_field(a, i++).value, msg_field(b, k++).value));
	}
	assert(i == msg_count(a) && k == msg_count(b));
}

/* What `m` looks like on the wire. */
static void write_head(struct buf *out, const struct msg *m, const struct h1_response_form *form)
{
	struct loop *loop = fake_loop_new();
	struct stream *s = fake_stream(loop, NULL, NULL);
	buf_init(out, 1u << 20);
	if (form)
		h1_write_response(s, m, form);
	else
		h1_write_request(s, m);
	fake_read(s, SIZE_MAX, out);
	stream_close(s);
	fake_settle(loop);
	fake_loop_free(loop);
}

static const char *dashed(char out[300], const char *name)
{
	size_t n = strnlen(name, 299);
	for (size_t i = 0; i < n; i++)
		out[i] = name[i] == '_' ? '-' : name[i];
	out[n] = 0;
	return out;
}

static void check_cookie_name(const char *p, size_t n)
{
	while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	assert(n != strlen(SESSION_COOKIE) || memcmp(p, SESSION_COOKIE, n));
	assert(n != strlen(SESSION_STATE_COOKIE) || memcmp(p, SESSION_STATE_COOKIE, n));
}

static void check_cookie(const char *p)
{
	for (; p; p = strchr(p, ';'), p = p ? p + 1 : p) {
		p += strspn(p, " \t;");
		size_t n = strcspn(p, ";"), name = strcspn(p, "=;");
		if (name < n) /* else it has no name */
			check_cookie_name(p, name);
	}
}

static void check_to_device(const struct msg *m)
{
	unsigned identity = 0;
	for (unsigned i = 0; i < msg_count(m); i++) {
		struct field f = msg_field(m, i);
		char name[300];
		dashed(name, f.name);
		if (!strncmp(name, "x-forwarded-", 12) || !strncmp(name, "lanthorn-", 9) ||
			!strcmp(name, "forwarded"))
			identity++;
		assert(strcmp(name, "x-real-ip") && strcmp(name, "remote-user"));
		assert(strcmp(name, "client-cert") && strcmp(name, "transfer-encoding"));
		assert(strcmp(name, "keep-alive") && strcmp(name, "http2-settings"));
		if (!strcmp(f.name, "cookie"))
			check_cookie(f.value);
	}
	assert(identity == 5);
	assert(!strcmp(msg_get(m, "lanthorn-user"), "ann"));
	assert(!strcmp(msg_get(m, "x-forwarded-for"), "fe80::1"));
}

static void check_guard(const struct msg *m)
{
	const char *why, *from = msg_get(m, "origin");
	bool ok = guard_check(m, &route, "https://tv.home.test", false, &why) == GUARD_OK;
	assert(ok == !*why);
	bool known = from && (!strcmp(from, "https://tv.home.test") ||
				     !strncmp(from, "https://radio.home.test", 23));
	if (msg_upgrade(m))
		assert(ok == known);
	else if (!msg_get(m, "sec-fetch-site") && !from)
		assert(ok == msg_is_safe(m));
	guard_is_navigation(m);
	free(headers_cookie(m, SESSION_COOKIE));
	free(headers_cookie(m, SESSION_STATE_COOKIE));
}

static void check_accepted(const struct msg *req)
{
	struct msg *resp = msg_new_response(200);
	enum coding c;
	msg_add(resp, "content-type", "text/html");
	msg_set_body(resp, BODY_CHUNKED, 0);
	if (compress_choose(req, resp, &c) && c != CODING_NONE)
		assert(msg_get(req, "accept-encoding"));
	msg_free(resp);
}

static void to_device(const uint8_t *p, size_t n)
{
	struct h1_head h;
	struct err e;
	if (h1_parse_request(&h, p, n, &limits, "https", &e) <= 0)
		return;
	struct msg *m = h.msg;
	const char *upgrade = msg_upgrade(m);
	check_guard(m);
	check_accepted(m);
	char *cookie = headers_cookie(m, SESSION_COOKIE);
	char kept[300] = "";
	if (upgrade)
		strncat(kept, upgrade, sizeof(kept) - 1);
	headers_to_device(m,
		&(struct headers_ctx){
			.peer_addr = "fe80::1", .user = "ann", .host = "tv.home.test"},
		*kept && strlen(kept) < 64 ? kept : NULL);
	check_to_device(m);
	char *left = headers_cookie(m, SESSION_COOKIE);
	assert(!left);
	free(cookie);
	struct buf out;
	write_head(&out, m, NULL);
	struct h1_seen again;
	if (msg_authority(m)[0]) {
		h1_see_request(&again, out.data, out.len);
		assert(again.head && !strcmp(msg_target(again.head), msg_target(m)));
		assert(!strcmp(msg_authority(again.head), msg_authority(m)));
		assert(!strcmp(msg_method_text(again.head), msg_method_text(m)));
		assert(msg_body(again.head) == msg_body(m));
		assert(msg_body_length(again.head) == msg_body_length(m));
		check_same(m, again.head);
		h1_seen_done(&again);
	}
	buf_done(&out);
	msg_free(m);
}

static void check_to_browser(const struct msg *m)
{
	static const char *const house[] = {"alt-svc", "nel", "report-to", "reporting-endpoints",
		"service-worker-allowed", "connection", "transfer-encoding"};
	const char *all[2];
	for (size_t i = 0; i < sizeof(house) / sizeof(*house); i++)
		assert(!msg_get(m, house[i]));
	assert(msg_get_all(m, "strict-transport-security", all, 2) == 1);
	unsigned clears = msg_get_all(m, "clear-site-data", all, 2);
	assert(clears == (msg_status(m) == 431) && (!clears || !strcmp(all[0], "\"cookies\"")));
	assert(msg_get(m, "cross-origin-opener-policy") && msg_get(m, "referrer-policy"));
	for (unsigned i = 0; i < msg_count(m); i++) {
		struct field f = msg_field(m, i);
		if (strcmp(f.name, "set-cookie"))
			continue;
		const char *name = f.value + strspn(f.value, "= \t");
		check_cookie_name(name, strcspn(name, "=;"));
		assert(!strcasestr(f.value, ";domain=") && !strcasestr(f.value, "; domain="));
	}
}

/* What the browser keeps leads back to what the device said, where that was a tag at all. */
static void check_tag(const struct msg *m, const char *said)
{
	size_t n = said ? strlen(said) : 0;
	if (n < 2 || said[0] != '"' || strchr(said + 1, '"') != said + n - 1)
		return;
	char *kept = strdup(msg_get(m, "etag"));
	size_t len = strlen(kept);
	assert(etag_is_marked(kept, len) && etag_unmark(kept, &len));
	assert(len == n && !memcmp(kept, said, n));
	free(kept);
}

/* A compressed answer says so, and nothing of how long it was. */
static void check_compress(struct msg *m)
{
	struct msg *req = msg_new_request("GET", "https", "tv.home.test", "/");
	enum coding c;
	msg_add(req, "accept-encoding", "gzip");
	char *said = msg_get(m, "etag") ? strdup(msg_get(m, "etag")) : NULL;
	if (compress_choose(req, m, &c)) {
		assert(c == CODING_GZIP && !msg_get(m, "content-encoding"));
		compress_head(m, c);
		compress_vary(m);
		assert(!msg_get(m, "content-length") && msg_body(m) == BODY_CHUNKED);
		assert(!msg_get(m, "etag") || !strncmp(msg_get(m, "etag"), "W/", 2));
		check_tag(m, said);
	}
	free(said);
	msg_free(req);
}

static void check_priority(const struct msg *m)
{
	struct h2_priority p = {.urgency = 3};
	if (msg_get(m, "priority"))
		h2_priority_merge(&p, msg_get(m, "priority"));
	assert(p.urgency >= 0 && p.urgency <= 7);
}

static void to_browser(const uint8_t *p, size_t n, enum h1_frame frame, bool names)
{
	struct h1_head h;
	struct err e;
	if (h1_parse_response(&h, p, n, &limits, METHOD_GET, &e) <= 0)
		return;
	struct msg *m = h.msg;
	int status = msg_status(m);
	if (status < 200) {
		headers_interim(m);
	} else {
		headers_to_browser(m, names ? &self : NULL);
		check_to_browser(m);
		check_priority(m);
		check_compress(m);
		frame = msg_body(m) == BODY_CHUNKED ? H1_FRAME_CHUNKED : frame;
	}
	if (status < 200 || status == 204 || status == 304)
		frame = H1_FRAME_NONE;
	struct buf out;
	write_head(&out, m, &(struct h1_response_form){.frame = frame, .keep_alive = true});
	struct h1_seen again;
	h1_see_response(&again, out.data, out.len, METHOD_GET);
	assert(again.head && msg_status(again.head) == status);
	check_same(m, again.head);
	h1_seen_done(&again);
	buf_done(&out);
	msg_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const enum h1_frame frames[] = {H1_FRAME_LENGTH, H1_FRAME_CHUNKED};
	if (!n)
		return 0;
	if (p[0] & 1)
		to_browser(p + 1, n - 1, frames[p[0] >> 1 & 1], p[0] >> 2 & 1);
	else
		to_device(p + 1, n - 1);
	return 0;
}
