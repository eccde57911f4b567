/* Counting failures by key (an address, an account, a device) and refusing for a while after too
 * many. Bounded: whoever invents keys pushes out the oldest ones, never memory. Pure; times are
 * milliseconds of one monotonic clock, of which one call may know a little less than that before. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct limit;

struct limit_opts {
	unsigned most;      /* failures that lock a key */
	uint64_t window_ms; /* failures older than this are forgotten; a lock lasts as long */
	unsigned keys_max;
};

struct limit *limit_new(const struct limit_opts *o);
void limit_free(struct limit *l);
/* 0: go on; else how many seconds this key must wait. */
unsigned limit_wait_s(const struct limit *l, const char *key, uint64_t now_ms);
void limit_failed(struct limit *l, const char *key, uint64_t now_ms);
/* One of its failures was none. A lock stays. */
void limit_forgive(struct limit *l, const char *key);
/* After a success. */
void limit_clear(struct limit *l, const char *key);
/* The key of an address: IPv4 whole, IPv6 by its /64, because one host has all of it. `out`: 46. */
void limit_key_of_addr(char out[46], const char *addr);
