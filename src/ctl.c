/* lanthornctl: one table of verbs over the API's Unix socket. Exit codes: 0 done, 1 the gateway said no,
 * 64 wrong usage, 69 the gateway cannot be reached. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "ctl_http.h"
#include "ctl_show.h"

#define EXIT_USAGE 64
#define EXIT_UNREACHABLE 69
#define DNS_TEST_LOOKS 900 /* seconds */

struct ctl {
	const char *socket;
	bool json, admin, wants_help;
	const char *title;
	char **args; /* after the verb */
	int n_args;
};

struct verb {
	const char *name;
	int (*run)(struct ctl *c);
	const char *args, *help, *example;
};

static const struct verb verbs[];

static int usage_of(const char *name);

/* ---- asking ---- */

/* Ask, and print the answer as JSON or by `show` (NULL: nothing). Takes `path` and `body`. */
static int ask(struct ctl *c, const char *method, char *path, json_t *body,
	void (*show)(const json_t *))
{
	struct ctl_answer a;
	int rc = ctl_http(c->socket, method, path, body, &a);
	free(path);
	json_decref(body);
	if (rc < 0)
		return EXIT_UNREACHABLE;
	bool good = a.status >= 200 && a.status < 300;
	if (c->json && a.body) {
		json_dumpf(a.body, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (!good) {
		show_error(a.status, a.body);
	} else if (show) {
		show(a.body);
	}
	json_decref(a.body);
	return good ? 0 : 1;
}

static char *path_of(const char *fmt_head, const char *name, const char *tail)
{
	char *segment = ctl_http_escape(name);
	char *path = xasprintf("%s%s%s", fmt_head, segment, tail);
	free(segment);
	return path;
}

static bool is(const struct ctl *c, int i, const char *word)
{
	return c->n_args > i && strcmp(c->args[i], word) == 0;
}

/* ---- verbs ---- */

static void say_link(const json_t *body)
{
	printf("Open this in a browser; it works once:\n\n  %s\n\n",
		json_string_value(json_object_get(body, "link")));
}

static void say_done(const json_t *body)
{
	(void)body;
	puts("Done.");
}

static int run_setup(struct ctl *c)
{
	return ask(c, "POST", xstrdup("setup"), NULL, say_link);
}

static int run_status(struct ctl *c)
{
	return ask(c, "GET", xstrdup("status"), NULL, show_status);
}

static int run_devices(struct ctl *c)
{
	if (c->n_args == 0 || is(c, 0, "list"))
		return ask(c, "GET", xstrdup("devices"), NULL, show_devices);
	if (is(c, 0, "remove") && c->n_args == 2)
		return ask(c, "DELETE", path_of("devices/", c->args[1], ""), NULL, say_done);
	return usage_of("devices");
}

/* A known device gets a new token, an unknown one is added. */
static int run_pair(struct ctl *c)
{
	struct ctl_answer a;
	if (c->n_args != 1)
		return usage_of("pair");
	char *path = path_of("devices/", c->args[0], "/pair");
	int rc = ctl_http(c->socket, "POST", path, NULL, &a);
	free(path);
	if (rc < 0)
		return EXIT_UNREACHABLE;
	if (a.status == 404) {
		json_decref(a.body);
		json_t *body = json_pack("{s:s}", "name", c->args[0]);
		if (c->title)
			json_object_set_new(body, "title", json_string(c->title));
		return ask(c, "POST", xstrdup("devices"), body, show_pairing);
	}
	if (c->json && a.body) {
		json_dumpf(a.body, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (a.status == 200) {
		show_pairing(a.body);
	} else {
		show_error(a.status, a.body);
	}
	json_decref(a.body);
	return a.status == 200 ? 0 : 1;
}

static int add_user(struct ctl *c)
{
	json_t *body = json_pack("{s:s,s:b}", "name", c->args[1], "admin", c->admin);
	if (c->title)
		json_object_set_new(body, "display", json_string(c->title));
	return ask(c, "POST", xstrdup("users"), body, say_link);
}

static char *grant_path(struct ctl *c, const char *end)
{
	char *device = ctl_http_escape(c->args[2]);
	char *tail = xasprintf("/devices/%s%s", device, end);
	char *path = path_of("users/", c->args[1], tail);
	free(device);
	free(tail);
	return path;
}

static void say_token(const json_t *body)
{
	printf("A script reaches %s with this field, for a year:\n\n"
	       "  Lanthorn-Token: %s\n\n",
		json_string_value(json_object_get(body, "url")),
		json_string_value(json_object_get(body, "token")));
}

static int run_users(struct ctl *c)
{
	if (c->n_args == 0 || is(c, 0, "list"))
		return ask(c, "GET", xstrdup("users"), NULL, show_users);
	if (is(c, 0, "add") && c->n_args == 2)
		return add_user(c);
	if (is(c, 0, "invite") && c->n_args == 2)
		return ask(c, "POST", path_of("users/", c->args[1], "/invite"), NULL, say_link);
	if (is(c, 0, "sign-out") && c->n_args == 2)
		return ask(c, "POST", path_of("users/", c->args[1], "/sign-out"), NULL, say_done);
	if (is(c, 0, "remove") && c->n_args == 2)
		return ask(c, "DELETE", path_of("users/", c->args[1], ""), NULL, say_done);
	if (is(c, 0, "allow") && c->n_args == 3)
		return ask(c, "PUT", grant_path(c, ""), NULL, say_done);
	if (is(c, 0, "deny") && c->n_args == 3)
		return ask(c, "DELETE", grant_path(c, ""), NULL, say_done);
	if (is(c, 0, "token") && c->n_args == 3)
		return ask(c, "POST", grant_path(c, "/token"), NULL, say_token);
	return usage_of("users");
}

static int run_certs(struct ctl *c)
{
	return ask(c, "GET", xstrdup("certs"), NULL, show_certs);
}

static void say_ordered(const json_t *body)
{
	printf("A new certificate for %s is on its way; see: lanthornctl certs\n",
		json_string_value(json_object_get(body, "id")));
}

static int run_renew(struct ctl *c)
{
	if (c->n_args != 1)
		return usage_of("renew");
	return ask(c, "POST", path_of("certs/", c->args[0], "/renew"), NULL, say_ordered);
}

/* The test waits for name servers, a minute or more with some providers: look until it ended. */
static int run_dns(struct ctl *c)
{
	struct ctl_answer a;
	if (c->n_args != 1 || !is(c, 0, "test"))
		return usage_of("dns");
	if (ctl_http(c->socket, "POST", "dns/test", NULL, &a) < 0)
		return EXIT_UNREACHABLE;
	for (int i = 0; i < DNS_TEST_LOOKS && a.status < 300; i++) {
		const char *state = json_string_value(json_object_get(a.body, "state"));
		if (!state || strcmp(state, "running") != 0)
			break;
		sleep(1);
		json_decref(a.body);
		if (ctl_http(c->socket, "GET", "dns/test", NULL, &a) < 0)
			return EXIT_UNREACHABLE;
	}
	int rc = show_dns_test(a.status, a.body, c->json);
	json_decref(a.body);
	return rc;
}

static int run_secret(struct ctl *c)
{
	char line[4098];
	if (c->n_args != 1)
		return usage_of("secret");
	bool whole = fgets(line, sizeof(line), stdin) && (strchr(line, '\n') || feof(stdin));
	if (!whole) {
		fputs("lanthornctl: give the secret on standard input, as one line\n", stderr);
		return EXIT_USAGE;
	}
	line[strcspn(line, "\r\n")] = 0;
	json_t *body = json_pack("{s:s}", "value", line);
	wipe(line, sizeof(line));
	return ask(c, "PUT", path_of("dns/secrets/", c->args[0], ""), body, say_done);
}

static void say_reloaded(const json_t *body)
{
	size_t i;
	const json_t *key, *list = json_object_get(body, "restart_needed_for");
	puts("The configuration was read again.");
	if (json_array_size(list) == 0)
		return;
	printf("These changes need a restart of lanthornd:");
	json_array_foreach(list, i, key) printf(" %s", json_string_value(key));
	printf("\n");
}

static int run_reload(struct ctl *c)
{
	return ask(c, "POST", xstrdup("reload"), NULL, say_reloaded);
}

static int run_logs(struct ctl *c)
{
	uint64_t lines = 100;
	if (c->n_args > 1 || (c->n_args == 1 && str_to_u64(c->args[0], 1000, &lines) < 0))
		return usage_of("logs");
	return ask(c, "GET", xasprintf("logs?lines=%llu", (unsigned long long)lines), NULL,
		show_logs);
}

static const struct verb verbs[] = {
	{"setup", run_setup, "", "a one-time link to make the first administrator",
		"lanthornctl setup"},
	{"status", run_status, "", "how everything stands, with cause and remedy of failures",
		"lanthornctl status"},
	{"pair", run_pair, "NAME [--title TEXT]", "a token with which a device joins",
		"lanthornctl pair tv --title \"Living room TV\""},
	{"devices", run_devices, "[remove NAME]", "the devices; remove ends one's access at once",
		"lanthornctl devices remove tv"},
	{"users", run_users,
		"[add NAME [--admin] | invite NAME | allow NAME DEVICE | deny NAME DEVICE | "
		"token NAME DEVICE | sign-out NAME | remove NAME]",
		"who may sign in, and to which devices", "lanthornctl users allow ada tv"},
	{"certs", run_certs, "", "every certificate: names, expiry, next renewal, last failure",
		"lanthornctl certs --json"},
	{"renew", run_renew, "ID", "order a certificate anew, now", "lanthornctl renew tv"},
	{"dns", run_dns, "test", "set a test record, wait until every name server shows it, remove it",
		"lanthornctl dns test"},
	{"secret", run_secret, "NAME",
		"hand over a DNS secret on standard input; kept as state_dir/steward/secrets/NAME",
		"lanthornctl secret desec-token < token.txt"},
	{"reload", run_reload, "", "read gateway.yaml again; a wrong one changes nothing",
		"lanthornctl reload"},
	{"logs", run_logs, "[LINES]", "the last log lines (100, up to 1000)", "lanthornctl logs 20"},
};
#define N_VERBS (sizeof(verbs) / sizeof(*verbs))

static int usage_of(const char *name)
{
	for (size_t i = 0; i < N_VERBS; i++) {
		if (strcmp(verbs[i].name, name) == 0)
			fprintf(stderr, "Usage: lanthornctl %s %s\nExample: %s\n", name,
				verbs[i].args, verbs[i].example);
	}
	return EXIT_USAGE;
}

static void help_all(void)
{
	puts("Usage: lanthornctl [--socket FILE] [--json] VERB …\n");
	for (size_t i = 0; i < N_VERBS; i++)
		printf("  %-8s %s\n           %s\n           e.g. %s\n", verbs[i].name,
			verbs[i].args[0] ? verbs[i].args : "(no arguments)", verbs[i].help,
			verbs[i].example);
	puts("\n  --json         print the API's answer\n"
	     "  --socket FILE  default " LOCALSTATEDIR "/run/lanthorn/api.sock\n"
	     "Exit codes: 0 done, 1 refused, 64 wrong usage, 69 the gateway is not there.");
}

/* Of all verbs, or of this one alone. Exit code: that help was asked for, or has to be read. */
static int help(const struct ctl *c, const char *name)
{
	bool found = false;
	for (size_t i = 0; i < N_VERBS && !found; i++) {
		found = strcmp(verbs[i].name, name) == 0;
		if (found)
			printf("Usage: lanthornctl %s %s\n  %s\nExample: %s\n", name, verbs[i].args,
				verbs[i].help, verbs[i].example);
	}
	if (!found)
		help_all();
	return c->wants_help ? 0 : EXIT_USAGE;
}

static int run_verb(struct ctl *c, const char *name)
{
	const char *near = NULL;
	unsigned best = 3;
	for (size_t i = 0; i < N_VERBS; i++) {
		if (strcmp(verbs[i].name, name) == 0)
			return c->n_args && !verbs[i].args[0] ? usage_of(name) : verbs[i].run(c);
		unsigned d = str_distance(verbs[i].name, name);
		if (d < best) {
			best = d;
			near = verbs[i].name;
		}
	}
	fprintf(stderr, "lanthornctl: there is no verb \"%s\"", name);
	if (near)
		fprintf(stderr, "; did you mean \"%s\"?", near);
	fputs("\nTry: lanthornctl --help\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket",  required_argument, NULL, 's'},
		{"json",    no_argument,       NULL, 'j'},
		{"admin",	  no_argument,       NULL, 'a'},
		{"title",	  required_argument, NULL, 't'},
		{"help",    no_argument,       NULL, 'h'},
		{"version", no_argument,       NULL, 'v'},
		{0}
	};
	struct ctl c = {.socket = LOCALSTATEDIR "/run/lanthorn/api.sock"};
	for (int opt; (opt = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (opt) {
		case 's':
			c.socket = optarg;
			break;
		case 'j':
			c.json = true;
			break;
		case 'a':
			c.admin = true;
			break;
		case 't':
			c.title = optarg;
			break;
		case 'h':
			c.wants_help = true;
			break;
		case 'v':
			puts("lanthornctl " PACKAGE_VERSION);
			return 0;
		default:
			fputs("Try: lanthornctl --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (c.wants_help || optind == argc)
		return help(&c, optind < argc ? argv[optind] : "");
	c.args = argv + optind + 1;
	c.n_args = argc - optind - 1;
	return run_verb(&c, argv[optind]);
}
