/* See sandbox.h. */
#include "base/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/landlock.h"
#include "base/seccomp.h"

void sandbox_harden(void)
{
	struct rlimit none = {0, 0};
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
}

bool sandbox_has_capability(unsigned cap)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct has[2] = {{.effective = 0}};
	return syscall(SYS_capget, &head, has) == 0 && has[0].effective & 1u << cap;
}

/* Three bits do not need a library. Without CAP_SETPCAP the bounding set stays; no_new_privs and an
 * empty permitted set make it meaningless. */
int sandbox_keep_capabilities(uint32_t keep)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct has[2] = {{.effective = 0}}, data[2] = {{.effective = 0}};
	if (syscall(SYS_capget, &head, has) < 0)
		return -errno;
	for (unsigned cap = 0; cap < 64; cap++) {
		if (cap >= 32 || !(keep & 1u << cap))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	data[0].effective = data[0].permitted = keep & has[0].permitted;
	/* A service manager that has taken them all away may refuse the call, too. */
	if (memcmp(has, data, sizeof(has)) == 0)
		return 0;
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

const char *sandbox_calls(const struct sandbox *s)
{
	return s->calls ? "limited" : "not limited by this kernel";
}

const char *sandbox_files(const struct sandbox *s)
{
	return s->landlock ? "limited" : "not limited by this kernel (no Landlock)";
}

int sandbox_enter(struct sandbox *s, struct landlock *files, unsigned calls, struct err *e)
{
	*s = (struct sandbox){.landlock = 0};
	sandbox_harden();
	int rc = calls & CALLS_USERS ? 0 : sandbox_keep_capabilities(0);
	if (rc < 0) {
		landlock_free(files);
		return err_sys(e, rc, "cannot give up capabilities");
	}
	rc = landlock_limit(files, e);
	if (rc < 0)
		return rc;
	s->landlock = rc;
	rc = seccomp_limit(calls, e);
	s->calls = rc == 0;
	return rc == -ENOSYS ? 0 : rc;
}
