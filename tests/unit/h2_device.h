/* A device at the far end of an HTTP/2 link, over a net in memory: says frames that a test writes
 * down in one line, right or wrong, and notes what it hears.
 *
 * Frames are separated by ';': a letter, the stream, flags, a space and the payload.
 *   H1e :status=200|a=b   HEADERS; e ends the stream. Fields are literals (RFC 7541 §6.2.2)
 *   D1 text, D1 *5000     DATA, or so many bytes of it
 *   R1 8                  RST_STREAM with that code
 *   G0 5 0                GOAWAY: last stream, code
 *   S0 3 100              SETTINGS: one identifier and its value; alone: none; a: ACK
 *   P0                    PING        W0 5  WINDOW_UPDATE
 *   U1 5                  PUSH_PROMISE    ?0  a frame that nobody knows  */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/fake_net.h"

#define READY "S0 3 100;S0 8 1;S0a;" /* and what the gateway set is in force */

struct device {
	struct loop *loop;
	struct stream *s; /* NULL: gone */
	nghttp2_session *ears;
	struct buf got;
	char heard[4000];
	size_t body;   /* bytes of DATA heard */
	size_t credit; /* what WINDOW_UPDATEs gave to the connection */
	size_t sip;    /* reads so much at a time, if not 0 */
	size_t of[64]; /* bytes of DATA heard by stream, the first ones */
};

static inline void device_on_gone(void *ctx)
{
	((struct device *)ctx)->s = NULL;
}

/* ---- saying ---- */

static inline void put_frame(
	struct device *d, char type, unsigned flags, unsigned stream, const struct buf *payload)
{
	static const char types[] = "HDRGSPWU?";
	static const uint8_t codes[] = {1, 0, 3, 7, 4, 6, 8, 5, 0xee};
	size_t n = payload->len;
	uint8_t head[9] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n,
		codes[strchr(types, type) - types], (uint8_t)flags, 0, 0, (uint8_t)(stream >> 8),
		(uint8_t)stream};
	if (!d->s)
		return;
	fake_send(d->s, head, 9);
	fake_send(d->s, payload->data, n);
	if (type == 'S' && !flags) /* so that the ears expect the answer */
		nghttp2_submit_settings(d->ears, NGHTTP2_FLAG_NONE, NULL, 0);
	for (const uint8_t *unsaid; nghttp2_session_mem_send(d->ears, &unsaid) > 0;)
		;
}

