/* See h1_text.h. */
#include "http/h1_text.h"

#include <stdio.h>
#include <strings.h>

static void put_request_connection(struct h1_out *o, const struct msg *m)
{
	const char *upgrade = msg_upgrade(m), *te = msg_get(m, "te");
	bool trailers = te && !strcasecmp(te, "trailers");
	if (upgrade)
		put_named(o, "Upgrade", upgrade);
	if (trailers)
		put_named(o, "TE", te);
	if (upgrade || trailers)
		put_named(o, "Connection",
			upgrade && trailers ? "upgrade, TE"
			: upgrade           ? "upgrade"
					    : "TE");
}

void h1_text_request(struct h1_out *o, const struct msg *m)
{
	puts_(o, msg_method_text(m));
	put(o, " ", 1);
	puts_(o, msg_target(m));
	puts_(o, " HTTP/1.1\r\n");
	put_named(o, "Host", msg_authority(m));
	put_fields(o, m);
	put_request_connection(o, m);
	if (msg_body(m) == BODY_LENGTH)
		put_length(o, msg_body_length(m));
	else if (msg_body(m) != BODY_NONE)
		puts_(o, "Transfer-Encoding: chunked\r\n");
	put(o, "\r\n", 2);
	h1_flush(o);
}

unsigned h1_text_chunk_size(char out[H1_CHUNK_SIZE], size_t n)
{
	return (unsigned)snprintf(out, H1_CHUNK_SIZE, "%zx\r\n", n);
}

void h1_text_last_chunk(struct h1_out *o, const struct msg *trailers)
{
	puts_(o, "0\r\n");
	if (trailers)
		put_fields(o, trailers);
	put(o, "\r\n", 2);
	h1_flush(o);
}
