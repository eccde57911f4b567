/* See str.h. Everything here is pure. */
#include "base/str.h"

#include <errno.h>
#include <string.h>

int str_copy(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src);
	if (n >= size) {
		if (size)
			dst[0] = 0;
		return -ENAMETOOLONG;
	}
	memcpy(dst, src, n + 1);
	return 0;
}

int str_join(char *dst, size_t size, const char *a, const char *b)
{
	int rc = str_copy(dst, size, a);
	size_t n = strlen(dst);
	if (rc == 0)
		rc = str_copy(dst + n, size - n, b);
	if (rc < 0 && size)
		dst[0] = 0;
	return rc;
}

unsigned str_u64(char out[STR_U64_MAX], uint64_t v)
{
	char digits[STR_U64_MAX];
	size_t at = sizeof(digits);
	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	unsigned n = (unsigned)(sizeof(digits) - at);
	memcpy(out, digits + at, n);
	out[n] = 0;
	return n;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

void str_lower(char *s)
{
	for (; *s; s++)
		*s = lower(*s);
}

bool str_eq_nocase(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		if (lower(*a) != lower(*b))
			return false;
	}
	return *a == *b;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);
	return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

int str_to_u64(const char *s, uint64_t most, uint64_t *out)
{
	if (!*s || (s[0] == '0' && s[1]))
		return -EINVAL;
	uint64_t v = 0;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		unsigned d = (unsigned)(*s - '0');
		if (v > (UINT64_MAX - d) / 10)
			return -ERANGE;
		v = v * 10 + d;
	}
	if (v > most)
		return -ERANGE;
	*out = v;
	return 0;
}

bool bytes_equal_ct(const void *a, const void *b, size_t n)
{
	const volatile uint8_t *p = a, *q = b;
	uint8_t diff = 0;
	for (size_t i = 0; i < n; i++)
		diff |= (uint8_t)(p[i] ^ q[i]);
	return diff == 0;
}

void hex_encode(char *out, const void *p, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *b = p;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digit[b[i] >> 4];
		out[2 * i + 1] = digit[b[i] & 15];
	}
	out[2 * n] = 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_decode(void *out, size_t n, const char *hex)
{
	uint8_t *b = out;
	if (strlen(hex) != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return -EINVAL;
		b[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

static size_t encode64(char *out, const uint8_t *p, size_t n, const char *alphabet)
{
	size_t o = 0;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16;
		if (i + 1 < n)
			v |= (uint32_t)p[i + 1] << 8;
		if (i + 2 < n)
			v |= p[i + 2];
		size_t digits = i + 2 < n ? 4 : n - i + 1;
		for (size_t k = 0; k < digits; k++)
			out[o++] = alphabet[v >> (18 - 6 * k) & 63];
	}
	out[o] = 0;
	return o;
}

void base64_encode(char *out, const void *p, size_t n)
{
	size_t o = encode64(out, p, n,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	while (o % 4)
		out[o++] = '=';
	out[o] = 0;
}

void base64url_encode(char *out, const void *p, size_t n)
{
	encode64(out, p, n, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
}

static int value64(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

int base64_decode(void *out, size_t *n, const char *s, size_t len)
{
	uint8_t *b = out;
	if (len && len % 4 == 0 && s[len - 1] == '=') {
		len--;
		if (s[len - 1] == '=')
			len--;
	}
	if (len % 4 == 1)
		return -EINVAL;
	size_t o = 0;
	uint32_t acc = 0;
	for (size_t i = 0, bits = 0; i < len; i++) {
		int v = value64(s[i]);
		if (v < 0)
			return -EINVAL;
		acc = (acc << 6 | (uint32_t)v) & 0xffffff;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (o == *n)
			return -ENOBUFS;
		b[o++] = (uint8_t)(acc >> bits);
		acc &= (1u << bits) - 1;
	}
	*n = o;
	return acc ? -EINVAL : 0; /* left-over bits must be zero: one encoding a value */
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool label_ok(const char *s, size_t n)
{
	if (n < 1 || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && s[i] != '-')
			return false;
	}
	return true;
}

bool name_is_label(const char *s)
{
	return label_ok(s, strlen(s));
}

bool name_is_host(const char *s)
{
	if (strlen(s) > 253)
		return false;
	for (;;) {
		size_t n = strcspn(s, ".");
		if (!label_ok(s, n))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

bool name_is_within(const char *name, const char *zone)
{
	size_t n = strlen(name), k = strlen(zone);
	if (n == k)
		return memcmp(name, zone, n) == 0;
	return n > k && name[n - k - 1] == '.' && memcmp(name + n - k, zone, k) == 0;
}

unsigned str_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	if (n > 63 || m > 63)
		return 64;
	unsigned row[64];
	for (unsigned j = 0; j <= m; j++)
		row[j] = j;
	for (unsigned i = 1; i <= n; i++) {
		unsigned diag = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= m; j++) {
			unsigned up = row[j];
			unsigned best = diag + (a[i - 1] != b[j - 1]);
			if (up + 1 < best)
				best = up + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diag = up;
		}
	}
	return row[m];
}
