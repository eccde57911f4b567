/* See h1_write.h. */
#include "http/h1_write.h"

#include <string.h>

#include "http/h1_text.h"
#include "http/server.h"
#include "net/stream.h"

static void to_stream(void *to, const char *p, size_t n)
{
	stream_write(to, p, n);
}

static void begin(struct h1_out *o, struct stream *s)
{
	o->write = to_stream;
	o->to = s;
	o->n = 0;
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

static void put_status_line(struct h1_out *o, int status)
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
	struct h1_out *o, const struct msg *m, const struct h1_response_form *f)
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
	struct h1_out *o, const struct msg *m, const struct h1_response_form *f)
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
	struct h1_out o;
	begin(&o, s);
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
	h1_flush(&o);
}

/* ---- requests ---- */

void h1_write_request(struct stream *s, const struct msg *m)
{
	struct h1_out o;
	begin(&o, s);
	h1_text_request(&o, m);
}

/* ---- chunks ---- */

size_t h1_write_chunk(struct stream *s, const void *p, size_t n)
{
	if (!n)
		return stream_queued(s);
	char size[H1_CHUNK_SIZE];
	unsigned len = h1_text_chunk_size(size, n);
	stream_cork(s);
	stream_write(s, size, len);
	stream_write(s, p, n);
	stream_write(s, "\r\n", 2);
	stream_uncork(s);
	/* Judged as by stream_write(), so that on_writable is due when it should be. */
	return stream_write(s, "", 0);
}

void h1_write_last_chunk(struct stream *s, const struct msg *trailers)
{
	struct h1_out o;
	begin(&o, s);
	h1_text_last_chunk(&o, trailers);
}
