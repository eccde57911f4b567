/* What the gateway's own host answers on the loop itself: the files of the pages and the page that
 * loads them, and the stream of events. All else is for the control thread's desk. */
#pragma once

#include <stdbool.h>

struct event_table;
struct exchange;
struct session;

/* Answer if it is ours; `s`: the session of the request, or NULL. False: somebody else's. */
bool front_answer(struct event_table *events, struct exchange *x, struct session *s);
