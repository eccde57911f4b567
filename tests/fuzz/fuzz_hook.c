/* What comes in on the hook's socket: a line by lanthorn-hook, whose words are a CA's. The first
 * byte says how the peer behaves and how the proof ends. Each visit gets one answer at most, a
 * proof is started for an ordered host name alone, and is given up when the visitor leaves. */
#include "fake_peer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/dial.h"
#include "net/listen.h"
#include "net/loop.h"
#include "net/stream.h"
#include "steward/challenge.h"
#include "steward/proof.h"
#include "steward/removal.h"

#define FAILS 1u /* the proof; else it becomes visible */
#define NEVER 2u /* neither, before the visitor leaves */
#define QUITS 4u /* the steward ends first */

struct proof {
	struct timer done;
	proof_fn fn;
	void *ctx;
};

static struct {
	struct loop *loop;
	struct fake_peer peer;
	accept_fn accept;
	void *accept_ctx;
	uint8_t mode;
	unsigned asked, proofs, live, said, removed;
} stage;

/* ---- instead of sockets and DNS ---- */

int listen_bind_unix(const char *path, unsigned mode, struct err *e)
{
	(void)path, (void)mode, (void)e;
	return 1000000;
}

int listener_open(struct listener **out, struct loop *loop, int fd, unsigned flags, accept_fn fn,
	void *ctx, struct err *e)
{
	(void)loop, (void)fd, (void)flags, (void)e;
	*out = NULL;
	stage.accept = fn;
	stage.accept_ctx = ctx;
	return 0;
}

void listener_close(struct listener *l)
{
	(void)l;
}

struct stream *stream_from_fd(struct loop *loop, int fd, const struct stream_cb *cb, void *ctx)
{
	(void)fd;
	fake_peer_open(&stage.peer, loop);
	stream_set_cb(stage.peer.s, cb, ctx);
	return stage.peer.s;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
	(void)fd, (void)level, (void)name;
	memset(value, 0, *n); /* root */
	return 0;
}

static void on_proof_done(struct timer *t)
{
	struct proof *p = container_of(t, struct proof, done);
	proof_fn fn = p->fn;
	void *ctx = p->ctx;
	free(p);
	stage.live--;
	fn(ctx, stage.mode & FAILS ? -1 : 0, "because");
}

struct proof *proof_start(struct proof_tools *tools, const char *name, const char *value,
	uint64_t order, proof_fn fn, void *ctx)
{
	struct proof *p = xcalloc(1, sizeof(*p));
	(void)tools;
	assert(str_starts(name, "_acme-challenge.") && name_is_host(name + 16));
	assert(*value && !strpbrk(value, " \n") && order == 7);
	p->fn = fn;
	p->ctx = ctx;
	timer_init(&p->done, stage.loop, on_proof_done);
	if (!(stage.mode & NEVER))
		timer_arm(&p->done, 0);
	stage.proofs++;
	stage.live++;
	return p;
}

void proof_cancel(struct proof *p)
{
	if (!p)
		return;
	timer_cancel(&p->done);
	stage.live--;
	free(p);
}

uint64_t proof_most_ms(const struct conf *conf)
{
	(void)conf;
	return 1000;
}

void removals_add_order(struct removals *r, uint64_t order, const char *value)
{
	(void)r;
	assert(order == 7 && *value);
	stage.removed++;
}

/* ---- the steward's other parts ---- */

static bool is_ordered(void *ctx, uint64_t order, const char *ident)
{
	(void)ctx;
	assert(name_is_host(ident));
	stage.asked++;
	return order == 7;
}

static void on_began(void *ctx, uint64_t order, uint64_t ms)
{
	(void)ctx, (void)order;
	assert(ms);
}

static void on_said(void *ctx, uint64_t order, int rc, const char *text)
{
	(void)ctx, (void)order;
	assert(!rc == !(stage.mode & FAILS) && *text);
	stage.said++;
}

static void check_answer(void)
{
	struct buf *got = &stage.peer.got;
	assert(got->len <= 3); /* less: the rest was cut off */
	bool ok = got->len && !memcmp(got->data, "ok\n", got->len);
	assert(!got->len || ok || !memcmp(got->data, "no\n", got->len));
	assert(stage.asked <= 1 && stage.proofs + stage.removed <= stage.asked);
	assert(!ok || stage.removed || (stage.said && !(stage.mode & FAILS)));
	assert(!stage.live);
	buf_done(got);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct proof_tools tools;
	struct challenges *c;
	if (n < 2 || n > 3000)
		return 0;
	log_setup(LOG_LEVEL_ERROR, false);
	memset(&stage, 0, sizeof(stage));
	stage.mode = p[0];
	stage.peer.how = p[1];
	stage.peer.sip = 1;
	stage.loop = fake_loop_new();
	struct challenges_opts o = {.tools = &tools,
		.socket = "hook.sock",
		.is_ordered = is_ordered,
		.began = on_began,
		.said = on_said};
	int rc = challenges_open(&c, stage.loop, &o, NULL);
	assert(rc == 0);
	stage.accept(stage.accept_ctx, 1000001);
	stream_resume(stage.peer.s);
	fake_peer_say(&stage.peer, p + 2, n - 2, (p[1] & 15u) + 1);
	if (stage.peer.s && !(stage.mode & QUITS)) {
		fake_fin(stage.peer.s);
		fake_peer_read_all(&stage.peer);
	}
	challenges_free(c);
	while (fake_wait(stage.loop))
		;
	fake_settle(stage.loop);
	fake_loop_free(stage.loop);
	check_answer();
	return 0;
}
