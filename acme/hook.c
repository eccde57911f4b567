/* lanthorn-hook: what uacme calls for every challenge. It holds no secret and decides nothing: it
 * carries the five arguments to the steward's socket and the answer back. Exit 0 accepts, 1
 * declines; only dns-01 is ever accepted. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "acme/hook_line.h"
#include "base/clock.h"
#include "base/landlock.h"
#include "base/sandbox.h"
#include "base/seccomp.h"
#include "base/str.h"

#define CLEANUP_WAIT_S 60

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "lanthorn-hook: %s: %s\n", what, why);
	return 1;
}

static int word_ok(const char *s)
{
	for (const char *p = s; *p; p++) {
		if (*p <= 0x20 || *p > 0x7e)
			return 0;
	}
	return *s != 0;
}

/* Wait until `fd` is ready for `what` or `deadline_ms` passed. */
static int wait_for(int fd, short what, uint64_t deadline_ms)
{
	for (;;) {
		uint64_t now = clock_mono_ms();
		struct pollfd p = {.fd = fd, .events = what};
		if (now >= deadline_ms)
			return -1;
		uint64_t left = deadline_ms - now;
		int rc = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return -1;
	}
}

static int connect_to(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	if (str_copy(sa.sun_path, sizeof(sa.sun_path), path) < 0)
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Returns 0 for "ok". */
static int ask(int fd, const char *line, size_t n, uint64_t deadline_ms)
{
	char answer[8] = {0};
	size_t got = 0;
	if (send(fd, line, n, MSG_NOSIGNAL) != (ssize_t)n)
		return fail("cannot ask the steward", strerror(errno));
	while (got < sizeof(answer) - 1 && !strchr(answer, '\n')) {
		if (wait_for(fd, POLLIN, deadline_ms) < 0)
			return fail("the steward", "did not answer in time");
		ssize_t k = recv(fd, answer + got, sizeof(answer) - 1 - got, 0);
		if (k == 0 || (k < 0 && errno != EINTR))
			return fail("the steward", "went away");
		got += k > 0 ? (size_t)k : 0;
	}
	if (!strcmp(answer, "ok\n"))
		return 0;
	return fail("the steward", "declined");
}

int main(int argc, char **argv)
{
	const char *path = getenv(HOOK_LINE_ENV_SOCKET), *order = getenv(HOOK_LINE_ENV_ORDER);
	const char *wait_text = getenv(HOOK_LINE_ENV_WAIT);
	char line[HOOK_LINE_MAX];
	uint64_t wait_s = CLEANUP_WAIT_S;
	struct sandbox s;
	struct err e;
	if (sandbox_enter(&s, landlock_new(), CALLS_UNIX, &e) < 0)
		return fail("sandbox", e.text);
	if (argc != 6 || !path || !order)
		return fail("usage", "called by uacme, started by lanthorn-steward, only");
	if (strcmp(argv[2], "dns-01") != 0)
		return 1;
	for (int i = 1; i < argc; i++) {
		if (!word_ok(argv[i]))
			return fail("argument", "empty or with blanks");
	}
	if (!strcmp(argv[1], "begin") && wait_text && str_to_u64(wait_text, 86400, &wait_s) < 0)
		return fail(HOOK_LINE_ENV_WAIT, "not a number of seconds");
	int n = snprintf(line, sizeof(line), "%s %s %s %s %s %s\n", order, argv[1], argv[2],
		argv[3], argv[4], argv[5]);
	if (n < 0 || (size_t)n >= sizeof(line))
		return fail("argument", "too long");
	int fd = connect_to(path);
	if (fd < 0)
		return fail("cannot reach the steward", strerror(errno));
	int rc = ask(fd, line, (size_t)n, clock_mono_ms() + wait_s * 1000);
	close(fd);
	return rc;
}
