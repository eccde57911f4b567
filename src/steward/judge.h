/* The decision "may the CA look now?", without sockets or clocks: what each authoritative server
 * answered, and how long we have been asking, give a verdict and a sentence. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/dnsmsg.h"
#include "steward/place.h"

#define JUDGE_SILENT_MS 30000 /* nothing heard for so long: excused, or port 53 is blocked */
#define JUDGE_BLIND_MS 120000 /* shortest wait when nothing can be asked */

enum heard {
	HEARD_NOTHING, /* no answer to any question so far */
	HEARD_OTHER,   /* not from the server itself: the authoritative bit is missing */
	HEARD_ERROR,   /* SERVFAIL, REFUSED … */
	HEARD_LACKS,   /* the value is not there (yet) */
	HEARD_VALUE,
};

struct judge_server {
	enum heard heard; /* the latest answer; silence after an answer changes nothing */
	unsigned rcode;
	unsigned n_values; /* other values of the type at that name */
};

enum judge_verdict { JUDGE_WAIT, JUDGE_READY, JUDGE_BLIND_READY, JUDGE_FAILED };

struct judge_times {
	uint64_t elapsed_ms, timeout_ms, ttl_ms;
};

/* `text` (size ≥ 400) says for READY "" or which server was excused, for WAIT and FAILED who lags
 * and what he answers. */
enum judge_verdict judge(const struct place *place, const struct judge_server *servers,
	const struct judge_times *t, char *text, size_t size);

/* Read one reply of an authoritative server. */
void judge_hear(struct judge_server *s, const struct dns_reply *reply, const char *name,
	enum dns_type type, const char *value);

/* Milliseconds until the next round: 1 s growing to 5 s. */
uint64_t judge_interval_ms(unsigned round);
