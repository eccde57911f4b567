/* The thin front of struct client: every call goes to the connection it belongs to. */
#include "http/client.h"

#include <string.h>

#include "net/stream.h"
#include "net/tls.h"

struct client *client_new(struct stream *s, const struct client_opts *o)
{
	const struct tls_info *t = stream_tls(s);
	return t && !strcmp(t->alpn, TLS_ALPN_RHTTP2) ? h2_client_new(s, o) : h1_client_new(s, o);
}

struct call *client_start(
	struct client *c, const struct msg *req, const struct call_cb *cb, void *ctx)
{
	return c->ops->start(c, req, cb, ctx);
}

size_t call_write(struct call *k, const void *p, size_t n)
{
	return k->client->ops->write(k, p, n);
}

void call_end(struct call *k, const struct msg *trailers)
{
	k->client->ops->end(k, trailers);
}

void call_pause(struct call *k)
{
	k->client->ops->pause(k);
}

void call_resume(struct call *k)
{
	k->client->ops->resume(k);
}

void call_cancel(struct call *k)
{
	k->client->ops->cancel(k);
}

bool call_expire(struct call *k)
{
	const struct client_ops *ops = k->client->ops;
	return ops->expire && ops->expire(k);
}

void client_close(struct client *c)
{
	c->ops->close(c);
}

void client_drain(struct client *c)
{
	c->ops->drain(c);
}
