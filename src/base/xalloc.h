/* Small allocations of fixed size that end the process when memory is exhausted.
 * Anything whose size a peer can influence goes through base/buf.h instead. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull, nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull, nonnull));
char *xasprintf(const char *fmt, ...)
	__attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

/* Let large blocks go back to the system when they are freed. glibc by itself would keep tens of MiB
 * for good once a password was hashed: it raises its thresholds to the largest block ever freed.
 * Call at the start, before there are threads. */
void xalloc_give_back(void);
/* Give free pages back now: after work that took far more memory than what is left of it. */
void xalloc_trim(void);

/* Overwrite, then free. NULL is accepted. */
void free_secret(void *p, size_t n);
void free_secret_str(char *s);

/* Overwrite `n` bytes in a way that the compiler keeps. */
void wipe(void *p, size_t n);
