/* Questions that loops bring to the control thread, each to whoever answers it. */
#include <errno.h>
#include <string.h>

#include "admin/api.h"
#include "admin/control_in.h"
#include "base/str.h"
#include "gate/auth.h"
#include "gate/enroll.h"

static void not_found(struct ask *a)
{
	ask_answer(a, 404, "text/plain; charset=utf-8", "There is nothing at this address.\n");
}

/* The API, or the pages of people. */
static void ask_base(struct control *c, struct ask *a)
{
	if (str_starts(msg_target(a->req), API_PREFIX))
		api_handle(c, a);
	else if (auth_handle(c->auth, a) == -ENOENT)
		not_found(a);
}

static void ask_device(struct control *c, struct ask *a)
{
	if (auth_handle(c->auth, a) == -ENOENT)
		not_found(a);
}

static void ask_agent(struct control *c, struct ask *a)
{
	struct certs_time now;
	control_now(c, &now);
	enroll_handle(c->enroll, a, &now);
}

void control_on_ask(void *ctx, struct ask *a)
{
	static void (*const desks[])(struct control *, struct ask *) = {
		[ASK_BASE] = ask_base,
		[ASK_DEVICE] = ask_device,
		[ASK_ENROL] = ask_agent,
		[ASK_AGENT] = ask_agent,
		[ASK_LOCAL] = api_handle,
	};
	desks[a->kind](ctx, a);
}
