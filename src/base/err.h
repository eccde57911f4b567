/* What went wrong, for people: a negative errno-like code and one sentence that says it.
 * Low layers fill it in; whoever stops the error logs it once. Every function accepts NULL. */
#pragma once

#include <stdarg.h>

#define ERR_TEXT_MAX 480

struct err {
	int code; /* negative, an errno of <errno.h>; 0: nothing happened */
	char text[ERR_TEXT_MAX];
};

/* Set `e` to `code` (negative) and a sentence without a full stop. Returns `code`. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same, and append ": " and the words for errno `-code`. Returns `code`. */
int err_sys(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Put words and ": " before what `e` says already. Returns e's code, or -1 for a NULL `e`. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
