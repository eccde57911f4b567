/* See logring.h. */
#include "admin/logring.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/xalloc.h"

struct logring {
	pthread_mutex_t lock;
	char *lines[LOGRING_LINES];
	unsigned next, n;
};

struct logring *logring_new(void)
{
	struct logring *r = xcalloc(1, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void logring_free(struct logring *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < LOGRING_LINES; i++)
		free(r->lines[i]);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void logring_add(struct logring *r, const char *line, size_t n)
{
	char *copy = xstrndup(line, n < LOG_LINE_MAX ? n : LOG_LINE_MAX);
	pthread_mutex_lock(&r->lock);
	char *old = r->lines[r->next];
	r->lines[r->next] = copy;
	r->next = (r->next + 1) % LOGRING_LINES;
	if (r->n < LOGRING_LINES)
		r->n++;
	pthread_mutex_unlock(&r->lock);
	free(old);
}

void logring_each(struct logring *r, unsigned most, logring_fn fn, void *ctx)
{
	pthread_mutex_lock(&r->lock);
	unsigned n = r->n < most ? r->n : most;
	for (unsigned i = n; i > 0; i--)
		fn(ctx, r->lines[(r->next + LOGRING_LINES - i) % LOGRING_LINES]);
	pthread_mutex_unlock(&r->lock);
}
