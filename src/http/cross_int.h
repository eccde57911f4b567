/* Inside http/cross*: the call that both loops share, and the messages between its halves.
 *
 * The near half ends with BYE, sent once, the far half with END or FAIL, sent once. A half that has
 * sent its own last word and heard the other's is done; whoever is done last frees both. Messages of
 * one direction arrive in order, so none can come for a half that is gone. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/list.h"
#include "http/cross.h"
#include "net/loop.h"

#define CROSS_CREDIT_MIN 12288u /* bytes taken before credit goes back: below low water */

enum cross_what {
	CROSS_CALL,	  /* to the far half */
	CROSS_BYE,	  /* to the far half, last */
	CROSS_EXPIRE,	  /* to the far half: nothing was heard of it */
	CROSS_HEAD,	  /* to the near half */
	CROSS_FAIL,	  /* to the near half, last */
	CROSS_END,	  /* either; to the near half, last */
	CROSS_BODY, CROSS_CREDIT, /* either */
};

struct cross_msg {
	struct cross_msg *next;
	struct cross_call *call;
	struct msg *head; /* of HEAD; of END: the trailers, or NULL */
	struct err *why;  /* of FAIL */
	enum cross_what what;
	uint32_t n; /* bytes of BODY; that CREDIT allows */
	bool unsent;
	uint8_t data[];
};

struct cross_queue {
	struct cross_msg *first, **end;
};

struct cross_client;

struct cross_near {
	struct call call;
	struct list node; /* in cross->near */
	struct list sibling; /* in its client's calls */
	struct cross_client *client; /* NULL: closed */
	const struct call_cb *cb;
	void *ctx;
	struct cross_queue held; /* came while paused */
	struct defer deliver;
	size_t unpaid; /* body bytes sent and not yet credited */
	uint32_t owed; /* body bytes taken and not yet credited */
	bool paused, full; /* full: on_writable is due */
	bool over; /* no callback any more */
	bool heard; /* of a call that has begun */
	bool said_bye, heard_last;
};

struct cross_far {
	struct list node; /* in cross->far */
	struct call *call;
	void *user;
	struct cross_queue held; /* came before the call began */
	size_t unpaid;
	uint32_t owed;
	bool waits; /* the host has it */
	bool stopped, full; /* the call is paused; takes no more for now */
	bool said; /* what only a call that has begun says */
	bool said_last;
};

struct cross_call {
	atomic_uint holders;
	struct cross *near_end, *far_end;
	struct msg *req;
	char origin[64];
	unsigned hops;
	uint64_t since_ms; /* it came to the first of them */
	struct cross_near near;
	_Alignas(64) struct cross_far far; /* the other thread's */
};

struct cross {
	struct loop *loop;
	struct cross_host host;
	struct list near, far;
	struct list outboxes;
	struct defer flush;
	struct timer farewell; /* for what need not wake anybody */
	bool stopped;
};

struct cross_msg *cross_msg_new(struct cross_call *k, enum cross_what what, const void *p, size_t n);
void cross_msg_free(struct cross_msg *m);
/* On `from`'s thread: goes out when the turn ends. Takes `m`. */
void cross_send(struct cross *from, struct cross *to, struct cross_msg *m);
/* The same, but it may go along with what is sent later: nobody waits for it. */
void cross_send_later(struct cross *from, struct cross *to, struct cross_msg *m);
void cross_queue_init(struct cross_queue *q);
void cross_queue_put(struct cross_queue *q, struct cross_msg *m);
/* NULL when empty. */
struct cross_msg *cross_queue_take(struct cross_queue *q);
void cross_queue_drop(struct cross_queue *q);

/* One half is done. */
void cross_let_go(struct cross_call *k);
/* `call`, just started, carries `k` on, if it leads to another loop. */
void cross_near_follow(struct call *call, const struct cross_call *k);
/* A message arrived for this half. Takes `m`. */
void cross_near_take(struct cross_msg *m);
void cross_far_take(struct cross_msg *m);
