/* The control thread: owner of the database, sessions, device CA, certificates' life and API. Everything
 * reaches it by posts; it reaches the loops by struct notify and the snapshot slot. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/sandbox.h"
#include "gate/ask.h"
#include "gate/notify.h"

struct conf;
struct control;
struct link_count;
struct snapshot_slot;

struct control_opts {
	struct conf *conf;	   /* ref'd */
	const char *conf_path;	   /* for reload; copied */
	int steward_fd;		   /* the gate's end of the seqpacket pair; taken */
	struct snapshot_slot *slot; /* kept; not owned */
	struct sandbox sandbox;	   /* of this process, for people */
	struct notify notify;
};

/* Open databases, make the CA at the first start, put the first snapshot, start the thread. */
int control_start(struct control **out, const struct control_opts *o, struct err *e);
/* Where asks go; valid for the control's life. */
const struct ask_desk *control_desk(struct control *c);
/* The PEM of the device CA, for tls_server_client_ca(); valid for the control's life. */
const char *control_device_ca(struct control *c);

/* ---- from any thread: carried over by loop_post ---- */

/* Number of live links that a device has on one of the loops changed (`now` is lent). */
void control_links_changed(
	struct control *c, unsigned loop, const char *device, const struct link_count *now);
/* Whether a device without an agent can be reached changed; `why` (lent): what connecting to it
 * failed with, NULL: it can. */
void control_device_reach(struct control *c, const char *device, const char *why);
/* A session was used just now (told at most every five minutes each). */
void control_session_touched(struct control *c, const uint8_t hash[32]);
/* SIGHUP: read the configuration again; a bad one is reported and the old one stays. */
void control_reload(struct control *c);

/* Stop the thread, close the databases. */
void control_stop(struct control *c);
