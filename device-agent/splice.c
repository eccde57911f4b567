/* See splice.h. One pump serves both descriptors: it moves bytes until both ways block, then
 * derives from the buffers what to wait for. */
#include "device-agent/splice.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/xalloc.h"
#include "device-agent/local.h"
#include "device-agent/tls.h"

static const char bad_gateway[] = "HTTP/1.1 502 Bad Gateway\r\n"
				  "Content-Type: text/plain\r\n"
				  "Content-Length: 48\r\n"
				  "Cache-Control: no-store\r\n"
				  "Connection: close\r\n"
				  "\r\n" LOCAL_REGRET;
_Static_assert(sizeof(LOCAL_REGRET) - 1 == 48, "as Content-Length says");

/* CONNECTING: the service has not accepted yet. OPEN: bytes flow. FLUSHING: an end has closed,
 * its last bytes are under way. LINGERING: close_notify and FIN are sent; what the gateway still
 * sends is thrown away, so that no reset overtakes the response. */
enum splice_state { SPLICE_CONNECTING, SPLICE_OPEN, SPLICE_FLUSHING, SPLICE_LINGERING };

struct flow {
	uint8_t data[SPLICE_BUF];
	size_t at, len; /* `len` bytes from `at` wait to be written */
	bool ended;     /* no more will be read into it */
	bool dead;      /* nobody takes its bytes any more; they are read and dropped */
};

struct splice {
	struct watch link, local;
	enum splice_state state;
	struct tls *tls;
	struct flow in, out; /* from the gateway, to it */
	short link_wants;    /* what TLS waits for besides our own wish to read */
	uint64_t moved;
	const char *why;
	void (*done)(void *ctx, uint64_t moved, const char *why);
	void *ctx;
};

static void set_state(struct splice *s, enum splice_state to)
{
	assert(to > s->state); /* forward only, some are left out */
	s->state = to;
}

void splice_cancel(struct splice *s)
{
	if (!s)
		return;
	loop_remove(&s->link);
	loop_remove(&s->local);
	tls_free(s->tls);
	close(s->link.fd);
	if (s->local.fd >= 0)
		close(s->local.fd);
	free(s);
}

static void finish(struct splice *s)
{
	void (*done)(void *, uint64_t, const char *) = s->done;
	void *ctx = s->ctx;
	uint64_t moved = s->moved;
	const char *why = s->why;
	splice_cancel(s);
	done(ctx, moved, why);
}

static size_t flow_room(const struct flow *f)
{
	return f->ended ? 0 : SPLICE_BUF - (f->at + f->len);
}

static void flow_took(struct flow *f, size_t n)
{
	f->at += n;
	f->len -= n;
	if (f->len == 0)
		f->at = 0;
}

static void flow_kill(struct flow *f)
{
	f->at = f->len = 0;
	f->dead = true;
}

/* Each mover returns whether it moved something. */
static bool read_link(struct splice *s)
{
	struct flow *f = &s->in;
	size_t room = flow_room(f);
	if (room == 0)
		return false;
	long n = tls_read(s->tls, f->data + f->at + f->len, room, NULL);
	if (n == TLS_WANT_WRITE)
		s->link_wants |= POLLOUT;
	if (n == TLS_WANT_READ || n == TLS_WANT_WRITE)
		return false;
	if (n <= 0) {
		f->ended = true;
		if (n < 0)
			flow_kill(&s->out); /* reset: nobody reads it */
		return true;
	}
	s->moved += (uint64_t)n;
	if (!f->dead)
		f->len += (size_t)n;
	return true;
}

static bool write_link(struct splice *s)
{
	struct flow *f = &s->out;
	if (f->len == 0)
		return false;
	long n = tls_write(s->tls, f->data + f->at, f->len, NULL);
	if (n == TLS_WANT_READ || n == TLS_WANT_WRITE) {
		s->link_wants |= n == TLS_WANT_READ ? POLLIN : POLLOUT;
		return false;
	}
	if (n < 0) {
		flow_kill(f);
		s->in.ended = true;
		return true;
	}
	flow_took(f, (size_t)n);
	return true;
}

static bool read_local(struct splice *s)
{
	struct flow *f = &s->out;
	size_t room = flow_room(f);
	if (room == 0)
		return false;
	ssize_t n = recv(s->local.fd, f->data + f->at + f->len, room, 0);
	if (n < 0 && local_would_block())
		return false;
	if (n <= 0) {
		f->ended = true;
		return true;
	}
	s->moved += (uint64_t)n;
	if (!f->dead)
		f->len += (size_t)n;
	return true;
}

static bool write_local(struct splice *s)
{
	struct flow *f = &s->in;
	if (f->len == 0)
		return false;
	ssize_t n = send(s->local.fd, f->data + f->at, f->len, MSG_NOSIGNAL);
	if (n < 0 && local_would_block())
		return false;
	if (n < 0)
		flow_kill(f); /* its answer may still wait to be read */
	else
		flow_took(f, (size_t)n);
	return true;
}

