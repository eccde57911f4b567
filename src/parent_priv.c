/* See parent_priv.h. */
#include "parent_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "base/str.h"

/* Root, or started by a service manager as a user of our own with just these capabilities. */
static bool may_change_users(void)
{
	return geteuid() == 0 || sandbox_has_capability(CAP_SETUID);
}

int identity_find(struct identity *who, const char *user, struct err *e)
{
	uint64_t number;
	*who = (struct identity){.keep = true};
	if (!*user || !may_change_users())
		return 0;
	who->keep = false;
	if (str_to_u64(user, 0x7fffffff, &number) == 0) {
		who->uid = (uid_t)number;
		who->gid = (gid_t)number;
		return 0;
	}
	errno = 0;
	const struct passwd *pw = getpwnam(user);
	if (!pw)
		return err_set(e, -ENOENT,
			"there is no user \"%s\"; make it (useradd --system %s) or set run_as",
			user, user);
	who->uid = pw->pw_uid;
	who->gid = pw->pw_gid;
	return 0;
}

int identity_become(const struct identity *who)
{
	if (!who->keep && (setgroups(0, NULL) < 0 || setresgid(who->gid, who->gid, who->gid) < 0 ||
				  setresuid(who->uid, who->uid, who->uid) < 0))
		return -1;
	errno = -sandbox_keep_capabilities(0);
	return errno ? -1 : 0;
}

int identity_own(const struct identity *who, const char *path, struct err *e)
{
	struct stat st;
	if (who->keep)
		return 0;
	/* A service manager may have made it already and left us without CAP_CHOWN. */
	if (stat(path, &st) == 0 && st.st_uid == who->uid && st.st_gid == who->gid)
		return 0;
	if (chown(path, who->uid, who->gid) < 0)
		return err_sys(e, -errno, "cannot give %s to its user", path);
	return 0;
}

int identity_drop_capabilities(struct err *e)
{
	uint32_t keep = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;
	if (!may_change_users())
		return 0;
	int rc = sandbox_keep_capabilities(keep);
	return rc < 0 ? err_sys(e, rc, "cannot give up capabilities") : 0;
}

int fcntl_dup_above(int fd, int above)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, above);
}

void close_from(int first)
{
	if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0)
		return;
	for (int fd = first; fd < 1024; fd++)
		close(fd);
}
