/* See tls_hello.h. Lengths must add up exactly, or the extension counts as absent. */
#include "net/tls_hello.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"

static size_t u16(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

void tls_hello_sni(char out[TLS_HOST_MAX], const uint8_t *ext, size_t n)
{
	out[0] = 0;
	/* one list with one entry of type host_name: more than one name of a type is forbidden */
	if (n < 5 || u16(ext) != n - 2 || ext[2] != 0 || u16(ext + 3) != n - 5)
		return;
	size_t len = n - 5;
	if (!len || len >= TLS_HOST_MAX || memchr(ext + 5, 0, len))
		return;
	memcpy(out, ext + 5, len);
	out[len] = 0;
	str_lower(out);
	if (!name_is_host(out))
		out[0] = 0;
}

size_t tls_hello_alpn(const uint8_t **list, const uint8_t *ext, size_t n)
{
	*list = NULL;
	if (n < 4 || u16(ext) != n - 2)
		return 0;
	for (size_t at = 2; at < n; at += 1 + (size_t)ext[at]) {
		if (!ext[at] || ext[at] > n - at - 1)
			return 0;
	}
	*list = ext + 2;
	return n - 2;
}
