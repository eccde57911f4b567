/* Validators of answers that are compressed on their way (RFC 9110 §8.8.3). The device's strong tag
 * becomes a weak one with a mark, because what a coder makes of an answer is not the same bytes each
 * time; by the mark a request finds back to the tag that the device knows. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct msg;

#define ETAG_MARK "~lanthorn"

/* Make a strong tag of `resp` weak and mark it. A weak one says already what is true of both. */
void etag_mark(struct msg *resp);
/* Make marked tags of a list of `*n` bytes (If-None-Match, If-Match) what they were, in place. The
 * mark tells that the device's tag was strong, so no weak one becomes strong by it. Was there one? */
bool etag_unmark(char *list, size_t *n);
/* Is it one tag, marked? In If-Range it never holds (§13.1.5): the browser's part is coded. */
bool etag_is_marked(const char *tag, size_t n);
