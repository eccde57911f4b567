/* One request to the gateway's API over its Unix socket. */
#pragma once

#include <jansson.h>

struct ctl_answer {
	int status;   /* HTTP */
	json_t *body; /* NULL when there was none, or no JSON; json_decref() it */
};

/* `path` is below /api/v1/, already escaped; `body` (lent) may be NULL. 0, or -1 after saying on stderr
 * what went wrong and what to do. */
int ctl_http(const char *socket, const char *method, const char *path, const json_t *body,
	struct ctl_answer *out);
/* `text` percent-encoded as one path segment; free() it. */
char *ctl_http_escape(const char *text);
