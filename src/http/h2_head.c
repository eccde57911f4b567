/* See h2_head.h. The framing library has refused upper-case names, pseudo-fields that are missing,
 * doubled or late, fields of a connection, and a body that disagrees with Content-Length. */
#include "http/h2_head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "http/msg_build.h"
#include "http/uri.h"
#include "http/ws.h"

#define METHOD_LEN_MAX 24u
#define FIELD_OVERHEAD 32u
#define USUAL_TEXT_MAX 4096u
#define USUAL_FIELDS_MAX 64u

static void refuse(struct h2_head *h, int status)
{
	if (!h->status)
		h->status = status;
}

void h2_head_begin(struct h2_head *h)
{
	h2_head_done(h);
	h->msg = h->usual_text ? msg_build(h->usual_text, h->usual_fields) : msg_build(1024, 24);
}

void h2_head_begin_response(struct h2_head *h)
{
	h2_head_begin(h);
	h->of_response = true;
}

void h2_head_done(struct h2_head *h)
{
	unsigned text = h->usual_text, fields = h->usual_fields;
	if (h->bytes) {
		text = (unsigned)h->bytes - h->fields * FIELD_OVERHEAD;
		fields = h->fields;
	}
	msg_free(h->msg);
	buf_done(&h->text);
	buf_done_secret(&h->cookie);
	*h = (struct h2_head){.text = BUF_INIT(1u << 20),
		.cookie = BUF_INIT(65536),
		.usual_text = text < USUAL_TEXT_MAX ? text : USUAL_TEXT_MAX,
		.usual_fields = fields < USUAL_FIELDS_MAX ? fields : USUAL_FIELDS_MAX};
}

/* ---- field by field ---- */

static void keep_part(struct h2_head *h, enum h2_pseudo kind, const struct h2_field *f)
{
	if (h->part[kind].there) {
		refuse(h, 400);
		return;
	}
	h->part[kind].at = (uint32_t)h->text.len;
	h->part[kind].len = (uint32_t)f->value_len;
	h->part[kind].there = true;
	if (buf_append(&h->text, f->value, f->value_len) < 0 || buf_append(&h->text, "", 1) < 0)
		refuse(h, 431);
}

static bool is(const struct h2_field *f, const char *name)
{
	return f->name_len == strlen(name) && !memcmp(f->name, name, f->name_len);
}

static void take_pseudo(struct h2_head *h, const struct http_limits *l, const struct h2_field *f)
{
	static const char *const names[] = {
		[H2_METHOD] = ":method",
		[H2_SCHEME] = ":scheme",
		[H2_AUTHORITY] = ":authority",
		[H2_PATH] = ":path",
		[H2_PROTOCOL] = ":protocol",
		[H2_STATUS] = ":status",
	};
	if (is(f, ":path") && f->value_len > l->url_max) {
		refuse(h, 414);
		return;
	}
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (is(f, names[i])) {
			keep_part(h, (enum h2_pseudo)i, f);
			return;
		}
	}
	refuse(h, 400);
}

/* RFC 9113 §8.2.3: crumbs are one field to everybody else. */
static void take_cookie(struct h2_head *h, const struct h2_field *f)
{
	if ((h->cookie.len && buf_append(&h->cookie, "; ", 2) < 0) ||
		buf_append(&h->cookie, f->value, f->value_len) < 0)
		refuse(h, 431);
}

static void take_length(struct h2_head *h, const struct h2_field *f)
{
	uint64_t n = 0;
	if (h->has_length || !f->value_len || f->value_len > 18) {
		refuse(h, 400);
		return;
	}
	for (size_t i = 0; i < f->value_len; i++) {
		if (f->value[i] < '0' || f->value[i] > '9') {
			refuse(h, 400);
			return;
		}
		n = n * 10 + (uint64_t)(f->value[i] - '0');
	}
	h->length = n;
	h->has_length = true;
}

static void take_expect(struct h2_head *h, const struct h2_field *f)
{
	if (f->value_len == 12 && !strncasecmp(f->value, "100-continue", 12))
		h->expects_continue = true;
	else
		refuse(h, 417);
}

static void take_plain(struct h2_head *h, const struct h2_field *f)
{
	int rc = msg_add_n(h->msg, f->name, f->name_len, f->value, f->value_len);
	if (rc < 0)
		refuse(h, rc == -ENOBUFS ? 431 : 400);
}

/* The length is told on: the answer to HEAD has it, without a body. */
static void take_of_response(struct h2_head *h, const struct h2_field *f)
{
	if (is(f, "content-length"))
		take_length(h, f);
	take_plain(h, f);
}

void h2_head_field(struct h2_head *h, const struct http_limits *l, const struct h2_field *f)
{
	h->bytes += f->name_len + f->value_len + FIELD_OVERHEAD;
	bool crumb = !h->of_response && is(f, "cookie");
	h->fields += !crumb; /* crumbs are no fields of their own */
	/* HTTP/1.1 counts a line's colon and ends, this format 32 bytes: four a field are left. */
	if (h->bytes > l->head_max + l->fields_max * (size_t)FIELD_OVERHEAD)
		refuse(h, 431);
	if (h->status)
		return;
	if (f->name_len && f->name[0] == ':') {
		take_pseudo(h, l, f);
		return;
	}
	if (crumb) {
		take_cookie(h, f);
		return;
	}
	if (h->fields > l->fields_max + H2_PSEUDO_KINDS)
		refuse(h, 431);
	else if (h->of_response)
		take_of_response(h, f);
	else if (is(f, "host"))
		keep_part(h, H2_HOST, f);
	else if (is(f, "expect"))
		take_expect(h, f);
	else if (is(f, "content-length"))
		take_length(h, f);
	else
		take_plain(h, f);
}

