/* The one table that says what gateway.yaml may hold. Parsing, checking, defaults and the printed
 * reference all walk it; nothing else knows the keys. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_key;

/* What a value is, and what it is stored as. */
enum conf_type {
	CONF_SECTION,   /* a map whose keys follow; nothing is stored */
	CONF_TEXT,      /* char *, one line, at most `max` bytes */
	CONF_HOST,      /* char *, a host name of two labels or more */
	CONF_LABEL,     /* char *, one DNS label that is not reserved */
	CONF_PATH,      /* char *, absolute */
	CONF_HTTPS_URL, /* char * */
	CONF_USER,      /* char *, a user's name or number, or "" */
	CONF_U16,       /* uint16_t, min to max */
	CONF_COUNT,     /* unsigned, min to max */
	CONF_BOOL,      /* bool */
	CONF_ENUM,      /* an enum whose values are the indices of `words` */
	CONF_WORD,      /* char *, one of `words` */
	CONF_DURATION,  /* uint64_t milliseconds, min to max */
	CONF_SIZE,      /* uint64_t bytes, min to max */
	CONF_IPS,       /* struct conf_list, at most `max` */
	CONF_ADDRESSES, /* "auto" or a list: of struct conf, addresses_auto and addresses */
	CONF_RESOLVERS, /* struct conf_list of IP, IP:port, [IP]:port */
	CONF_LABELS,    /* struct conf_list of DNS labels */
	CONF_SETTINGS,  /* of struct conf, dns.settings */
	CONF_UPSTREAM,  /* of struct conf_device, host, port and tls; a list: also more_hosts */
	CONF_PIN,       /* of struct conf_device, has_pin and pin */
	CONF_DEVICES,   /* of struct conf, devices; the keys of an item: conf_device_keys */
};

struct conf_key {
	const char *path; /* "listen.port" */
	enum conf_type type;
	size_t offset;    /* in struct conf or struct conf_device */
	const char *def;  /* as it would be written, lists joined by commas; NULL: none */
	const char *help; /* a sentence or two */
	uint64_t min, max;
	const char *const *words; /* ended by NULL */
	const char *example;      /* for the reference, where there is no default */
};

/* Both ended by a NULL path. A section stands before its keys. */
extern const struct conf_key conf_keys[];
extern const struct conf_key conf_device_keys[];

/* The key with this path, or NULL. */
const struct conf_key *conf_key_find(const struct conf_key *table, const char *path);
/* The last part of a path: "port". */
const char *conf_key_leaf(const struct conf_key *k);
/* True when `k` stands directly in `section` ("" for the top). */
bool conf_key_is_in(const struct conf_key *k, const char *section);
/* What a value of this key may be, in words: "a whole number from 1 to 65535". */
void conf_key_expects(const struct conf_key *k, char *out, size_t size);
