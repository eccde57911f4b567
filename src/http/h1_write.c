/* See h1_write.h. Small pieces are put together on the stack before they go to the stream. Names go
 * out in Title-Case: every receiver must ignore case, old ones do not. */
#include "http/h1_write.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/msg_build.h"
#include "http/server.h"
#include "net/stream.h"

struct out {
	struct stream *s;
	size_t n;
	char b[2048];
};

static void flush(struct out *o)
{
	if (o->n)
		stream_write(o->s, o->b, o->n);
	o->n = 0;
}

static void put(struct out *o, const char *p, size_t n)
{
	if (n > sizeof(o->b) - o->n)
		flush(o);
	if (n > sizeof(o->b)) {
		stream_write(o->s, p, n);
		return;
	}
	memcpy(o->b + o->n, p, n);
	o->n += n;
}

static void puts_(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

static void put_u64(struct out *o, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);
	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	put(o, digits + at, sizeof(digits) - at);
}

static void put_name(struct out *o, const char *p, size_t n)
{
	if (n > sizeof(o->b)) {
		put(o, p, n);
		return;
	}
	if (n > sizeof(o->b) - o->n)
		flush(o);
	char *to = o->b + o->n;
	bool first = true;
	for (size_t i = 0; i < n; i++) {
		char c = p[i];
		to[i] = first && c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
		first = c == '-';
	}
	o->n += n;
}

static void put_field(struct out *o, const struct msg_piece *f)
{
	put_name(o, f->name, f->name_len);
	put(o, ": ", 2);
	put(o, f->value, f->value_len);
	put(o, "\r\n", 2);
}

static void put_fields(struct out *o, const struct msg *m)
{
	for (unsigned i = 0, n = msg_count(m); i < n; i++) {
		struct msg_piece f = msg_piece(m, i);
		if (!msg_is_framing(&f))
			put_field(o, &f);
	}
}

static void put_length(struct out *o, uint64_t n)
{
	puts_(o, "Content-Length: ");
	put_u64(o, n);
	put(o, "\r\n", 2);
}

static void put_named(struct out *o, const char *name, const char *value)
{
	puts_(o, name);
	put(o, ": ", 2);
	puts_(o, value);
	put(o, "\r\n", 2);
}

/* ---- responses ---- */

const char *h1_reason(int status)
{
	static const char *const r1[] = {
		"Continue", "Switching Protocols", "Processing", "Early Hints"};
	static const char *const r2[] = {"OK", "Created", "Accepted",
		"Non-Authoritative Information", "No Content", "Reset Content", "Partial Content",
		"Multi-Status"};
	static const char *const r3[] = {"Multiple Choices", "Moved Permanently", "Found",
		"See Other", "Not Modified", "Use Proxy", "", "Temporary Redirect",
		"Permanent Redirect"};
	static const char *const r4[] = {"Bad Request", "Unauthorized", "Payment Required",
		"Forbidden", "Not Found", "Method Not Allowed", "Not Acceptable",
		"Proxy Authentication Required", "Request Timeout", "Conflict", "Gone",
		"Length Required", "Precondition Failed", "Content Too Large", "URI Too Long",
		"Unsupported Media Type", "Range Not Satisfiable", "Expectation Failed", "", "", "",
		"Misdirected Request", "Unprocessable Content", "Locked", "Failed Dependency",
		"Too Early", "Upgrade Required", "", "Precondition Required", "Too Many Requests",
		"", "Request Header Fields Too Large"};
	static const char *const r5[] = {"Internal Server Error", "Not Implemented", "Bad Gateway",
		"Service Unavailable", "Gateway Timeout", "HTTP Version Not Supported"};
#define N(a) (sizeof(a) / sizeof((a)[0]))
	static const struct {
		const char *const *text;
		size_t n;
	} classes[] = {
		{r1, N(r1)},
                {r2, N(r2)},
                {r3, N(r3)},
                {r4, N(r4)},
                {r5, N(r5)}
        };
#undef N
	unsigned class = (unsigned)status / 100, at = (unsigned)status % 100;
	if (class < 1 || class > 5 || at >= classes[class - 1].n)
		return "";
	return classes[class - 1].text[at];
}

static void put_status_line(struct out *o, int status)
{
	puts_(o, "HTTP/1.1 ");
	put_u64(o, (unsigned)status);
	put(o, " ", 1);
	puts_(o, h1_reason(status));
	put(o, "\r\n", 2);
}

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

