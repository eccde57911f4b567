/* The benchmark's own client, for what wrk, h2load and curl do not do; one line of JSON on stdout.
 *
 *   load -m shake  …   handshakes of TLS 1.3, -c at a time, each closed in order, -d seconds or -N
 * of them load -m hold   …   opens -c connections, one request on each, says so, holds them until
 * stdin ends load -m rate   …   -r requests a second on a schedule of its own over -c connections,
 * for -d seconds; latency counts from when a request was due, so a late client or server shows load
 * -m steer  …   -c connections; each line "SECONDS I I …" on stdin loads those of these numbers
 *
 * -a ADDRESS:PORT  -n HOST  -p PATH  -P plain HTTP  -2 HTTP/2  -R resume  -g GROUPS
 * -H LINE  one more header line, HTTP/1.1 only
 * -k COUNT  the name of a handshake is hNNNNN.HOST, NNNNN counting up to COUNT, again and again
 * -f COUNT  connect from so many addresses, from 127.0.0.1 on */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/bench/load_conn.h"

#define OPEN_AT_ONCE 64u
#define GIVE_UP_S 60.0

struct run {
	struct load load;
	struct conn *conns;
	unsigned n_conns, n_opened, n_begun;
	const char *mode, *groups;
	unsigned n_hosts, next_host;
	char host_name[300];
	double seconds, rate;
	unsigned long want, done, failed, resumed;
	float *took; /* seconds of each answer */
	size_t n_took, room;
	bool running; /* answers count, and the next is asked */
	unsigned n_asking;
	double *waiting; /* a ring: requests that were due when all connections were busy */
	size_t wait_at, n_waiting;
	char suite[64], group[32], alpn[16];
};

static void note(struct run *r, double took)
{
	if (r->n_took == r->room) {
		r->room = r->room ? r->room * 2 : 65536;
		r->took = realloc(r->took, r->room * sizeof(*r->took));
		if (!r->took)
			abort();
	}
	r->took[r->n_took++] = (float)took;
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static double percentile(const struct run *r, double share)
{
	if (!r->n_took)
		return 0;
	size_t at = (size_t)(share * (double)r->n_took);
	return (double)r->took[at < r->n_took ? at : r->n_took - 1] * 1e6;
}

static void report(struct run *r, double seconds)
{
	if (r->n_took)
		qsort(r->took, r->n_took, sizeof(*r->took), compare);
	printf("{\"done\": %lu, \"failed\": %lu, \"resumed\": %lu, \"renewed\": %lu, "
	       "\"seconds\": %.6f, "
	       "\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f, "
	       "\"suite\": \"%s\", \"group\": \"%s\", \"alpn\": \"%s\"}\n",
		r->done, r->failed, r->resumed, r->load.renewed, seconds, percentile(r, 0.5),
		percentile(r, 0.99), percentile(r, 0.999), percentile(r, 1), r->suite, r->group,
		r->alpn);
	fflush(stdout);
}

static void note_tls(struct run *r, SSL *ssl)
{
	if (!ssl)
		return;
	r->resumed += (unsigned long)SSL_session_reused(ssl);
	if (r->suite[0])
		return;
	const uint8_t *alpn;
	unsigned n;
	SSL_get0_alpn_selected(ssl, &alpn, &n);
	snprintf(r->suite, sizeof(r->suite), "%s", SSL_get_cipher_name(ssl));
	snprintf(r->alpn, sizeof(r->alpn), "%.*s", (int)n, (const char *)alpn);
	const char *group = SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl));
	snprintf(r->group, sizeof(r->group), "%s", group ? group : "");
}

static const char *next_name(struct load *l)
{
	struct run *r = l->ctx;
	snprintf(r->host_name, sizeof(r->host_name), "h%05u.%s", r->next_host, l->host);
	r->next_host = (r->next_host + 1) % r->n_hosts;
	return r->host_name;
}

/* ---- handshakes ---- */

static void begin_shake(struct run *r, struct conn *c)
{
	if (r->want && r->n_begun >= r->want)
		return;
	r->n_begun++;
	c->asked_at = load_now();
	conn_connect(c);
}

static void shake_open(struct conn *c)
{
	struct run *r = c->load->ctx;
	note(r, load_now() - c->asked_at);
	note_tls(r, c->ssl);
	conn_leave(c);
}

static void shake_end(struct conn *c, bool clean)
{
	struct run *r = c->load->ctx;
	r->done += clean;
	r->failed += !clean;
	if (r->running)
		begin_shake(r, c);
}

