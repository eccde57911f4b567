/* Each type's grammar is stricter than what the rest of the program could stand, so that nothing
 * behind the configuration checks it again. */
#include "store/conf_value.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "store/conf.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* The largest first. */
static const struct unit DURATIONS[] = {
	{"d",      86400000},
        {"h",        3600000},
        {"m",60000},
        {"s",      1000},
        {"ms",        1},
        {0}
};
static const struct unit SIZES[] = {
	{"MiB", 1048576},
        {"KiB",     1024},
        {"B",1},
        {0  }
};

static void unit_text(const struct unit *units, uint64_t n, char *out, size_t size)
{
	const struct unit *u = units;
	while (n && n % u->factor)
		u++;
	if (n)
		snprintf(out, size, "%llu%s", (unsigned long long)(n / u->factor), u->name);
	else
		snprintf(out, size, "0");
}

void conf_duration_text(uint64_t ms, char *out, size_t size)
{
	unit_text(DURATIONS, ms, out, size);
}

void conf_size_text(uint64_t bytes, char *out, size_t size)
{
	unit_text(SIZES, bytes, out, size);
}

static int parse_unit(const struct unit *units, const char *text, uint64_t *out)
{
	char digits[16];
	size_t n = strspn(text, "0123456789");
	if (!n || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, n);
	digits[n] = 0;
	uint64_t value;
	if (str_to_u64(digits, UINT32_MAX, &value) < 0)
		return -EINVAL;
	if (!value && !text[n]) {
		*out = 0;
		return 0;
	}
	for (const struct unit *u = units; u->name; u++)
		if (!strcmp(u->name, text + n)) {
			*out = value * u->factor;
			return 0;
		}
	return -EINVAL;
}

static int put_number(const struct conf_key *k, void *at, const char *text, struct conf_hint *hint)
{
	uint64_t n;
	int rc;
	if (k->type == CONF_DURATION)
		rc = parse_unit(DURATIONS, text, &n);
	else if (k->type == CONF_SIZE)
		rc = parse_unit(SIZES, text, &n);
	else
		rc = str_to_u64(text, UINT64_MAX, &n);
	if (rc < 0 && k->type == CONF_DURATION && *text && !text[strspn(text, "0123456789")])
		snprintf(hint->text, sizeof(hint->text), "did you mean “%.20ss”?", text);
	if (rc < 0 || n < k->min || n > k->max)
		return -EINVAL;
	if (k->type == CONF_U16)
		*(uint16_t *)at = (uint16_t)n;
	else if (k->type == CONF_COUNT)
		*(unsigned *)at = (unsigned)n;
	else
		*(uint64_t *)at = n;
	return 0;
}

static int put_text(char **at, const char *text)
{
	free(*at);
	*at = xstrdup(text);
	return 0;
}

/* Of no use in any value, and able to forge lines in logs and messages. */
static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

static int word_index(const struct conf_key *k, const char *text, struct conf_hint *hint)
{
	const char *near = NULL;
	unsigned best = 3;
	for (int i = 0; k->words[i]; i++) {
		if (!strcmp(k->words[i], text))
			return i;
		unsigned d = str_distance(k->words[i], text);
		if (d < best && d < strlen(text)) {
			best = d;
			near = k->words[i];
		}
	}
	if (near)
		snprintf(hint->text, sizeof(hint->text), "did you mean “%s”?", near);
	return -EINVAL;
}

static int put_word(const struct conf_key *k, void *at, const char *text, struct conf_hint *hint)
{
	int i = word_index(k, text, hint);
	if (i < 0)
		return i;
	if (k->type == CONF_WORD)
		return put_text(at, text);
	/* An enum without negative values has the shape of an unsigned. */
	*(unsigned *)at = (unsigned)i;
	return 0;
}

/* The longest name made from it: _acme-challenge.LABEL.DOMAIN within 253 bytes. */
#define DOMAIN_MAX (253 - 16 - 64)

