/* A link over reversed HTTP/2 (draft-thomson-ptth-potato-02): on the connection that the agent has
 * dialled, the gateway is the HTTP/2 client and the agent the server. Each stream becomes one
 * request to the local service over HTTP/1.1, whose answer is parsed strictly and made anew; a
 * WebSocket comes as an extended CONNECT (RFC 8441). */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "device-agent/loop.h"

struct conf;
struct h2;
struct tls;

#define H2_QUIET_MS 30000  /* without a byte from the gateway: ask whether it is there */
#define H2_ANSWER_MS 10000 /* for it to say so */
#define H2_LINGER_MS 2000  /* for it to close, once all was said */

enum h2_event {
	H2_EVENT_USED,    /* the first stream has come */
	H2_EVENT_LEAVING, /* the gateway wants no more streams on it (GOAWAY) */
	H2_EVENT_CLOSED,  /* last: h2_close() it now */
};

struct h2_settings {
	struct loop *loop;
	struct tls *tls; /* taken, as is fd */
	int fd;
	const struct conf *conf; /* outlives the h2; its service is read anew for each request */
	/* Never from inside a call here. Only at H2_EVENT_CLOSED may it close the h2; `why` has
	 * code 0 then where all was in order. */
	void (*on_event)(void *ctx, enum h2_event event, const struct err *why);
	void *ctx;
};

/* The ALPN name, or NULL where the agent was built without HTTP/2. */
const char *h2_protocol(void);
/* NULL: too many things at once; all is closed then. */
struct h2 *h2_open(const struct h2_settings *s);
/* Say GOAWAY; the streams that exist go on until they end, then it closes. Idempotent. */
void h2_leave(struct h2 *h);
/* Cut everything; nothing is called. NULL is accepted. */
void h2_close(struct h2 *h);
/* Streams under way / since the start. */
unsigned h2_streams(const struct h2 *h);
uint64_t h2_served(const struct h2 *h);
