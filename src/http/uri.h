/* Inside http/: what may stand in a request's target and authority (RFC 9112 §3.2, RFC 3986), the
 * same for every wire version. Stricter than the grammar: no user part, no percent-encoded host. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define URI_AUTHORITY_MAX 261u /* a host name, a colon, a port */

/* host[:port] of a name or an address. */
bool uri_is_authority(const char *p, size_t n);
/* Only visible ASCII without "#"; not empty. */
bool uri_is_text(const char *p, size_t n);
