/* The link connections and the dialling of new ones with back-off. Which kind they are is what the
 * gateway chose: one that all requests share (HTTP/2), or some idle spares and the busy ones
 * (HTTP/1.1). See PROTOCOL.md, "Link". */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "device-agent/conf.h"
#include "device-agent/loop.h"

struct gateway;
struct tls_ctx;
struct links;

#define LINK_ALPN "\xc6\x96\xc9\xa5" /* reversed HTTP/1.1, draft-thomson-ptth-potato-02 */
#define LINK_SETTLED_MS 10000        /* one that lives so long was not refused */
#define LINK_REFUSED_MOST 5          /* closed at once so often in a row: we are not wanted */

enum link_event {
	LINK_EVENT_UP,      /* a link is open, and none was before */
	LINK_EVENT_SETTLED, /* one proved to be wanted */
	LINK_EVENT_REFUSED, /* the gateway is there but did not keep a link */
	LINK_EVENT_DRAINED, /* after links_stop: none is left */
};

struct links_settings {
	struct loop *loop;
	struct gateway *gw;      /* outlives the links, as do the next two */
	const struct conf *conf; /* read anew at each use */
	/* Must not free the links. */
	void (*on_event)(void *ctx, enum link_event event);
	void *ctx;
};

struct links_status {
	unsigned dialling, idle, busy;
	unsigned streams;    /* under way on those of HTTP/2 */
	unsigned refused;    /* closed at once, in a row */
	uint64_t served;     /* connections of HTTP/1.1 and streams since the start */
	bool shared;         /* the last one speaks HTTP/2 */
	uint64_t retry_ms;   /* until the next try; 0: none waits */
	struct err last_err; /* code 0: all is well */
};

/* `tls` is for new connections, kept until links_use. Begins to dial at once. */
struct links *links_open(const struct links_settings *s, struct tls_ctx *tls);
/* From now on dial with `tls`; connections that exist stay as they are. */
void links_use(struct links *l, struct tls_ctx *tls);
/* The ceiling of the back-off is a minute, or five where the device was removed or has been refused
 * LINK_REFUSED_MOST times in a row. */
void links_set_removed(struct links *l, bool removed);
/* Look again at the configuration, and try at once. Where another protocol is asked for now, links
 * of before end when nothing is under way on them. */
void links_wake(struct links *l);
/* Close spares and stop dialling; what is under way goes on until it ends. */
void links_stop(struct links *l);
void links_status(const struct links *l, struct links_status *out);
/* Cuts everything. */
void links_free(struct links *l);
