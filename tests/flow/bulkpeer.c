/* Both ends of big bodies, for bulk.py: whoever makes or takes gigabytes must not be what is waited
 * for. Each eight bytes of a body say where they are, so what is lost, doubled or moved is seen.
 *
 *   bulkpeer serve      says `port N`; a device: GET /give/length/N, GET /give/chunked/N, PUT /take
 *   bulkpeer make N     a body of N bytes on stdout
 *   bulkpeer check      takes one from stdin and says what it was
 *
 * What was taken is said as JSON: its bytes, and the offset of the first block that was not as made,
 * or null. Whoever takes rests a while in the middle of what is big: then all between must hold the
 * maker back. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 65536u
#define ODD 0x9e3779b97f4a7c15u
#define REST_AT (32u << 20)
#define REST_S 2u

struct body {
	uint64_t at;      /* bytes that came, or went */
	uint64_t wrong;   /* the first wrong block's offset; UINT64_MAX: none */
	uint64_t made_at; /* what `made` begins at */
	uint64_t made[BLOCK / 8];
};

struct conn {
	int fd;
	size_t at, len;
	struct body body;
	uint8_t data[4 * BLOCK];
};

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

/* ---- bodies ---- */

static void make_block(struct body *b, uint64_t from)
{
	for (size_t i = 0; i < BLOCK / 8; i++)
		b->made[i] = (from / 8 + i) * ODD;
	b->made_at = from;
}

static void body_begin(struct body *b)
{
	b->at = 0;
	b->wrong = UINT64_MAX;
	make_block(b, 0);
}

/* What comes next, at most `n` of it. */
static const uint8_t *body_next(struct body *b, size_t *n)
{
	uint64_t from = b->at / BLOCK * BLOCK;
	size_t skip = (size_t)(b->at - from);
	if (from != b->made_at)
		make_block(b, from);
	if (*n > BLOCK - skip)
		*n = BLOCK - skip;
	return (const uint8_t *)b->made + skip;
}

static void body_check(struct body *b, const uint8_t *p, size_t n)
{
	while (n) {
		size_t part = n;
		const uint8_t *right = body_next(b, &part);
		if (b->wrong == UINT64_MAX && memcmp(p, right, part) != 0)
			b->wrong = b->made_at;
		b->at += part;
		p += part;
		n -= part;
		if (b->at == REST_AT)
			sleep(REST_S);
	}
}

static int body_say(const struct body *b, bool chunked, char *out, size_t n)
{
	char wrong[24] = "null";
	if (b->wrong != UINT64_MAX)
		snprintf(wrong, sizeof(wrong), "%llu", (unsigned long long)b->wrong);
	return snprintf(out, n, "{\"bytes\": %llu, \"wrong\": %s, \"chunked\": %s}\n",
		(unsigned long long)b->at, wrong, chunked ? "true" : "false");
}

