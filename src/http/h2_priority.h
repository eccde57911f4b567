/* Priority fields (RFC 9218): how urgent an answer is, in the words of client and device. Pure. */
#pragma once

#include <stdbool.h>

struct msg;

struct h2_priority {
	int urgency; /* 0, the most urgent, to 7 */
	bool incremental;
};

/* Change `p` by what a Priority field says; what it leaves out, or says wrongly, stays as it is
 * (RFC 9218 §4: the rest of the field counts all the same). */
void h2_priority_merge(struct h2_priority *p, const char *value);
/* What counts for an answer: the defaults, changed by the request's field and then by that of the
 * answer (RFC 9218 §8). False when the answer has none: what the client said stays. */
bool h2_priority_of(struct h2_priority *p, const struct msg *req, const struct msg *resp);
