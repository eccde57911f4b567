/* Unit tests of net/ifaddr in a network namespace of their own, on its loopback interface. */
#include "net/ifaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/list.h"
#include "net/loop.h"

static void add_v4(const char *label, const char *addr)
{
	struct ifreq r = {.ifr_flags = 0};
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&r.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", label);
	sin->sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, addr, &sin->sin_addr), 1);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &r), 0);
	close(fd);
}

static void add_v6(const char *addr)
{
	struct { /* struct in6_ifreq of linux/ipv6.h, which does not go with netinet/in.h */
		struct in6_addr addr;
		uint32_t prefix_len;
		int index;
	} r = {.prefix_len = 64, .index = (int)if_nametoindex("lo")};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	assert_int_equal(inet_pton(AF_INET6, addr, &r.addr), 1);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &r), 0);
	close(fd);
}

static void set_up(bool up)
{
	struct ifreq r = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags = (short)(up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

static bool has(const struct ifaddrs_list *l, const char *addr)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (strcmp(l->addrs[i], addr) == 0)
			return true;
	}
	return false;
}

static void only_lan_addresses_are_listed(void **state)
{
	(void)state;
	struct ifaddrs_list l;
	set_up(true);
	add_v4("lo:1", "192.168.7.1");
	add_v4("lo:2", "8.8.8.8");
	add_v4("lo:3", "169.254.1.1");
	add_v6("fd00::7");
	add_v6("fe80::1");
	add_v6("2001:db8::1");
	/* The kernel checks a new IPv6 address for a moment. */
	l.n = 0;
	for (int i = 0; i < 200 && !has(&l, "fd00::7"); i++) {
		usleep(10000);
		assert_int_equal(ifaddr_list(&l, NULL, NULL), 0);
	}
	assert_int_equal(l.n, 2);
	assert_string_equal(l.addrs[0], "192.168.7.1");
	assert_string_equal(l.addrs[1], "fd00::7");
	assert_int_equal(ifaddr_list(&l, "lo", NULL), 0);
	assert_int_equal(l.n, 4);
	assert_true(has(&l, "127.0.0.1") && has(&l, "::1"));
	assert_true(has(&l, "192.168.7.1") && has(&l, "fd00::7"));
	set_up(false);
	assert_int_equal(ifaddr_list(&l, NULL, NULL), 0);
	assert_int_equal(l.n, 0);
}

static void more_than_fit_are_left_out(void **state)
{
	(void)state;
	struct ifaddrs_list l;
	set_up(true);
	for (int i = 1; i <= IFADDR_MAX + 2; i++) {
		char label[16], addr[16];
		snprintf(label, sizeof(label), "lo:%d", i);
		snprintf(addr, sizeof(addr), "10.0.%d.1", i);
		add_v4(label, addr);
	}
	assert_int_equal(ifaddr_list(&l, NULL, NULL), 0);
	assert_int_equal(l.n, IFADDR_MAX);
}

static void an_interface_that_is_not_there_is_told(void **state)
{
	(void)state;
	struct ifaddrs_list l;
	struct err e = {0};
	assert_int_equal(ifaddr_list(&l, "nosuch0", &e), -ENODEV);
	assert_non_null(strstr(e.text, "nosuch0"));
}

struct seen {
	unsigned calls;
	struct timer change, stop;
};

static void on_change(void *ctx)
{
	struct seen *s = ctx;
	s->calls++;
	timer_arm(&s->stop, 600); /* another would come within 500 */
}

static void on_other_change(void *ctx)
{
	++*(unsigned *)ctx;
}

static void on_time_to_change(struct timer *t)
{
	(void)t;
	set_up(true);
	add_v4("lo:1", "192.168.8.1");
	add_v4("lo:2", "192.168.8.2");
}

static void on_time_to_stop(struct timer *t)
{
	loop_stop(t->loop);
}

static void changes_are_told_once_for_a_burst(void **state)
{
	(void)state;
	struct seen s = {.calls = 0};
	struct loop *loop;
	struct ifwatch *w, *quiet;
	unsigned none = 0;
	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(ifwatch_open(&w, loop, on_change, &s, NULL), 0);
	assert_int_equal(ifwatch_open(&quiet, loop, on_other_change, &none, NULL), 0);
	ifwatch_close(quiet);
	ifwatch_close(quiet);
	timer_init(&s.change, loop, on_time_to_change);
	timer_init(&s.stop, loop, on_time_to_stop);
	timer_arm(&s.change, 10);
	timer_arm(&s.stop, 20000);
	loop_run(loop);
	assert_int_equal(s.calls, 1);
	assert_int_equal(none, 0);
	loop_free(loop); /* closes it */
	ifwatch_close(NULL);
}

/* A fresh namespace for each test; its loopback starts down and empty. */
static int fresh_net(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET);
}

int main(void)
{
	if (geteuid() != 0 && unshare(CLONE_NEWUSER) < 0) {
		perror("cannot make a user namespace");
		return 1;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_lan_addresses_are_listed, fresh_net),
		cmocka_unit_test_setup(more_than_fit_are_left_out, fresh_net),
		cmocka_unit_test_setup(an_interface_that_is_not_there_is_told, fresh_net),
		cmocka_unit_test_setup(changes_are_told_once_for_a_burst, fresh_net),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
