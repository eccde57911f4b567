/* See known.h. */
#include "gate/known.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "net/crypto.h"

static void mac_of(char out[BASE64_LEN(32)], const char *id, const struct known_of *who)
{
	char text[80];
	uint8_t mac[64];
	int n = snprintf(text, sizeof(text), "lanthorn-known-1 %lld %.*s",
		(long long)who->user_id, KNOWN_ID_LEN, id);
	hmac(HMAC_SHA256, mac, who->blob, who->blob_len, text, (size_t)n);
	base64url_encode(out, mac, 32);
}

void known_make(char out[KNOWN_TEXT], const struct known_of *who)
{
	char id[BASE64_LEN(16)], mac[BASE64_LEN(32)];
	out[0] = 0;
	if (!who->blob_len)
		return;
	random_token(id, 16);
	mac_of(mac, id, who);
	snprintf(out, KNOWN_TEXT, "%.*s.%.43s", KNOWN_ID_LEN, id, mac);
}

bool known_check(const char *text, const struct known_of *who)
{
	char mac[BASE64_LEN(32)];
	if (!who->blob_len || strlen(text) != KNOWN_TEXT - 1 || text[KNOWN_ID_LEN] != '.')
		return false;
	mac_of(mac, text, who);
	return bytes_equal_ct(mac, text + KNOWN_ID_LEN + 1, 43);
}
