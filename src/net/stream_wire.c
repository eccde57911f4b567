/* The descriptor's side of a stream: its peer, receive and send, the output queue, what the poll looks for.
 * Output is gathered in a buffer that the loop's streams share; a stream owns memory only for what
 * the socket refused. Interest in input is dropped lazily, since every change costs system calls.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"
#include "net/stream_int.h"

uint16_t stream_peer_of(int fd, char addr[46])
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	str_copy(addr, 46, "local");
	if (getpeername(fd, (struct sockaddr *)&ss, &n) < 0)
		return 0;
	if (ss.ss_family == AF_INET) {
		struct sockaddr_in *a = (struct sockaddr_in *)&ss;
		inet_ntop(AF_INET, &a->sin_addr, addr, 46);
		return ntohs(a->sin_port);
	}
	if (ss.ss_family != AF_INET6)
		return 0;
	struct sockaddr_in6 *a = (struct sockaddr_in6 *)&ss;
	if (IN6_IS_ADDR_V4MAPPED(&a->sin6_addr))
		inet_ntop(AF_INET, &a->sin6_addr.s6_addr[12], addr, 46);
	else
		inet_ntop(AF_INET6, &a->sin6_addr, addr, 46);
	return ntohs(a->sin6_port);
}

static void moved(struct stream *s, size_t n)
{
	s->moved += n;
	s->last_ms = loop_now_ms(s->loop);
}

ssize_t wire_recv(struct stream *s, uint8_t *p, size_t n)
{
	ssize_t rc;
	do
		rc = recv(s->fd, p, n, 0);
	while (rc < 0 && errno == EINTR);
	if (rc > 0)
		moved(s, (size_t)rc);
	if (rc >= 0)
		return rc;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return -EAGAIN;
	int code = -errno;
	stream_fail(s, code, "cannot receive: %s", strerror(-code));
	return code;
}

/* Bytes sent. An error leaves the reading direction alone: the peer may have answered before it
 * stopped listening, and that answer is worth more than ours. */
static size_t send_some(struct stream *s, const uint8_t *p, size_t n)
{
	size_t done = 0;
	while (done < n && !s->write_error) {
		ssize_t rc = send(s->fd, p + done, n - done, MSG_NOSIGNAL);
		if (rc >= 0) {
			done += (size_t)rc;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} else if (errno != EINTR) {
			s->write_error = -errno;
			stream_later(s);
		}
	}
	if (done)
		moved(s, done);
	return done;
}

static bool has_queue(const struct stream *s)
{
	return s->out.len > s->out_off;
}

static void queue(struct stream *s, const uint8_t *p, size_t n)
{
	if (!n || s->write_error || s->state == STREAM_CLOSED)
		return;
	if (s->out_off > s->out.len / 2) {
		buf_consume(&s->out, s->out_off);
		s->out_off = 0;
	}
	int rc = buf_append(&s->out, p, n);
	if (rc < 0)
		stream_fail(s, rc, "too much output waits for a slow peer");
	else
		wire_watch(s);
}

static void note_drained(struct stream *s)
{
	if (s->above && wire_queued(s) < STREAM_LOW_WATER) {
		s->do_writable = true;
		stream_later(s);
	}
}

void wire_write(struct stream *s, const uint8_t *p, size_t n)
{
	size_t done = has_queue(s) ? 0 : send_some(s, p, n);
	queue(s, p + done, n - done);
}

void wire_flush(struct stream *s)
{
	struct stream_shared *sh = s->sh;
	if (sh->out_owner != s)
		return;
	sh->out_owner = NULL;
	wire_write(s, sh->out, sh->out_len);
	note_drained(s);
}

void wire_put(struct stream *s, const uint8_t *p, size_t n)
{
	struct stream_shared *sh = s->sh;
	while (n && !has_queue(s) && s->state != STREAM_CLOSED) {
		if (sh->out_owner != s) {
			if (sh->out_owner)
				wire_flush(sh->out_owner);
			sh->out_owner = s;
			sh->out_len = 0;
		}
		size_t part = STREAM_BATCH - sh->out_len;
		if (part > n)
			part = n;
		memcpy(sh->out + sh->out_len, p, part);
		sh->out_len += part;
		p += part;
		n -= part;
		if (sh->out_len == STREAM_BATCH)
			wire_flush(s);
	}
	queue(s, p, n);
}

void wire_send_queue(struct stream *s)
{
	s->output_idle = !has_queue(s);
	if (s->output_idle)
		return;
	s->out_off += send_some(s, s->out.data + s->out_off, s->out.len - s->out_off);
	if (!has_queue(s)) {
		buf_done(&s->out);
		s->out_off = 0;
	}
	note_drained(s);
}

size_t wire_queued(const struct stream *s)
{
	const struct stream_shared *sh = s->sh;
	size_t n = s->out.len - s->out_off;
	if (sh->out_owner == s)
		n += sh->out_len;
	if (sh->rec_owner == s)
		n += sh->rec_len;
	return s->held ? n + s->held->len : n;
}

void wire_drop(struct stream *s)
{
	struct stream_shared *sh = s->sh;
	if (sh->out_owner == s)
		sh->out_owner = NULL;
	if (sh->rec_owner == s)
		sh->rec_owner = NULL;
	if (sh->raw_owner == s)
		sh->raw_owner = NULL;
	free(s->held);
	s->held = NULL;
	buf_done(&s->out);
	s->out_off = 0;
}

/* While nobody wants input, a reset must still be noticed, but neither waiting bytes nor a FIN may
 * wake the loop again and again. UV_PRIORITIZED stands for "errors only": the kernel reports those
 * with any interest. */
static int input_events(const struct stream *s)
{
	if (s->hung_up)
		return 0;
	if (s->eof || s->half_closed)
		return UV_PRIORITIZED;
	return s->unwatched ? UV_DISCONNECT : UV_READABLE;
}

static void on_poll(uv_poll_t *h, int status, int events);

void wire_watch(struct stream *s)
{
	bool over = s->state == STREAM_FLUSHING && s->eof && !wire_queued(s); /* closed in a moment */
	if (!s->has_poll || s->state == STREAM_CLOSED || over)
		return;
	/* Interest in output ends only when it turned out to be idle: while a transfer fills the
	 * socket again and again, it stays, and costs nothing. */
	bool wants_output = has_queue(s) || (s->events & UV_WRITABLE && !s->output_idle);
	int events = input_events(s) | (wants_output ? UV_WRITABLE : 0);
	if (events == s->events)
		return;
	s->events = events;
	int rc = events ? uv_poll_start(&s->poll, events, on_poll) : uv_poll_stop(&s->poll);
	if (rc < 0)
		stream_fail(s, rc, "cannot watch a socket: %s", uv_strerror(rc));
}

int wire_error(const struct stream *s)
{
	int code = 0;
	socklen_t n = sizeof(code);
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &code, &n) < 0)
		return errno;
	return code;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct stream *s = container_of(h, struct stream, poll);
	loop_at_work(s->loop);
	if (status < 0)
		s->events = 0; /* libuv stops the handle before it says so */
	if (s->state == STREAM_OPENING) {
		if (events & UV_WRITABLE)
			wire_send_queue(s);
		stream_advance(s);
	} else {
		stream_on_events(s, status < 0, events);
	}
	wire_watch(s);
}
