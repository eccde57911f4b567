/* See load_conn.h. RFC 9112 and RFC 9113, as much of them as one GET at a time needs. */
#include "tests/bench/load_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define FRAME_HEAD 9u
#define STREAM_MAX 0x7ffffffdu

double load_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fatal(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(70);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct conn *c = SSL_get_app_data(ssl);
	SSL_SESSION_free(c->session);
	c->session = session;
	c->load->renewed += (unsigned long)SSL_session_reused(ssl);
	return 1;
}

SSL_CTX *load_tls(const char *groups, bool h2)
{
	static const uint8_t alpn1[] = "\x08http/1.1", alpn2[] = "\x02h2";
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_ciphersuites(ctx, SUITES) != 1 ||
		SSL_CTX_set1_groups_list(ctx, groups) != 1 ||
		SSL_CTX_set_alpn_protos(
			ctx, h2 ? alpn2 : alpn1, h2 ? sizeof(alpn2) - 1 : sizeof(alpn1) - 1) != 0) {
		fprintf(stderr, "load: OpenSSL refuses the settings\n");
		exit(70);
	}
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(
		ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	return ctx;
}

/* ---- the connection ---- */

void conn_drop(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	SSL_free(c->ssl);
	c->ssl = NULL;
	close(c->fd);
	c->state = CONN_CLOSED;
}

static void conn_end(struct conn *c, bool clean)
{
	conn_drop(c);
	ERR_clear_error();
	c->load->on_end(c, clean);
}

static void watch(struct conn *c, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};
	if (epoll_ctl(c->load->epoll, EPOLL_CTL_MOD, c->fd, &ev) < 0)
		fatal("epoll_ctl");
}

static void bind_to_one_of(struct conn *c)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	int yes = 1;
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + c->number % c->load->addresses);
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		fatal("bind");
}

static void start_tls(struct conn *c)
{
	struct load *l = c->load;
	c->ssl = SSL_new(l->tls);
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
		fatal("SSL_new");
	SSL_set_app_data(c->ssl, c);
	SSL_set_tlsext_host_name(c->ssl, (char *)(l->name ? l->name(l) : l->host));
	if (l->resume && c->session) {
		/* A copy: OpenSSL takes a ticket of TLS 1.3 once, and not every server gives a new
		 * one to who resumes. */
		SSL_SESSION *once = SSL_SESSION_dup(c->session);
		SSL_set_session(c->ssl, once);
		SSL_SESSION_free(once);
	}
	SSL_set_connect_state(c->ssl);
}

void conn_connect(struct conn *c)
{
	struct load *l = c->load;
	int yes = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		fatal("socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (l->addresses)
		bind_to_one_of(c);
	if (connect(c->fd, (struct sockaddr *)&l->to, sizeof(l->to)) < 0 && errno != EINPROGRESS)
		fatal("connect");
	c->state = CONN_CONNECTING;
	c->in_len = 0;
	c->stream = 0;
	c->head_seen = false;
	if (l->tls)
		start_tls(c);
	struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = c};
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		fatal("epoll_ctl");
}

/* All of it at once: what is sent here always fits into an idle socket's buffer. */
static bool put(struct conn *c, const void *p, size_t n)
{
	ssize_t put = c->ssl ? SSL_write(c->ssl, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);
	return put == (ssize_t)n;
}

static void frame_head(uint8_t *out, size_t n, uint8_t type, uint8_t flags, uint32_t stream)
{
	uint32_t id = htonl(stream);
	out[0] = (uint8_t)(n >> 16);
	out[1] = (uint8_t)(n >> 8);
	out[2] = (uint8_t)n;
	out[3] = type;
	out[4] = flags;
	memcpy(out + 5, &id, 4);
}

static bool put_preface(struct conn *c)
{
	/* preface, empty SETTINGS, WINDOW_UPDATE of the connection to its maximum */
	static const uint8_t hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				       "\0\0\0\4\0\0\0\0\0"
				       "\0\0\4\10\0\0\0\0\0\x7f\xff\0\0";
	return put(c, hello, sizeof(hello) - 1);
}

static void on_handshake(struct conn *c)
{
	c->state = CONN_OPEN;
	watch(c, EPOLLIN);
	if (c->load->h2 && !put_preface(c)) {
		conn_end(c, false);
		return;
	}
	c->load->on_open(c);
}

static void shake(struct conn *c)
{
	int rc = c->ssl ? SSL_do_handshake(c->ssl) : 1;
	if (rc == 1) {
		on_handshake(c);
		return;
	}
	int why = SSL_get_error(c->ssl, rc);
	if (why == SSL_ERROR_WANT_READ)
		watch(c, EPOLLIN);
	else if (why == SSL_ERROR_WANT_WRITE)
		watch(c, EPOLLOUT);
	else
		conn_end(c, false);
}

static void on_connect(struct conn *c)
{
	int error = 0;
	socklen_t n = sizeof(error);
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error) {
		conn_end(c, false);
		return;
	}
	c->state = CONN_SHAKING;
	shake(c);
}

void conn_leave(struct conn *c)
{
	c->state = CONN_LEAVING;
	if (c->ssl)
		SSL_shutdown(c->ssl);
	shutdown(c->fd, SHUT_WR);
}

/* ---- requests ---- */

static size_t put_literal(uint8_t *out, uint8_t name, const char *value)
{
	size_t n = strlen(value);
	out[0] = name; /* RFC 7541 §6.2.2, an index below 16 */
	out[1] = (uint8_t)n;
	memcpy(out + 2, value, n);
	return n + 2;
}

