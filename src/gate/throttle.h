/* How often something may be tried: pure, with the time as an argument. Failures under a key add up;
 * past an allowance each further one doubles the wait, up to a quarter of an hour. */
#pragma once

#include <stdint.h>

#define THROTTLE_KEYS_MAX 4096u
#define THROTTLE_WAIT_MAX_S 900

struct throttle;

struct throttle *throttle_new(void);
void throttle_free(struct throttle *t);
/* Seconds to wait before `key` may be tried; 0: now. */
int64_t throttle_wait(struct throttle *t, const char *key, int64_t now);
/* One more failure; `free_tries` of them cost nothing. When the table is full, the oldest goes. */
void throttle_fail(struct throttle *t, const char *key, unsigned free_tries, int64_t now);
void throttle_clear(struct throttle *t, const char *key);
