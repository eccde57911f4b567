/* What a ClientHello says, read from its raw extensions. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TLS_HOST_MAX 254

/* The host name of a server_name extension (RFC 6066 §3), lower case; "" when there is none or it
 * is no host name. */
void tls_hello_sni(char out[TLS_HOST_MAX], const uint8_t *ext, size_t n);
/* The protocol list of an ALPN extension (RFC 7301 §3.1): its length, 0 when malformed; `*list`
 * points into `ext`. */
size_t tls_hello_alpn(const uint8_t **list, const uint8_t *ext, size_t n);
