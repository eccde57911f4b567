/* See closed.h. A child is only ever forked to look up a name. */
#include "device-agent/closed.h"

#include "base/landlock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/seccomp.h"

int close_in(const char *state, const char *conf_path, struct err *e)
{
	struct landlock *l = landlock_new();
	struct sandbox s;
	landlock_allow_system(l);
	landlock_allow(l, "/etc", LANDLOCK_READ); /* resolv.conf may be replaced */
	landlock_allow_beside(l, conf_path, LANDLOCK_READ);
	landlock_allow(l, state, LANDLOCK_WRITE);
	landlock_stay_alone(l);
	int rc = sandbox_enter(&s, l, CALLS_FILES | CALLS_NET | CALLS_CHILDREN, e);
	if (rc == 0)
		log_debug("agent", "closed in", "calls", sandbox_calls(&s), "files",
			sandbox_files(&s));
	return rc;
}
