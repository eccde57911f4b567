/* store/devices, device_tokens: a removed device never comes back by its certificate, and an
 * enrolment secret leaves the disk when it has done its work. */
#include "store_db.h"

#include <errno.h>

#include "store/device_tokens.h"
#include "store/devices.h"
#include "store/users.h"

static struct device make_device(struct store *s, const char *id)
{
	struct device d = {.title = "Telly", .created_at = 10};
	snprintf(d.id, sizeof(d.id), "%s", id);
	OK(s, devices_add(s->db, &d, &s->e));
	return d;
}

static void a_label_has_one_live_device(void **state)
{
	struct store *s = *state;
	struct device d = make_device(s, "tv"), got, again = {.id = "tv"}, bad = {.id = "t.v"};
	assert_false(d.name_had_owner);
	assert_int_equal(devices_add(s->db, &again, &s->e), -EEXIST);
	assert_string_equal(s->e.text, "there is a device “tv” already");
	assert_int_equal(devices_add(s->db, &bad, &s->e), -EINVAL);
	OK(s, devices_set_title(s->db, "tv", "Big screen", &s->e));
	OK(s, devices_seen(s->db, "tv", 70, &s->e));
	OK(s, devices_seen(s->db, "tv", 60, &s->e));
	OK(s, devices_find(s->db, "tv", &got, &s->e));
	assert_string_equal(got.title, "Big screen");
	assert_int_equal(got.last_seen_at, 70);
	OK(s, devices_remove(s->db, "tv", 80, &s->e));
	assert_int_equal(devices_find(s->db, "tv", &got, &s->e), -ENOENT);
	assert_int_equal(devices_remove(s->db, "tv", 80, &s->e), -ENOENT);
	assert_int_equal(devices_seen(s->db, "tv", 90, &s->e), -ENOENT);
	again = make_device(s, "tv");
	assert_true(again.row > d.row && again.name_had_owner);
	assert_int_equal(again.last_seen_at, 0);
	struct device *list;
	size_t n;
	OK(s, devices_list(s->db, &list, &n, &s->e));
	assert_int_equal(n, 1);
	assert_true(list[0].row == again.row && list[0].name_had_owner);
	free(list);
}

static struct device_cert make_cert(struct store *s, const char *device, const char *serial)
{
	struct device_cert c = {.not_after = 1000};
	snprintf(c.device, sizeof(c.device), "%s", device);
	snprintf(c.serial, sizeof(c.serial), "%s", serial);
	memset(c.spki_sha256, 7, sizeof(c.spki_sha256));
	OK(s, devices_cert_add(s->db, &c, &s->e));
	return c;
}

static void certificates_die_with_their_device(void **state)
{
	struct store *s = *state;
	struct device_cert got, *list;
	size_t n;
	make_device(s, "tv");
	make_device(s, "nas");
	struct device_cert c = make_cert(s, "tv", "0a1b");
	make_cert(s, "nas", "0c");
	OK(s, devices_cert_find(s->db, "0a1b", &got, &s->e));
	assert_memory_equal(&got, &c, sizeof(c));
	assert_true(got.live);
	OK(s, devices_remove(s->db, "tv", 50, &s->e));
	store_crash(s);
	OK(s, devices_cert_find(s->db, "0a1b", &got, &s->e));
	assert_false(got.live);
	/* Not even under a new device of the same name. */
	make_device(s, "tv");
	OK(s, devices_cert_find(s->db, "0a1b", &got, &s->e));
	assert_false(got.live);
	assert_int_equal(devices_cert_add(s->db, &c, &s->e), -EEXIST);
	OK(s, devices_certs(s->db, &list, &n, &s->e));
	assert_int_equal(n, 1);
	assert_string_equal(list[0].device, "nas");
	free(list);
	assert_int_equal(devices_cert_find(s->db, "ff", &got, &s->e), -ENOENT);
	strcpy(c.serial, "XY");
	assert_int_equal(devices_cert_add(s->db, &c, &s->e), -EINVAL);
	strcpy(c.serial, "0d");
	strcpy(c.device, "gone");
	assert_int_equal(devices_cert_add(s->db, &c, &s->e), -ENOENT);
}

static void a_renewal_ends_the_old_certificate(void **state)
{
	struct store *s = *state;
	struct device_cert got;
	make_device(s, "tv");
	make_device(s, "nas");
	make_cert(s, "tv", "01");
	make_cert(s, "tv", "02");
	make_cert(s, "nas", "03");
	OK(s, devices_cert_keep_only(s->db, "tv", "02", &s->e));
	OK(s, devices_cert_find(s->db, "01", &got, &s->e));
	assert_false(got.live);
	OK(s, devices_cert_find(s->db, "02", &got, &s->e));
	assert_true(got.live);
	OK(s, devices_cert_find(s->db, "03", &got, &s->e));
	assert_true(got.live);
	OK(s, devices_cert_revoke(s->db, "03", &s->e));
	OK(s, devices_cert_find(s->db, "03", &got, &s->e));
	assert_false(got.live);
	assert_int_equal(devices_cert_revoke(s->db, "04", &s->e), -ENOENT);
}

