/* Rows of devices with an agent and of their certificates. A label may be used again after a
 * removal, so everything else refers to the row's own number, not to the label. */
#include "store/devices.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "base/str.h"
#include "store/db.h"
#include "store/device_tokens.h"

/* Longer than any session may live: by then every browser has signed in anew. */
#define LEFT_FOR_S (400 * 86400)
#define COLUMNS                                                                                    \
	"id, label, title, created_at, last_seen_at,"                                              \
	" EXISTS (SELECT 1 FROM devices AS o WHERE o.label = devices.label AND o.id < devices.id)"

static void fill(sqlite3_stmt *st, void *row)
{
	struct device *d = row;
	d->row = db_int(st, 0);
	db_text(st, 1, d->id, sizeof(d->id));
	db_text(st, 2, d->title, sizeof(d->title));
	d->created_at = db_int(st, 3);
	d->last_seen_at = db_int(st, 4);
	d->name_had_owner = db_int(st, 5);
}

bool device_has_forerunner(const struct device *d, int64_t now)
{
	return d->name_had_owner && now - d->created_at < LEFT_FOR_S;
}

static const struct db_shape DEVICE = {sizeof(struct device), fill, "device"};

static int count_live(struct db *db, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st, "SELECT count(*) FROM devices WHERE removed_at IS NULL", "");
	if (rc < 0)
		return rc;
	rc = db_step(db, st, e);
	if (rc > 0)
		rc = (int)db_int(st, 0);
	db_end(st);
	return rc;
}

static int add(struct db *db, struct device *d, struct err *e)
{
	int rc = count_live(db, e);
	if (rc >= DEVICES_MAX)
		return err_set(e, -EINVAL, "there are %d devices already", DEVICES_MAX);
	if (rc >= 0)
		rc = db_run(db, e,
			"INSERT INTO devices (label, title, created_at) VALUES (?, ?, ?)", "tti",
			d->id, d->title, d->created_at);
	if (rc == -EEXIST)
		return err_set(e, rc, "there is a device “%s” already", d->id);
	return rc < 0 ? rc : devices_find(db, d->id, d, e);
}

int devices_add(struct db *db, struct device *d, struct err *e)
{
	struct device fresh = *d;
	if (!name_is_label(d->id))
		return err_set(
			e, -EINVAL, "a device's name is 1 to 63 of a–z, 0–9 and inner hyphens");
	int rc = db_begin(db, e);
	if (rc < 0)
		return rc;
	rc = db_settle(db, add(db, &fresh, e), e);
	if (rc == 0)
		*d = fresh;
	return rc;
}

int devices_find(struct db *db, const char *id, struct device *out, struct err *e)
{
	/* The label may stand in `*out`, which is cleared before it is filled. */
	char label[DEVICE_ID_MAX + 1];
	sqlite3_stmt *st;
	if (str_copy(label, sizeof(label), id) < 0)
		return err_set(e, -ENOENT, "no such device");
	int rc = db_query(db, e, &st,
		"SELECT " COLUMNS " FROM devices WHERE label = ? AND removed_at IS NULL", "t",
		label);
	return rc < 0 ? rc : db_one(db, st, &DEVICE, out, e);
}

int devices_list(struct db *db, struct device **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	struct db_rows r = {0};
	int rc = db_query(db, e, &st,
		"SELECT " COLUMNS " FROM devices WHERE removed_at IS NULL ORDER BY label", "");
	if (rc == 0)
		rc = db_all(db, st, &DEVICE, &r, e);
	*out = r.rows;
	*n = r.n;
	return rc;
}

int devices_set_title(struct db *db, const char *id, const char *title, struct err *e)
{
	if (strlen(title) > DEVICE_TITLE_MAX)
		return err_set(e, -EINVAL, "a title has at most %d bytes", DEVICE_TITLE_MAX);
	return db_must(
		db_run(db, e, "UPDATE devices SET title = ? WHERE label = ? AND removed_at IS NULL",
			"tt", title, id),
		"device", e);
}

int devices_seen(struct db *db, const char *id, int64_t now, struct err *e)
{
	return db_must(db_run(db, e,
			       "UPDATE devices SET last_seen_at = max(last_seen_at, ?)"
			       " WHERE label = ? AND removed_at IS NULL",
			       "it", now, id),
		"device", e);
}

