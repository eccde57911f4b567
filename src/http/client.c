/* The thin front of struct client: every call goes to the connection it belongs to. */
#include "http/client.h"

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

void client_close(struct client *c)
{
	c->ops->close(c);
}