/* ---- the whole ---- */

static const char *text(struct h2_head *h, enum h2_pseudo kind, size_t *n)
{
	*n = h->part[kind].len;
	return h->part[kind].there ? (const char *)h->text.data + h->part[kind].at : "";
}

static bool text_is(struct h2_head *h, enum h2_pseudo kind, const char *want)
{
	size_t n;
	const char *p = text(h, kind, &n);
	return n == strlen(want) && !memcmp(p, want, n);
}

static void check_method(struct h2_head *h)
{
	size_t n;
	const char *p = text(h, H2_METHOD, &n);
	if (!n || n > METHOD_LEN_MAX)
		refuse(h, n ? 501 : 400);
	for (size_t i = 0; i < n; i++) {
		if (!msg_is_tchar((uint8_t)p[i]))
			refuse(h, 400);
	}
	if (!text_is(h, H2_METHOD, "CONNECT"))
		return;
	if (!text_is(h, H2_PROTOCOL, "websocket"))
		refuse(h, 501);
}

static void check_target(struct h2_head *h)
{
	size_t n;
	const char *p = text(h, H2_PATH, &n);
	bool star = n == 1 && *p == '*' && text_is(h, H2_METHOD, "OPTIONS");
	if (!uri_is_text(p, n) || (*p != '/' && !star))
		refuse(h, 400);
}

static void check_authority(struct h2_head *h, struct msg_start *start)
{
	size_t n, host_len;
	const char *p = text(h, H2_AUTHORITY, &n), *host = text(h, H2_HOST, &host_len);
	if (!n) {
		p = host;
		n = host_len;
	} else if (host_len && (host_len != n || strncasecmp(host, p, n))) {
		refuse(h, 400);
	}
	if (!uri_is_authority(p, n))
		refuse(h, 400);
	start->authority = p;
	start->authority_len = n;
}

/* What the WebSocket would have been over HTTP/1.1 (RFC 6455 §4.1). */
static void add_upgrade(struct msg *m)
{
	char key[WS_KEY_SIZE];
	ws_key(key);
	msg_add(m, "connection", "upgrade");
	msg_add(m, "upgrade", "websocket");
	msg_set(m, "sec-websocket-key", key);
}

static void set_body(struct h2_head *h, bool ended, bool tunnel)
{
	enum method method = msg_method(h->msg);
	bool wants = method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
	if (tunnel)
		msg_set_body(h->msg, BODY_NONE, 0);
	else if (h->has_length)
		msg_set_body(h->msg, BODY_LENGTH, h->length);
	else if (!ended)
		msg_set_body(h->msg, BODY_CHUNKED, 0);
	else
		msg_set_body(h->msg, wants ? BODY_LENGTH : BODY_NONE, 0);
}

struct msg *h2_head_request(struct h2_head *h, const char *scheme, bool ended)
{
	struct msg_start start = {.scheme = scheme};
	bool tunnel = h->part[H2_PROTOCOL].there;
	if (h->part[H2_STATUS].there)
		refuse(h, 400);
	if (!h->status) {
		check_method(h);
		check_target(h);
		check_authority(h, &start);
		if (!text_is(h, H2_SCHEME, scheme) || (tunnel && ended))
			refuse(h, 400);
	}
	if (h->status)
		return NULL;
	start.method = tunnel ? "GET" : text(h, H2_METHOD, &start.method_len);
	start.method_len = tunnel ? 3 : start.method_len;
	start.target = text(h, H2_PATH, &start.target_len);
	msg_set_start(h->msg, &start);
	set_body(h, ended, tunnel);
	if (h->cookie.len && msg_add(h->msg, "cookie", buf_str(&h->cookie)) < 0) {
		refuse(h, 431);
		return NULL;
	}
	if (tunnel)
		add_upgrade(h->msg);
	struct msg *m = h->msg;
	h->msg = NULL;
	return m;
}

static int status_of(struct h2_head *h)
{
	size_t n;
	const char *p = text(h, H2_STATUS, &n);
	if (n != 3 || *p < '1' || *p > '5' || strspn(p, "0123456789") != 3)
		return 0;
	return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
}

static void set_response_body(struct h2_head *h, enum method asked, bool ended)
{
	int status = msg_status(h->msg);
	if (asked == METHOD_HEAD || status < 200 || status == 204 || status == 304)
		msg_set_body(h->msg, BODY_NONE, 0);
	else if (h->has_length || ended)
		msg_set_body(h->msg, BODY_LENGTH, h->length);
	else
		msg_set_body(h->msg, BODY_CHUNKED, 0);
}

struct msg *h2_head_response(struct h2_head *h, enum method asked, bool ended)
{
	int status = status_of(h);
	for (int i = 0; i < H2_PSEUDO_KINDS; i++) {
		if (h->part[i].there && i != H2_STATUS)
			refuse(h, 400);
	}
	if (!status)
		refuse(h, 400);
	if (h->status)
		return NULL;
	msg_set_status(h->msg, status);
	set_response_body(h, asked, ended);
	struct msg *m = h->msg;
	h->msg = NULL;
	return m;
}

struct msg *h2_head_trailers(struct h2_head *h)
{
	struct msg *m = h->msg;
	for (int i = 0; i < H2_PSEUDO_KINDS; i++) {
		if (h->part[i].there)
			return NULL;
	}
	if (h->status || h->has_length || h->expects_continue || h->cookie.len)
		return NULL;
	h->msg = NULL;
	return m;
}
