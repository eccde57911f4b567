/* Listening sockets: errors that name what failed, dead Unix sockets replaced and live ones left,
 * which addresses are a LAN's, and rest instead of spinning when descriptors run out. */
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net_end.h"

static void lan_addresses_are_known(void **state)
{
	(void)state;
	static const struct {
		const char *addr;
		bool lan;
	} cases[] = {
		{"10.0.0.1",           true },
		{"10.255.255.255",     true },
		{"11.0.0.1",           false},
		{"172.15.0.1",         false},
		{"172.16.0.1",         true },
		{"172.31.255.1",       true },
		{"172.32.0.1",         false},
		{"192.168.1.1",        true },
		{"192.169.1.1",        false},
		{"169.254.7.7",        true },
		{"127.0.0.1",          true },
		{"8.8.8.8",            false},
		{"100.64.0.1",         false},
		{"0.0.0.0",            false},
		{"::1",                true },
		{"::",                 false},
		{"fe80::1",            true },
		{"fd00::1",            true },
		{"fc12::1",            true },
		{"2001:db8::1",        false},
		{"::ffff:192.168.1.1", true },
		{"::ffff:8.8.8.8",     false},
		{"ff02::1",            false},
		{"tv.lan",             false},
		{"",                   false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (listen_addr_is_lan(cases[i].addr) != cases[i].lan)
			fail_msg("%s", cases[i].addr);
	}
}

static void errors_name_address_and_port(void **state)
{
	(void)state;
	struct err e;
	assert_int_equal(listen_bind("not an address", 443, &e), -EINVAL);
	assert_non_null(strstr(e.text, "not an address"));
	assert_int_equal(listen_bind("203.0.113.77", 4430, &e), -EADDRNOTAVAIL);
	assert_non_null(strstr(e.text, "203.0.113.77"));
	assert_non_null(strstr(e.text, "4430"));
}

static void two_loops_may_share_a_port(void **state)
{
	(void)state;
	struct err e;
	struct sockaddr_in a;
	socklen_t n = sizeof(a);
	int one = listen_bind("127.0.0.1", 0, &e);
	assert_int_equal(getsockname(one, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(listen_try("127.0.0.1", ntohs(a.sin_port), &e), -EADDRINUSE);
	int two = listen_bind("127.0.0.1", ntohs(a.sin_port), &e);
	assert_true(two >= 0);
	close(one);
	close(two);
}

static void a_dead_unix_socket_is_replaced(void **state)
{
	(void)state;
	char dir[] = "/tmp/lanthorn-test-XXXXXX", path[64];
	struct err e;
	struct stat st;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	int one = listen_bind_unix(path, 0660, &e);
	assert_true(one >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(listen_bind_unix(path, 0660, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, path));
	close(one);
	int two = listen_bind_unix(path, 0600, &e);
	assert_true(two >= 0);
	close(two);
	unlink(path);
	fclose(fopen(path, "w"));
	assert_int_equal(listen_bind_unix(path, 0600, &e), -EEXIST);
	unlink(path);
	rmdir(dir);
}

struct flood {
	struct fixture f;
	struct listener *listener;
	unsigned accepted;
	int clients[40];
};

static void count_accept(void *ctx, int fd)
{
	struct flood *fl = ctx;
	fl->accepted++;
	(void)fd; /* stays open: descriptors are to run out */
}

static unsigned flood(struct flood *fl, double *cpu)
{
	struct err e;
	struct sockaddr_in a;
	socklen_t n = sizeof(a);
	set_up(&fl->f, false);
	int fd = listen_bind("127.0.0.1", 0, &e);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	for (unsigned i = 0; i < 40; i++) {
		fl->clients[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(fl->clients[i], (struct sockaddr *)&a, n), 0);
	}
	assert_int_equal(
		listener_open(&fl->listener, fl->f.loop, fd, LISTEN_LAN_ONLY, count_accept, fl, &e),
		0);
	struct rlimit old, few;
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)fl->clients[39] + 11;
	setrlimit(RLIMIT_NOFILE, &few);
	fl->f.limit.fn = on_nap;
	timer_arm(&fl->f.limit, 350);
	double before = cpu_s();
	loop_run(fl->f.loop);
	*cpu = cpu_s() - before;
	setrlimit(RLIMIT_NOFILE, &old);
	listener_close(fl->listener);
	return fl->accepted;
}

static void running_out_of_descriptors_does_not_spin(void **state)
{
	(void)state;
	struct flood fl = {0};
	double cpu;
	int lowest = dup(0);
	unsigned accepted = flood(&fl, &cpu);
	assert_true(accepted > 0 && accepted < 40);
	assert_true(cpu < 0.1);
	for (int fd = fl.clients[0]; fd <= fl.clients[39] + 11; fd++)
		close(fd);
	close(lowest);
	close(fl.f.fds[0]);
	close(fl.f.fds[1]);
	tear_down(&fl.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lan_addresses_are_known),
		cmocka_unit_test(errors_name_address_and_port),
		cmocka_unit_test(two_loops_may_share_a_port),
		cmocka_unit_test(a_dead_unix_socket_is_replaced),
		cmocka_unit_test(running_out_of_descriptors_does_not_spin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
