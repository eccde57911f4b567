/* See fakegate.h. Threads and blocking calls: this is a test's tool, not a model of the gateway.
 *
 *   fakegate --dir D [--listen IPv4] [--port N] [--mode M] [--life S] [--offset S] [--tls12] [--h2]
 *
 * Says `token …`, `port N`, `tap N`, then one line an event. Every connection to the tap is led
 * over the newest idle link. stdin: `offset S`, `life S`, `mode M`; its end ends the program. */
#include "tests/flow/fakegate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

#define IDLE_MAX 64

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	SSL *idle[IDLE_MAX];
	unsigned n;
};

struct world {
	struct gate gate;
	struct pool pool;
	const char *addr; /* of the gateway; the tap is on loopback */
	int tls_fd, tap_fd;
};

struct job {
	struct world *w;
	int fd;
};

void say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	if (write(STDOUT_FILENO, line, strlen(line)) < 0)
		_exit(1);
}

void die(const char *what)
{
	fprintf(stderr, "fakegate: %s\n", what);
	_exit(1);
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
	unsigned in_n, void *arg)
{
	static const unsigned char h1[] = "\x04" GATE_LINK_ALPN "\x08http/1.1";
	static const unsigned char h2[] = "\x04" GATE_LINK_ALPN_H2 "\x08http/1.1";
	const struct gate *g = arg;
	(void)ssl;
	return SSL_select_next_proto((unsigned char **)out, n, g->h2 ? h2 : h1, sizeof(h1) - 1, in,
		       in_n) ==
			       OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1; /* judged after the handshake */
}

static int on_sni(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	(void)alert;
	(void)arg;
	if (name && strcmp(name, "enroll" GATE_SUFFIX) != 0)
		SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
	return SSL_TLSEXT_ERR_OK;
}

static const char *judge(const struct gate *g, SSL *ssl)
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	time_t now = (time_t)gate_now(g);
	if (!x || X509_verify(x, X509_get0_pubkey(g->ca)) != 1)
		return "stranger";
	if (X509_cmp_time(X509_get0_notAfter(x), &now) < 0)
		return "expired";
	if (X509_cmp_time(X509_get0_notBefore(x), &now) > 0)
		return "future";
	return strcmp(g->mode, "gone") == 0 || strcmp(g->mode, "closing") == 0 ? g->mode : NULL;
}

static void pool_put(struct pool *p, SSL *ssl)
{
	pthread_mutex_lock(&p->lock);
	if (p->n == IDLE_MAX)
		die("too many idle links");
	p->idle[p->n++] = ssl;
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

static SSL *pool_get(struct pool *p)
{
	struct timespec until;
	SSL *ssl = NULL;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&p->lock);
	while (p->n == 0) {
		if (pthread_cond_timedwait(&p->more, &p->lock, &until) == ETIMEDOUT)
			break;
	}
	if (p->n)
		ssl = p->idle[--p->n];
	pthread_mutex_unlock(&p->lock);
	return ssl;
}

