/* agent.conf: `key value` lines, `#` comments. Parsing is pure; mistakes name file, line, what was
 * expected, and the nearest key. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/log.h"

#define CONF_PATH_MAX 200

/* What a link may speak. */
enum conf_link { CONF_LINK_AUTO, CONF_LINK_H1, CONF_LINK_H2 };

struct conf {
	char service[80]; /* as written, for people */
	struct sockaddr_storage service_addr;
	char state[CONF_PATH_MAX];
	unsigned spares;      /* idle link connections kept */
	unsigned connections; /* most link connections at a time, or streams on one of HTTP/2 */
	enum conf_link link;
	bool log_json;
	enum log_level level;
};

void conf_defaults(struct conf *c);
/* One setting, as a line or an option gives it. `e` says what was expected. */
int conf_set(struct conf *c, const char *key, const char *value, struct err *e);
/* A whole file's text over what `c` holds; `path` is for messages. */
int conf_parse(struct conf *c, const char *text, const char *path, struct err *e);
/* Read `path`. A missing file is an error only where `must_exist`. */
int conf_load(struct conf *c, const char *path, bool must_exist, struct err *e);
/* Rules between keys, once everything is set. */
int conf_check(const struct conf *c, struct err *e);
