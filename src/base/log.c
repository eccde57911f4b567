/* See log.h. A line is put together in a fixed buffer and leaves in one write(). */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_limit.h"

static atomic_int level_most = LOG_LEVEL_INFO;
static atomic_bool as_json;
static log_sink_fn sink;
static void *sink_ctx;

struct line {
	char text[LOG_LINE_MAX];
	size_t n;
};

void log_setup(enum log_level most, bool json)
{
	atomic_store(&level_most, most);
	atomic_store(&as_json, json);
}

void log_set_sink(log_sink_fn fn, void *ctx)
{
	sink = fn;
	sink_ctx = ctx;
}

const char *log_num(char out[24], int64_t n)
{
	snprintf(out, 24, "%lld", (long long)n);
	return out;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warn";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "?";
}

/* Room is always kept for the closing "}" and the newline. */
static void put(struct line *l, const char *s, size_t n)
{
	size_t room = sizeof(l->text) - 8 - l->n;
	if (n > room)
		n = room;
	memcpy(l->text + l->n, s, n);
	l->n += n;
}

static void puts_raw(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/* Bytes of the character at `s` that may stand as it is, or 0: not UTF-8 (RFC 3629), or a C1
 * control, which some terminals obey. */
static size_t utf8_len(const unsigned char *s)
{
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	size_t n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
	bool surrogate = s[0] == 0xed && s[1] > 0x9f;
	bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
	bool c1 = s[0] == 0xc2 && s[1] < 0xa0;
	return overlong || surrogate || beyond || c1 ? 0 : n;
}

/* One character, escaped where needed; returns how many bytes of `s` it took. */
static size_t put_char(struct line *l, const char *s)
{
	unsigned char c = (unsigned char)*s;
	char esc[8];
	size_t n = c < 0x80 ? 1 : utf8_len((const unsigned char *)s);
	if (c == '"' || c == '\\')
		put(l, (char[]){'\\', (char)c}, 2);
	else if (c < 0x20 || c == 0x7f || n == 0)
		put(l, esc, (size_t)snprintf(esc, sizeof(esc), "\\u%04x", c));
	else
		put(l, s, n);
	return n ? n : 1;
}

static void put_quoted(struct line *l, const char *s)
{
	puts_raw(l, "\"");
	while (*s && l->n + 16 < sizeof(l->text))
		s += put_char(l, s);
	puts_raw(l, "\"");
}

static bool is_plain(const char *s)
{
	for (const char *p = s; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return *s != 0;
}

/* A pair whose key and quotes do not fit any more is left out, so that the line stays whole. */
static void put_pair(struct line *l, bool json, const char *key, const char *value)
{
	if (l->n + strlen(key) + 32 > sizeof(l->text))
		return;
	if (json) {
		puts_raw(l, ",");
		put_quoted(l, key);
		puts_raw(l, ":");
		put_quoted(l, value);
		return;
	}
	puts_raw(l, " ");
	puts_raw(l, key);
	puts_raw(l, "=");
	if (is_plain(value))
		puts_raw(l, value);
	else
		put_quoted(l, value);
}

static void put_start(
	struct line *l, bool json, const char *level, const char *area, const char *event)
{
	struct timespec ts;
	struct tm tm;
	char when[40];
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	size_t n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + n, sizeof(when) - n, ".%03dZ", (int)(ts.tv_nsec / 1000000));
	if (!json) {
		puts_raw(l, when);
		puts_raw(l, " ");
		puts_raw(l, level);
		puts_raw(l, " ");
		puts_raw(l, area);
		puts_raw(l, ": ");
		puts_raw(l, event);
		return;
	}
	puts_raw(l, "{\"time\":");
	put_quoted(l, when);
	put_pair(l, true, "level", level);
	put_pair(l, true, "area", area);
	put_pair(l, true, "event", event);
}

static bool is_wanted(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&level_most, memory_order_relaxed);
}

static void write_line(
	enum log_level level, const char *area, const char *event, uint64_t left_out, va_list ap)
{
	bool json = atomic_load_explicit(&as_json, memory_order_relaxed);
	struct line l;
	l.n = 0;
	put_start(&l, json, level_name(level), area, event);
	if (left_out)
		put_pair(&l, json, "left_out_before", LOG_NUM(left_out));
	for (const char *key; (key = va_arg(ap, const char *));) {
		const char *value = va_arg(ap, const char *);
		if (value)
			put_pair(&l, json, key, value);
	}
	if (json)
		l.text[l.n++] = '}';
	l.text[l.n] = '\n';
	ssize_t rc = write(STDERR_FILENO, l.text, l.n + 1);
	(void)rc; /* nowhere left to say it */
	if (sink)
		sink(sink_ctx, level, l.text, l.n);
}

void log_event(enum log_level level, const char *area, const char *event, ...)
{
	va_list ap;
	if (!is_wanted(level))
		return;
	va_start(ap, event);
	write_line(level, area, event, 0, ap);
	va_end(ap);
}

void log_event_limited(enum log_level level, const char *area, const char *event, ...)
{
	uint64_t left_out;
	va_list ap;
	if (!is_wanted(level) || !log_limit_admits(area, event, clock_mono_ms(), &left_out))
		return;
	va_start(ap, event);
	write_line(level, area, event, left_out, ap);
	va_end(ap);
}
