/* See ws.h. */
#include "http/ws.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "net/crypto.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void ws_key(char out[WS_KEY_SIZE])
{
	uint8_t raw[16];
	random_bytes(raw, sizeof(raw));
	base64_encode(out, raw, sizeof(raw));
}

int ws_accept(char out[WS_ACCEPT_SIZE], const char *key)
{
	char text[WS_KEY_SIZE + sizeof(GUID)];
	uint8_t hash[20];
	if (!key || strlen(key) != WS_KEY_SIZE - 1)
		return -EINVAL;
	memcpy(text, key, WS_KEY_SIZE - 1);
	memcpy(text + WS_KEY_SIZE - 1, GUID, sizeof(GUID));
	sha1(hash, text, strlen(text));
	base64_encode(out, hash, sizeof(hash));
	return 0;
}

bool ws_is_accepted(const char *key, const char *accept)
{
	char want[WS_ACCEPT_SIZE];
	return accept && ws_accept(want, key) == 0 && strcmp(want, accept) == 0;
}
