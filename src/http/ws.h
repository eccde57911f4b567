/* The WebSocket handshake's two words (RFC 6455 §4.1, §4.2.2), for where one side of the gateway
 * speaks HTTP/1.1 and the other HTTP/2, which has neither. */
#pragma once

#include <stdbool.h>

#define WS_KEY_SIZE 25 /* with its NUL */

/* A fresh Sec-WebSocket-Key. */
void ws_key(char out[WS_KEY_SIZE]);
#define WS_ACCEPT_SIZE 29
/* The Sec-WebSocket-Accept for `key`, which may be NULL. -EINVAL: it is no key. */
int ws_accept(char out[WS_ACCEPT_SIZE], const char *key);
/* Is `accept` the Sec-WebSocket-Accept for `key`? Either may be NULL: false. */
bool ws_is_accepted(const char *key, const char *accept);