static int put_host(char **at, const char *text, struct conf_hint *hint)
{
	char name[254];
	const char *why = NULL;
	if (str_ends(text, "."))
		why = "leave out the final dot";
	else if (str_copy(name, sizeof(name), text) < 0 || strlen(name) > DOMAIN_MAX)
		why = "it is longer than 173 bytes, which leaves no room for the names below it";
	if (!why) {
		str_lower(name);
		if (name_is_host(name) && strchr(name, '.'))
			return put_text(at, name);
	}
	if (why)
		snprintf(hint->text, sizeof(hint->text), "%s", why);
	return -EINVAL;
}

static int put_label(char **at, const char *text, struct conf_hint *hint)
{
	if (!name_is_label(text))
		return -EINVAL;
	if (conf_name_is_reserved(text)) {
		snprintf(hint->text, sizeof(hint->text), "the gateway uses this name itself");
		return -EINVAL;
	}
	return put_text(at, text);
}

static int put_path(char **at, const char *text, struct conf_hint *hint)
{
	if (*text != '/' || strlen(text) > CONF_TEXT_MAX)
		return -EINVAL;
	for (const char *p = text; (p = strstr(p, "/..")); p += 3)
		if (!p[3] || p[3] == '/') {
			snprintf(hint->text, sizeof(hint->text), "leave out “..”");
			return -EINVAL;
		}
	return put_text(at, text);
}

static int put_url(char **at, const char *text)
{
	if (!str_starts(text, "https://") || strlen(text) > CONF_TEXT_MAX)
		return -EINVAL;
	char host[254];
	const char *rest = text + 8;
	size_t n = strcspn(rest, ":/");
	if (!n || n >= sizeof(host) || strpbrk(rest, " \"<>\\^`{|}#@"))
		return -EINVAL;
	memcpy(host, rest, n);
	host[n] = 0;
	str_lower(host);
	/* An IPv6 literal begins with a bracket: nothing that serves ACME is named so. */
	return name_is_host(host) ? put_text(at, text) : -EINVAL;
}

static int put_user(char **at, const char *text)
{
	uint64_t uid;
	size_t n = strlen(text);
	bool ok = !n || str_to_u64(text, UINT32_MAX - 1, &uid) == 0 ||
		  (n <= 32 && strchr("abcdefghijklmnopqrstuvwxyz_", *text) &&
			  strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n);
	return ok ? put_text(at, text) : -EINVAL;
}

static int put_bool(bool *at, const char *text)
{
	bool yes = !strcmp(text, "true");
	if (!yes && strcmp(text, "false") != 0)
		return -EINVAL;
	*at = yes;
	return 0;
}

/* "HOST", "HOST:PORT", "[IPv6]", "[IPv6]:PORT" into host (without brackets) and port, which keeps
 * its value where none is written. */
static int split_port(const char *text, char host[254], uint16_t *port)
{
	const char *rest;
	size_t n;
	if (*text == '[') {
		n = strcspn(++text, "]");
		rest = text[n] ? text + n + 1 : "?";
	} else {
		n = strcspn(text, ":");
		rest = text + n;
	}
	if (!n || n > 253)
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = 0;
	if (!*rest)
		return 0;
	uint64_t p;
	if (*rest != ':' || str_to_u64(rest + 1, 65535, &p) < 0 || !p)
		return -EINVAL;
	*port = (uint16_t)p;
	return 0;
}

/* Rewrites it in the one form that inet_ntop prints. Returns the family, 0 for no address. */
static int ip_normal(const char *text, char out[INET6_ADDRSTRLEN])
{
	struct in_addr v4;
	struct in6_addr v6;
	if (inet_pton(AF_INET, text, &v4) == 1)
		return inet_ntop(AF_INET, &v4, out, INET6_ADDRSTRLEN) ? AF_INET : 0;
	if (inet_pton(AF_INET6, text, &v6) == 1)
		return inet_ntop(AF_INET6, &v6, out, INET6_ADDRSTRLEN) ? AF_INET6 : 0;
	return 0;
}

static bool ip_is_host(const char *text)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (inet_pton(AF_INET, text, &v4) == 1) {
		uint32_t a = ntohl(v4.s_addr);
		return a >> 24 && a < 0xe0000000u;
	}
	return inet_pton(AF_INET6, text, &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6) &&
	       !IN6_IS_ADDR_MULTICAST(&v6);
}

