/* What a DNS provider implements. One file a provider, one row in main.c's table; the contract
 * that the program keeps towards its caller is in README.md. A provider blocks: it has the process
 * to itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "net/dnsmsg.h"

struct settings;

/* The value, or NULL when it was not given. */
const char *settings_get(const struct settings *s, const char *key);

/* One value of one name; others beside it stay as they are. */
struct change {
	char name[DNS_NAME_MAX]; /* lower case, no final dot */
	enum dns_type type;      /* TXT, A, AAAA */
	const char *type_text;
	uint32_t ttl;
	const char *value;
};

struct setting_spec {
	const char *key;
	bool required;
	const char *help;
};

#define PROVIDER_SETTINGS_MAX 12

/* `set` and `unset` may be asked for what is so already, and succeed. They return 0, -EAGAIN (a
 * later try may work) or -EPERM (somebody has to change something first) with a sentence that says
 * what, without any secret. */
struct provider {
	const char *name, *about;
	struct setting_spec settings[PROVIDER_SETTINGS_MAX]; /* ended by a NULL key */
	int (*set)(const struct settings *s, const struct change *c, struct err *e);
	int (*unset)(const struct settings *s, const struct change *c, struct err *e);
};

extern const struct provider provider_rfc2136;
