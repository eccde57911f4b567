/* The last thousand log lines, for people who ask `logs`. Any thread adds; the control thread reads. */
#pragma once

#include <stddef.h>

#define LOGRING_LINES 1000

struct logring;

struct logring *logring_new(void);
void logring_free(struct logring *r);
/* One line without its newline; cut at LOG_LINE_MAX. */
void logring_add(struct logring *r, const char *line, size_t n);
/* Call `fn` for the last `most` lines, oldest first. Lines are lent. */
typedef void (*logring_fn)(void *ctx, const char *line);
void logring_each(struct logring *r, unsigned most, logring_fn fn, void *ctx);
