/* Keys, ranges, defaults and help of gateway.yaml. The order here is the order of the printed
 * reference. Durations are in milliseconds, sizes in bytes, as the struct has them. */
#include "store/conf_schema.h"

#include <stdio.h>
#include <string.h>

#include "store/conf.h"
#include "store/conf_value.h"

#define AT(member) offsetof(struct conf, member)
#define DEV(member) offsetof(struct conf_device, member)

#define SECONDS(n) ((uint64_t)(n)*1000)
#define MINUTES(n) (SECONDS(n) * 60)
#define HOURS(n) (MINUTES(n) * 60)
#define DAYS(n) (HOURS(n) * 24)
#define KIB(n) ((uint64_t)(n)*1024)

/* In the order of the enums of conf.h and base/log.h. */
static const char *const FROM[] = {"lan", "any", NULL};
static const char *const CERTIFICATES[] = {"per-device", "wildcard", NULL};
static const char *const LOG_FORMATS[] = {"human", "json", NULL};
static const char *const LOG_LEVELS[] = {"error", "warn", "info", "debug", NULL};
static const char *const PROVIDERS[] = {"rfc2136", "exec", NULL};

/* clang-format off */
const struct conf_key conf_keys[] = {
	{"domain", CONF_HOST, AT(domain), .example = "home.example.com",
		.help = "The domain that you own and under which every device gets a name: "
			"device “tv” becomes tv.home.example.com. Required."},
	{"title", CONF_TEXT, AT(title), "Home", .max = 64,
		.help = "What the sign-in page and the launcher call this place."},

	{"listen", CONF_SECTION,
		.help = "Where the gateway accepts connections."},
	{"listen.port", CONF_U16, AT(listen.port), "443", .min = 1, .max = 65535,
		.help = "TCP port of HTTPS, for browsers and for devices' links alike."},
	{"listen.http_port", CONF_U16, AT(listen.http_port), "80", .min = 0, .max = 65535,
		.help = "TCP port that redirects plain HTTP to HTTPS. 0 turns it off."},
	{"listen.addresses", CONF_IPS, AT(listen.addresses), "0.0.0.0,::", .max = CONF_LISTEN_MAX,
		.help = "Addresses to listen on."},
	{"listen.from", CONF_ENUM, AT(listen.from), "lan", .words = FROM,
		.help = "Who may connect. “lan” closes connections that arrive at an address of "
			"this machine that the Internet can reach."},

	{"public_port", CONF_U16, AT(public_port), "0", .min = 0, .max = 65535,
		.help = "Port that browsers see in URLs, where something in front maps it. 0: "
			"the same as listen.port."},
	{"addresses", CONF_ADDRESSES, AT(addresses), "auto", .max = CONF_ADDRS_MAX,
		.help = "Addresses that the names resolve to: “auto” follows this machine's LAN "
			"interface, a list fixes them."},
	{"interface", CONF_TEXT, AT(interface), .max = 15, .example = "br-lan",
		.help = "Network interface that “addresses: auto” follows. Not given: whichever "
			"has a LAN address."},
	{"certificates", CONF_ENUM, AT(certificates), "per-device", .words = CERTIFICATES,
		.help = "One certificate per device, or a single wildcard. A wildcard keeps the "
			"names of devices out of public certificate logs."},
	{"state_dir", CONF_PATH, AT(state_dir), LOCALSTATEDIR "/lib/lanthorn",
		.help = "Where databases, certificates and keys are kept."},
	{"run_dir", CONF_PATH, AT(run_dir), LOCALSTATEDIR "/run/lanthorn",
		.help = "Where the control socket is."},
	{"compress", CONF_BOOL, AT(compress), "true",
		.help = "Text that devices send uncompressed is compressed for browsers. false: for "
			"no device."},
	{"workers", CONF_COUNT, AT(workers), "0", .min = 0, .max = 16,
		.help = "Threads that serve connections; 0: one a processor, but one alone where there "
			"are no more than two."},

	{"run_as", CONF_SECTION,
		.help = "Users that the two processes run as: a name or a number, or \"\" to "
			"stay as started. Without root they stay as started."},
	{"run_as.gate", CONF_USER, AT(run_as.gate), "lanthorn",
		.help = "The process that faces the network."},
	{"run_as.steward", CONF_USER, AT(run_as.steward), "lanthorn-acme",
		.help = "The process that holds the ACME account and the DNS credentials; these "
			"files must belong to it."},

	{"log", CONF_SECTION,
		.help = "Logging, one line an event, to standard error."},
	{"log.format", CONF_ENUM, AT(log.format), "human", .words = LOG_FORMATS,
		.help = "Lines for people, or JSON objects."},
	{"log.level", CONF_ENUM, AT(log.level), "info", .words = LOG_LEVELS,
		.help = "The least important kind of line that is written."},

	{"acme", CONF_SECTION,
		.help = "The certificate authority."},
	{"acme.directory", CONF_HTTPS_URL, AT(acme.directory),
		"https://acme-v02.api.letsencrypt.org/directory",
		.help = "ACME directory of the certificate authority. Let's Encrypt by default."},
	{"acme.ca_file", CONF_PATH, AT(acme.ca_file), .example = "/etc/lanthorn/acme-ca.pem",
		.help = "PEM certificate that the authority's own HTTPS is checked against, for "
			"a private one. Not given: the system's."},
	{"acme.email", CONF_TEXT, AT(acme.email), .max = 254, .example = "me@example.com",
		.help = "Contact that the authority gets with the account."},
	{"acme.uacme", CONF_PATH, AT(acme.uacme), "/usr/bin/uacme",
		.help = "The uacme program."},
	{"acme.timeout", CONF_DURATION, AT(acme.timeout_ms), "10m", .min = SECONDS(30),
		.max = MINUTES(30),
		.help = "How long one order may take."},
	{"acme.key_id", CONF_TEXT, AT(acme.key_id), .max = 256, .example = "kid-1",
		.help = "External account binding: the key identifier that the authority gave "
			"out. Goes with hmac_key_file."},
	{"acme.hmac_key_file", CONF_PATH, AT(acme.hmac_key_file),
		.example = "/etc/lanthorn/secrets/eab-hmac",
		.help = "External account binding: file with the HMAC key, in base64url."},

	{"dns", CONF_SECTION,
		.help = "How records get into the public zone of the domain: the plugin that the "
			"steward runs, and how it checks the result."},
	{"dns.provider", CONF_WORD, AT(dns.provider), .words = PROVIDERS, .example = "exec",
		.help = "The plugin. “rfc2136” sends signed updates to the primary server (BIND, "
			"Knot, PowerDNS); “exec” runs a program of yours. Required in this "
			"section."},
	{"dns.ttl", CONF_DURATION, AT(dns.ttl_ms), "60s", .min = SECONDS(1), .max = DAYS(1),
		.help = "Time to live of the records. Some providers demand more; deSEC 3600s."},
	{"dns.settings", CONF_SETTINGS, .max = CONF_SETTINGS_MAX,
		.help = "Settings of the plugin. Secrets only as NAME_file: the plugin gets the "
			"file's content as NAME. The file must belong to the steward's user and "
			"be readable by it alone. rfc2136: server, zone, tsig_name, "
			"tsig_algorithm, tsig_secret_file."},
	{"dns.command", CONF_PATH, AT(dns.command), .example = "/etc/lanthorn/dns-desec.sh",
		.help = "For “exec”: the program, run as `COMMAND set|unset NAME TYPE TTL VALUE`."},
	{"dns.timeout", CONF_DURATION, AT(dns.timeout_ms), "60s", .min = SECONDS(1),
		.max = MINUTES(10),
		.help = "How long one run of the plugin may take."},
	{"dns.resolvers", CONF_RESOLVERS, AT(dns.resolvers), .max = CONF_RESOLVERS_MAX,
		.example = "[9.9.9.9, \"[2620:fe::fe]:53\"]",
		.help = "Resolvers to find the zone's authoritative servers with. Not given: "
			"those of /etc/resolv.conf."},
	{"dns.query_port", CONF_U16, AT(dns.query_port), "53", .min = 1, .max = 65535,
		.help = "Port of the authoritative servers."},
	{"dns.propagation_timeout", CONF_DURATION, AT(dns.propagation_timeout_ms), "10m",
		.min = SECONDS(10), .max = HOURS(2),
		.help = "How long to wait until every authoritative server has a record."},

	{"sessions", CONF_SECTION,
		.help = "How long a sign-in lasts."},
	{"sessions.idle", CONF_DURATION, AT(sessions.idle_ms), "14d", .min = MINUTES(5),
		.max = DAYS(365),
		.help = "A session ends when unused for this long."},
	{"sessions.lifetime", CONF_DURATION, AT(sessions.lifetime_ms), "90d", .min = MINUTES(5),
		.max = DAYS(400),
		.help = "A session ends after this long, used or not."},

	{"limits", CONF_SECTION,
		.help = "Bounds on what a peer can make the gateway hold."},
	{"limits.request_head", CONF_SIZE, AT(limits.request_head), "32KiB", .min = KIB(4),
		.max = KIB(64),
		.help = "Request line and header fields of one request together."},
	{"limits.headers", CONF_COUNT, AT(limits.headers), "100", .min = 10, .max = 500,
		.help = "Header fields of one request."},
	{"limits.url", CONF_SIZE, AT(limits.url), "8KiB", .min = KIB(1), .max = KIB(32),
		.help = "Length of a request's target."},
	{"limits.head_timeout", CONF_DURATION, AT(limits.head_timeout_ms), "10s", .min = SECONDS(1),
		.max = MINUTES(5),
		.help = "A request's head must be complete in this time, and so must a handshake."},
	{"limits.idle_timeout", CONF_DURATION, AT(limits.idle_timeout_ms), "60s", .min = SECONDS(1),
		.max = HOURS(1),
		.help = "A request or response ends when no byte moves for this long. There is "
			"no bound on the whole."},
	{"limits.keepalive", CONF_DURATION, AT(limits.keepalive_ms), "75s", .min = SECONDS(1),
		.max = HOURS(1),
		.help = "An idle connection of a browser is kept this long."},
	{"limits.connections", CONF_COUNT, AT(limits.connections), "4096", .min = 16,
		.max = 1000000,
		.help = "Open connections of browsers and devices together."},
	{"limits.upstream_connect", CONF_DURATION, AT(limits.upstream_connect_ms), "5s", .min = 100,
		.max = MINUTES(1),
		.help = "Connecting to a device."},
	{"limits.upstream_idle", CONF_DURATION, AT(limits.upstream_idle_ms), "60s",
		.min = SECONDS(1), .max = HOURS(1),
		.help = "An idle connection to a device is kept this long for the next request."},
	{"limits.websocket_idle", CONF_DURATION, AT(limits.websocket_idle_ms), "0", .min = 0,
		.max = DAYS(7),
		.help = "A WebSocket ends when no byte moves for this long. 0: never."},

	{"devices", CONF_DEVICES, .max = CONF_DEVICES_MAX,
		.help = "Devices that cannot run the agent: the gateway connects to them."},
	{0},
};

