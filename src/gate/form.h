/* application/x-www-form-urlencoded, in bodies and in queries: pure, strict, bounded. */
#pragma once

#include <stddef.h>

#define FORM_FIELDS_MAX 16

struct form {
	unsigned n;
	char *names[FORM_FIELDS_MAX];
	char *values[FORM_FIELDS_MAX]; /* decoded; may hold secrets */
};

/* Parse `n` bytes. 0; -EINVAL for a bad escape, a NUL or a control character; -E2BIG for too many
 * fields. On failure `f` is empty. Of a repeated name the first counts. */
int form_parse(struct form *f, const char *p, size_t n);
/* The query of a request target. */
int form_parse_query(struct form *f, const char *target);
/* The value, or "" when absent. */
const char *form_get(const struct form *f, const char *name);
/* Wipe and free. */
void form_done(struct form *f);
