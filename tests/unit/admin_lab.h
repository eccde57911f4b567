/* For tests of admin: a whole control thread with a configuration of its own, a steward that the
 * test plays, and questions asked on the desk without HTTP. */
#pragma once

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "admin/control.h"
#include "ask_lab.h"
#include "base/procmsg.h"
#include "gate/snapshot.h"
#include "gate_lab.h"
#include "gate_tmp.h"

#define ADMIN_DOMAIN "home.example.com"

struct admin_lab {
	char dir[64];
	struct control *c;
	struct snapshot_slot *slot;
	int steward;   /* our end */
	struct lab ca; /* the public CA in miniature */
	pthread_mutex_t *lock;
	/* What the loops were told. */
	unsigned snapshots, drops;
	char cut[64];  /* the last device that was cut */
	unsigned news; /* EVENT_… that were told; under `lock`, see admin_news() */
	int concerned; /* how many people the last news for persons named; -1: everybody */
	/* What the steward was told, and how it answers orders. */
	enum lab_fault fault;
	int64_t life_s;
	unsigned orders, publishes, withdrawals;
	bool mute;             /* it hears and says nothing */
	char ordered[16][254]; /* first names, in order */
	uint64_t ids[16];      /* of orders; one that comes again is not served again */
	uint8_t in[PROCMSG_MAX];
};

/* Write gateway.yaml: domain, state below dir, address 192.168.7.1, and `more`. */
void admin_write_conf(struct admin_lab *l, const char *more);
void admin_init(struct admin_lab *l);
void admin_start(struct admin_lab *l);
void admin_stop(struct admin_lab *l);
void admin_done(struct admin_lab *l);

/* Say something as the steward. */
void admin_say(struct admin_lab *l, const struct procmsg *m);
void admin_say_started(struct admin_lab *l);
/* The next message; false when none comes for `ms` in which the control thread has its turns. */
bool admin_hear(struct admin_lab *l, struct procmsg *m, int ms);
/* Be the steward until nothing came for `ms`: sign orders, confirm names. */
void admin_serve(struct admin_lab *l, int ms);

struct admin_answer {
	int status;
	char text[65536];
	json_t *json; /* NULL when the body is none */
};
/* Ask the desk and wait. */
void admin_ask(struct admin_lab *l, const struct ask_question *q, struct admin_answer *out);
/* On the Unix socket; returns the JSON (decref it) after checking the status. */
json_t *admin_api(
	struct admin_lab *l, const char *method, const char *target, const char *body, int status);
/* The text at a path like "error.code"; fails the test when it is missing. */
const char *admin_text(const json_t *o, const char *path);
/* What was told since: EVENT_…, and how many people it concerns (-1: everybody, -2: no news for
 * persons); NULL: never mind. */
void admin_forget_news(struct admin_lab *l);
unsigned admin_news(struct admin_lab *l, int *concerned);