static int remove_device(struct db *db, const char *id, int64_t now, struct err *e)
{
	struct device d;
	int rc = devices_find(db, id, &d, e);
	if (rc == 0)
		rc = db_run(
			db, e, "UPDATE devices SET removed_at = ? WHERE id = ?", "ii", now, d.row);
	if (rc >= 0)
		rc = db_run(
			db, e, "UPDATE device_certs SET live = 0 WHERE device_id = ?", "i", d.row);
	if (rc >= 0)
		rc = db_run(db, e, "UPDATE device_tokens SET secret = NULL WHERE device_id = ?",
			"i", d.row);
	if (rc >= 0)
		rc = db_run(db, e, "DELETE FROM device_tokens WHERE device_id = ?", "i", d.row);
	if (rc >= 0)
		rc = db_run(db, e, "DELETE FROM grants WHERE device = ?", "t", id);
	return rc < 0 ? rc : 0;
}

int devices_remove(struct db *db, const char *id, int64_t now, struct err *e)
{
	int rc = db_begin(db, e);
	if (rc < 0)
		return rc;
	rc = db_settle(db, remove_device(db, id, now, e), e);
	if (rc == 0)
		db_scrub(db);
	return rc;
}

#define CERT_COLUMNS "serial, label, device_id, spki_sha256, not_after, live"
#define CERT_FROM " FROM device_certs JOIN devices ON devices.id = device_id "

static void fill_cert(sqlite3_stmt *st, void *row)
{
	struct device_cert *c = row;
	db_text(st, 0, c->serial, sizeof(c->serial));
	db_text(st, 1, c->device, sizeof(c->device));
	c->device_row = db_int(st, 2);
	db_blob(st, 3, c->spki_sha256, sizeof(c->spki_sha256));
	c->not_after = db_int(st, 4);
	c->live = db_int(st, 5);
}

static const struct db_shape CERT = {sizeof(struct device_cert), fill_cert, "device certificate"};

static bool serial_is_valid(const char *serial)
{
	size_t n = strlen(serial);
	return n && n <= DEVICE_SERIAL_MAX && strspn(serial, "0123456789abcdef") == n;
}

int devices_cert_add(struct db *db, struct device_cert *c, struct err *e)
{
	struct device d;
	if (!serial_is_valid(c->serial))
		return err_set(e, -EINVAL, "not the serial of a certificate");
	int rc = devices_find(db, c->device, &d, e);
	if (rc == 0)
		rc = db_run(db, e,
			"INSERT INTO device_certs (serial, device_id, spki_sha256, not_after)"
			" VALUES (?, ?, ?, ?)",
			"tibi", c->serial, d.row, c->spki_sha256, sizeof(c->spki_sha256),
			c->not_after);
	if (rc < 0)
		return rc;
	c->device_row = d.row;
	c->live = true;
	return 0;
}

int devices_cert_find(struct db *db, const char *serial, struct device_cert *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc = db_query(
		db, e, &st, "SELECT " CERT_COLUMNS CERT_FROM "WHERE serial = ?", "t", serial);
	return rc < 0 ? rc : db_one(db, st, &CERT, out, e);
}

int devices_certs(struct db *db, struct device_cert **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	struct db_rows r = {0};
	int rc = db_query(db, e, &st,
		"SELECT " CERT_COLUMNS CERT_FROM "WHERE live ORDER BY label, not_after", "");
	if (rc == 0)
		rc = db_all(db, st, &CERT, &r, e);
	*out = r.rows;
	*n = r.n;
	return rc;
}

int devices_cert_revoke(struct db *db, const char *serial, struct err *e)
{
	return db_must(
		db_run(db, e, "UPDATE device_certs SET live = 0 WHERE serial = ?", "t", serial),
		"device certificate", e);
}

int devices_cert_keep_only(struct db *db, const char *device, const char *serial, struct err *e)
{
	struct device d;
	int rc = devices_find(db, device, &d, e);
	if (rc == 0)
		rc = db_run(db, e,
			"UPDATE device_certs SET live = 0 WHERE device_id = ? AND serial <> ?",
			"it", d.row, serial);
	return rc < 0 ? rc : 0;
}
