/* The look that our server-made pages share, and escaping. Every page is one document without
 * outside parts, under a Content-Security-Policy that names its style by hash. */
#pragma once

#include <stdbool.h>

struct ask;
struct buf;

/* Text for HTML content and attributes. */
void html_escape(struct buf *b, const char *s);
/* Escaped for a JSON string. */
void html_json_escape(struct buf *b, const char *s);
/* For a URL's query value. */
void html_url_escape(struct buf *b, const char *s);

/* From doctype to the opened <main>; `title` is escaped. `refresh_s`: ask for the page again then,
 * where no script does; 0: stay. */
void html_begin(struct buf *b, const char *title, unsigned refresh_s);
void html_end(struct buf *b);
/* Fill `out` (320 bytes) with the policy for such a page; forms may lead to `form_to` (a source list,
 * "'self'" or more). */
void html_policy(char *out, const char *form_to);
