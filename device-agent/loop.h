/* A poll() loop of a few watches: a descriptor, a due time, or both. One thread. */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define LOOP_MAX 192 /* 64 connections of two descriptors, and what else the agent holds */

struct loop;

struct watch {
	int fd;          /* -1: a timer alone */
	short events;    /* POLLIN, POLLOUT; 0: only errors, and only where a due time is set */
	uint64_t due_ms; /* monotonic; 0: never. One-shot: cleared before the call. */
	/* `revents` as of poll(); 0: due, which comes first. May remove any watch and free this
	 * one. */
	void (*on_event)(struct watch *w, short revents);
	struct list node;
	struct loop *loop; /* NULL: not in one */
	unsigned slot;
};

struct loop {
	struct list watches;
	unsigned n;
	uint64_t now_ms; /* monotonic, as of the last wake-up */
	struct watch *slots[LOOP_MAX];
	struct pollfd fds[LOOP_MAX];
};

void loop_init(struct loop *l);
/* Fill in fd, events, due_ms, on_event first. False: LOOP_MAX reached. */
bool loop_add(struct loop *l, struct watch *w);
/* Idempotent. */
void loop_remove(struct watch *w);
/* Set the due time `ms` from now. */
void watch_after(struct watch *w, uint64_t ms);
/* Wait once and call what is ready. 0, or a negative errno of poll(). */
int loop_step(struct loop *l);
