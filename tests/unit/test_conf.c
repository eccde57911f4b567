/* store/conf: every default, every kind of value, every kind of mistake with its exact line and
 * words. */
#include "store/conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"

#define DOMAIN "domain: home.example.com\n"

static struct conf_errors errors;

static struct conf *parse(const char *text)
{
	struct conf *c;
	int rc = conf_parse(&c, "f", text, strlen(text), &errors);
	if (rc < 0)
		fail_msg("%s", errors.text[0]);
	assert_int_equal(errors.n, 0);
	return c;
}

static void every_default_is_as_documented(void **state)
{
	struct conf *c = parse("domain: Home.Example.COM\n");
	(void)state;
	assert_string_equal(c->domain, "home.example.com");
	assert_string_equal(c->title, "Home");
	assert_int_equal(c->listen.port, 443);
	assert_int_equal(c->listen.http_port, 80);
	assert_int_equal(c->listen.addresses.n, 2);
	assert_string_equal(c->listen.addresses.v[0], "0.0.0.0");
	assert_string_equal(c->listen.addresses.v[1], "::");
	assert_int_equal(c->listen.from, CONF_FROM_LAN);
	assert_int_equal(c->public_port, 443);
	assert_true(c->addresses_auto && c->addresses.n == 0);
	assert_string_equal(c->interface, "");
	assert_int_equal(c->certificates, CONF_CERTS_PER_DEVICE);
	assert_string_equal(c->state_dir, LOCALSTATEDIR "/lib/lanthorn");
	assert_string_equal(c->run_dir, LOCALSTATEDIR "/run/lanthorn");
	assert_int_equal(c->workers, 0);
	assert_string_equal(c->run_as.gate, "lanthorn");
	assert_string_equal(c->run_as.steward, "lanthorn-acme");
	assert_int_equal(c->log.format, CONF_LOG_HUMAN);
	assert_int_equal(c->log.level, LOG_LEVEL_INFO);
	assert_string_equal(c->acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
	assert_string_equal(c->acme.ca_file, "");
	assert_string_equal(c->acme.email, "");
	assert_string_equal(c->acme.uacme, "/usr/bin/uacme");
	assert_int_equal(c->acme.timeout_ms, 600000);
	assert_string_equal(c->acme.key_id, "");
	assert_string_equal(c->acme.hmac_key_file, "");
	assert_string_equal(c->dns.provider, "");
	assert_int_equal(c->dns.ttl_ms, 60000);
	assert_int_equal(c->dns.n_settings, 0);
	assert_string_equal(c->dns.command, "");
	assert_int_equal(c->dns.timeout_ms, 60000);
	assert_int_equal(c->dns.resolvers.n, 0);
	assert_int_equal(c->dns.query_port, 53);
	assert_int_equal(c->dns.propagation_timeout_ms, 600000);
	assert_int_equal(c->sessions.idle_ms, 14LL * 86400000);
	assert_int_equal(c->sessions.lifetime_ms, 90LL * 86400000);
	assert_int_equal(c->limits.request_head, 32768);
	assert_int_equal(c->limits.headers, 100);
	assert_int_equal(c->limits.url, 8192);
	assert_int_equal(c->limits.head_timeout_ms, 10000);
	assert_int_equal(c->limits.idle_timeout_ms, 60000);
	assert_int_equal(c->limits.keepalive_ms, 75000);
	assert_int_equal(c->limits.connections, 4096);
	assert_int_equal(c->limits.upstream_connect_ms, 5000);
	assert_int_equal(c->limits.upstream_idle_ms, 60000);
	assert_int_equal(c->limits.websocket_idle_ms, 0);
	assert_int_equal(c->n_devices, 0);
	conf_unref(c);
}

static void every_kind_of_value_is_read(void **state)
{
	struct conf *c = parse(DOMAIN
		"listen: {port: 8443, http_port: 0, addresses: [127.0.0.1, '0:0::1'], from: any}\n"
		"addresses: [192.168.1.1, FD00::1]\n"
		"workers: 1\n"
		"run_as: {gate: '', steward: 1234}\n"
		"log: {format: json, level: debug}\n"
		"acme: {timeout: 30m, key_id: kid, hmac_key_file: /e/h, email: a.b+c@x.org}\n"
		"dns:\n"
		"  provider: rfc2136\n"
		"  ttl: 1d\n"
		"  resolvers: [9.9.9.9, '9.9.9.9:53', '2620::fe', '[2620:0::fe]:5353']\n"
		"  settings:\n"
		"    server: 127.0.0.1\n"
		"    tsig_secret_file: /e/tsig\n"
		"sessions: {idle: 2h, lifetime: 2h}\n"
		"compress: false\n"
		"limits: {request_head: 65536B, url: 1KiB, upstream_connect: 250ms}\n");
	(void)state;
	assert_int_equal(c->public_port, 8443);
	assert_int_equal(c->listen.http_port, 0);
	assert_string_equal(c->listen.addresses.v[1], "::1");
	assert_int_equal(c->listen.from, CONF_FROM_ANY);
	assert_false(c->addresses_auto);
	assert_string_equal(c->addresses.v[1], "fd00::1");
	assert_int_equal(c->workers, 1);
	assert_false(c->compress);
	assert_string_equal(c->run_as.gate, "");
	assert_string_equal(c->run_as.steward, "1234");
	assert_int_equal(c->log.format, CONF_LOG_JSON);
	assert_int_equal(c->log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->acme.timeout_ms, 1800000);
	assert_string_equal(c->acme.email, "a.b+c@x.org");
	assert_int_equal(c->dns.ttl_ms, 86400000);
	assert_int_equal(c->dns.resolvers.n, 4);
	assert_string_equal(c->dns.resolvers.v[1], "9.9.9.9:53");
	assert_string_equal(c->dns.resolvers.v[3], "[2620::fe]:5353");
	assert_int_equal(c->dns.n_settings, 2);
	assert_string_equal(c->dns.settings[0].value, "127.0.0.1");
	assert_false(c->dns.settings[0].is_file);
	assert_string_equal(c->dns.settings[1].key, "tsig_secret");
	assert_string_equal(c->dns.settings[1].value, "/e/tsig");
	assert_true(c->dns.settings[1].is_file);
	assert_int_equal(c->limits.request_head, 65536);
	assert_int_equal(c->limits.url, 1024);
	assert_int_equal(c->limits.upstream_connect_ms, 250);
	const struct conf *again = conf_ref(c);
	conf_unref(c);
	assert_string_equal(again->title, "Home");
	conf_unref(again);
}

static void devices_are_read(void **state)
{
	struct conf *c = parse(DOMAIN
		"devices:\n"
		"  - name: tv\n"
		"    upstream: [http://TV.local, http://10.0.0.9]\n"
		"    public: true\n"
		"    rewrite: false\n"
		"    compress: false\n"
		"  - name: nas\n"
		"    title: Storage\n"
		"    upstream: https://[FD00::0:2]:8443\n"
		"    pin: sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
		"    embed_from: [tv]\n"
		"  - name: cam\n"
		"    upstream: https://10.0.0.3\n"
		"    ca: /e/ca.pem\n"
		"    pin: 000102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1e1f\n");
	(void)state;
	assert_int_equal(c->n_devices, 3);
	const struct conf_device *tv = conf_device_find(c, "tv"), *nas = conf_device_find(c, "nas");
	assert_string_equal(tv->host, "tv.local");
	assert_true(tv->more_hosts.n == 1 && nas->more_hosts.n == 0);
	assert_string_equal(tv->more_hosts.v[0], "10.0.0.9");
	assert_true(tv->port == 80 && !tv->tls && !tv->has_pin && tv->is_public);
	assert_true(!tv->rewrite && nas->rewrite && !tv->compress && nas->compress);
	assert_int_equal(tv->line, 3);
	assert_string_equal(nas->host, "fd00::2");
	assert_true(nas->port == 8443 && nas->tls && nas->has_pin && !nas->is_public);
	assert_string_equal(nas->embed_from.v[0], "tv");
	for (int i = 0; i < 32; i++)
		assert_int_equal(nas->pin[i], i);
	assert_memory_equal(conf_device_find(c, "cam")->pin, nas->pin, 32);
	assert_int_equal(conf_device_find(c, "cam")->port, 443);
	assert_null(conf_device_find(c, "x"));
	conf_unref(c);
}

/* `n` devices, the last one again under the name of the first where `twice`. */
static struct conf *parse_crowd(unsigned n, bool twice, struct conf_errors *es)
{
	struct buf b = BUF_INIT(1 << 20);
	struct conf *c;
	buf_puts(&b, DOMAIN "devices:\n");
	for (unsigned i = 0; i < n; i++)
		buf_printf(&b, "  - {name: d%u, upstream: 'http://10.0.%u.%u'}\n",
			twice && i == n - 1 ? 0 : i, i >> 8, i & 255);
	conf_parse(&c, "f", b.data, b.len, es);
	buf_done(&b);
	return c;
}

static void ten_thousand_devices_are_read_and_found(void **state)
{
	struct conf *c = parse_crowd(CONF_DEVICES_MAX, false, &errors);
	(void)state;
	assert_non_null(c);
	for (unsigned i = 0; i < CONF_DEVICES_MAX; i++)
		assert_ptr_equal(conf_device_find(c, c->devices[i].name), &c->devices[i]);
	assert_null(conf_device_find(c, "d"));
	assert_null(conf_device_find(c, "d10000"));
	conf_unref(c);
	assert_null(parse_crowd(CONF_DEVICES_MAX, true, &errors));
	assert_int_equal(errors.n, 1);
	assert_string_equal(
		errors.text[0], "f:10002: devices: “d0” is there already, at line 3");
	assert_null(parse_crowd(CONF_DEVICES_MAX + 1, false, &errors));
	assert_string_equal(
		errors.text[0], "f:2: devices has 10001 entries; expected at most 10000");
}

#define TOP_KEYS                                                                                   \
	"domain, title, listen, public_port, addresses, interface, certificates, state_dir, "      \
	"run_dir, compress, workers, run_as, log, acme, dns, sessions, limits, devices"
#define DURATION "a duration (such as 30s, 10m, 2h, 14d)"
#define LABEL                                                                                      \
	"one DNS label: 1 to 63 letters, digits and inner hyphens, but not www, link, enroll or api"
#define UPSTREAM "http://HOST[:PORT] or https://HOST[:PORT] without a path"

struct bad {
	const char *text; /* without `domain`, unless it begins with "-" : then as it is */
	const char *says;
};

/* Each text has one mistake; the first line is `domain`. */
static void check_bad(const struct bad *b)
{
	char text[1024];
	struct conf *c;
	snprintf(text, sizeof(text), "%s%s", *b->text == '-' ? "" : DOMAIN,
		b->text + (*b->text == '-'));
	assert_int_equal(conf_parse(&c, "f", text, strlen(text), &errors), -EINVAL);
	assert_null(c);
	assert_string_equal(errors.text[0], b->says);
	assert_int_equal(errors.n, 1);
}

/* clang-format off */
static const struct bad WRONG_KEYS[] = {
	{"prot: 1\n",
		"f:2: “prot” is not a key of this file; expected one of " TOP_KEYS},
	{"tilte: x\n",
		"f:2: “tilte” is not a key of this file; expected one of " TOP_KEYS
		"; did you mean “title”?"},
	{"port: 1\n",
		"f:2: “port” is not a key of this file; expected one of " TOP_KEYS
		"; did you mean “listen.port”?"},
	{"listen:\n  prt: 1\n",
		"f:3: “prt” is not a key of “listen”; expected one of port, http_port, addresses, "
		"from; did you mean “port”?"},
	{"listen.port: 1\n",
		"f:2: “listen.port” is not a key of this file; expected one of " TOP_KEYS},
	{"devices:\n  - name: a\n    upstream: http://b\n    pub: true\n",
		"f:5: “pub” is not a key of “devices”; expected one of name, title, upstream, pin, "
		"ca, embed_from, public, compress, rewrite; did you mean “public”?"},
	{"<<: {}\n",
		"f:2: “<<” is not a key of this file; expected one of " TOP_KEYS},
};

static const struct bad WRONG_VALUES[] = {
	{"-title: x\n",
		"f:1: domain is missing; expected a host name, such as “domain: home.example.com”"},
	{"-",
		"f:1: domain is missing; expected a host name, such as “domain: home.example.com”"},
	{"-domain: a.b.\n",
		"f:1: domain is “a.b.”; expected a host name of letters, digits, hyphens and dots, "
		"such as home.example.com; leave out the final dot"},
	{"-domain: home\n",
		"f:1: domain is “home”; expected a host name of letters, digits, hyphens and dots, "
		"such as home.example.com"},
	{"-domain: a_b.c\n",
		"f:1: domain is “a_b.c”; expected a host name of letters, digits, hyphens and dots, "
		"such as home.example.com"},
	{"-- a\n",
		"f:1: the file is not a map; expected “key: value” lines"},
	{"listen: 443\n",
		"f:2: listen is “443”; expected a map of keys"},
	{"listen: [1]\n",
		"f:2: listen is a list; expected a map of keys"},
	{"listen:\n\n  port: 0\n",
		"f:4: listen.port is “0”; expected a whole number from 1 to 65535"},
	{"listen: {port: 65536}\n",
		"f:2: listen.port is “65536”; expected a whole number from 1 to 65535"},
	{"listen: {port: 0x50}\n",
		"f:2: listen.port is “0x50”; expected a whole number from 1 to 65535"},
	{"listen: {port: {a: b}}\n",
		"f:2: listen.port is a map; expected a whole number from 1 to 65535"},
	{"listen: {port: 80}\n",
		"f:2: listen.http_port is 80, as listen.port; expected another port, or 0 for off"},
	{"listen: {from: lam}\n",
		"f:2: listen.from is “lam”; expected lan or any; did you mean “lan”?"},
	{"listen: {from: x}\n",
		"f:2: listen.from is “x”; expected lan or any"},
	{"listen: {addresses: [1.2.3]}\n",
		"f:2: listen.addresses is “1.2.3”; expected a list of 1 to 16 IP addresses"},
	{"listen: {addresses: []}\n",
		"f:2: listen.addresses is a list; expected a list of 1 to 16 IP addresses"},
	{"listen: {addresses: 1.2.3.4}\n",
		"f:2: listen.addresses is “1.2.3.4”; expected a list of 1 to 16 IP addresses"},
	{"listen:\n  addresses:\n    - ::1\n    - 0::1\n",
		"f:5: listen.addresses is “0::1”; expected a list of 1 to 16 IP addresses; it is in "
		"the list already"},
	{"addresses: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4, 1.1.1.5, 1.1.1.6, 1.1.1.7, 1.1.1.8,\n"
		"  1.1.1.9]\n",
		"f:3: addresses is “1.1.1.9”; expected auto, or a list of 1 to 8 IP addresses of "
		"hosts; the list is too long"},
	{"addresses: [0.0.0.0]\n",
		"f:2: addresses is “0.0.0.0”; expected auto, or a list of 1 to 8 IP addresses of "
		"hosts"},
	{"addresses: [ff02::1]\n",
		"f:2: addresses is “ff02::1”; expected auto, or a list of 1 to 8 IP addresses of "
		"hosts"},
	{"addresses: fixed\n",
		"f:2: addresses is “fixed”; expected auto, or a list of 1 to 8 IP addresses of "
		"hosts"},
	{"interface: br0\naddresses: [10.0.0.1]\n",
		"f:2: interface is given with a list of addresses; expected it only with "
		"“addresses: auto”"},
	{"workers: -1\n",
		"f:2: workers is “-1”; expected a whole number from 0 to 16"},
	{"state_dir: lib\n",
		"f:2: state_dir is “lib”; expected an absolute path"},
	{"state_dir: /a/../b\n",
		"f:2: state_dir is “/a/../b”; expected an absolute path; leave out “..”"},
	{"state_dir: ${HOME}/x\n",
		"f:2: state_dir is “${HOME}/x”; expected an absolute path; references to the "
		"environment (${…}) are not expanded: write the value, or for a secret a "
		"NAME_file"},
	{"title: \"a\\nb\"\n",
		"f:2: title is “a?b”; expected one line of text of at most 64 bytes"},
	{"title: 1234567890123456789012345678901234567890123456789012345678901234X\n",
		"f:2: title is “123456789012345678901234567890123456789012345678901234567890…”; "
		"expected one line of text of at most 64 bytes"},
	{"run_as: {gate: -rf}\n",
		"f:2: run_as.gate is “-rf”; expected a user's name or number, or \"\""},
	{"limits: {url: 64KiB}\n",
		"f:2: limits.url is “64KiB”; expected a size (such as 32KiB) from 1KiB to 32KiB"},
	{"limits: {url: 8K}\n",
		"f:2: limits.url is “8K”; expected a size (such as 32KiB) from 1KiB to 32KiB"},
	{"limits: {keepalive: 60}\n",
		"f:2: limits.keepalive is “60”; expected " DURATION " from 1s to 1h; did you mean "
		"“60s”?"},
	{"limits: {keepalive: 2h}\n",
		"f:2: limits.keepalive is “2h”; expected " DURATION " from 1s to 1h"},
	{"sessions: {idle: 91d}\n",
		"f:2: sessions.idle is longer than sessions.lifetime; expected it shorter or as "
		"long"},
};

static const struct bad WRONG_ACME_AND_DNS[] = {
	{"acme: {directory: \"http://ca/dir\"}\n",
		"f:2: acme.directory is “http://ca/dir”; expected an https:// URL"},
	{"acme: {directory: \"https:///dir\"}\n",
		"f:2: acme.directory is “https:///dir”; expected an https:// URL"},
	{"acme: {timeout: 29s}\n",
		"f:2: acme.timeout is “29s”; expected " DURATION " from 30s to 30m"},
	{"acme: {email: -y@x.org}\n",
		"f:2: acme.email is “-y@x.org”; expected an e-mail address"},
	{"acme: {key_id: a}\n",
		"f:2: acme.key_id is alone; expected acme.hmac_key_file with it"},
	{"acme:\n  hmac_key_file: /a\n",
		"f:3: acme.hmac_key_file is alone; expected acme.key_id with it"},
	{"acme: {hmac_key_file: /a, key_id: 'b:c'}\n",
		"f:2: acme.key_id is “b:c”; expected no colon and no space"},
	{"dns: {ttl: 60s}\n",
		"f:2: dns.provider is missing; expected rfc2136 or exec"},
	{"dns: {provider: exek, command: /x}\n",
		"f:2: dns.provider is “exek”; expected rfc2136 or exec; did you mean “exec”?"},
	{"dns:\n  ttl: 60s\n  provider: exec\n",
		"f:4: dns.command is missing; expected the path of the program that “provider: "
		"exec” runs"},
	{"dns: {provider: rfc2136, command: /x}\n",
		"f:2: dns.command is given; expected it only with “provider: exec”"},
	{"dns:\n  provider: rfc2136\n  settings:\n    tsig_secret: AAAA\n",
		"f:5: dns.settings.tsig_secret would hold a secret in this file; expected "
		"“tsig_secret_file: PATH”, a file of its own that only the steward's user may read"},
	{"dns: {provider: rfc2136, settings: {api_token: x}}\n",
		"f:2: dns.settings.api_token would hold a secret in this file; expected "
		"“api_token_file: PATH”, a file of its own that only the steward's user may read"},
	{"dns: {provider: rfc2136, settings: {server: \"${S}\"}}\n",
		"f:2: dns.settings.server is “${S}”; expected one line of text; references to the "
		"environment (${…}) are not expanded: write the value, or for a secret a "
		"NAME_file"},
	{"dns: {provider: rfc2136, settings: {x_file: rel}}\n",
		"f:2: dns.settings.x_file is “rel”; expected an absolute path"},
	{"dns: {provider: rfc2136, settings: {x_file: /a, x: b}}\n",
		"f:2: dns.settings.x is given twice: with “_file” and without"},
	{"dns: {provider: rfc2136, settings: {A-b: 1}}\n",
		"f:2: dns.settings: “A-b” is no name of a setting; expected 1 to 40 of a–z, 0–9 and "
		"_"},
	{"dns: {provider: rfc2136, settings: {zone: [a]}}\n",
		"f:2: dns.settings.zone is a list; expected one value"},
	{"dns: {provider: rfc2136, settings: [a]}\n",
		"f:2: dns.settings is a list; expected a map of settings"},
	{"dns: {provider: rfc2136, resolvers: ['::1:53:x']}\n",
		"f:2: dns.resolvers is “::1:53:x”; expected a list of 1 to 8 of IP, IP:PORT or "
		"[IPv6]:PORT"},
	{"dns: {provider: rfc2136, resolvers: [dns.google]}\n",
		"f:2: dns.resolvers is “dns.google”; expected a list of 1 to 8 of IP, IP:PORT or "
		"[IPv6]:PORT"},
};

static const struct bad WRONG_DEVICES[] = {
	{"devices: {}\n",
		"f:2: devices is a map; expected a list of devices"},
	{"devices:\n  - tv\n",
		"f:3: devices: an entry is not a map; expected “- name: LABEL” and its keys"},
	{"devices:\n  - upstream: http://a\n",
		"f:3: devices: a device has no name; expected “name: LABEL”"},
	{"devices:\n  - name: tv\n",
		"f:3: devices: “tv” has no upstream; expected “upstream: http://HOST[:PORT]” or "
		"“https://HOST[:PORT]”"},
	{"devices: [{name: Tv, upstream: 'http://a'}]\n",
		"f:2: devices.name is “Tv”; expected " LABEL},
	{"devices: [{name: link, upstream: 'http://a'}]\n",
		"f:2: devices.name is “link”; expected " LABEL
		"; the gateway uses this name itself"},
	{"devices:\n  - {name: a, upstream: 'http://a'}\n  - {name: a, upstream: 'http://b'}\n",
		"f:4: devices: “a” is there already, at line 3"},
	{"devices: [{name: a, upstream: 'https://a'}]\n",
		"f:2: devices: “a” has an https upstream that nothing verifies; expected “pin: "
		"sha256//BASE64” or “ca: FILE”"},
	{"devices: [{name: a, upstream: 'http://a', ca: /x}]\n",
		"f:2: devices: “a” has pin or ca with an http upstream; expected https, or neither"},
	{"devices: [{name: a, upstream: 'http://a/'}]\n",
		"f:2: devices.upstream is “http://a/”; expected " UPSTREAM
		"; leave out the path, also a final “/”"},
	{"devices: [{name: a, upstream: 'ftp://a'}]\n",
		"f:2: devices.upstream is “ftp://a”; expected " UPSTREAM},
	{"devices: [{name: a, upstream: 'http://a:0'}]\n",
		"f:2: devices.upstream is “http://a:0”; expected " UPSTREAM},
	{"devices: [{name: a, upstream: 'http://u@a'}]\n",
		"f:2: devices.upstream is “http://u@a”; expected " UPSTREAM},
	{"devices: [{name: a, upstream: 'http://[1.2.3.4]'}]\n",
		"f:2: devices.upstream is “http://[1.2.3.4]”; expected " UPSTREAM},
	{"devices: [{name: a, upstream: 'https://a', pin: sha256//AAAA}]\n",
		"f:2: devices.pin is “sha256//AAAA”; expected sha256//BASE64 or 64 hexadecimal "
		"digits"},
	{"devices: [{name: a, upstream: []}]\n",
		"f:2: devices.upstream is a list; expected " UPSTREAM},
	{"devices: [{name: a, upstream: ['http://a', 'https://b']}]\n",
		"f:2: devices.upstream is “https://b”; expected " UPSTREAM
		"; all of them with the same scheme and port, each once"},
	{"devices: [{name: a, upstream: ['http://a', 'http://a']}]\n",
		"f:2: devices.upstream is “http://a”; expected " UPSTREAM
		"; all of them with the same scheme and port, each once"},
	{"devices: [{name: a, upstream: ['http://a', 'http://b/']}]\n",
		"f:2: devices.upstream is “http://b/”; expected " UPSTREAM
		"; leave out the path, also a final “/”"},
	{"devices: [{name: a, upstream: 'http://a', public: yes}]\n",
		"f:2: devices.public is “yes”; expected true or false"},
	{"devices: [{name: a, upstream: 'http://a', embed_from: [a.b]}]\n",
		"f:2: devices.embed_from is “a.b”; expected a list of device names"},
	{"a: &x 1\n",
		"f:2:4: anchors (&) are not allowed here; write it out"},
};
/* clang-format on */

static void each_mistake_says_line_and_remedy(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(WRONG_KEYS) / sizeof(*WRONG_KEYS); i++)
		check_bad(&WRONG_KEYS[i]);
	for (size_t i = 0; i < sizeof(WRONG_VALUES) / sizeof(*WRONG_VALUES); i++)
		check_bad(&WRONG_VALUES[i]);
	for (size_t i = 0; i < sizeof(WRONG_ACME_AND_DNS) / sizeof(*WRONG_ACME_AND_DNS); i++)
		check_bad(&WRONG_ACME_AND_DNS[i]);
	for (size_t i = 0; i < sizeof(WRONG_DEVICES) / sizeof(*WRONG_DEVICES); i++)
		check_bad(&WRONG_DEVICES[i]);
}

