/* See conf.h. One table: key, what is expected, how to set it. */
#include "device-agent/conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

#define CONF_FILE_MAX 16384

struct key {
	const char *name, *expected;
	bool (*set)(struct conf *c, const char *value);
};

static bool set_host(struct sockaddr_storage *out, const char *host, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof(*out));
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return true;
	}
	v6->sin6_port = htons(port);
	v6->sin6_family = AF_INET6;
	return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

static bool set_service(struct conf *c, const char *value)
{
	char host[sizeof(c->service)];
	uint64_t port;
	struct sockaddr_storage addr;
	if (str_copy(host, sizeof(host), value) < 0)
		return false;
	char *colon = strrchr(host, ':');
	if (!colon || str_to_u64(colon + 1, 65535, &port) < 0 || port == 0)
		return false;
	*colon = 0;
	size_t n = strlen(host);
	bool brackets = host[0] == '[' && n > 1 && host[n - 1] == ']';
	if (brackets)
		host[n - 1] = 0;
	else if (strchr(host, ':'))
		return false;
	if (!set_host(&addr, host + brackets, (uint16_t)port))
		return false;
	c->service_addr = addr;
	return str_copy(c->service, sizeof(c->service), value) == 0;
}

static bool set_state(struct conf *c, const char *value)
{
	return value[0] == '/' && strlen(value) < sizeof(c->state) &&
	       str_copy(c->state, sizeof(c->state), value) == 0;
}

static bool set_range(unsigned *out, const char *value, unsigned least, unsigned most)
{
	uint64_t v;
	if (str_to_u64(value, most, &v) < 0 || v < least)
		return false;
	*out = (unsigned)v;
	return true;
}

static bool set_spares(struct conf *c, const char *value)
{
	return set_range(&c->spares, value, 1, 8);
}

static bool set_connections(struct conf *c, const char *value)
{
	return set_range(&c->connections, value, 2, 64);
}

static bool set_link(struct conf *c, const char *value)
{
	static const char *const names[] = {"auto", "h1", "h2"};
	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(value, names[i]) == 0) {
			c->link = (enum conf_link)i;
			return true;
		}
	}
	return false;
}

static bool set_log(struct conf *c, const char *value)
{
	c->log_json = strcmp(value, "json") == 0;
	return c->log_json || strcmp(value, "human") == 0;
}

static bool set_level(struct conf *c, const char *value)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	for (unsigned i = 0; i < 4; i++) {
		if (strcmp(value, names[i]) == 0) {
			c->level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static const struct key keys[] = {
	{"service",     "an address and a port, such as 127.0.0.1:80 or [::1]:80",      set_service    },
	{"state",       "a full path below 200 bytes, such as /var/lib/lanthorn-agent", set_state      },
	{"spares",      "a number from 1 to 8",                                         set_spares     },
	{"connections", "a number from 2 to 64",                                        set_connections},
	{"link",        "auto, h1 or h2",                                               set_link       },
	{"log",         "human or json",						set_log        },
	{"level",       "error, warn, info or debug",                                   set_level      },
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static const char *nearest_key(const char *name)
{
	const char *best = keys[0].name;
	unsigned least = 64;
	for (unsigned i = 0; i < N_KEYS; i++) {
		unsigned d = str_distance(name, keys[i].name);
		if (d < least) {
			least = d;
			best = keys[i].name;
		}
	}
	return best;
}

void conf_defaults(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	set_service(c, "127.0.0.1:80");
	str_copy(c->state, sizeof(c->state), LOCALSTATEDIR "/lib/lanthorn-agent");
	c->spares = 2;
	c->connections = 16;
	c->level = LOG_LEVEL_INFO;
}

int conf_set(struct conf *c, const char *key, const char *value, struct err *e)
{
	for (unsigned i = 0; i < N_KEYS; i++) {
		if (strcmp(key, keys[i].name) != 0)
			continue;
		if (!keys[i].set(c, value))
			return err_set(e, -EINVAL, "%s: expected %s, not \"%.80s\"", key,
				keys[i].expected, value);
		return 0;
	}
	return err_set(
		e, -EINVAL, "no such key \"%.80s\"; did you mean \"%s\"?", key, nearest_key(key));
}

/* `line` is cut up in place. */
static int parse_line(struct conf *c, char *line, struct err *e)
{
	line += strspn(line, " \t\r");
	if (*line == 0 || *line == '#')
		return 0;
	size_t n = strlen(line);
	while (n && strchr(" \t\r", line[n - 1]))
		line[--n] = 0;
	char *value = line + strcspn(line, " \t");
	if (*value)
		*value++ = 0;
	return conf_set(c, line, value + strspn(value, " \t"), e);
}

int conf_parse(struct conf *c, const char *text, const char *path, struct err *e)
{
	for (unsigned number = 1; *text; number++) {
		char line[512];
		size_t n = strcspn(text, "\n");
		if (n >= sizeof(line))
			return err_set(e, -EINVAL, "%s:%u: the line is too long", path, number);
		memcpy(line, text, n);
		line[n] = 0;
		if (parse_line(c, line, e) < 0)
			return err_prefix(e, "%s:%u", path, number);
		text += n + (text[n] == '\n');
	}
	return 0;
}

int conf_load(struct conf *c, const char *path, bool must_exist, struct err *e)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX);
	int rc = file_read(path, &b, e);
	if (rc == -ENOENT && !must_exist)
		rc = 0;
	else if (rc == 0 && b.len && memchr(b.data, 0, b.len))
		rc = err_set(e, -EINVAL, "%s is not a text file", path);
	else if (rc == 0)
		rc = conf_parse(c, buf_str(&b), path, e);
	buf_done(&b);
	return rc;
}

int conf_check(const struct conf *c, struct err *e)
{
	if (c->connections <= c->spares)
		return err_set(e, -EINVAL,
			"connections (%u) must be more than spares (%u): the spares are among them",
			c->connections, c->spares);
	return 0;
}
