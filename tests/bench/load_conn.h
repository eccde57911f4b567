/* One connection of the load client: connect, handshake, requests one after another over HTTP/1.1
 * or HTTP/2, close. Only what a benchmark needs: answers are 200 with a length. Errors end the
 * program or the connection, never the measurement in silence: all are counted. */
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conn_state {
	CONN_CLOSED,
	CONN_CONNECTING,
	CONN_SHAKING,
	CONN_OPEN,
	CONN_ASKING,
	CONN_LEAVING, /* our close is sent, theirs is awaited */
};

struct load;

struct conn {
	struct load *load;
	unsigned number;
	enum conn_state state;
	int fd;
	SSL *ssl;
	SSL_SESSION *session; /* the newest ticket; used where load->resume */
	uint8_t in[16384];
	size_t in_len;
	size_t body_left; /* HTTP/1.1, head seen */
	bool head_seen, ok;
	uint32_t stream; /* HTTP/2: the last request's */
	double asked_at; /* whose answer is awaited; the caller's to set */
};

/* What all connections share. Callbacks may start the next thing on the connection. */
struct load {
	int epoll;
	struct sockaddr_in to;
	SSL_CTX *tls; /* NULL: plain HTTP */
	bool h2, resume;
	unsigned long renewed; /* tickets that came on resumed connections */
	const char *path;
	const char *host;   /* of requests, and SNI where `name` is NULL */
	const char *header; /* one more line of HTTP/1.1 requests, or "" */
	/* The name for this connection's next handshake; NULL: host. */
	const char *(*name)(struct load *l);
	unsigned addresses; /* bind to 127.0.0.2 … so many; 0: whichever */
	void (*on_open)(struct conn *c);
	void (*on_answer)(struct conn *c, bool ok);
	void (*on_end)(struct conn *c, bool clean);
	void *ctx;
};

/* Seconds of a clock that only goes forward. */
double load_now(void);
/* A client context: TLS 1.3 alone, browsers' order of suites, `groups`, nothing verified. */
SSL_CTX *load_tls(const char *groups, bool h2);
/* Wait for events at most `ms` and serve them. */
void load_turn(struct load *l, int ms);

void conn_connect(struct conn *c);
/* One GET; state must be CONN_OPEN. */
void conn_ask(struct conn *c);
/* close_notify and FIN; on_end follows when the other end has closed as well. */
void conn_leave(struct conn *c);
/* At once; nothing is called. */
void conn_drop(struct conn *c);