static void all_mistakes_are_told_in_order(void **state)
{
	struct conf *c;
	struct buf b = BUF_INIT(8192);
	(void)state;
	/* Line 2 is found by a check after the walk, yet comes before line 4. */
	static const char two[] = DOMAIN "sessions: {idle: 91d}\n\nworkers: x\n";
	assert_int_equal(conf_parse(&c, "f", two, strlen(two), &errors), -EINVAL);
	assert_int_equal(errors.n, 2);
	assert_ptr_equal(strstr(errors.text[0], "f:2: "), errors.text[0]);
	assert_ptr_equal(strstr(errors.text[1], "f:4: "), errors.text[1]);

	for (int i = 0; i < 25; i++)
		buf_printf(&b, "wrong%d: 1\n", i);
	buf_puts(&b, DOMAIN);
	assert_int_equal(conf_parse(&c, "f", b.data, b.len, &errors), -EINVAL);
	assert_int_equal(errors.n, CONF_ERRORS_MAX);
	assert_int_equal(errors.more, 5);
	assert_ptr_equal(strstr(errors.text[19], "f:20: "), errors.text[19]);
	buf_done(&b);
}

static void a_missing_file_is_told_apart(void **state)
{
	struct conf *c;
	(void)state;
	assert_int_equal(conf_load(&c, "/nonexistent/gateway.yaml", &errors), -ENOENT);
	assert_null(c);
	assert_int_equal(errors.n, 1);
	assert_non_null(strstr(errors.text[0], "/nonexistent/gateway.yaml"));
}