static int put_upstream(struct conf_device *d, const char *text, struct conf_hint *hint)
{
	bool tls = str_starts(text, "https://");
	if (!tls && !str_starts(text, "http://"))
		return -EINVAL;
	const char *rest = text + (tls ? 8 : 7);
	char host[254], ip[INET6_ADDRSTRLEN];
	uint16_t port = tls ? 443 : 80;
	if (strpbrk(rest, "/?#"))
		snprintf(hint->text, sizeof(hint->text), "leave out the path, also a final “/”");
	if (strpbrk(rest, "/?#@") || split_port(rest, host, &port) < 0)
		return -EINVAL;
	int family = ip_normal(host, ip);
	if ((family == AF_INET6) != (*rest == '['))
		return -EINVAL;
	str_lower(host);
	if (!family && !name_is_host(host))
		return -EINVAL;
	put_text(&d->host, family ? ip : host);
	d->port = port;
	d->tls = tls;
	return 0;
}

static int put_pin(struct conf_device *d, const char *text)
{
	uint8_t pin[48];
	size_t n = sizeof(pin);
	if (str_starts(text, "sha256//")) {
		const char *b64 = text + 8;
		if (base64_decode(pin, &n, b64, strlen(b64)) < 0 || n != 32)
			return -EINVAL;
	} else {
		char hex[65];
		if (str_copy(hex, sizeof(hex), text) < 0)
			return -EINVAL;
		str_lower(hex);
		if (hex_decode(pin, 32, hex) < 0)
			return -EINVAL;
	}
	memcpy(d->pin, pin, sizeof(d->pin));
	d->has_pin = true;
	return 0;
}

int conf_value_set(const struct conf_key *k, void *base, const char *text, struct conf_hint *hint)
{
	void *at = (char *)base + k->offset;
	*hint->text = 0;
	if (strstr(text, "${")) {
		snprintf(hint->text, sizeof(hint->text),
			"references to the environment (${…}) are not expanded: write the value, or "
			"for a secret a NAME_file");
		return -EINVAL;
	}
	if (has_control(text))
		return -EINVAL;
	switch (k->type) {
	case CONF_TEXT:
		return strlen(text) <= k->max ? put_text(at, text) : -EINVAL;
	case CONF_HOST:
		return put_host(at, text, hint);
	case CONF_LABEL:
		return put_label(at, text, hint);
	case CONF_PATH:
		return put_path(at, text, hint);
	case CONF_HTTPS_URL:
		return put_url(at, text);
	case CONF_USER:
		return put_user(at, text);
	case CONF_BOOL:
		return put_bool(at, text);
	case CONF_ENUM:
	case CONF_WORD:
		return put_word(k, at, text, hint);
	case CONF_U16:
	case CONF_COUNT:
	case CONF_DURATION:
	case CONF_SIZE:
		return put_number(k, at, text, hint);
	case CONF_UPSTREAM:
		return put_upstream(base, text, hint);
	case CONF_PIN:
		return put_pin(base, text);
	case CONF_ADDRESSES:
		((struct conf *)base)->addresses_auto = !strcmp(text, "auto");
		return ((struct conf *)base)->addresses_auto ? 0 : -EINVAL;
	case CONF_SECTION:
	case CONF_IPS:
	case CONF_RESOLVERS:
	case CONF_LABELS:
	case CONF_SETTINGS:
	case CONF_DEVICES:
		return -EINVAL;
	}
	return -EINVAL;
}