static void arm(struct splice *s)
{
	short link = s->link_wants;
	if (flow_room(&s->in))
		link |= POLLIN;
	s->link.events = link;
	s->local.events = 0;
	if (s->state == SPLICE_CONNECTING)
		s->local.events = POLLOUT;
	else if (s->state < SPLICE_LINGERING)
		s->local.events =
			(short)((s->in.len ? POLLOUT : 0) | (flow_room(&s->out) ? POLLIN : 0));
}

/* close_notify is sent: wait until the gateway has closed, too, for SPLICE_LINGER_MS at most. */
static void linger(struct splice *s)
{
	set_state(s, SPLICE_LINGERING);
	loop_remove(&s->local);
	if (s->local.fd >= 0)
		close(s->local.fd);
	s->local.fd = -1;
	shutdown(s->link.fd, SHUT_WR);
	s->link.events = POLLIN;
	watch_after(&s->link, s->in.ended ? 0 : SPLICE_LINGER_MS);
}

/* An end has closed: from now on only what came from it counts. True: `s` lingers. */
static bool note_ends(struct splice *s)
{
	if (s->state == SPLICE_OPEN && (s->in.ended || s->out.ended)) {
		set_state(s, SPLICE_FLUSHING);
		watch_after(&s->local, SPLICE_FLUSH_MS);
	}
	bool delivered = (s->out.ended && s->out.len == 0) || (s->in.ended && s->in.len == 0);
	if (s->state != SPLICE_FLUSHING || !delivered)
		return false;
	flow_kill(&s->out);
	if (tls_close(s->tls) == TLS_WANT_WRITE) {
		s->link_wants |= POLLOUT;
		return false;
	}
	linger(s);
	return true;
}

static bool move_all(struct splice *s)
{
	bool moved = read_link(s);
	if (s->state > SPLICE_CONNECTING) {
		moved |= write_local(s);
		moved |= read_local(s);
	}
	return write_link(s) || moved;
}

/* Fair to other links: after 32 rounds the loop gets its turn, and this watch is due at once. */
static void pump(struct splice *s)
{
	bool moved = true;
	for (int round = 0; moved && round < 32; round++) {
		s->link_wants = 0;
		moved = move_all(s);
		if (moved && s->state == SPLICE_FLUSHING)
			watch_after(&s->local, SPLICE_FLUSH_MS);
		if (note_ends(s))
			return;
	}
	arm(s);
	if (moved)
		watch_after(&s->link, 0);
}

/* The request's bytes are of no use now; the 502 is all that is still to be delivered. */
static void refuse(struct splice *s, const char *why)
{
	s->why = why;
	set_state(s, SPLICE_FLUSHING);
	if (s->local.fd >= 0)
		close(s->local.fd);
	s->local.fd = -1;
	watch_after(&s->local, SPLICE_FLUSH_MS);
	flow_kill(&s->in);
	memcpy(s->out.data, bad_gateway, sizeof(bad_gateway) - 1);
	s->out.len = sizeof(bad_gateway) - 1;
	s->out.ended = true;
	pump(s);
}

/* Throw away what comes. True: nothing more will. */
static bool drain_link(struct splice *s)
{
	uint8_t scrap[2048];
	ssize_t n = 1;
	for (int round = 0; n > 0 && round < 32; round++)
		n = recv(s->link.fd, scrap, sizeof(scrap), 0);
	return n == 0 || (n < 0 && !local_would_block());
}

static void on_link(struct watch *w, short revents)
{
	struct splice *s = container_of(w, struct splice, link);
	if (s->state != SPLICE_LINGERING)
		pump(s);
	else if (!revents || drain_link(s))
		finish(s);
}

static void on_local(struct watch *w, short revents)
{
	struct splice *s = container_of(w, struct splice, local);
	if (s->state == SPLICE_FLUSHING && !revents) {
		linger(s); /* the other end takes its last bytes too slowly */
		return;
	}
	if (s->state == SPLICE_CONNECTING) {
		if (!revents || !local_is_accepted(w->fd)) {
			refuse(s, revents ? "refused" : "no answer");
			return;
		}
		set_state(s, SPLICE_OPEN);
		w->due_ms = 0;
	}
	pump(s);
}

struct splice *splice_open(const struct splice_settings *set)
{
	struct splice *s = xcalloc(1, sizeof(*s));
	s->tls = set->tls;
	tls_read_ahead(s->tls, SPLICE_BUF);
	s->done = set->done;
	s->ctx = set->ctx;
	s->in.data[0] = set->first;
	s->in.len = 1;
	s->moved = 1;
	s->link = (struct watch){.fd = set->fd, .events = POLLIN, .on_event = on_link};
	s->local = (struct watch){.fd = local_connect(set->service), .on_event = on_local};
	s->local.events = POLLOUT;
	watch_after(&s->local, s->local.fd < 0 ? 0 : LOCAL_CONNECT_MS);
	if (!loop_add(set->loop, &s->link) || !loop_add(set->loop, &s->local)) {
		splice_cancel(s);
		return NULL;
	}
	return s;
}