static void a_secret_is_one_private_line(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		int rc;
	} cases[] = {
		{"s3cret\n", 0600, 0      },
		{"s3cret",   0400, 0      },
		{"s3cret\n", 0644, -1     },
		{"",         0600, -EINVAL},
		{"\n",       0600, -EINVAL},
		{"a\nb\n",   0600, -EINVAL},
	};
	char path[] = "/tmp/lanthorn-secret-XXXXXX";
	struct err e = {0};
	(void)state;
	int fd = mkstemp(path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf b = BUF_INIT(256);
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(fchmod(fd, cases[i].mode), 0);
		ssize_t n = (ssize_t)strlen(cases[i].text);
		assert_int_equal(pwrite(fd, cases[i].text, (size_t)n, 0), n);
		int rc = conf_secret_read(path, &b, &e);
		if (cases[i].rc == -1)
			assert_true(rc < 0);
		else
			assert_int_equal(rc, cases[i].rc);
		assert_string_equal(b.len ? buf_str(&b) : "", rc == 0 ? "s3cret" : "");
		buf_done_secret(&b);
	}
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_as_documented),
		cmocka_unit_test(every_kind_of_value_is_read),
		cmocka_unit_test(devices_are_read),
		cmocka_unit_test(ten_thousand_devices_are_read_and_found),
		cmocka_unit_test(each_mistake_says_line_and_remedy),
		cmocka_unit_test(all_mistakes_are_told_in_order),
		cmocka_unit_test(a_missing_file_is_told_apart),
		cmocka_unit_test(a_secret_is_one_private_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