static void removal_takes_grants_along(void **state)
{
	struct store *s = *state;
	struct user u = {.name = "bob"};
	OK(s, users_add(s->db, &u, &s->e));
	make_device(s, "tv");
	OK(s, users_grant(s->db, u.id, "tv", &s->e));
	OK(s, users_grant(s->db, u.id, "nas", &s->e));
	OK(s, devices_remove(s->db, "tv", 1, &s->e));
	assert_int_equal(users_may_reach(s->db, u.id, "tv", &s->e), 0);
	assert_int_equal(users_may_reach(s->db, u.id, "nas", &s->e), 1);
}

static const char SECRET[TOKEN_SECRET_LEN + 1] = "Sixteen-Bytes-ok";

static struct device_token make_token(struct store *s, const char *device, int64_t expires_at)
{
	struct device_token t = {.created_at = 10, .expires_at = expires_at};
	snprintf(t.device, sizeof(t.device), "%s", device);
	memcpy(t.secret, SECRET, TOKEN_SECRET_LEN);
	OK(s, device_tokens_add(s->db, &t, &s->e));
	return t;
}

static bool disk_has_secret(const struct store *s)
{
	static const char *const PARTS[] = {"", "-wal"};
	bool found = false;
	for (int i = 0; i < 2; i++) {
		char path[128];
		struct buf b = BUF_INIT(64u << 20);
		snprintf(path, sizeof(path), "%s%s", s->path, PARTS[i]);
		if (file_read(path, &b, NULL) == 0 && b.len)
			found |= memmem(b.data, b.len, SECRET, TOKEN_SECRET_LEN) != NULL;
		buf_done(&b);
	}
	return found;
}

static void an_expired_secret_leaves_the_disk(void **state)
{
	struct store *s = *state;
	struct device_token t;
	make_device(s, "tv");
	make_token(s, "tv", 100);
	assert_true(disk_has_secret(s));
	OK(s, device_tokens_find(s->db, "tv", 99, &t, &s->e));
	assert_memory_equal(t.secret, SECRET, TOKEN_SECRET_LEN);
	assert_int_equal(device_tokens_purge(s->db, 99, &s->e), 0);
	assert_int_equal(device_tokens_find(s->db, "tv", 100, &t, &s->e), -ESTALE);
	assert_false(disk_has_secret(s));
	assert_int_equal(device_tokens_find(s->db, "tv", 100, &t, &s->e), -ENOENT);
}

static void every_end_of_a_token_wipes_it(void **state)
{
	struct store *s = *state;
	struct device_token t;
	make_device(s, "tv");
	make_token(s, "tv", 100);
	OK(s, device_tokens_drop(s->db, "tv", &s->e));
	assert_false(disk_has_secret(s));
	OK(s, device_tokens_drop(s->db, "tv", &s->e));
	OK(s, device_tokens_drop(s->db, "nobody", &s->e));
	make_token(s, "tv", 100);
	assert_int_equal(device_tokens_purge(s->db, 100, &s->e), 1);
	assert_false(disk_has_secret(s));
	make_token(s, "tv", 100);
	OK(s, devices_remove(s->db, "tv", 50, &s->e));
	assert_false(disk_has_secret(s));
	make_device(s, "tv");
	assert_int_equal(device_tokens_find(s->db, "tv", 20, &t, &s->e), -ENOENT);
	/* A newer token takes the older one's place. */
	struct device_token first = make_token(s, "tv", 100);
	struct device_token second = {.device = "tv", .secret = {1}, .expires_at = 90};
	OK(s, device_tokens_add(s->db, &second, &s->e));
	assert_false(disk_has_secret(s));
	assert_true(second.id > first.id);
	strcpy(second.device, "gone");
	assert_int_equal(device_tokens_add(s->db, &second, &s->e), -ENOENT);
}

static void the_first_key_binds_the_token(void **state)
{
	struct store *s = *state;
	static const uint8_t mine[32] = {1}, theirs[32] = {2};
	make_device(s, "tv");
	struct device_token t = make_token(s, "tv", 100);
	assert_int_equal(device_tokens_failed(s->db, t.id, &s->e), 1);
	assert_int_equal(device_tokens_failed(s->db, t.id, &s->e), 2);
	assert_int_equal(device_tokens_failed(s->db, 99, &s->e), -ENOENT);
	OK(s, device_tokens_bind(s->db, t.id, mine, &s->e));
	OK(s, device_tokens_bind(s->db, t.id, mine, &s->e));
	store_crash(s);
	assert_int_equal(device_tokens_bind(s->db, t.id, theirs, &s->e), -EEXIST);
	OK(s, device_tokens_bind(s->db, t.id, mine, &s->e));
	assert_int_equal(device_tokens_bind(s->db, 99, mine, &s->e), -ENOENT);
	OK(s, device_tokens_find(s->db, "tv", 20, &t, &s->e));
	assert_true(t.bound && t.attempts == 2);
	assert_memory_equal(t.spki_sha256, mine, sizeof(mine));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GATE_TEST(a_label_has_one_live_device),
		GATE_TEST(certificates_die_with_their_device),
		GATE_TEST(a_renewal_ends_the_old_certificate),
		GATE_TEST(removal_takes_grants_along),
		GATE_TEST(an_expired_secret_leaves_the_disk),
		GATE_TEST(every_end_of_a_token_wipes_it),
		GATE_TEST(the_first_key_binds_the_token),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
