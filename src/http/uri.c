/* See uri.h. */
#include "http/uri.h"

#include <stdint.h>

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_port(const char *p, size_t n)
{
	unsigned v = 0;
	if (!n || n > 5)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		v = v * 10 + (unsigned)(p[i] - '0');
	}
	return v <= 65535;
}

bool uri_is_authority(const char *p, size_t n)
{
	size_t i;
	if (!n || n > URI_AUTHORITY_MAX)
		return false;
	bool literal = p[0] == '[';
	for (i = literal; i < n; i++) {
		char c = p[i];
		bool ok = is_alnum(c) || c == '.' ||
			  (literal ? c == ':' : c == '-' || c == '_' || c == '~');
		if (!ok)
			break;
	}
	if (i == (size_t)literal)
		return false;
	if (literal && (i == n || p[i++] != ']'))
		return false;
	if (i == n)
		return true;
	return p[i] == ':' && is_port(p + i + 1, n - i - 1);
}

bool uri_is_text(const char *p, size_t n)
{
	unsigned bad = !n;
	for (size_t i = 0; i < n; i++)
		bad |= (uint8_t)p[i] <= 0x20 || (uint8_t)p[i] >= 0x7f || p[i] == '#';
	return !bad;
}