static bool ask_h2(struct conn *c)
{
	uint8_t out[512], *at = out + FRAME_HEAD;
	c->stream = c->stream ? c->stream + 2 : 1;
	if (c->stream > STREAM_MAX)
		return false;
	*at++ = 0x82; /* :method GET */
	*at++ = 0x87; /* :scheme https */
	at += put_literal(at, 4, c->load->path);
	at += put_literal(at, 1, c->load->host);
	size_t n = (size_t)(at - out) - FRAME_HEAD;
	frame_head(out, n, 1, 0x4 | 0x1, c->stream);
	return put(c, out, n + FRAME_HEAD);
}

static bool ask_h1(struct conn *c)
{
	char out[512];
	int n = snprintf(out, sizeof(out), "GET %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", c->load->path,
		c->load->host, c->load->header, c->load->header[0] ? "\r\n" : "");
	return put(c, out, (size_t)n);
}

void conn_ask(struct conn *c)
{
	c->state = CONN_ASKING;
	c->head_seen = c->ok = false;
	if (!(c->load->h2 ? ask_h2(c) : ask_h1(c)))
		shutdown(c->fd, SHUT_RDWR); /* the end is read, and told then */
}

static void answered(struct conn *c)
{
	c->state = CONN_OPEN;
	c->load->on_answer(c, c->ok);
}

static void consume(struct conn *c, size_t n)
{
	c->in_len -= n;
	memmove(c->in, c->in + n, c->in_len);
}

/* -1: the connection is of no more use. */
static int read_head(struct conn *c)
{
	uint8_t *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
	if (!end)
		return c->in_len == sizeof(c->in) ? -1 : 0;
	*end = 0;
	const char *length = strcasestr((char *)c->in, "\r\ncontent-length:");
	if (!length)
		return -1;
	c->ok = strncmp((char *)c->in, "HTTP/1.1 200", 12) == 0;
	c->body_left = strtoul(length + 17, NULL, 10);
	c->head_seen = true;
	consume(c, (size_t)(end - c->in) + 4);
	return 0;
}

static int take_h1(struct conn *c)
{
	if (!c->head_seen && read_head(c) < 0)
		return -1;
	if (!c->head_seen)
		return 0;
	size_t n = c->in_len < c->body_left ? c->in_len : c->body_left;
	c->body_left -= n;
	consume(c, n);
	if (c->body_left == 0 && c->state == CONN_ASKING)
		answered(c);
	return 0;
}

/* The first field is :status; 0x88 is "200" in the static table. */
static bool is_200(const uint8_t *p, size_t n)
{
	while (n && (*p & 0xe0) == 0x20) /* a new size of the dynamic table */
		p++, n--;
	return n && *p == 0x88;
}

static int take_frame(struct conn *c, size_t n)
{
	uint8_t type = c->in[3], flags = c->in[4], ack[FRAME_HEAD];
	const uint8_t *body = c->in + FRAME_HEAD;
	uint32_t stream;
	memcpy(&stream, c->in + 5, 4);
	if (type == 4 && !(flags & 1)) {
		frame_head(ack, 0, 4, 1, 0);
		if (!put(c, ack, sizeof(ack)))
			return -1;
	}
	if (type == 7 || type == 3)
		return -1; /* GOAWAY, RST_STREAM */
	if (type == 1)
		c->ok = is_200(body, n);
	bool last = (type == 0 || type == 1) && (flags & 1) && ntohl(stream) == c->stream;
	consume(c, FRAME_HEAD + n);
	if (last && c->state == CONN_ASKING)
		answered(c);
	return 0;
}

static int take_h2(struct conn *c)
{
	while (c->state != CONN_CLOSED && c->in_len >= FRAME_HEAD) {
		size_t n = (size_t)c->in[0] << 16 | (size_t)c->in[1] << 8 | c->in[2];
		if (FRAME_HEAD + n > sizeof(c->in))
			return -1;
		if (c->in_len < FRAME_HEAD + n)
			return 0;
		if (take_frame(c, n) < 0)
			return -1;
	}
	return 0;
}

/* ---- events ---- */

static ssize_t get(struct conn *c)
{
	uint8_t *to = c->in + c->in_len;
	size_t room = sizeof(c->in) - c->in_len;
	if (!c->ssl)
		return recv(c->fd, to, room, 0);
	int n = SSL_read(c->ssl, to, (int)room);
	if (n <= 0 && SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ) {
		errno = EAGAIN;
		return -1;
	}
	return n <= 0 ? 0 : n;
}

static void on_readable(struct conn *c)
{
	while (c->state >= CONN_OPEN) {
		ssize_t n = get(c);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			conn_end(c, c->state == CONN_LEAVING);
			return;
		}
		if (c->state == CONN_LEAVING)
			continue; /* HTTP/2 says its SETTINGS */
		c->in_len += (size_t)n;
		if ((c->load->h2 ? take_h2(c) : take_h1(c)) < 0) {
			conn_end(c, false);
			return;
		}
	}
}

void load_turn(struct load *l, int ms)
{
	struct epoll_event events[64];
	int n = epoll_wait(l->epoll, events, 64, ms);
	for (int i = 0; i < n; i++) {
		struct conn *c = events[i].data.ptr;
		if (!c)
			continue; /* a timer of the caller's */
		if (c->state == CONN_CONNECTING)
			on_connect(c);
		else if (c->state == CONN_SHAKING)
			shake(c);
		else if (c->state != CONN_CLOSED)
			on_readable(c);
	}
}