static void shake(struct run *r)
{
	double begun = load_now();
	r->running = true;
	for (unsigned i = 0; i < r->n_conns; i++)
		begin_shake(r, &r->conns[i]);
	while (r->want ? r->done + r->failed < r->want : load_now() - begun < r->seconds) {
		load_turn(&r->load, 20);
		if (load_now() - begun > r->seconds + GIVE_UP_S)
			break;
	}
	report(r, load_now() - begun);
}

/* ---- connections that stay ---- */

static void stay_open(struct conn *c)
{
	struct run *r = c->load->ctx;
	note_tls(r, c->ssl);
	conn_ask(c);
}

static void stay_end(struct conn *c, bool clean)
{
	struct run *r = c->load->ctx;
	(void)c;
	(void)clean;
	r->failed++;
	r->n_opened++; /* so that nobody waits for it */
}

static void open_answer(struct conn *c, bool ok)
{
	struct run *r = c->load->ctx;
	r->n_opened++;
	r->failed += !ok;
}

/* All connections, one answered request on each. */
static void open_all(struct run *r)
{
	double begun = load_now();
	r->load.on_answer = open_answer;
	while (r->n_opened < r->n_conns && load_now() - begun < GIVE_UP_S) {
		while (r->n_begun < r->n_conns && r->n_begun - r->n_opened < OPEN_AT_ONCE)
			conn_connect(&r->conns[r->n_begun++]);
		load_turn(&r->load, 100);
	}
	if (r->failed || r->n_opened < r->n_conns) {
		fprintf(stderr, "load: %u of %u connections answered, %lu failed\n", r->n_opened,
			r->n_conns, r->failed);
		exit(69);
	}
}

