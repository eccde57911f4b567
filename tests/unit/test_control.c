/* admin/control: from an empty disk to certificates that are served, through restarts of both
 * processes, with a steward that the test plays. */
#include "admin_lab.h"

#include <errno.h>

#include "gate/site.h"
#include "net/tls.h"

static int setup(void **state)
{
	struct admin_lab *l = calloc(1, sizeof(*l));
	admin_init(l);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	admin_done(*state);
	free(*state);
	return 0;
}

static bool serves(struct admin_lab *l, const char *host, bool own)
{
	struct snapshot *s = snapshot_slot_get(l->slot);
	struct tls_cert *c = snapshot_cert(s, host);
	bool is = c && tls_cert_covers(c, host) &&
		  (!own || !tls_cert_covers(c, "other." ADMIN_DOMAIN));
	snapshot_unref(s);
	return is;
}

static const char two_devices[] = "devices:\n"
				  "  - name: nas\n    upstream: http://192.168.7.20\n"
				  "  - name: printer\n    upstream: http://192.168.7.21\n";

static void nothing_is_shown_before_the_first_certificate(void **state)
{
	struct admin_lab *l = *state;
	admin_write_conf(l, two_devices);
	admin_start(l);
	struct snapshot *s = snapshot_slot_get(l->slot);
	assert_non_null(s);
	assert_non_null(snapshot_route(s, ADMIN_DOMAIN));
	assert_non_null(snapshot_route(s, "nas." ADMIN_DOMAIN));
	assert_null(snapshot_route(s, "tv." ADMIN_DOMAIN));
	assert_null(snapshot_cert(s, ADMIN_DOMAIN));
	assert_null(snapshot_cert(s, "nas." ADMIN_DOMAIN));
	assert_non_null(snapshot_link_cert(s));
	assert_non_null(snapshot_enrol_cert(s));
	snapshot_unref(s);
	admin_stop(l);
}

static void the_bridge_comes_first_then_each_device(void **state)
{
	struct admin_lab *l = *state;
	admin_write_conf(l, two_devices);
	admin_start(l);
	admin_say_started(l);
	admin_serve(l, 500);
	assert_int_equal(l->orders, 3);
	assert_string_equal(l->ordered[0], ADMIN_DOMAIN);
	assert_int_equal(l->publishes >= 3, 1);
	assert_true(serves(l, ADMIN_DOMAIN, false));
	assert_true(serves(l, "nas." ADMIN_DOMAIN, true));
	assert_true(serves(l, "printer." ADMIN_DOMAIN, true));
	admin_stop(l);
}

static void a_restart_serves_at_once_and_orders_nothing(void **state)
{
	struct admin_lab *l = *state;
	admin_write_conf(l, two_devices);
	admin_start(l);
	admin_serve(l, 500);
	admin_stop(l);
	l->orders = 0;
	admin_start(l);
	assert_true(serves(l, "nas." ADMIN_DOMAIN, true));
	admin_say_started(l);
	admin_serve(l, 500);
	assert_int_equal(l->orders, 0);
	admin_stop(l);
}

static void a_damaged_file_is_moved_aside_and_ordered_again(void **state)
{
	struct admin_lab *l = *state;
	char path[200];
	admin_write_conf(l, two_devices);
	admin_start(l);
	admin_serve(l, 500);
	admin_stop(l);
	snprintf(path, sizeof(path), "%s/state/gate/certs/nas.pem", l->dir);
	assert_int_equal(truncate(path, 700), 0);
	l->orders = 0;
	admin_start(l);
	assert_false(serves(l, "nas." ADMIN_DOMAIN, true));
	assert_true(serves(l, "nas." ADMIN_DOMAIN, false));
	admin_serve(l, 500);
	assert_int_equal(l->orders, 1);
	assert_string_equal(l->ordered[0], "nas." ADMIN_DOMAIN);
	assert_true(serves(l, "nas." ADMIN_DOMAIN, true));
	strcat(path, ".damaged");
	assert_int_equal(access(path, F_OK), 0);
	admin_stop(l);
}

