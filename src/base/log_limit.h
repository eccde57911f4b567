/* How often a kind of line may be written that others can cause at will: a burst, then one every
 * few seconds. Thread-safe; no clock of its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_BURST 20u
#define LOG_LIMIT_EVERY_MS 3000u

/* May a line of this kind (area and phrase, both constants that live for ever) be written at
 * `now_ms`, of a clock that only goes forward? When it may, `left_out` is how many were not since
 * the last one. */
bool log_limit_admits(const char *area, const char *event, uint64_t now_ms, uint64_t *left_out);
