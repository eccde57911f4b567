/* See sandbox.h. */
#include "base/sandbox.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/landlock.h"
#include "base/seccomp.h"

void sandbox_harden(void)
{
	struct rlimit none = {0, 0};
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
}

int sandbox_enter(struct sandbox *s, struct landlock *files, unsigned calls, struct err *e)
{
	sandbox_harden();
	int rc = landlock_limit(files, e);
	if (rc < 0)
		return rc;
	*s = (struct sandbox){.landlock = rc};
	rc = seccomp_limit(calls, e);
	s->calls = rc == 0;
	return rc == -ENOSYS ? 0 : rc;
}