static void close_ssl(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

/* Over HTTP/2 the agent speaks first, over HTTP/1.1 only to say goodbye. */
static bool is_alive(SSL *ssl, bool h2)
{
	struct pollfd p = {.fd = SSL_get_fd(ssl), .events = POLLRDHUP | (h2 ? 0 : POLLIN)};
	return poll(&p, 1, 0) == 0;
}

static void serve_tls(struct world *w, SSL *ssl)
{
	const unsigned char *alpn;
	unsigned n;
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	bool enrol = sni && strcmp(sni, "enroll" GATE_SUFFIX) == 0;
	const char *no = enrol ? NULL : judge(&w->gate, ssl);
	SSL_get0_alpn_selected(ssl, &alpn, &n);
	bool link = n == 4;
	if (link && no) {
		say("link refused %s", no);
	} else if (link && !enrol) {
		say("link resumed=%d", SSL_session_reused(ssl));
		pool_put(&w->pool, ssl);
		return;
	} else if (no && strcmp(no, "stranger") == 0) {
		say("stranger");
	} else {
		gate_answer(&w->gate, ssl, enrol);
	}
	close_ssl(ssl);
}

static void *on_tls(void *arg)
{
	struct job j = *(struct job *)arg;
	free(arg);
	SSL *ssl = SSL_new(j.w->gate.ctx);
	SSL_set_fd(ssl, j.fd);
	if (SSL_accept(ssl) == 1) {
		serve_tls(j.w, ssl);
		return NULL;
	}
	say("handshake failed");
	say("app-bytes 0");
	SSL_free(ssl);
	close(j.fd);
	return NULL;
}

struct pipe {
	char data[65536];
	int at, n;
	bool ended;
};

static bool fill_from_tap(struct pipe *p, int fd)
{
	if (p->n || p->ended)
		return false;
	ssize_t k = recv(fd, p->data, sizeof(p->data), MSG_DONTWAIT);
	if (k < 0 && errno == EAGAIN)
		return false;
	p->ended = k <= 0;
	p->n = k > 0 ? (int)k : 0;
	return true;
}

static bool fill_from_link(struct pipe *p, SSL *ssl)
{
	if (p->n || p->ended)
		return false;
	int k = SSL_read(ssl, p->data, sizeof(p->data));
	int why = k > 0 ? 0 : SSL_get_error(ssl, k);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return false;
	if (k <= 0)
		say("link ended %s", why == SSL_ERROR_ZERO_RETURN ? "close-notify" : "cut");
	p->ended = k <= 0;
	p->n = k > 0 ? k : 0;
	return true;
}

static bool drain(struct pipe *p, int fd, SSL *ssl)
{
	if (p->n == 0)
		return false;
	long k = ssl ? SSL_write(ssl, p->data + p->at, p->n)
		     : send(fd, p->data + p->at, (size_t)p->n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (k <= 0)
		return false;
	p->at += (int)k;
	p->n -= (int)k;
	if (p->n == 0)
		p->at = 0;
	return true;
}

static void splice_tap(int tap, SSL *ssl)
{
	struct pipe *up = calloc(1, sizeof(*up)), *down = calloc(1, sizeof(*down));
	int fd = SSL_get_fd(ssl);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	while (!(up->ended && up->n == 0) && !(down->ended && down->n == 0)) {
		bool moved = fill_from_tap(up, tap);
		moved |= fill_from_link(down, ssl);
		moved |= drain(up, -1, ssl);
		moved |= drain(down, tap, NULL);
		struct pollfd p[2] = {
			{.fd = tap,
                         .events = (short)((up->n ? 0 : POLLIN) | (down->n ? POLLOUT : 0))},
			{.fd = fd,
                         .events = (short)((down->n ? 0 : POLLIN) | (up->n ? POLLOUT : 0))},
		};
		if (!moved && poll(p, 2, 60000) <= 0)
			break;
	}
	free(up);
	free(down);
}

static void *on_tap(void *arg)
{
	struct job j = *(struct job *)arg;
	free(arg);
	SSL *ssl;
	while ((ssl = pool_get(&j.w->pool)) && !is_alive(ssl, j.w->gate.h2))
		close_ssl(ssl);
	if (ssl) {
		splice_tap(j.fd, ssl);
		close_ssl(ssl);
	} else {
		say("no link");
	}
	close(j.fd);
	return NULL;
}

static void spawn(void *(*run)(void *), struct world *w, int fd)
{
	pthread_t id;
	struct job *j = calloc(1, sizeof(*j));
	*j = (struct job){w, fd};
	if (pthread_create(&id, NULL, run, j))
		die("thread");
	pthread_detach(id);
}

static void *accept_tls(void *arg)
{
	struct world *w = arg;
	for (int fd; (fd = accept(w->tls_fd, NULL, NULL)) >= 0;)
		spawn(on_tls, w, fd);
	return NULL;
}

static void *accept_tap(void *arg)
{
	struct world *w = arg;
	for (int fd; (fd = accept(w->tap_fd, NULL, NULL)) >= 0;)
		spawn(on_tap, w, fd);
	return NULL;
}

static int listen_on(const char *addr, uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t n = sizeof(a);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (inet_pton(AF_INET, addr, &a.sin_addr) != 1)
		die(addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* inherited */
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		die("listen");
	*port = ntohs(a.sin_port);
	return fd;
}

static void parse_args(struct world *w, int argc, char **argv)
{
	static const struct option options[] = {
		{"dir",    required_argument, NULL, 'd'},
		{"listen", required_argument, NULL, 'a'},
		{"port",   required_argument, NULL, 'p'},
		{"mode",   required_argument, NULL, 'm'},
		{"life",   required_argument, NULL, 'l'},
		{"offset", required_argument, NULL, 'o'},
		{"tls12",  no_argument,       NULL, '2'},
		{"h2",     no_argument,       NULL, 'H'},
		{NULL,     0,                 NULL, 0  },
	};
	struct gate *g = &w->gate;
	for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (opt == 'd')
			g->dir = optarg;
		else if (opt == 'a')
			w->addr = optarg;
		else if (opt == 'p')
			g->port = (uint16_t)atoi(optarg);
		else if (opt == 'm')
			g->mode = optarg;
		else if (opt == 'l')
			g->life = atoll(optarg);
		else if (opt == 'o')
			g->offset = atoll(optarg);
		else if (opt == '2')
			g->tls_max = TLS1_2_VERSION;
		else if (opt == 'H')
			g->h2 = true;
		else
			die("unknown option");
	}
	if (!g->dir)
		die("--dir is missing");
}

static void obey(struct gate *g)
{
	static char mode[32];
	char line[128];
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "mode %31s", mode) == 1)
			g->mode = mode;
		else if (str_starts(line, "offset "))
			g->offset = atoll(line + 7);
		else if (str_starts(line, "life "))
			g->life = atoll(line + 5);
		say("ok");
	}
}

int main(int argc, char **argv)
{
	static struct world w = {.gate.mode = "normal", .gate.life = 14 * 86400,
		.addr = "127.0.0.1"};
	char token[TOKEN_TEXT_MAX];
	uint16_t tap = 0;
	pthread_t id;
	signal(SIGPIPE, SIG_IGN);
	parse_args(&w, argc, argv);
	gate_make(&w.gate);
	SSL_CTX_set_alpn_select_cb(w.gate.ctx, on_alpn, &w.gate);
	SSL_CTX_set_tlsext_servername_callback(w.gate.ctx, on_sni);
	pthread_mutex_init(&w.pool.lock, NULL);
	pthread_cond_init(&w.pool.more, NULL);
	w.tls_fd = listen_on(w.addr, &w.gate.port);
	w.tap_fd = listen_on("127.0.0.1", &tap);
	w.gate.token.port = w.gate.port;
	if (token_encode(&w.gate.token, token) < 0)
		die("token");
	say("token %s", token);
	say("port %u", w.gate.port);
	say("tap %u", tap);
	if (pthread_create(&id, NULL, accept_tls, &w) || pthread_create(&id, NULL, accept_tap, &w))
		die("thread");
	obey(&w.gate);
	_exit(0); /* threads sleep in system calls; the test is over */
}
