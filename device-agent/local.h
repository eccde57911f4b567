/* Connections to the device's own web service: opening one, and keeping idle ones for the next
 * request. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "device-agent/loop.h"

#define LOCAL_CONNECT_MS 5000 /* for the service to accept */
#define LOCAL_IDLE_MS 4000    /* less than services commonly keep one open */
#define LOCAL_IDLE_MOST 16
/* The body of the 502 where it cannot be reached. */
#define LOCAL_REGRET "The service on this device is not running now.\r\n"

/* Begin to connect. A descriptor, writable once that is decided, or a negative errno. */
int local_connect(const struct sockaddr_storage *to);
/* It is writable: did the service accept? */
bool local_is_accepted(int fd);
/* errno of a read or write that only has to wait. */
bool local_would_block(void);

/* Idle connections to one address, at most LOCAL_IDLE_MOST. */
struct local_pool {
	struct loop *loop;
	struct list idle; /* the newest first */
	struct sockaddr_storage to;
	unsigned n;
};

void local_pool_init(struct local_pool *p, struct loop *l);
/* Close them all. */
void local_pool_done(struct local_pool *p);
/* An idle connection to `to` that still seems alive, which becomes the caller's, or -1. Those to
 * another address are closed. */
int local_pool_take(struct local_pool *p, const struct sockaddr_storage *to);
/* Takes `fd`, connected to `to`, with nothing under way on it. */
void local_pool_give(struct local_pool *p, int fd, const struct sockaddr_storage *to);