static void put_response_framing(
	struct out *o, const struct msg *m, const struct h1_response_form *f)
{
	int status = msg_status(m);
	const char *length;
	switch (f->frame) {
	case H1_FRAME_NONE:
		/* What a GET would have brought (RFC 9110 §8.6). */
		if (status < 200 || status == 204)
			return;
		length = msg_get(m, "content-length");
		if (msg_body(m) == BODY_LENGTH && (msg_body_length(m) || status != 304))
			put_length(o, msg_body_length(m));
		else if (length && is_number(length))
			put_named(o, "Content-Length", length);
		return;
	case H1_FRAME_LENGTH:
		put_length(o, f->length);
		return;
	case H1_FRAME_CHUNKED:
		puts_(o, "Transfer-Encoding: chunked\r\n");
		return;
	case H1_FRAME_CLOSE:
		return;
	}
}

static void put_response_connection(
	struct out *o, const struct msg *m, const struct h1_response_form *f)
{
	int status = msg_status(m);
	const char *upgrade = msg_get(m, "upgrade");
	bool upgrades = upgrade && (status == 101 || status == 426);
	if (upgrades)
		put_named(o, "Upgrade", upgrade);
	if (status == 101)
		puts_(o, "Connection: upgrade\r\n");
	else if (status < 200)
		return;
	else if (!f->keep_alive)
		puts_(o, upgrades ? "Connection: upgrade, close\r\n" : "Connection: close\r\n");
	else if (upgrades)
		puts_(o, "Connection: upgrade\r\n");
	else if (f->http10)
		puts_(o, "Connection: keep-alive\r\n");
}

void h1_write_response(struct stream *s, const struct msg *m, const struct h1_response_form *f)
{
	struct out o;
	o.s = s;
	o.n = 0;
	put_status_line(&o, msg_status(m));
	if (msg_status(m) >= 200) {
		if (!msg_get(m, "date"))
			put_named(&o, "Date", http_date());
		if (f->server_name && !msg_get(m, "server"))
			put_named(&o, "Server", f->server_name);
	}
	put_fields(&o, m);
	put_response_framing(&o, m, f);
	put_response_connection(&o, m, f);
	put(&o, "\r\n", 2);
	flush(&o);
}

/* ---- requests ---- */

static void put_request_connection(struct out *o, const struct msg *m)
{
	const char *upgrade = msg_upgrade(m), *te = msg_get(m, "te");
	bool trailers = te && !strcasecmp(te, "trailers");
	if (upgrade)
		put_named(o, "Upgrade", upgrade);
	if (trailers)
		put_named(o, "TE", te);
	if (upgrade || trailers)
		put_named(o, "Connection",
			upgrade && trailers ? "upgrade, TE"
			: upgrade           ? "upgrade"
					    : "TE");
}

void h1_write_request(struct stream *s, const struct msg *m)
{
	struct out o;
	o.s = s;
	o.n = 0;
	puts_(&o, msg_method_text(m));
	put(&o, " ", 1);
	puts_(&o, msg_target(m));
	puts_(&o, " HTTP/1.1\r\n");
	put_named(&o, "Host", msg_authority(m));
	put_fields(&o, m);
	put_request_connection(&o, m);
	if (msg_body(m) == BODY_LENGTH)
		put_length(&o, msg_body_length(m));
	else if (msg_body(m) != BODY_NONE)
		puts_(&o, "Transfer-Encoding: chunked\r\n");
	put(&o, "\r\n", 2);
	flush(&o);
}

/* ---- chunks ---- */

size_t h1_write_chunk(struct stream *s, const void *p, size_t n)
{
	if (!n)
		return stream_queued(s);
	char size[20];
	int len = snprintf(size, sizeof(size), "%zx\r\n", n);
	stream_cork(s);
	stream_write(s, size, (size_t)len);
	stream_write(s, p, n);
	stream_write(s, "\r\n", 2);
	stream_uncork(s);
	/* Judged as by stream_write(), so that on_writable is due when it should be. */
	return stream_write(s, "", 0);
}

void h1_write_last_chunk(struct stream *s, const struct msg *trailers)
{
	struct out o;
	o.s = s;
	o.n = 0;
	puts_(&o, "0\r\n");
	if (trailers)
		put_fields(&o, trailers);
	put(&o, "\r\n", 2);
	flush(&o);
}
