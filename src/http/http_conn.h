/* Inside http/: what server.c knows of a connection, whatever its wire version. */
#pragma once

#include "http/server.h"

struct http_conn_ops {
	void (*drain)(struct http_conn *c, uint64_t ms);
	void (*close)(struct http_conn *c);
};

/* Embedded first and by value. */
struct http_conn {
	const struct http_conn_ops *ops;
};

struct http_conn *h1_serve(struct stream *s, const struct http_server_opts *o);
struct http_conn *h2_serve(struct stream *s, const struct http_server_opts *o);
/* Of a connection that http_serve() is about to be given. */
void http_conn_info(struct conn_info *out, struct stream *s, const struct http_server_opts *o);
