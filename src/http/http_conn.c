/* See http_conn.h: the choice between the wire versions. */
#include "http/http_conn.h"

#include <string.h>

#include "net/stream.h"
#include "net/tls.h"

void http_conn_info(struct conn_info *out, struct stream *s, const struct http_server_opts *o)
{
	*out = (struct conn_info){.loop = stream_loop(s),
		.peer_addr = stream_peer_addr(s),
		.peer_port = stream_peer_port(s),
		.tls = stream_tls(s),
		.server_ctx = o->ctx};
}

struct http_conn *http_serve(struct stream *s, const struct http_server_opts *o)
{
	const struct tls_info *t = stream_tls(s);
	return t && !strcmp(t->alpn, "h2") ? h2_serve(s, o) : h1_serve(s, o);
}

void http_conn_drain(struct http_conn *c, uint64_t ms)
{
	c->ops->drain(c, ms);
}

void http_conn_close(struct http_conn *c)
{
	c->ops->close(c);
}
