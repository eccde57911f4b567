/* One line an event on stderr, for people or as JSON. Values are quoted and control characters
 * escaped, so no peer can forge a line. Never pass a secret. Thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

#define LOG_LINE_MAX 2048

/* Level and form, set once at start and again by a reload. Any thread. */
void log_setup(enum log_level most, bool json);

/* Called with every line (no newline) after it was written; NULL takes it away. Set at start,
 * before other threads exist. The callback must not log. */
typedef void (*log_sink_fn)(void *ctx, enum log_level level, const char *line, size_t n);
void log_set_sink(log_sink_fn fn, void *ctx);

/* `area` is the module's path stem ("gate/link"), `event` a short fixed phrase, then pairs of
 * strings key, value, ended by NULL. A NULL value leaves its pair out. */
void log_event(enum log_level level, const char *area, const char *event, ...)
	__attribute__((sentinel));

/* The same for what strangers or devices cause at will: of each kind (area and phrase, constants) no
 * more than base/log_limit.h says; the next line tells in left_out_before how many were not written. */
void log_event_limited(enum log_level level, const char *area, const char *event, ...)
	__attribute__((sentinel));

#define log_warn_limited(area, ...) log_event_limited(LOG_LEVEL_WARN, area, __VA_ARGS__, NULL)
#define log_info_limited(area, ...) log_event_limited(LOG_LEVEL_INFO, area, __VA_ARGS__, NULL)

#define log_error(area, ...) log_event(LOG_LEVEL_ERROR, area, __VA_ARGS__, NULL)
#define log_warn(area, ...) log_event(LOG_LEVEL_WARN, area, __VA_ARGS__, NULL)
#define log_info(area, ...) log_event(LOG_LEVEL_INFO, area, __VA_ARGS__, NULL)
#define log_debug(area, ...) log_event(LOG_LEVEL_DEBUG, area, __VA_ARGS__, NULL)

/* A decimal for a log value: log_info("x", "sent", "bytes", LOG_NUM(n)). */
#define LOG_NUM(n) log_num((char[24]){0}, (int64_t)(n))
const char *log_num(char out[24], int64_t n);
