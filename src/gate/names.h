/* Which names must stand in DNS with which addresses, and what the steward said of each. Names that
 * are wanted no more are taken out; a file remembers what was ever asked for, so that this works
 * across restarts too. Control thread only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/procmsg.h"
#include "net/ifaddr.h"

struct names;

/* How messages reach the steward: as msgpipe_send(). `m` is lent. */
typedef int (*names_send_fn)(void *ctx, const struct procmsg *m, struct err *e);

/* `path`: the memory, one name a line. */
int names_open(struct names **out, const char *path, names_send_fn send, void *ctx, struct err *e);
void names_free(struct names *n);

/* From now on exactly these names, with these addresses. No address: what stands in DNS stays,
 * until there is one. */
struct names_want {
	const char *const *names;
	unsigned n;
	struct ifaddrs_list addrs;
};
void names_set(struct names *n, const struct names_want *w);
/* The steward (re)started: everything is said again. */
void names_restart(struct names *n);
/* A STATE with names[0]. True when it was about a name of ours. */
bool names_state(struct names *n, const struct procmsg *m);
/* Send what is not sent yet, a few names at a time: call after each names_state(). Returns true when
 * something could not be sent: call again soon. */
bool names_push(struct names *n);

struct names_view {
	const char *name;
	bool done;              /* in DNS as asked */
	enum state_class class; /* of the last failure; 0: none since the last success */
	const char *text;
	int64_t next_at;
};
/* Of one wanted name; -ENOENT. Lent until the next call of another function. */
int names_get(const struct names *n, const char *name, struct names_view *out);
