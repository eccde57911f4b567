/* Server-sent events for the gateway's own page: what has changed, by a word, never what it is now.
 * The page reads that from the API, which knows what each person may see. One table a loop, fed by
 * the control thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct event_table;
struct exchange;
struct loop;
struct session;

#define EVENTS_MAX 256u /* streams on one loop */
#define EVENTS_PER_SESSION_MAX 4u
#define EVENTS_PER_PERSON_MAX 32u

/* For whom it is: */
enum {
	EVENT_ME = 1,       /* a person's own account and sessions */
	EVENT_LAUNCHER = 2, /* the devices open to a person */
	EVENT_CERTIFICATES = 4,
	EVENT_DEVICES = 8,
	EVENT_PEOPLE = 16,
	EVENT_STATUS = 32,
};
/* The first two are for the people named, and EVENT_LAUNCHER for admins too; the rest for admins.
 */
#define EVENT_OF_PERSON (EVENT_ME | EVENT_LAUNCHER)
#define EVENT_ALL 63u

struct event_news {
	unsigned what;
	bool everybody;
	unsigned n_users;
	int64_t users[]; /* ids */
};

/* Heap. */
struct event_news *event_news_copy(const struct event_news *news);

struct event_table *event_table_new(struct loop *loop);
/* The loop must have stopped, and the sessions be gone. */
void event_table_free(struct event_table *t);
/* Become the exchange's handler and stream to it until the session ends. 429 or 503 when there are
 * too many. */
void event_open(struct event_table *t, struct exchange *x, struct session *s);
/* Each stream hears of it within a moment; what comes close together is told once. */
void event_tell(struct event_table *t, const struct event_news *news);
/* End all streams, as at the gateway's stop. */
void event_end_all(struct event_table *t);