const struct conf_key conf_device_keys[] = {
	{"name", CONF_LABEL, DEV(name), .example = "nas",
		.help = "One DNS label: the device's name under the domain."},
	{"title", CONF_TEXT, DEV(title), .max = 64, .example = "Storage",
		.help = "What the launcher shows. Not given: the name."},
	{"upstream", CONF_UPSTREAM, DEV(more_hosts), .max = CONF_UPSTREAMS_MAX - 1,
		.example = "https://192.168.1.20:8443",
		.help = "http://HOST[:PORT] or https://HOST[:PORT], without a path. https needs "
			"pin or ca. A list, where the device has several addresses; the first that "
			"answers is used."},
	{"pin", CONF_PIN, .example = "sha256//0a3mBjzCBbY1HqL4dXzBZMjmXuVyyXPJxWKxI6HLUQk=",
		.help = "SHA-256 of the device's public key (SubjectPublicKeyInfo), as "
			"sha256//BASE64 or in hexadecimal."},
	{"ca", CONF_PATH, DEV(ca_file), .example = "/etc/lanthorn/nas-ca.pem",
		.help = "PEM file of the authority that signed the device's certificate."},
	{"embed_from", CONF_LABELS, DEV(embed_from), .max = CONF_EMBED_MAX, .example = "[tv]",
		.help = "Other devices whose pages may embed and call this one."},
	{"public", CONF_BOOL, DEV(is_public), "false",
		.help = "true opens the device to everyone on the LAN without signing in."},
	{"compress", CONF_BOOL, DEV(compress), "true",
		.help = "Text that the device sends uncompressed is compressed for browsers."},
	{"rewrite", CONF_BOOL, DEV(rewrite), "true",
		.help = "Redirects and cookies in which the device calls itself by its own address "
			"are rewritten to its name."},
	{0},
};
/* clang-format on */

