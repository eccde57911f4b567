/* See ws.h. */
#include "http/ws.h"

#include <string.h>

#include "base/str.h"
#include "net/crypto.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define ACCEPT_SIZE 29

void ws_key(char out[WS_KEY_SIZE])
{
	uint8_t raw[16];
	random_bytes(raw, sizeof(raw));
	base64_encode(out, raw, sizeof(raw));
}

bool ws_is_accepted(const char *key, const char *accept)
{
	char text[WS_KEY_SIZE + sizeof(GUID)], want[ACCEPT_SIZE];
	uint8_t hash[20];
	if (!key || !accept || strlen(key) != WS_KEY_SIZE - 1)
		return false;
	memcpy(text, key, WS_KEY_SIZE - 1);
	memcpy(text + WS_KEY_SIZE - 1, GUID, sizeof(GUID));
	sha1(hash, text, strlen(text));
	base64_encode(want, hash, sizeof(hash));
	return strcmp(want, accept) == 0;
}
