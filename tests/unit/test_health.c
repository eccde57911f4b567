/* Whether devices can be reached: what is told, once a change, and how often it is asked. */
#include "gate_rig.h"

#include <netinet/in.h>

#include "base/xalloc.h"
#include "gate/health.h"
#include "gate/site.h"
#include "gate/snapshot.h"

static struct health *health;
static unsigned told;
static char last[300];
static bool live;

static void on_change(void *ctx, const char *device, const char *why)
{
	(void)ctx;
	told++;
	snprintf(last, sizeof(last), "%s: %s", device, why ? why : "ok");
}

static bool is_live(void *ctx, const char *device)
{
	(void)ctx, (void)device;
	return live;
}

static int open_door(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(*port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static unsigned visits(int fd)
{
	unsigned n = 0;
	for (int k; (k = accept(fd, NULL, NULL)) >= 0; n++)
		close(k);
	return n;
}

static void follow(const char *device, uint16_t port)
{
	struct snapshot *s = snapshot_new("home.test", 443);
	if (device) {
		char host[100];
		snprintf(host, sizeof(host), "%s.home.test", device);
		struct route *r = route_new(ROUTE_UPSTREAM, host, device);
		r->site = site_new(r->host);
		r->site->addrs[r->site->n_addrs++] = xstrdup("127.0.0.1");
		r->site->port = port;
		snapshot_add_route(s, r);
		route_unref(r);
	}
	health_follow(health, s);
	snapshot_unref(s);
}

static void begin_health(uint64_t every_ms)
{
	told = 0;
	live = false;
	health = health_new(&(struct health_opts){.loop = rig_loop,
		.connect_ms = 2000,
		.every_ms = every_ms,
		.is_live = is_live,
		.fn = on_change});
}

static int end(void **state)
{
	health_free(health);
	rig_turns(20);
	return rig_end(state);
}

static void a_device_is_asked_and_changes_are_told(void **state)
{
	(void)state;
	uint16_t port = 0;
	int door = open_door(&port);
	begin_health(100);
	follow("nas", port);
	UNTIL(told == 1);
	assert_string_equal(last, "nas: ok");
	unsigned seen = visits(door);
	UNTIL((seen += visits(door)) >= 3);
	assert_int_equal(told, 1);
	close(door);
	UNTIL(told >= 2);
	assert_non_null(strstr(last, "nas: cannot connect to 127.0.0.1"));
	door = open_door(&port);
	UNTIL(strcmp(last, "nas: ok") == 0);
	close(door);
}

static void who_has_a_connection_is_not_asked(void **state)
{
	(void)state;
	uint16_t port = 0;
	int door = open_door(&port);
	begin_health(60);
	live = true;
	follow("nas", port);
	UNTIL(told == 1);
	rig_turns(1000);
	assert_string_equal(last, "nas: ok");
	assert_int_equal(visits(door), 0);
	live = false;
	UNTIL(visits(door) > 0);
	close(door);
}

static void what_a_request_met_is_told_too(void **state)
{
	(void)state;
	struct err e;
	begin_health(0);
	follow("nas", 9);
	rig_turns(100);
	assert_int_equal(told, 0); /* this loop asks nobody */
	err_set(&e, -ECONNREFUSED, "no way");
	health_note(health, "nas", &e);
	health_note(health, "nas", &e);
	assert_int_equal(told, 1);
	assert_string_equal(last, "nas: no way");
	health_note(health, "nas", NULL);
	health_note(health, "nas", NULL);
	assert_int_equal(told, 2);
	health_note(health, "stranger", &e);
	follow(NULL, 0);
	health_note(health, "nas", &e);
	assert_int_equal(told, 2);
}

static void a_device_elsewhere_is_asked_anew(void **state)
{
	(void)state;
	uint16_t first = 0, second = 0;
	int a = open_door(&first), b = open_door(&second);
	begin_health(60000);
	follow("nas", first);
	UNTIL(told == 1 && visits(a) == 1);
	follow("nas", first);
	follow("nas", second);
	UNTIL(told == 2 && visits(b) == 1);
	assert_int_equal(visits(a), 0);
	follow("nas", first);
	health_free(health); /* in the middle of it */
	health = NULL;
	close(a);
	close(b);
}

/* However many there are, one is asked every 50 ms. */
static void many_devices_are_no_storm(void **state)
{
	(void)state;
	uint16_t port = 0;
	int door = open_door(&port);
	struct snapshot *s = snapshot_new("home.test", 443);
	begin_health(100);
	for (int i = 0; i < 1000; i++) {
		char host[100], device[20];
		snprintf(host, sizeof(host), "d%d.home.test", i);
		snprintf(device, sizeof(device), "d%d", i);
		struct route *r = route_new(ROUTE_UPSTREAM, host, device);
		r->site = site_new(r->host);
		r->site->addrs[r->site->n_addrs++] = xstrdup("127.0.0.1");
		r->site->port = port;
		snapshot_add_route(s, r);
		route_unref(r);
	}
	health_follow(health, s);
	unsigned n = 0;
	uint64_t begun = clock_mono_ms();
	UNTIL((n += visits(door)) >= 20);
	assert_true(clock_mono_ms() - begun >= 19 * HEALTH_GAP_MS);
	snapshot_unref(s);
	close(door);
}

#define HEALTH_TEST(f) cmocka_unit_test_setup_teardown(f, rig_begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HEALTH_TEST(a_device_is_asked_and_changes_are_told),
		HEALTH_TEST(who_has_a_connection_is_not_asked),
		HEALTH_TEST(what_a_request_met_is_told_too),
		HEALTH_TEST(a_device_elsewhere_is_asked_anew),
		HEALTH_TEST(many_devices_are_no_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
