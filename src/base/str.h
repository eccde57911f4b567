/* Small pure helpers on strings: case, numbers, encodings, constant-time comparison, DNS names. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copy with truncation refused: 0, or -ENAMETOOLONG and `dst` empty. */
int str_copy(char *dst, size_t size, const char *src);
/* `a` and `b` one behind the other, under the same rule. */
int str_join(char *dst, size_t size, const char *a, const char *b);
/* A number in decimal; returns its length. */
#define STR_U64_MAX 21
unsigned str_u64(char out[STR_U64_MAX], uint64_t v);
/* ASCII only, in place / compare. */
void str_lower(char *s);
bool str_eq_nocase(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* A whole decimal without sign, space or leading zeros, at most `most`. 0 or -EINVAL/-ERANGE. */
int str_to_u64(const char *s, uint64_t most, uint64_t *out);

/* Equal bytes in time that depends on `n` only. */
bool bytes_equal_ct(const void *a, const void *b, size_t n);

/* Lower-case hexadecimal; `out` holds 2n + 1. */
void hex_encode(char *out, const void *p, size_t n);
/* Exactly `n` bytes from exactly 2n digits. 0 or -EINVAL. */
int hex_decode(void *out, size_t n, const char *hex);

#define BASE64_LEN(n) (((n) + 2) / 3 * 4 + 1)
/* RFC 4648: standard alphabet with padding; url: §5 without padding. `out`: BASE64_LEN(n). */
void base64_encode(char *out, const void *p, size_t n);
void base64url_encode(char *out, const void *p, size_t n);
/* Either alphabet, padding optional, nothing else tolerated. `*n`: room, then length. 0,
 * -EINVAL, -ENOBUFS. */
int base64_decode(void *out, size_t *n, const char *s, size_t len);

/* One DNS label of letters, digits and inner hyphens (RFC 1123 §2.1), lower case, 1–63. */
bool name_is_label(const char *s);
/* Labels as above joined by dots, no final dot, ≤ 253 bytes. */
bool name_is_host(const char *s);
/* `name` is `zone` or below it. Both lower case without final dot. */
bool name_is_within(const char *name, const char *zone);
/* Edit distance, for "did you mean"; both ≤ 63 bytes, else 64. */
unsigned str_distance(const char *a, const char *b);
