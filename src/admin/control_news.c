/* What pages are told of: that something changed, and whom it concerns. Told before or after the
 * change within one turn of the control thread: whoever asks at once is answered after it. */
#include <stdlib.h>
#include <string.h>

#include "admin/control_in.h"
#include "base/xalloc.h"
#include "gate/events.h"
#include "store/users.h"

static struct event_news *news_new(unsigned what, size_t users)
{
	struct event_news *n = xcalloc(1, sizeof(*n) + users * sizeof(n->users[0]));
	n->what = what;
	return n;
}

static void tell(struct control *c, struct event_news *n)
{
	if (c->running)
		c->notify.news(c->notify.ctx, n);
	else
		free(n);
}

void control_tell(struct control *c, unsigned what)
{
	struct event_news *n = news_new(what, 0);
	n->everybody = what & EVENT_OF_PERSON;
	tell(c, n);
}

void control_tell_device(struct control *c, unsigned what, const char *device)
{
	struct user_grant *grants = NULL;
	size_t n_grants = 0;
	users_grants(c->db, 0, &grants, &n_grants, NULL);
	struct event_news *n = news_new(what | EVENT_LAUNCHER, n_grants);
	for (size_t i = 0; i < n_grants; i++)
		if (strcmp(grants[i].device, device) == 0)
			n->users[n->n_users++] = grants[i].user_id;
	free(grants);
	tell(c, n);
}

void control_tell_person(struct control *c, int64_t user_id)
{
	struct event_news *n = news_new(EVENT_OF_PERSON | EVENT_PEOPLE, 1);
	n->users[n->n_users++] = user_id;
	tell(c, n);
}
