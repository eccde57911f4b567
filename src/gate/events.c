/* See events.h. A stream remembers a set of words, never a queue of events. Who reads so slowly
 * that events pile up is cut off; the browser comes back and reads everything anew. */
#include "gate/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/xalloc.h"
#include "gate/session.h"
#include "http/exchange.h"
#include "net/loop.h"

#define GATHER_MS 200u
#define BEAT_MS 25000u
#define SILENCE_MS 90000u /* no byte went out for so long: nobody is there */
#define BEHIND_MAX 16384u
#define RETRY_AFTER_S "30"

struct event_table {
	struct list streams;
	unsigned n;
	struct timer gather, beat;
};

struct event_stream {
	struct list node;
	struct exchange *x;
	struct session *session; /* NULL: ending */
	struct session_use use;
	struct event_table *table;
	unsigned pending;
	uint64_t id;
};

static const struct {
	unsigned bit;
	const char *word;
} words[] = {
	{EVENT_CERTIFICATES, "certificates"},
	{EVENT_DEVICES, "devices"},
	{EVENT_LAUNCHER, "launcher"},
	{EVENT_ME, "me"},
	{EVENT_PEOPLE, "people"},
	{EVENT_STATUS, "status"},
};

static unsigned may_hear(const struct event_stream *s)
{
	return s->session->row.is_admin ? EVENT_ALL : EVENT_OF_PERSON;
}

/* ---- sending ---- */

static void send_text(struct event_stream *s, const char *text)
{
	if (s->session && exchange_write(s->x, text, strlen(text)) > BEHIND_MAX)
		exchange_abort(s->x);
}

static void send_event(struct event_stream *s, const char *before)
{
	char text[320];
	size_t n =
		(size_t)snprintf(text, sizeof(text), "%sid: %llu\nevent: change\ndata: {\"what\":[",
			before, (unsigned long long)++s->id);
	const char *comma = "";
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!(s->pending & words[i].bit))
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"%s\"", comma, words[i].word);
		comma = ",";
	}
	snprintf(text + n, sizeof(text) - n, "]}\n\n");
	s->pending = 0;
	send_text(s, text);
}

static void on_gather(struct timer *t)
{
	struct event_table *table = container_of(t, struct event_table, gather);
	list_each_safe(at, &table->streams)
	{
		struct event_stream *s = container_of(at, struct event_stream, node);
		if (s->pending && s->session)
			send_event(s, "");
	}
}

static void on_beat(struct timer *t)
{
	struct event_table *table = container_of(t, struct event_table, beat);
	list_each_safe(at, &table->streams)
		send_text(container_of(at, struct event_stream, node), ":\n\n");
	if (table->n)
		timer_arm(t, BEAT_MS);
}

struct event_news *event_news_copy(const struct event_news *news)
{
	size_t n = sizeof(*news) + news->n_users * sizeof(news->users[0]);
	struct event_news *copy = xcalloc(1, n);
	memcpy(copy, news, n);
	return copy;
}

static bool is_named(const struct event_news *news, int64_t user_id)
{
	for (unsigned i = 0; i < news->n_users; i++)
		if (news->users[i] == user_id)
			return true;
	return news->everybody;
}

void event_tell(struct event_table *t, const struct event_news *news)
{
	list_each(at, &t->streams)
	{
		struct event_stream *s = container_of(at, struct event_stream, node);
		if (!s->session)
			continue;
		unsigned not_theirs = is_named(news, s->session->row.user_id) ? 0
				      : s->session->row.is_admin              ? EVENT_ME
									      : EVENT_OF_PERSON;
		s->pending |= news->what & may_hear(s) & ~not_theirs;
		if (s->pending && !t->gather.at_ms)
			timer_arm(&t->gather, GATHER_MS);
	}
}

/* ---- the stream's life ---- */

static void end(struct event_stream *s)
{
	if (!s->session)
		return;
	s->session = NULL;
	exchange_end(s->x, NULL);
}

static void on_revoked(struct session_use *u)
{
	end(container_of(u, struct event_stream, use));
}

static void on_done(struct exchange *x, int status)
{
	struct event_stream *s = x->ctx;
	(void)status;
	session_use_end(&s->use);
	list_remove(&s->node);
	if (s->table)
		s->table->n--;
	free(s);
}

static const struct handler stream_handler = {.on_done = on_done};

/* How many streams this sign-in has, and this person in all. */
static void count(const struct event_table *t, const struct session *s, unsigned *own, unsigned *all)
{
	*own = *all = 0;
	list_each(at, &t->streams)
	{
		const struct session *theirs = container_of(at, struct event_stream, node)->session;
		*own += theirs == s;
		*all += theirs && theirs->row.user_id == s->row.user_id;
	}
}

static void refuse(struct exchange *x, int status, const char *message)
{
	char body[200];
	struct msg *head = msg_new_response(status);
	msg_set(head, "retry-after", RETRY_AFTER_S);
	msg_set(head, "cache-control", "no-store");
	snprintf(body, sizeof(body),
		"{\"error\":{\"code\":\"too_many\",\"message\":\"%s\",\"remedy\":null}}", message);
	exchange_reply(x, status, head, "application/json", body);
	msg_free(head);
}

static void begin(struct event_stream *s)
{
	struct msg *head = msg_new_response(200);
	msg_set(head, "content-type", "text/event-stream");
	msg_set(head, "cache-control", "no-store");
	msg_set(head, "x-content-type-options", "nosniff");
	msg_set_body(head, BODY_CHUNKED, 0);
	exchange_respond(s->x, head, false);
	msg_free(head);
	exchange_set_idle(s->x, SILENCE_MS);
	/* Back again: whatever happened meanwhile was not heard. */
	if (msg_get(s->x->req, "last-event-id"))
		s->pending = may_hear(s);
	send_event(s, "retry: 2000\n");
}

void event_open(struct event_table *t, struct exchange *x, struct session *s)
{
	if (t->n >= EVENTS_MAX) {
		refuse(x, 503, "too many pages are open");
		return;
	}
	unsigned own, all;
	count(t, s, &own, &all);
	if (own >= EVENTS_PER_SESSION_MAX || all >= EVENTS_PER_PERSON_MAX) {
		refuse(x, 429, "this page is open too often");
		return;
	}
	struct event_stream *n = xcalloc(1, sizeof(*n));
	n->x = x;
	n->table = t;
	n->session = s;
	n->use.on_revoked = on_revoked;
	session_use_begin(s, &n->use);
	list_push_back(&t->streams, &n->node);
	if (t->n++ == 0)
		timer_arm(&t->beat, BEAT_MS);
	x->handler = &stream_handler;
	x->ctx = n;
	begin(n);
}

/* ---- the table ---- */

struct event_table *event_table_new(struct loop *loop)
{
	struct event_table *t = xcalloc(1, sizeof(*t));
	list_init(&t->streams);
	timer_init(&t->gather, loop, on_gather);
	timer_init(&t->beat, loop, on_beat);
	return t;
}

void event_end_all(struct event_table *t)
{
	list_each_safe(at, &t->streams) end(container_of(at, struct event_stream, node));
}

void event_table_free(struct event_table *t)
{
	if (!t)
		return;
	timer_cancel(&t->gather);
	timer_cancel(&t->beat);
	while (!list_empty(&t->streams)) {
		struct event_stream *s = container_of(t->streams.next, struct event_stream, node);
		list_remove(&s->node);
		s->table = NULL;
	}
	free(t);
}
