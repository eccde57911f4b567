/* See fake_peer.h. */
#include "fake_peer.h"

static void on_gone(void *ctx)
{
	((struct fake_peer *)ctx)->s = NULL;
}

void fake_peer_open(struct fake_peer *p, struct loop *loop)
{
	p->loop = loop;
	p->s = fake_stream(loop, on_gone, p);
	buf_init(&p->got, 64u << 20);
}

/* False: there was nothing. */
static bool read_once(struct fake_peer *p)
{
	size_t before = p->got.len;
	if (p->before_read)
		p->before_read(p);
	fake_settle(p->loop);
	if (p->s)
		fake_read(p->s, p->how & PEER_RELUCTANT ? p->sip : SIZE_MAX, &p->got);
	return p->got.len > before;
}

void fake_peer_read_all(struct fake_peer *p)
{
	while (read_once(p))
		;
}

static void send_pieces(struct fake_peer *p, const uint8_t *bytes, size_t n, size_t piece)
{
	while (n && p->s) {
		size_t k = n < piece ? n : piece;
		fake_send(p->s, bytes, k);
		bytes += k;
		n -= k;
		if (!n && p->how & PEER_HASTY)
			return;
		read_once(p);
	}
	fake_peer_read_all(p);
}

void fake_peer_say(struct fake_peer *p, const uint8_t *bytes, size_t n, size_t piece)
{
	send_pieces(p, bytes, n, piece);
	if (p->s && p->how & PEER_FINS)
		fake_fin(p->s);
	if (p->s && p->how & PEER_RESETS)
		fake_reset(p->s);
	fake_peer_read_all(p);
}
