/* The walk over the file by the schema, then the rules that concern more than one key. It never
 * stops at an error: a person sees all of them at once, in the order of the file. */
#include "store/conf_read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "store/conf_value.h"
#include "store/yaml.h"

struct reader {
	struct conf *c;
	const char *name;
	const struct yaml *root;
	struct conf_errors *errors;
	unsigned lines[CONF_ERRORS_MAX]; /* of errors->text */
};

/* Where we are in the schema: which table, which section, and how messages name it. */
struct scope {
	const struct conf_key *table;
	const char *section; /* "" for the top */
	const char *prefix;  /* "devices." inside an item */
	void *base;
};

static void complain(struct reader *r, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void complain(struct reader *r, unsigned line, const char *fmt, ...)
{
	struct conf_errors *es = r->errors;
	if (es->n == CONF_ERRORS_MAX) {
		es->more++;
		return;
	}
	unsigned at = es->n++;
	for (; at && r->lines[at - 1] > line; at--) {
		r->lines[at] = r->lines[at - 1];
		memcpy(es->text[at], es->text[at - 1], sizeof(es->text[at]));
	}
	r->lines[at] = line;
	int n = snprintf(es->text[at], ERR_TEXT_MAX, "%.200s:%u: ", r->name, line);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(es->text[at] + n, (size_t)(ERR_TEXT_MAX - n), fmt, ap);
	va_end(ap);
}

/* What was written, fit for a message: short, without control characters, whole UTF-8. */
static const char *show(const char *text, char out[80])
{
	size_t n = strlen(text), most = 60;
	if (n > most) {
		for (n = most; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
		snprintf(out, 80, "%.*s…", (int)n, text);
	} else {
		snprintf(out, 80, "%s", text);
	}
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return out;
}

static void complain_value(struct reader *r, const struct scope *s, const struct conf_key *k,
	const struct yaml *y, const struct conf_hint *hint)
{
	char expects[200], text[80];
	conf_key_expects(k, expects, sizeof(expects));
	const char *why = hint ? hint->text : "";
	const char *join = *why ? "; " : "";
	if (y->kind == YAML_SCALAR)
		complain(r, y->line, "%s%s is “%s”; expected %s%s%s", s->prefix, k->path,
			show(y->text, text), expects, join, why);
	else
		complain(r, y->line, "%s%s is a %s; expected %s", s->prefix, k->path,
			y->kind == YAML_MAP ? "map" : "list", expects);
}

/* Edits between what was written and a key; the start of a key is as near as one edit. */
static unsigned distance(const char *key, const char *word)
{
	if (strlen(word) >= 3 && str_starts(key, word))
		return 1;
	return str_distance(key, word);
}

/* The key that was probably meant: a near one of this section, or the same word elsewhere. */
static const char *nearest(const struct scope *s, const char *word)
{
	const char *near = NULL;
	unsigned best = 3;
	for (const struct conf_key *k = s->table; k->path; k++) {
		if (!conf_key_is_in(k, s->section))
			continue;
		unsigned d = distance(conf_key_leaf(k), word);
		if (d < best && d < strlen(word)) {
			best = d;
			near = conf_key_leaf(k);
		}
	}
	for (const struct conf_key *k = conf_keys; !near && k->path; k++)
		if (!strcmp(conf_key_leaf(k), word))
			near = k->path;
	return near;
}

static void complain_key(struct reader *r, const struct scope *s, const struct yaml *y)
{
	char list[320], text[80];
	size_t len = 0;
	*list = 0;
	for (const struct conf_key *k = s->table; k->path; k++)
		if (conf_key_is_in(k, s->section) && len < sizeof(list))
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
				len ? ", " : "", conf_key_leaf(k));
	const char *near = nearest(s, y->key);
	const char *of = *s->section ? s->section : *s->prefix ? "devices" : NULL;
	complain(r, y->line, "“%s” is not a key of %s%s%s; expected one of %s%s%s%s",
		show(y->key, text), of ? "“" : "this file", of ? of : "", of ? "”" : "", list,
		near ? "; did you mean “" : "", near ? near : "", near ? "”?" : "");
}

static void read_list(
	struct reader *r, const struct scope *s, const struct conf_key *k, const struct yaml *y)
{
	struct conf_hint hint;
	/* An empty list of embedders is the default; an empty one of addresses says nothing. */
	if (!y->n_items && k->type != CONF_LABELS)
		complain_value(r, s, k, y, NULL);
	conf_value_clear(k, s->base);
	for (const struct yaml *i = y->first; i; i = i->next) {
		int rc = i->kind == YAML_SCALAR ? conf_value_add(k, s->base, i->text, &hint)
						: -EINVAL;
		if (rc == -E2BIG)
			snprintf(hint.text, sizeof(hint.text), "the list is too long");
		if (rc < 0)
			complain_value(r, s, k, i, &hint);
		if (rc == -E2BIG)
			return;
	}
}

static bool names_a_secret(const char *key)
{
	return str_ends(key, "secret") || str_ends(key, "token") || str_ends(key, "password") ||
	       str_ends(key, "key");
}

static bool setting_key_is_valid(const char *key)
{
	size_t n = strlen(key);
	return n && n <= 40 && strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

/* Checks one setting; complains and returns false where it is wrong. */
static bool setting_is_valid(struct reader *r, const struct yaml *y)
{
	struct conf_hint hint;
	char text[80];
	char *sink = NULL;
	struct conf_key value = {.type = str_ends(y->key, "_file") ? CONF_PATH : CONF_TEXT,
		.path = "",
		.max = CONF_TEXT_MAX};
	bool ok = false;
	if (!setting_key_is_valid(y->key) || !strcmp(y->key, "_file"))
		complain(r, y->line,
			"dns.settings: “%s” is no name of a setting; expected 1 to 40 "
			"of a–z, 0–9 and _",
			show(y->key, text));
	else if (names_a_secret(y->key))
		complain(r, y->line,
			"dns.settings.%s would hold a secret in this file; expected "
			"“%s_file: PATH”, a file of its own that only the steward's user may read",
			y->key, y->key);
	else if (y->kind != YAML_SCALAR)
		complain(r, y->line, "dns.settings.%s is a %s; expected one value", y->key,
			y->kind == YAML_MAP ? "map" : "list");
	else if (conf_value_set(&value, &sink, y->text, &hint) < 0)
		complain(r, y->line, "dns.settings.%s is “%s”; expected %s%s%s", y->key,
			show(y->text, text),
			value.type == CONF_PATH ? "an absolute path" : "one line of text",
			*hint.text ? "; " : "", hint.text);
	else
		ok = true;
	free(sink);
	return ok;
}

static void read_settings(struct reader *r, const struct conf_key *k, const struct yaml *y)
{
	struct conf *c = r->c;
	for (const struct yaml *i = y->first; i; i = i->next) {
		if (!setting_is_valid(r, i))
			continue;
		if (c->dns.n_settings == k->max) {
			complain(r, i->line, "dns.settings has more than %u entries",
				CONF_SETTINGS_MAX);
			return;
		}
		bool is_file = str_ends(i->key, "_file");
		char *key = xstrndup(i->key, strlen(i->key) - (is_file ? 5 : 0));
		for (unsigned n = 0; n < c->dns.n_settings; n++)
			if (!strcmp(c->dns.settings[n].key, key))
				complain(r, i->line,
					"dns.settings.%s is given twice: with “_file” "
					"and without",
					key);
		c->dns.settings =
			xrealloc(c->dns.settings, c->dns.n_settings + 1, sizeof(*c->dns.settings));
		c->dns.settings[c->dns.n_settings++] = (struct conf_setting){
			.key = key, .value = xstrdup(i->text), .is_file = is_file};
	}
}

static void read_map(struct reader *r, const struct scope *s, const struct yaml *map);

static void check_device(struct reader *r, struct conf_device *d)
{
	if (!*d->name)
		complain(r, d->line, "devices: a device has no name; expected “name: LABEL”");
	if (!*d->host)
		complain(r, d->line,
			"devices: “%s” has no upstream; expected “upstream: "
			"http://HOST[:PORT]” or “https://HOST[:PORT]”",
			d->name);
	else if (d->tls && !d->has_pin && !*d->ca_file)
		complain(r, d->line,
			"devices: “%s” has an https upstream that nothing verifies; "
			"expected “pin: sha256//BASE64” or “ca: FILE”",
			d->name);
	else if (!d->tls && (d->has_pin || *d->ca_file))
		complain(r, d->line,
			"devices: “%s” has pin or ca with an http upstream; expected "
			"https, or neither",
			d->name);
}

static int compare_devices(const void *a, const void *b)
{
	const struct conf_device *x = *(const struct conf_device *const *)a;
	const struct conf_device *y = *(const struct conf_device *const *)b;
	int order = strcmp(x->name, y->name);
	return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* Sort the devices by name; those that have the same one are then neighbours. */
static void sort_devices(struct reader *r)
{
	struct conf *c = r->c;
	c->by_name = xcalloc(c->n_devices, sizeof(*c->by_name));
	for (unsigned i = 0; i < c->n_devices; i++)
		c->by_name[i] = &c->devices[i];
	qsort(c->by_name, c->n_devices, sizeof(*c->by_name), compare_devices);
	for (unsigned i = 1, first = 0; i < c->n_devices; i++) {
		const struct conf_device *a = c->by_name[first], *d = c->by_name[i];
		if (!*d->name || strcmp(a->name, d->name) != 0)
			first = i;
		else
			complain(r, d->line, "devices: “%s” is there already, at line %u", d->name,
				a->line);
	}
}

static void read_devices(struct reader *r, const struct conf_key *k, const struct yaml *y)
{
	struct conf *c = r->c;
	if (y->n_items > k->max) {
		complain(r, y->line, "devices has %u entries; expected at most %u", y->n_items,
			CONF_DEVICES_MAX);
		return;
	}
	c->devices = y->n_items ? xcalloc(y->n_items, sizeof(*c->devices)) : NULL;
	for (const struct yaml *i = y->first; i; i = i->next) {
		struct conf_device *d = &c->devices[c->n_devices++];
		d->line = i->line;
		for (const struct conf_key *dk = conf_device_keys; dk->path; dk++)
			conf_value_default(dk, d);
		if (i->kind != YAML_MAP) {
			complain(r, i->line,
				"devices: an entry is not a map; expected “- name: "
				"LABEL” and its keys");
			continue;
		}
		struct scope s = {conf_device_keys, "", "devices.", d};
		unsigned before = r->errors->n + r->errors->more;
		read_map(r, &s, i);
		if (r->errors->n + r->errors->more == before)
			check_device(r, d);
	}
	sort_devices(r);
}

static void read_value(
	struct reader *r, const struct scope *s, const struct conf_key *k, const struct yaml *y)
{
	struct conf_hint hint;
	if (k->type == CONF_SECTION && y->kind == YAML_MAP) {
		struct scope inner = *s;
		inner.section = k->path;
		read_map(r, &inner, y);
	} else if (k->type == CONF_SETTINGS && y->kind == YAML_MAP) {
		read_settings(r, k, y);
	} else if (k->type == CONF_DEVICES && y->kind == YAML_LIST) {
		read_devices(r, k, y);
	} else if ((conf_type_is_list(k->type) || k->type == CONF_UPSTREAM) &&
		   y->kind == YAML_LIST) {
		read_list(r, s, k, y);
	} else if (y->kind != YAML_SCALAR) {
		complain_value(r, s, k, y, NULL);
	} else if (conf_value_set(k, s->base, y->text, &hint) < 0) {
		complain_value(r, s, k, y, &hint);
	}
}

static void read_map(struct reader *r, const struct scope *s, const struct yaml *map)
{
	for (const struct yaml *y = map->first; y; y = y->next) {
		char path[80];
		int n = snprintf(
			path, sizeof(path), "%s%s%s", s->section, *s->section ? "." : "", y->key);
		const struct conf_key *k = n < (int)sizeof(path) && !strchr(y->key, '.')
						   ? conf_key_find(s->table, path)
						   : NULL;
		if (!k)
			complain_key(r, s, y);
		else if (!yaml_is_null(y))
			read_value(r, s, k, y);
	}
}

/* The line of a key, or of the section that should have it, or 1. */
static unsigned line_of(const struct reader *r, const char *section, const char *key)
{
	const struct yaml *at = *section ? yaml_get(r->root, section) : r->root;
	const struct yaml *y = yaml_get(at, key);
	return y ? y->line : *section && at ? at->line : 1;
}

/* uacme gets it as an argument, so it must not look like an option. */
static bool email_is_valid(const char *email)
{
	const char *at = strchr(email, '@');
	char host[254];
	if (!at || at == email || *email == '-' || str_copy(host, sizeof(host), at + 1) < 0)
		return false;
	for (const char *p = email; p < at; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			    (*p >= '0' && *p <= '9') || strchr("._%+-", *p)))
			return false;
	str_lower(host);
	return name_is_host(host);
}

static void check_acme(struct reader *r)
{
	const struct conf *c = r->c;
	char text[80];
	if (*c->acme.email && !email_is_valid(c->acme.email))
		complain(r, line_of(r, "acme", "email"),
			"acme.email is “%s”; expected an e-mail "
			"address",
			show(c->acme.email, text));
	if (*c->acme.key_id && !*c->acme.hmac_key_file)
		complain(r, line_of(r, "acme", "key_id"),
			"acme.key_id is alone; expected "
			"acme.hmac_key_file with it");
	if (*c->acme.hmac_key_file && !*c->acme.key_id)
		complain(r, line_of(r, "acme", "hmac_key_file"),
			"acme.hmac_key_file is alone; "
			"expected acme.key_id with it");
	if (strpbrk(c->acme.key_id, ": "))
		complain(r, line_of(r, "acme", "key_id"),
			"acme.key_id is “%s”; expected no colon "
			"and no space",
			show(c->acme.key_id, text));
}

static void check_dns(struct reader *r)
{
	const struct conf *c = r->c;
	const struct yaml *dns = yaml_get(r->root, "dns");
	/* A provider that was refused is not missing. */
	const struct yaml *provider = yaml_get(dns, "provider");
	if (dns && dns->first && (!provider || yaml_is_null(provider)))
		complain(r, dns->line, "dns.provider is missing; expected rfc2136 or exec");
	if (!strcmp(c->dns.provider, "exec") && !*c->dns.command)
		complain(r, line_of(r, "dns", "provider"),
			"dns.command is missing; expected the "
			"path of the program that “provider: exec” runs");
	if (!strcmp(c->dns.provider, "rfc2136") && *c->dns.command)
		complain(r, line_of(r, "dns", "command"),
			"dns.command is given; expected it only "
			"with “provider: exec”");
}

static void check_whole(struct reader *r)
{
	const struct conf *c = r->c;
	const struct yaml *domain = yaml_get(r->root, "domain");
	if (!domain || yaml_is_null(domain))
		complain(r, 1,
			"domain is missing; expected a host name, such as “domain: "
			"home.example.com”");
	if (c->listen.http_port == c->listen.port)
		complain(r, line_of(r, "listen", "http_port"),
			"listen.http_port is %u, as "
			"listen.port; expected another port, or 0 for off",
			c->listen.port);
	if (c->sessions.idle_ms > c->sessions.lifetime_ms)
		complain(r, line_of(r, "sessions", "idle"),
			"sessions.idle is longer than "
			"sessions.lifetime; expected it shorter or as long");
	if (*c->interface && !c->addresses_auto)
		complain(r, line_of(r, "", "interface"),
			"interface is given with a list of "
			"addresses; expected it only with “addresses: auto”");
	check_acme(r);
	check_dns(r);
}

void conf_read(
	struct conf *c, const char *name, const struct yaml *root, struct conf_errors *errors)
{
	struct reader r = {.c = c, .name = name, .root = root, .errors = errors};
	for (const struct conf_key *k = conf_keys; k->path; k++)
		conf_value_default(k, c);
	if (root && root->kind != YAML_MAP && !yaml_is_null(root)) {
		complain(&r, root->line, "the file is not a map; expected “key: value” lines");
		return;
	}
	if (root && root->kind == YAML_MAP) {
		struct scope s = {conf_keys, "", "", c};
		read_map(&r, &s, root);
	}
	check_whole(&r);
	if (!c->public_port)
		c->public_port = c->listen.port;
}