const struct conf_key *conf_key_find(const struct conf_key *table, const char *path)
{
	for (const struct conf_key *k = table; k->path; k++)
		if (!strcmp(k->path, path))
			return k;
	return NULL;
}

const char *conf_key_leaf(const struct conf_key *k)
{
	const char *dot = strrchr(k->path, '.');
	return dot ? dot + 1 : k->path;
}

bool conf_key_is_in(const struct conf_key *k, const char *section)
{
	size_t n = strlen(section);
	if (!n)
		return !strchr(k->path, '.');
	return !strncmp(k->path, section, n) && k->path[n] == '.' && !strchr(k->path + n + 1, '.');
}

static void expects_words(const struct conf_key *k, char *out, size_t size)
{
	size_t len = 0;
	*out = 0;
	for (const char *const *w = k->words; *w; w++) {
		const char *join = w == k->words ? "" : w[1] ? ", " : " or ";
		len += (size_t)snprintf(out + len, size - len, "%s%s", join, *w);
		if (len >= size)
			return;
	}
}

static void expects_range(const struct conf_key *k, char *out, size_t size)
{
	char lo[32], hi[32];
	const char *what = "a whole number";
	if (k->type == CONF_DURATION) {
		conf_duration_text(k->min, lo, sizeof(lo));
		conf_duration_text(k->max, hi, sizeof(hi));
		what = "a duration (such as 30s, 10m, 2h, 14d)";
	} else if (k->type == CONF_SIZE) {
		conf_size_text(k->min, lo, sizeof(lo));
		conf_size_text(k->max, hi, sizeof(hi));
		what = "a size (such as 32KiB)";
	} else {
		snprintf(lo, sizeof(lo), "%llu", (unsigned long long)k->min);
		snprintf(hi, sizeof(hi), "%llu", (unsigned long long)k->max);
	}
	snprintf(out, size, "%s from %s to %s", what, lo, hi);
}

