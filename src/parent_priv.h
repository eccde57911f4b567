/* Users, ownership and capabilities for the parent process. Linux. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct identity {
	bool keep; /* stay who we are */
	uid_t uid;
	gid_t gid;
};

/* A user name or number; "" keeps the uid, and so does a start without root or CAP_SETUID. */
int identity_find(struct identity *who, const char *user, struct err *e);
/* In a child: no supplementary groups, gid, uid, no capability, for good. -1 and errno. */
int identity_become(const struct identity *who);
/* Make `path` belong to `who`. */
int identity_own(const struct identity *who, const char *path, struct err *e);
/* Of the parent's own privileges keep SETUID, SETGID and KILL only. No effect without them. */
int identity_drop_capabilities(struct err *e);

/* A duplicate numbered `above` or higher, close-on-exec. -1 and errno. */
int fcntl_dup_above(int fd, int above);
/* Close every descriptor from `first` up. */
void close_from(int first);
