/* See agent_plain.h. */
#include "tests/unit/agent_plain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "device-agent/loop.h"
#include "device-agent/tls.h"

#define RECORD 4096u

struct tls {
	int fd;
	size_t most, at, len; /* read ahead */
	uint8_t ahead[1 << 17];
};

uint64_t plain_now_ms;

uint64_t clock_mono_ms(void)
{
	return plain_now_ms;
}

int64_t clock_unix(void)
{
	return 1800000000;
}

struct tls *plain_tls(int fd)
{
	struct tls *t = xcalloc(1, sizeof(*t));
	t->fd = fd;
	return t;
}

static long outcome(ssize_t n, int wants, struct err *e)
{
	if (n < 0 && errno != EAGAIN)
		return err_set(e, -errno, "the socket broke");
	return n >= 0 ? n : wants;
}

static long fill(struct tls *t, struct err *e)
{
	long k = outcome(recv(t->fd, t->ahead, t->most, 0), TLS_WANT_READ, e);
	t->at = 0;
	t->len = k > 0 ? (size_t)k : 0;
	return k;
}

long tls_read(struct tls *t, void *p, size_t n, struct err *e)
{
	if (!t->most)
		return outcome(recv(t->fd, p, n, 0), TLS_WANT_READ, e);
	long k = t->at < t->len ? 1 : fill(t, e);
	if (k <= 0)
		return k;
	n = n < RECORD ? n : RECORD;
	n = n < t->len - t->at ? n : t->len - t->at;
	memcpy(p, t->ahead + t->at, n);
	t->at += n;
	return (long)n;
}

void tls_read_ahead(struct tls *t, size_t n)
{
	t->most = n < sizeof(t->ahead) ? n : sizeof(t->ahead);
}

bool tls_pending(const struct tls *t)
{
	return t->at < t->len;
}

long tls_write(struct tls *t, const void *p, size_t n, struct err *e)
{
	return outcome(send(t->fd, p, n, MSG_NOSIGNAL), TLS_WANT_WRITE, e);
}

int tls_close(struct tls *t)
{
	(void)t;
	return 0;
}

void tls_free(struct tls *t)
{
	free(t);
}

static void never(struct watch *w, short revents)
{
	(void)revents;
	w->due_ms = 1;
}

static struct watch awake = {.fd = -1, .on_event = never};

void plain_stay_awake(struct loop *l)
{
	awake.due_ms = 1;
	loop_add(l, &awake);
}

void plain_stay_awake_end(void)
{
	loop_remove(&awake);
}