static const char *expects_fixed(enum conf_type type)
{
	switch (type) {
	case CONF_SECTION:
		return "a map of keys";
	case CONF_HOST:
		return "a host name of letters, digits, hyphens and dots, such as home.example.com";
	case CONF_LABEL:
		return "one DNS label: 1 to 63 letters, digits and inner hyphens, but not www, link, "
		       "enroll or api";
	case CONF_PATH:
		return "an absolute path";
	case CONF_HTTPS_URL:
		return "an https:// URL";
	case CONF_USER:
		return "a user's name or number, or \"\"";
	case CONF_BOOL:
		return "true or false";
	case CONF_LABELS:
		return "a list of device names";
	case CONF_SETTINGS:
		return "a map of settings";
	case CONF_UPSTREAM:
		return "http://HOST[:PORT] or https://HOST[:PORT] without a path";
	case CONF_PIN:
		return "sha256//BASE64 or 64 hexadecimal digits";
	case CONF_DEVICES:
		return "a list of devices";
	case CONF_TEXT:
	case CONF_U16:
	case CONF_COUNT:
	case CONF_ENUM:
	case CONF_WORD:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_IPS:
	case CONF_ADDRESSES:
	case CONF_RESOLVERS:
		return NULL;
	}
	return NULL;
}

void conf_key_expects(const struct conf_key *k, char *out, size_t size)
{
	const char *fixed = expects_fixed(k->type);
	unsigned most = (unsigned)k->max;
	if (fixed)
		snprintf(out, size, "%s", fixed);
	else if (k->words)
		expects_words(k, out, size);
	else if (k->type == CONF_TEXT)
		snprintf(out, size, "one line of text of at most %u bytes", most);
	else if (k->type == CONF_IPS)
		snprintf(out, size, "a list of 1 to %u IP addresses", most);
	else if (k->type == CONF_ADDRESSES)
		snprintf(out, size, "auto, or a list of 1 to %u IP addresses of hosts", most);
	else if (k->type == CONF_RESOLVERS)
		snprintf(out, size, "a list of 1 to %u of IP, IP:PORT or [IPv6]:PORT", most);
	else
		expects_range(k, out, size);
}
