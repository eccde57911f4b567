/* The configuration: gateway.yaml, read whole, checked against one schema, and from then on
 * immutable. Loading reports everything that is wrong at once, each with file, line, what was
 * found, what was expected and the nearest valid key. A reader holds a reference; a reload makes a
 * new object beside the old one, so a wrong file never disturbs what runs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"

struct buf;

#define CONF_ADDRS_MAX 8
#define CONF_LISTEN_MAX 16
#define CONF_RESOLVERS_MAX 8
#define CONF_SETTINGS_MAX 32
#define CONF_DEVICES_MAX 10000
#define CONF_UPSTREAMS_MAX 8
#define CONF_EMBED_MAX 32
#define CONF_TEXT_MAX 1024
#define CONF_ERRORS_MAX 20

enum conf_from { CONF_FROM_LAN, CONF_FROM_ANY };
enum conf_certificates { CONF_CERTS_PER_DEVICE, CONF_CERTS_WILDCARD };
enum conf_log_format { CONF_LOG_HUMAN, CONF_LOG_JSON };

/* A list of strings. `v` is NULL when `n` is 0. */
struct conf_list {
	char **v;
	unsigned n;
};

/* One provider setting. `NAME_file: path` in the file becomes key "NAME", is_file true and the
 * path as value: conf_secret_read(value, …) yields what the plugin receives as NAME. */
struct conf_setting {
	char *key;
	char *value;
	bool is_file;
};

/* A device without an agent. */
struct conf_device {
	char *name;  /* one DNS label, unique, not a reserved one */
	char *title; /* "" when not given: show the name */
	char *host;  /* of the upstream: host name or IP literal without brackets */
	struct conf_list more_hosts; /* other addresses of the same */
	uint16_t port;
	bool tls; /* upstream is https://; then either has_pin or ca_file, or both */
	bool has_pin;
	uint8_t pin[32]; /* SHA-256 of the SubjectPublicKeyInfo */
	char *ca_file;   /* PEM; "" when not given */
	struct conf_list embed_from;
	bool is_public; /* no sign-in */
	bool compress;	/* text on its way to browsers */
	bool rewrite;	/* redirects and cookies that name the device's own address */
	unsigned line;  /* in the file, for messages */
};

/* All strings are never NULL: "" is what was neither given nor has a default. Durations are
 * milliseconds, sizes bytes. Addresses are IP literals in the form that inet_ntop(3) prints. */
struct conf {
	char *domain; /* lower case, no final dot */
	char *title;
	struct {
		uint16_t port;
		uint16_t http_port; /* 0: off */
		struct conf_list addresses;
		enum conf_from from;
	} listen;
	uint16_t public_port; /* what browsers see; already resolved: never 0 */
	bool addresses_auto;  /* then `addresses` is empty */
	struct conf_list addresses;
	char *interface; /* for auto; "": any LAN interface */
	enum conf_certificates certificates;
	char *state_dir, *run_dir;
	bool compress; /* text of devices on its way to browsers, where the device allows it too */
	unsigned workers; /* 0: as many as the processors suggest */
	struct {
		char *gate, *steward; /* user name or number; "": keep the uid */
	} run_as;
	struct {
		enum conf_log_format format;
		enum log_level level;
	} log;
	struct {
		char *directory;
		char *ca_file; /* "": the system's CAs */
		char *email;
		char *uacme;
		uint64_t timeout_ms;
		char *key_id, *hmac_key_file; /* external account binding: both or neither */
	} acme;
	struct {
		char *provider; /* "rfc2136", "exec" or "": none, the steward then refuses to work
				 */
		uint64_t ttl_ms;
		struct conf_setting *settings;
		unsigned n_settings;
		char *command; /* absolute path, for exec */
		uint64_t timeout_ms;
		struct conf_list resolvers; /* "IP" or "IP:port" or "[v6]:port"; empty: system's */
		uint16_t query_port;
		uint64_t propagation_timeout_ms;
	} dns;
	struct {
		uint64_t idle_ms, lifetime_ms;
	} sessions;
	struct {
		uint64_t request_head; /* bytes */
		unsigned headers;
		uint64_t url; /* bytes */
		uint64_t head_timeout_ms, idle_timeout_ms, keepalive_ms;
		unsigned connections;
		uint64_t upstream_connect_ms, upstream_idle_ms;
		uint64_t websocket_idle_ms; /* 0: never */
	} limits;
	struct conf_device *devices;
	unsigned n_devices;
	const struct conf_device **by_name; /* sorted; for conf_device_find() */
	/* private to conf.c: */
	unsigned refs;
};

/* Everything that is wrong, in the order of the file, each "FILE:LINE: words" (a file that cannot
 * be read: "FILE: words"). */
struct conf_errors {
	unsigned n;    /* lines in text[] */
	unsigned more; /* further ones that did not fit */
	char text[CONF_ERRORS_MAX][ERR_TEXT_MAX];
};

/* Read and check. 0 and a first reference in `*out`; or -ENOENT, -EACCES … for a file that cannot
 * be read, -EINVAL for one that is wrong; then `*out` is NULL and `errors` says all of it.
 * Blocking. Any thread. */
int conf_load(struct conf **out, const char *path, struct conf_errors *errors);
/* The same from memory; `name` stands for the file in messages. */
int conf_parse(struct conf **out, const char *name, const void *text, size_t n,
	struct conf_errors *errors);

/* Any thread. The last unref frees; NULL is accepted. */
const struct conf *conf_ref(const struct conf *c);
void conf_unref(const struct conf *c);

/* Write the reference gateway.yaml: every key with its default, type, range, unit and help.
 * It loads once `domain` is set. */
void conf_print_schema(FILE *out);

/* The device configured under this name, or NULL. Lent while `c` is. */
const struct conf_device *conf_device_find(const struct conf *c, const char *name);
/* True for names that a device must not take: www, link, enroll, api. */
bool conf_name_is_reserved(const char *name);

/* Append the content of a secret file to `out` (use buf_done_secret), final newline dropped.
 * Refuses a file that others may read, an empty one, and more than one line. */
int conf_secret_read(const char *path, struct buf *out, struct err *e);
