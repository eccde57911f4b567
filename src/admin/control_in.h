/* The inside of the control thread, for the files of admin/ alone. All of it belongs to the control
 * thread once control_start() has returned. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "acme/schedule.h"
#include "admin/control.h"
#include "base/procmsg.h"
#include "gate/certs_life.h"
#include "net/ifaddr.h"
#include "net/loop.h"
#include "store/devices.h"

#define CONTROL_DEVICES_MAX 200
#define CONTROL_RELOAD_TEXT 4096

struct auth;
struct ca;
struct certs;
struct db;
struct enroll;
struct ifwatch;
struct logring;
struct map;
struct msgpipe;
struct names;
struct route;
struct tls_cert;

#define CONTROL_LOOPS_MAX 16

/* What the loops told of a device's links; forgotten by a restart. */
struct device_links {
	unsigned n; /* on all loops */
	uint16_t n_of[CONTROL_LOOPS_MAX];
	bool h2; /* the newest */
	char peer[46];
	int64_t seen_at;
	int64_t since; /* when it came to be online or offline */
};

/* The same of a device without an agent: what connecting to it came to last. */
struct device_reach {
	bool ok;
	int64_t since; /* of this */
	char *why;     /* NULL when ok */
};

/* The last DNS test that somebody asked for. */
struct dns_test {
	uint64_t id; /* 0: none yet; above every order's */
	bool running;
	enum state_class class; /* how it ended */
	char text[PROCMSG_TEXT_MAX];
	int64_t at; /* Unix seconds of its begin, then of its end */
};

struct control {
	struct loop *loop;
	pthread_t thread;
	bool running; /* the thread exists */
	const struct conf *conf;
	const struct conf
		*started; /* what this process began with: some of it lasts until it ends */
	char *conf_path;
	struct snapshot_slot *slot;
	struct notify notify;
	struct ask_desk desk;

	struct db *db;
	struct ca *ca;
	struct tls_cert *link_cert, *enrol_cert;
	uint64_t link_made_ms;
	struct certs *certs;
	struct names *names;
	struct enroll *enroll;
	struct auth *auth;
	struct logring *log;
	struct msgpipe *steward;
	struct dns_test dns_test;
	struct ifwatch *ifwatch;
	struct ifaddrs_list addrs; /* what names point to */
	struct route **routes;     /* of the configuration: the base host, then upstreams */
	unsigned n_routes;
	struct map *links; /* device → struct device_links */
	struct map *reach; /* device → struct device_reach; none: not known yet */

	struct timer tick;
	uint64_t purged_ms;
	struct schedule_clock clock;
	bool believed; /* the clock, when the snapshot was made */
	struct sandbox sandbox;
	int64_t started_at;
	uint64_t started_ms;
	int64_t steward_started_at, steward_heard_at; /* 0: never */
	unsigned steward_starts;
};

/* ---- control.c ---- */

void control_now(struct control *c, struct certs_time *out);
/* Is the clock believable; if not, `e` says why. */
bool control_clock_ok(struct control *c, struct err *e);
/* What expiry is judged by: the clock, or, when it is wrong, the latest moment known to have
 * passed. A wrong clock must not take a good certificate away from visitors. */
int64_t control_serving_time(struct control *c);
/* Do what is due now and arm the timer for what is due later. After every change. */
void control_turn(struct control *c);
/* What was known of reaching a device that is gone, or found elsewhere now. */
void control_forget_reach(struct control *c, const char *device);

/* ---- control_conf.c: from configuration and registry to what is served ---- */

/* Make the routes of `conf` (reads the CA files it names). 0, or negative and nothing has changed.
 */
int control_use_conf(struct control *c, const struct conf *conf, struct err *e);
/* Registry, configuration or addresses changed: certificates, names, enrolment and the snapshot
 * follow. */
void control_follow(struct control *c);
/* Build a snapshot and hand it to the slot, and to the loops unless `first`. */
void control_put_snapshot(struct control *c, bool first);
/* Read the configuration again; after success the steward is told to, unless it `knows`. `words`
 * (CONTROL_RELOAD_TEXT) gets the errors, one a line, or after success the keys whose change needs a
 * restart, separated by spaces. */
int control_load_conf(struct control *c, bool knows, char *words);

/* ---- control_news.c: EVENT_… of gate/events ---- */

/* Admins, and everybody where it is about persons. */
void control_tell(struct control *c, unsigned what);
/* Admins, and those to whom the device is open: their launcher. */
void control_tell_device(struct control *c, unsigned what, const char *device);
/* Admins, and this person: their account, sessions and launcher. */
void control_tell_person(struct control *c, int64_t user_id);

/* ---- control_desk.c ---- */

void control_on_ask(void *ctx, struct ask *a);