static bool put(int fd, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	while (n) {
		ssize_t k = write(fd, p, n);
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static bool body_put(int fd, uint64_t left, bool chunked)
{
	struct body *b = need(malloc(sizeof(*b)));
	bool ok = true;
	for (body_begin(b); ok && left;) {
		char size[24];
		size_t n = left < BLOCK ? (size_t)left : BLOCK;
		const uint8_t *p = body_next(b, &n);
		int k = snprintf(size, sizeof(size), "%zx\r\n", n);
		ok = (!chunked || put(fd, size, (size_t)k)) && put(fd, p, n) &&
		     (!chunked || put(fd, "\r\n", 2));
		b->at += n;
		left -= n;
	}
	free(b);
	return ok && (!chunked || put(fd, "0\r\n\r\n", 5));
}

/* ---- the device ---- */

static bool fill(struct conn *c)
{
	if (c->at == c->len)
		c->at = c->len = 0;
	ssize_t n = read(c->fd, c->data + c->len, sizeof(c->data) - c->len);
	c->len += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* Without its end; NULL when there is none. Valid until the next call. */
static char *line(struct conn *c)
{
	for (;;) {
		uint8_t *end = memchr(c->data + c->at, '\n', c->len - c->at);
		if (end) {
			char *text = (char *)c->data + c->at;
			c->at = (size_t)(end - c->data) + 1;
			end[end > c->data && end[-1] == '\r' ? -1 : 0] = 0;
			return text;
		}
		memmove(c->data, c->data + c->at, c->len - c->at);
		c->len -= c->at;
		c->at = 0;
		if (c->len == sizeof(c->data) || !fill(c))
			return NULL;
	}
}

static bool take(struct conn *c, uint64_t left)
{
	while (left) {
		if (c->at == c->len && !fill(c))
			return false;
		size_t n = c->len - c->at;
		n = n < left ? n : (size_t)left;
		body_check(&c->body, c->data + c->at, n);
		c->at += n;
		left -= n;
	}
	return true;
}

static bool take_chunks(struct conn *c)
{
	for (;;) {
		char *text = line(c);
		uint64_t n = text ? strtoull(text, NULL, 16) : 0;
		if (!text || !take(c, n) || !line(c))
			return false;
		if (!n)
			return true;
	}
}

static bool reply(struct conn *c, bool chunked)
{
	char body[128], head[160];
	int n = body_say(&c->body, chunked, body, sizeof(body));
	int k = snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", n);
	return put(c->fd, head, (size_t)k) && put(c->fd, body, (size_t)n);
}

static bool give(struct conn *c, uint64_t n, bool chunked)
{
	char head[160], length[48] = "Transfer-Encoding: chunked";
	if (!chunked)
		snprintf(length, sizeof(length), "Content-Length: %llu", (unsigned long long)n);
	int k = snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n%s\r\n\r\n", length);
	return put(c->fd, head, (size_t)k) && body_put(c->fd, n, chunked);
}

static bool one(struct conn *c)
{
	char what[64], *text = line(c);
	uint64_t length = 0;
	bool chunked = false;
	if (!text)
		return false;
	snprintf(what, sizeof(what), "%s", text);
	while ((text = line(c)) && *text) {
		if (strncasecmp(text, "content-length:", 15) == 0)
			length = strtoull(text + 15, NULL, 10);
		chunked |= strncasecmp(text, "transfer-encoding:", 18) == 0;
	}
	body_begin(&c->body);
	if (!text || !(chunked ? take_chunks(c) : take(c, length)))
		return false;
	if (strncmp(what, "GET /give/length/", 17) == 0)
		return give(c, strtoull(what + 17, NULL, 10), false);
	if (strncmp(what, "GET /give/chunked/", 18) == 0)
		return give(c, strtoull(what + 18, NULL, 10), true);
	return reply(c, chunked);
}

static void *serve_conn(void *arg)
{
	struct conn *c = arg;
	while (one(c))
		;
	close(c->fd);
	free(c);
	return NULL;
}

static int device(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) < 0 || listen(fd, 64) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		return 1;
	printf("port %d\n", ntohs(a.sin_port));
	fflush(stdout);
	for (int peer; (peer = accept(fd, NULL, NULL)) >= 0;) {
		struct conn *c = need(calloc(1, sizeof(*c)));
		pthread_t thread;
		c->fd = peer;
		if (pthread_create(&thread, NULL, serve_conn, c) != 0)
			abort();
		pthread_detach(thread);
	}
	return 1;
}

/* ---- pipes ---- */

static int check_pipe(void)
{
	struct body *b = need(malloc(sizeof(*b)));
	static uint8_t data[BLOCK];
	char text[128];
	ssize_t n;
	for (body_begin(b); (n = read(0, data, sizeof(data))) > 0;)
		body_check(b, data, (size_t)n);
	body_say(b, false, text, sizeof(text));
	free(b);
	return n < 0 || fputs(text, stdout) < 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return device();
	if (argc == 3 && strcmp(argv[1], "make") == 0)
		return !body_put(1, strtoull(argv[2], NULL, 10), false);
	if (argc == 2 && strcmp(argv[1], "check") == 0)
		return check_pipe();
	return 64;
}