static void hold(struct run *r)
{
	char byte;
	double begun = load_now();
	open_all(r);
	r->done = r->n_opened;
	report(r, load_now() - begun);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

/* ---- requests on a schedule ---- */

static void ask_at(struct run *r, struct conn *c, double due)
{
	c->asked_at = due;
	r->n_asking++;
	conn_ask(c);
}

static void rate_answer(struct conn *c, bool ok)
{
	struct run *r = c->load->ctx;
	r->n_asking--;
	r->done += ok;
	r->failed += !ok;
	note(r, load_now() - c->asked_at);
	if (!r->n_waiting)
		return;
	double due = r->waiting[r->wait_at];
	r->wait_at = (r->wait_at + 1) % (size_t)r->want;
	r->n_waiting--;
	ask_at(r, c, due);
}

static void rate_due(struct run *r, double due)
{
	for (unsigned i = 0; i < r->n_conns; i++) {
		struct conn *c = &r->conns[(r->n_begun + i) % r->n_conns];
		if (c->state == CONN_OPEN) {
			r->n_begun = (c->number + 1) % r->n_conns;
			ask_at(r, c, due);
			return;
		}
	}
	r->waiting[(r->wait_at + r->n_waiting++) % (size_t)r->want] = due;
}

static void wake_at(int timer, double due)
{
	struct itimerspec at = {
		.it_value = {.tv_sec = (time_t)due,
			     .tv_nsec = (long)((due - (double)(time_t)due) * 1e9)}
        };
	timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void rate(struct run *r)
{
	open_all(r);
	r->want = (unsigned long)(r->seconds * r->rate);
	r->waiting = calloc(r->want + 1, sizeof(*r->waiting));
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	if (!r->waiting || timer < 0 || epoll_ctl(r->load.epoll, EPOLL_CTL_ADD, timer, &ev) < 0)
		abort();
	prctl(PR_SET_TIMERSLACK, 1);
	r->load.on_answer = rate_answer;
	double begun = load_now() + 0.01, end = begun + r->seconds + 5;
	for (unsigned long sent = 0; r->done + r->failed < r->want && load_now() < end;) {
		double due = begun + (double)sent / r->rate;
		if (sent < r->want && due <= load_now()) {
			rate_due(r, due);
			sent++;
			continue;
		}
		wake_at(timer, sent < r->want ? due : end);
		load_turn(&r->load, 1000);
	}
	r->failed = r->want - r->done;
	report(r, r->seconds);
}

/* ---- requests on chosen connections ---- */

static void steer_ask(struct run *r, struct conn *c)
{
	c->asked_at = load_now();
	r->n_asking++;
	conn_ask(c);
}

static void steer_answer(struct conn *c, bool ok)
{
	struct run *r = c->load->ctx;
	r->n_asking--;
	r->done += ok;
	r->failed += !ok;
	note(r, load_now() - c->asked_at);
	if (r->running)
		steer_ask(r, c);
}

static void steer_end(struct conn *c, bool clean)
{
	(void)c;
	(void)clean;
	fprintf(stderr, "load: a connection has ended\n");
	exit(69);
}

static void steer_line(struct run *r, char *line)
{
	char *at;
	double seconds = strtod(line, &at), begun = load_now();
	r->done = r->failed = r->n_took = 0;
	r->running = true;
	for (char *end;; at = end) {
		unsigned long i = strtoul(at, &end, 10);
		if (end == at)
			break;
		if (i < r->n_conns && r->conns[i].state == CONN_OPEN)
			steer_ask(r, &r->conns[i]);
	}
	while (load_now() - begun < seconds)
		load_turn(&r->load, 10);
	r->running = false;
	double took = load_now() - begun;
	while (r->n_asking && load_now() - begun < seconds + 10)
		load_turn(&r->load, 10);
	report(r, took);
}

static void steer(struct run *r)
{
	char line[16384];
	open_all(r);
	r->load.on_answer = steer_answer;
	r->load.on_end = steer_end;
	report(r, 0);
	while (fgets(line, sizeof(line), stdin))
		steer_line(r, line);
}

/* ---- */

static bool parse_to(struct sockaddr_in *to, char *text)
{
	char *colon = strrchr(text, ':');
	if (!colon)
		return false;
	*colon = 0;
	to->sin_family = AF_INET;
	to->sin_port = htons((uint16_t)atoi(colon + 1));
	return inet_pton(AF_INET, text, &to->sin_addr) == 1;
}

static bool set(struct run *r, int option, char *value)
{
	switch (option) {
	case 'a':
		return parse_to(&r->load.to, value);
	case 'c':
		return (r->n_conns = (unsigned)atoi(value)) > 0;
	case 'd':
		return (r->seconds = atof(value)) > 0;
	case 'f':
		return (r->load.addresses = (unsigned)atoi(value)) > 0;
	case 'g':
		r->groups = value;
		return true;
	case 'H':
		r->load.header = value;
		return strlen(value) < 200;
	case 'k':
		return (r->n_hosts = (unsigned)atoi(value)) > 0;
	case 'm':
		r->mode = value;
		return true;
	case 'n':
		r->load.host = value;
		return strlen(value) < 120;
	case 'N':
		return (r->want = strtoul(value, NULL, 10)) > 0;
	case 'p':
		r->load.path = value;
		return strlen(value) < 120;
	case 'r':
		return (r->rate = atof(value)) > 0;
	case 'R':
		return r->load.resume = true;
	case '2':
		return r->load.h2 = true;
	default:
		return false;
	}
}

static void prepare(struct run *r, bool plain)
{
	struct rlimit files;
	struct load *l = &r->load;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	l->ctx = r;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->tls = plain ? NULL : load_tls(r->groups, l->h2);
	l->name = r->n_hosts ? next_name : NULL;
	bool shakes = strcmp(r->mode, "shake") == 0;
	l->on_open = shakes ? shake_open : stay_open;
	l->on_end = shakes ? shake_end : stay_end;
	r->conns = calloc(r->n_conns, sizeof(*r->conns));
	if (!r->conns || l->epoll < 0)
		abort();
	for (unsigned i = 0; i < r->n_conns; i++) {
		r->conns[i].load = l;
		r->conns[i].number = i;
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(struct run *r);
	} modes[] = {
		{"shake", shake},
                {"hold",  hold },
                {"rate",  rate },
                {"steer", steer}
        };
	static struct run r = {
		.load = {.path = "/", .host = "localhost", .header = ""},
		.n_conns = 1,
		.mode = "shake",
		.groups = "X25519",
		.seconds = 1,
		.rate = 1000
        };
	bool plain = false;
	for (int option; (option = getopt(argc, argv, "a:c:d:f:g:H:k:m:n:N:p:r:RP2")) != -1;) {
		if (option == 'P')
			plain = true;
		else if (!set(&r, option, optarg))
			return 64;
	}
	prepare(&r, plain);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(modes[i].name, r.mode) == 0) {
			modes[i].fn(&r);
			return 0;
		}
	}
	return 64;
}