static int add_text(struct conf_list *l, const char *text, struct conf_hint *hint)
{
	for (unsigned i = 0; i < l->n; i++)
		if (!strcmp(l->v[i], text)) {
			snprintf(hint->text, sizeof(hint->text), "it is in the list already");
			return -EINVAL;
		}
	l->v = xrealloc(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = xstrdup(text);
	return 0;
}

/* The first is the device's, others are more hosts of the same kind. */
static int add_upstream(struct conf_device *d, struct conf_list *l, const char *text,
	struct conf_hint *hint)
{
	if (!d->host)
		return put_upstream(d, text, hint);
	struct conf_device other = {0};
	int rc = put_upstream(&other, text, hint);
	if (rc == 0 && (other.port != d->port || other.tls != d->tls ||
			       strcmp(other.host, d->host) == 0)) {
		snprintf(hint->text, sizeof(hint->text),
			"all of them with the same scheme and port, each once");
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = add_text(l, other.host, hint);
	free(other.host);
	return rc;
}

static int add_resolver(struct conf_list *l, const char *text, struct conf_hint *hint)
{
	char host[254], ip[INET6_ADDRSTRLEN], whole[INET6_ADDRSTRLEN + 10];
	if (ip_normal(text, ip))
		return add_text(l, ip, hint);
	uint16_t port = 0;
	if (split_port(text, host, &port) < 0)
		return -EINVAL;
	int family = ip_normal(host, ip);
	if (!family || (family == AF_INET6) != (*text == '[') || !port)
		return -EINVAL;
	snprintf(whole, sizeof(whole), family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, port);
	return add_text(l, whole, hint);
}

bool conf_type_is_list(enum conf_type type)
{
	return type == CONF_IPS || type == CONF_ADDRESSES || type == CONF_RESOLVERS ||
	       type == CONF_LABELS;
}

int conf_value_add(const struct conf_key *k, void *base, const char *text, struct conf_hint *hint)
{
	struct conf_list *l = (struct conf_list *)((char *)base + k->offset);
	char ip[INET6_ADDRSTRLEN];
	*hint->text = 0;
	if (l->n >= k->max)
		return -E2BIG;
	if (k->type == CONF_UPSTREAM)
		return add_upstream(base, l, text, hint);
	if (k->type == CONF_LABELS)
		return name_is_label(text) ? add_text(l, text, hint) : -EINVAL;
	if (k->type == CONF_RESOLVERS)
		return add_resolver(l, text, hint);
	if (!ip_normal(text, ip) || (k->type == CONF_ADDRESSES && !ip_is_host(ip)))
		return -EINVAL;
	return add_text(l, ip, hint);
}

void conf_list_free(struct conf_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct conf_list){0};
}

/* Where a value that is a string is kept; NULL for other types. */
static char **string_at(const struct conf_key *k, void *base)
{
	switch (k->type) {
	case CONF_TEXT:
	case CONF_HOST:
	case CONF_LABEL:
	case CONF_PATH:
	case CONF_HTTPS_URL:
	case CONF_USER:
	case CONF_WORD:
		return (char **)((char *)base + k->offset);
	case CONF_UPSTREAM:
		return &((struct conf_device *)base)->host;
	case CONF_SECTION:
	case CONF_U16:
	case CONF_COUNT:
	case CONF_BOOL:
	case CONF_ENUM:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_IPS:
	case CONF_ADDRESSES:
	case CONF_RESOLVERS:
	case CONF_LABELS:
	case CONF_SETTINGS:
	case CONF_PIN:
	case CONF_DEVICES:
		return NULL;
	}
	return NULL;
}

void conf_value_clear(const struct conf_key *k, void *base)
{
	char **string = string_at(k, base);
	if (string) {
		free(*string);
		*string = NULL;
	}
	if (conf_type_is_list(k->type) || k->type == CONF_UPSTREAM)
		conf_list_free((struct conf_list *)((char *)base + k->offset));
	if (k->type == CONF_ADDRESSES)
		((struct conf *)base)->addresses_auto = false;
}

void conf_value_default(const struct conf_key *k, void *base)
{
	struct conf_hint hint;
	int rc = 0;
	char **string = string_at(k, base);
	conf_value_clear(k, base);
	if (!k->def) {
		if (string)
			*string = xstrdup("");
		return;
	}
	if (!conf_type_is_list(k->type) || k->type == CONF_ADDRESSES) {
		rc = conf_value_set(k, base, k->def, &hint);
		assert(rc == 0);
		return;
	}
	char *list = xstrdup(k->def), *rest = list;
	for (char *item; rc == 0 && (item = strsep(&rest, ","));)
		rc = conf_value_add(k, base, item, &hint);
	assert(rc == 0);
	free(list);
}