static inline void put_u32(struct buf *b, unsigned long n)
{
	uint8_t raw[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	buf_append(b, raw, 4);
}

/* A length below 16383 (RFC 7541 §5.1). */
static inline void put_text(struct buf *b, const char *p, size_t n)
{
	uint8_t raw[3] = {(uint8_t)n, 0, 0};
	size_t len = 1;
	if (n >= 127) {
		raw[0] = 127;
		raw[1] = (uint8_t)((n - 127) & 127) | 128;
		raw[2] = (uint8_t)((n - 127) >> 7);
		len = 3;
	}
	buf_append(b, raw, len);
	buf_append(b, p, n);
}

static inline void put_fields(struct buf *b, const char *p, size_t n)
{
	while (n) {
		size_t len = 0, name;
		while (len < n && p[len] != '|')
			len++;
		for (name = 1; name < len && p[name] != '='; name++)
			;
		buf_append(b, "", 1);
		put_text(b, p, name);
		put_text(b, p + name + 1, len - name - 1);
		len += len < n;
		p += len;
		n -= len;
	}
}

static inline void put_payload(struct buf *b, char type, const char *p, size_t n)
{
	char *end;
	unsigned long a = strtoul(p, &end, 10), second = strtoul(end, NULL, 10);
	if (type == 'H') {
		put_fields(b, p, n);
	} else if (type == 'D' && *p == '*') {
		a = strtoul(p + 1, NULL, 10);
		for (unsigned long i = 0; i < a; i++)
			buf_append(b, "x", 1);
	} else if (type == 'D' || type == '?') {
		buf_append(b, p, n);
	} else if (type == 'S') {
		uint8_t id[2] = {0, (uint8_t)a};
		buf_append(b, id, n ? 2 : 0);
		if (n)
			put_u32(b, second);
	} else {
		put_u32(b, a);
		if (type == 'G' || type == 'P')
			put_u32(b, second);
	}
}

static inline void device_hear(struct device *d);

static inline void device_say(struct device *d, const char *script)
{
	while (*script) {
		struct buf payload = BUF_INIT(1u << 20);
		char type = *script, *at;
		unsigned stream = (unsigned)strtoul(script + 1, &at, 10), flags = 0;
		for (; *at && *at != ' ' && *at != ';'; at++)
			flags |= *at == 'e' ? 1u : *at == 'a' ? 1u : 0;
		if (*at == ' ')
			at++;
		size_t n = strcspn(at, ";");
		put_payload(&payload, type, at, n);
		if (type == 'H' || type == 'U')
			flags |= 4;
		put_frame(d, type, flags, stream, &payload);
		buf_done(&payload);
		script = at + n + (at[n] == ';');
	}
	device_hear(d);
}

/* ---- hearing ---- */

static inline void __attribute__((format(printf, 2, 3)))
heard(struct device *d, const char *fmt, ...)
{
	size_t at = strlen(d->heard);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(d->heard + at, sizeof(d->heard) - at, fmt, ap);
	va_end(ap);
}

static inline int device_on_begin(nghttp2_session *n, const nghttp2_frame *f, void *user)
{
	(void)n;
	heard(user, "H%d", f->hd.stream_id);
	return 0;
}

static inline int device_on_field(nghttp2_session *n, const nghttp2_frame *f, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	(void)n, (void)f, (void)flags;
	heard(user, "|%.*s=%.*s", (int)name_len, (const char *)name, (int)value_len,
		(const char *)value);
	return 0;
}

static inline int device_on_chunk(
	nghttp2_session *n, uint8_t flags, int32_t id, const uint8_t *p, size_t len, void *user)
{
	struct device *d = user;
	(void)n, (void)flags;
	d->body += len;
	if (id < 64)
		d->of[id] += len;
	if (len < 100)
		heard(d, "D%d %.*s", id, (int)len, (const char *)p);
	return 0;
}

static inline int device_on_frame(nghttp2_session *n, const nghttp2_frame *f, void *user)
{
	struct device *d = user;
	(void)n;
	switch (f->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		heard(d, "%s;", f->hd.flags & NGHTTP2_FLAG_END_STREAM ? "e" : "");
		break;
	case NGHTTP2_RST_STREAM:
		heard(d, "R%d %u;", f->hd.stream_id, f->rst_stream.error_code);
		break;
	case NGHTTP2_GOAWAY:
		heard(d, "G%u;", f->goaway.error_code);
		break;
	case NGHTTP2_PING:
		heard(d, "P;");
		break;
	case NGHTTP2_WINDOW_UPDATE:
		if (!f->hd.stream_id)
			d->credit += (size_t)f->window_update.window_size_increment;
		break;
	default:
		break;
	}
	return 0;
}

static inline void device_open(struct device *d, struct loop *loop)
{
	nghttp2_session_callbacks *cbs;
	nghttp2_option *opt;
	d->loop = loop;
	d->s = fake_stream(loop, device_on_gone, d);
	buf_init(&d->got, 64u << 20);
	nghttp2_session_callbacks_new(&cbs);
	nghttp2_option_new(&opt);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, device_on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cbs, device_on_field);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, device_on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, device_on_frame);
	nghttp2_option_set_no_http_messaging(opt, 1);
	nghttp2_session_server_new2(&d->ears, cbs, d, opt);
	/* The windows are what the test says, not what the ears think. */
	nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1u << 30};
	nghttp2_submit_settings(d->ears, NGHTTP2_FLAG_NONE, &window, 1);
	nghttp2_session_set_local_window_size(d->ears, NGHTTP2_FLAG_NONE, 0, 1 << 30);
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cbs);
}

/* Let everything happen that is due. What its own library would answer is not sent. */
static inline void device_hear(struct device *d)
{
	do {
		d->got.len = 0;
		fake_settle(d->loop);
		if (d->s)
			fake_read(d->s, d->sip ? d->sip : SIZE_MAX, &d->got);
		if (d->got.len && nghttp2_session_mem_recv(d->ears, d->got.data, d->got.len) < 0)
			abort();
	} while (d->got.len && !d->sip);
}

static inline void device_close(struct device *d)
{
	nghttp2_session_del(d->ears);
	buf_done(&d->got);
}
