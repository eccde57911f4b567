/* A whole HTTP/2 link of the agent: any frames from the gateway behind the preface, any answers
 * from the local service, both cut into pieces, over socket pairs in place of TLS and TCP; byte 0
 * says how both ends behave. The input is `mode, piece, length of the gateway's part (2 bytes),
 * that part, the service's part`. What the agent says are whole frames within the size that was
 * agreed; at the end it is told once that the link is over, and nothing is left. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device-agent/conf.h"
#include "device-agent/h2.h"
#include "device-agent/local.h"
#include "tests/unit/agent_plain.h"

#define SERVICE_CLOSES 1u /* after its answer */
#define SERVICE_HOLDS 2u  /* does not read */
#define SERVICE_DOWN 4u   /* every other connection is refused */
#define GATE_HOLDS 8u     /* does not read */
#define GATE_RESETS 16u   /* at the end, else it ends in order */
#define LEAVES 32u        /* the agent stops in the middle */
#define CONNECTIONS 64
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define FRAME_MOST 16384u

static struct lab {
	struct loop loop;
	struct conf conf;
	struct h2 *h2;
	int gate;
	int service[CONNECTIONS];
	unsigned n, closed;
	const uint8_t *answer;
	size_t answer_len, piece;
	uint8_t mode;
	uint8_t head[9];
	size_t head_len, left; /* of the frame that the agent is saying */
} lab;

int __wrap_local_connect(const struct sockaddr_storage *to);
int __wrap_local_connect(const struct sockaddr_storage *to)
{
	int pair[2];
	(void)to;
	if (lab.n == CONNECTIONS || (lab.mode & SERVICE_DOWN && lab.n % 2))
		return -ECONNREFUSED;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	lab.service[lab.n++] = pair[0];
	return pair[1];
}

/* The key of every WebSocket is the same, so that an answer can be right. */
void __wrap_random_bytes(void *out, size_t n);
void __wrap_random_bytes(void *out, size_t n)
{
	memset(out, 0, n);
}

/* ---- both ends ---- */

static void check_frames(const uint8_t *p, size_t n)
{
	while (n) {
		if (lab.left) {
			size_t k = n < lab.left ? n : lab.left;
			lab.left -= k;
			p += k;
			n -= k;
			continue;
		}
		lab.head[lab.head_len++] = *p++;
		n--;
		if (lab.head_len < sizeof(lab.head))
			continue;
		lab.left = (size_t)lab.head[0] << 16 | (size_t)lab.head[1] << 8 | lab.head[2];
		assert(lab.left <= FRAME_MOST);
		lab.head_len = 0;
	}
}

static void gate_reads(void)
{
	static uint8_t in[65536];
	ssize_t n;
	while ((n = recv(lab.gate, in, sizeof(in), 0)) > 0)
		check_frames(in, (size_t)n);
}

/* Each connection hears the whole answer, once it has asked. */
static void service_turn(void)
{
	static uint8_t scrap[65536];
	for (unsigned i = 0; i < lab.n; i++) {
		if (lab.service[i] < 0 || lab.mode & SERVICE_HOLDS)
			continue;
		if (recv(lab.service[i], scrap, sizeof(scrap), 0) <= 0)
			continue;
		for (size_t at = 0; at < lab.answer_len; at += lab.piece) {
			size_t n = lab.answer_len - at;
			n = n < lab.piece ? n : lab.piece;
			if (send(lab.service[i], lab.answer + at, n, MSG_NOSIGNAL) < 0)
				break;
			loop_step(&lab.loop);
		}
		if (lab.mode & SERVICE_CLOSES) {
			close(lab.service[i]);
			lab.service[i] = -1;
		}
	}
}

static void turn(int times)
{
	for (int i = 0; i < times; i++) {
		loop_step(&lab.loop);
		if (!(lab.mode & GATE_HOLDS))
			gate_reads();
		service_turn();
	}
}

static void gate_says(const uint8_t *p, size_t n)
{
	for (size_t at = 0; at < n && lab.h2;) {
		size_t most = n - at < lab.piece ? n - at : lab.piece;
		ssize_t k = send(lab.gate, p + at, most, MSG_NOSIGNAL);
		if (k < 0 && errno != EAGAIN)
			return;
		at += k > 0 ? (size_t)k : 0;
		turn(1);
	}
}

/* ---- the link ---- */

static void on_event(void *ctx, enum h2_event event, const struct err *why)
{
	(void)ctx;
	assert(lab.h2);
	if (event != H2_EVENT_CLOSED)
		return;
	assert(why->code <= 0);
	lab.closed++;
	h2_close(lab.h2);
	lab.h2 = NULL;
}

static void begin(void)
{
	int pair[2];
	plain_now_ms = 1000;
	loop_init(&lab.loop);
	plain_stay_awake(&lab.loop);
	conf_defaults(&lab.conf);
	lab.conf.connections = 4;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	lab.gate = pair[0];
	lab.h2 = h2_open(&(struct h2_settings){.loop = &lab.loop,
		.tls = plain_tls(pair[1]),
		.fd = pair[1],
		.conf = &lab.conf,
		.on_event = on_event});
	assert(lab.h2);
}

/* Whatever the gateway does, the link ends: it closes, and time passes. */
static void end(void)
{
	turn(4);
	lab.mode &= (uint8_t) ~(GATE_HOLDS | SERVICE_HOLDS);
	turn(4);
	if (lab.mode & GATE_RESETS)
		close(lab.gate);
	else
		shutdown(lab.gate, SHUT_WR);
	for (int i = 0; i < 100 && lab.h2; i++) {
		plain_now_ms += 1000;
		turn(2);
	}
	assert(!lab.h2 && lab.closed == 1);
	if (!(lab.mode & GATE_RESETS))
		close(lab.gate);
	for (unsigned i = 0; i < lab.n; i++)
		if (lab.service[i] >= 0)
			close(lab.service[i]);
	plain_stay_awake_end();
	assert(lab.loop.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 4)
		return 0;
	memset(&lab, 0, sizeof(lab));
	log_setup(LOG_LEVEL_ERROR, false);
	lab.mode = p[0];
	lab.piece = p[1] ? (size_t)p[1] * 8 : 65536;
	size_t gate = (size_t)p[2] << 8 | p[3];
	p += 4;
	n -= 4;
	gate = gate < n ? gate : n;
	lab.answer = p + gate;
	lab.answer_len = n - gate;
	begin();
	gate_says((const uint8_t *)PREFACE, sizeof(PREFACE) - 1);
	gate_says(p, gate / 2);
	if (lab.mode & LEAVES && lab.h2)
		h2_leave(lab.h2);
	gate_says(p + gate / 2, gate - gate / 2);
	end();
	return 0;
}
