/* What a ClientHello gets: the certificate, the role, the protocol (design decision 1 and 4). */
#pragma once

#include <stdint.h>

#include "net/tls.h"

struct snapshot;

#define LINK_DOMAIN "link.lanthorn.internal"
#define ENROL_HOST "enroll." LINK_DOMAIN

enum worker_role {
	ROLE_BROWSER, /* public certificate, no client certificate */
	ROLE_ENROL,   /* private certificate and root, no client certificate */
	ROLE_AGENT,   /* private, client certificate that may have expired: renew, time */
	ROLE_LINK,    /* private, valid client certificate: reversed HTTP */
};

/* A tls_choose_fn; `ctx` is a struct snapshot_slot. Any thread. */
int choose(void *ctx, const struct tls_hello *hello, struct tls_choice *out);
/* Pure: is protocol `name` in an ALPN list as on the wire? */
int choose_alpn_has(const uint8_t *list, size_t n, const char *name);
/* Pure: the label before ".link.lanthorn.internal", into out[64]. 0 or -EINVAL. */
int choose_device_of(char *out, const char *sni);
/* Pure: why this open connection may not be a link, or NULL and the device it belongs to in
 * `device` (64 bytes). To be asked after every handshake, resumed ones too. `snap` may be NULL. */
const char *choose_link_fault(const struct snapshot *snap, const struct tls_info *t, int64_t now,
	char *device);
