/* The agent's HTTP/2 link between a real nghttp2 client, in the gateway's place, and real sockets
 * in the service's: TLS is replaced by plain reads and writes, the clock by a number. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "device-agent/conf.h"
#include "device-agent/h2.h"
#include "device-agent/loop.h"

#define LAB_STREAMS 40

struct seen {
	int32_t id;
	char head[4096]; /* "name: value\n" of every head in order, 1xx and trailers too */
	struct buf body;
	size_t body_len; /* also where it is not kept */
	bool ended;      /* END_STREAM came */
	bool closed;
	uint32_t code; /* of a reset */
	/* What the gateway sends. */
	size_t send_left;
	bool send_more;      /* the body does not end with them */
	bool stalled;        /* its window is not opened again */
	const char *trailer; /* "name: value", once */
};

struct lab {
	struct loop loop;
	struct conf conf;
	struct h2 *h2;
	int gate;
	nghttp2_session *client;
	struct seen seen[LAB_STREAMS];
	unsigned n;
	int listener;
	uint32_t streams_most; /* of the agent's SETTINGS */
	bool connect_protocol;
	unsigned pings; /* that the agent sent */
	bool mute;      /* the gateway reads nothing and says nothing */
	bool goaway;    /* the agent's came */
	unsigned used, leaving, closed;
	int why;
};

void lab_start(struct lab *l, unsigned streams);
/* Nothing may be left. */
void lab_end(struct lab *l);
/* Some turns of everybody. */
void lab_turn(struct lab *l, int times);
/* Close the service's port. */
void lab_service_down(struct lab *l);

/* A request of "name: value" lines, pseudo-fields among them; what is missing of those is filled
 * in. `body`: bytes that the gateway has to send; -1: no body. */
struct seen *lab_ask(struct lab *l, const char *lines, long body);
/* The same and no END_STREAM after the body. */
struct seen *lab_open(struct lab *l, const char *lines, size_t body);
/* Send more, then end or not. */
void lab_send_more(struct lab *l, struct seen *s, size_t n, bool end);

/* The service accepts a connection: its descriptor. */
int lab_accept(struct lab *l);
bool lab_nobody_connects(struct lab *l);
/* Read what there is; the text is static. */
const char *lab_read(struct lab *l, int fd);
/* Bytes that came until nothing more does. `*ended`: then came the end. */
size_t lab_count(struct lab *l, int fd, bool *ended);
void lab_say(struct lab *l, int fd, const char *text);
/* accept, read, answer; the descriptor stays open. */
int lab_serve(struct lab *l, const char *answer);
/* One "name: value" of the seen head. */
bool lab_has(const struct seen *s, const char *line);