static void open_orders_are_repeated_with_the_same_id_and_key(void **state)
{
	struct admin_lab *l = *state;
	struct procmsg *m = calloc(1, sizeof(*m));
	uint64_t id = 0;
	admin_start(l);
	while (admin_hear(l, m, 1000))
		if (m->type == PROCMSG_ORDER)
			id = m->id;
	assert_true(id != 0);
	admin_say_started(l);
	bool again = false;
	while (admin_hear(l, m, 500))
		again |= m->type == PROCMSG_ORDER && m->id == id;
	assert_true(again);
	admin_stop(l);
	admin_start(l);
	l->orders = 0;
	bool third = false;
	while (!third && admin_hear(l, m, 1000))
		third = m->type == PROCMSG_ORDER && m->id == id;
	assert_true(third);
	free(m);
	admin_stop(l);
}

static void a_wrong_chain_changes_nothing(void **state)
{
	struct admin_lab *l = *state;
	admin_start(l);
	l->fault = LAB_NAME_MORE;
	admin_serve(l, 500);
	assert_int_equal(l->orders, 1);
	assert_false(serves(l, ADMIN_DOMAIN, false));
	json_t *o = admin_api(l, "GET", "/api/v1/certs", NULL, 200);
	assert_string_equal(admin_text(o, "certificates.0.id"), "@base");
	assert_string_equal(admin_text(o, "certificates.0.failure.class"), "ca");
	assert_non_null(strstr(admin_text(o, "certificates.0.failure.text"), "names ordered"));
	assert_true(strlen(admin_text(o, "certificates.0.failure.remedy")) > 10);
	json_decref(o);
	admin_stop(l);
}

static struct site *site_of(struct admin_lab *l, const char *device)
{
	char host[64];
	snprintf(host, sizeof(host), "%s.%s", device, ADMIN_DOMAIN);
	struct snapshot *s = snapshot_slot_get(l->slot);
	struct site *site = site_ref(snapshot_route(s, host)->site);
	snapshot_unref(s);
	return site;
}

/* Connections under the old route count for the new one, unless they lead elsewhere. */
static void a_reload_goes_on_counting_connections(void **state)
{
	struct admin_lab *l = *state;
	static const char *const devices[] = {"nas", "printer"};
	struct site *was[2];
	admin_write_conf(l, two_devices);
	admin_start(l);
	for (int i = 0; i < 2; i++)
		was[i] = site_of(l, devices[i]);
	admin_write_conf(l, "compress: false\ndevices:\n"
			    "  - name: nas\n    upstream: http://192.168.7.20\n"
			    "  - name: printer\n    upstream: http://192.168.7.22\n");
	control_reload(l->c);
	admin_serve(l, 300);
	for (int i = 0; i < 2; i++) {
		struct site *now = site_of(l, devices[i]);
		assert_ptr_not_equal(now, was[i]);
		assert_int_equal(site_share(now) == site_share(was[i]), i == 0);
		site_unref(now);
		site_unref(was[i]);
	}
	admin_stop(l);
}

static void a_reload_adds_and_withdraws_devices(void **state)
{
	struct admin_lab *l = *state;
	admin_start(l);
	admin_serve(l, 300);
	admin_write_conf(l, two_devices);
	control_reload(l->c);
	admin_serve(l, 500);
	assert_int_equal(l->orders, 3);
	assert_true(serves(l, "nas." ADMIN_DOMAIN, true));
	admin_write_conf(l, "nonsense: 1\n");
	control_reload(l->c);
	admin_serve(l, 200);
	assert_true(serves(l, "nas." ADMIN_DOMAIN, true));
	admin_write_conf(l, "certificates: wildcard\n");
	control_reload(l->c);
	admin_serve(l, 500);
	assert_false(serves(l, "nas." ADMIN_DOMAIN, false));
	assert_int_equal(l->withdrawals, 2);
	admin_stop(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			nothing_is_shown_before_the_first_certificate, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_bridge_comes_first_then_each_device, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_restart_serves_at_once_and_orders_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_damaged_file_is_moved_aside_and_ordered_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			open_orders_are_repeated_with_the_same_id_and_key, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wrong_chain_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_reload_goes_on_counting_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_reload_adds_and_withdraws_devices, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
