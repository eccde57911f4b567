/* Allocation that cannot fail, and forgetting that cannot be optimised away. */
#include "base/xalloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define SMALL_MAX 1032u /* bytes */
#define GIVE_BACK_FROM (1 << 20) /* bytes */

static void *alive(void *p)
{
	if (!p) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

/* glibc's calloc() passes by what free() has just put aside for the next malloc(). */
void *xcalloc(size_t n, size_t size)
{
	if (size && n > SMALL_MAX / size)
		return alive(calloc(n, size));
	size_t total = n * size;
	void *p = alive(malloc(total ? total : 1));
	memset(p, 0, total);
	return p;
}

void *xrealloc(void *p, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size)
		alive(NULL);
	size_t total = n * size;
	return alive(realloc(p, total ? total : 1));
}

void xalloc_give_back(void)
{
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, GIVE_BACK_FROM);
	mallopt(M_TRIM_THRESHOLD, GIVE_BACK_FROM);
#endif
}

void xalloc_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

char *xstrdup(const char *s)
{
	return alive(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
	return alive(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return alive(n < 0 ? NULL : s);
}

void wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}

void free_secret(void *p, size_t n)
{
	if (!p)
		return;
	wipe(p, n);
	free(p);
}

void free_secret_str(char *s)
{
	if (s)
		free_secret(s, strlen(s));
}
