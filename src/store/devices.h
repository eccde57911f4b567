/* Devices with an agent, and the serials of their certificates. A removed device keeps its row, so
 * that its name is known to have been used and its certificates stay refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct db;

#define DEVICE_ID_MAX 63
#define DEVICE_TITLE_MAX 64
#define DEVICE_SERIAL_MAX 40 /* hexadecimal digits, lower case: 20 bytes, RFC 5280 §4.1.2.2 */
#define DEVICES_MAX 10000

struct device {
	int64_t row; /* of this life of the name; grows, never used again */
	char id[DEVICE_ID_MAX + 1];
	char title[DEVICE_TITLE_MAX + 1]; /* "": show the id */
	bool name_had_owner;              /* read only: another device had this name before */
	int64_t created_at;
	int64_t last_seen_at; /* 0: never */
};

/* Sets row and name_had_owner. -EEXIST while a live device has the id, -EINVAL for no label. The
 * caller checks the names that the configuration reserves or takes. */
int devices_add(struct db *db, struct device *d, struct err *e);
/* Live ones only. */
int devices_find(struct db *db, const char *id, struct device *out, struct err *e);
int devices_list(struct db *db, struct device **out, size_t *n, struct err *e);
int devices_set_title(struct db *db, const char *id, const char *title, struct err *e);
int devices_seen(struct db *db, const char *id, int64_t now, struct err *e);
/* Another device had this name before, and browsers may still keep what its pages left. */
bool device_has_forerunner(const struct device *d, int64_t now);
/* In one transaction: the row is marked removed, its certificates die, its enrolment secret is
 * wiped, grants for the name go. */
int devices_remove(struct db *db, const char *id, int64_t now, struct err *e);

struct device_cert {
	char serial[DEVICE_SERIAL_MAX + 1];
	char device[DEVICE_ID_MAX + 1];
	int64_t device_row;
	uint8_t spki_sha256[32];
	int64_t not_after;
	bool live; /* read only: not revoked, and its device not removed */
};

/* For the live device c->device; sets device_row. -EEXIST for a serial seen before. */
int devices_cert_add(struct db *db, struct device_cert *c, struct err *e);
/* -ENOENT for a serial that was never issued; a dead one is found with live = false. */
int devices_cert_find(struct db *db, const char *serial, struct device_cert *out, struct err *e);
/* All live ones, also expired (they may still renew), for the loops' snapshot. */
int devices_certs(struct db *db, struct device_cert **out, size_t *n, struct err *e);
int devices_cert_revoke(struct db *db, const char *serial, struct err *e);
/* After a renewal: all live certificates of the device but `serial` die. */
int devices_cert_keep_only(struct db *db, const char *device, const char *serial, struct err *e);
