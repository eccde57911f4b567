/* lanthornd: options. Checks the configuration or prints its reference; else becomes the parent
 * process (parent.c), or, started by it, the gate process (gate.c). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api_print.h"
#include "gate.h"
#include "parent.h"
#include "store/conf.h"

#define EXIT_USAGE 64
#define EXIT_CONFIG 78

static const char usage[] =
	"Usage: lanthornd [--config FILE] [--check | --print-schema | --print-openapi |\n"
	"                 --version | --help]\n"
	"\n"
	"Gives the devices of a home names, trusted certificates and sign-in.\n"
	"\n"
	"  --config FILE   read this (default " SYSCONFDIR "/lanthorn/gateway.yaml)\n"
	"  --check         say what is wrong with the configuration and exit (0, or 78)\n"
	"  --print-schema  print every key with its default, range and meaning\n"
	"  --print-openapi print the API's description\n"
	"  --libexec DIR   where lanthorn-steward, lanthorn-hook and lanthorn-dns are\n"
	"  --version       print the version\n"
	"\n"
	"Signals: HUP reads the configuration again, TERM ends in order.\n"
	"Example: lanthornd --config gateway.yaml --check\n";

enum {
	OPT_CHECK = 256,
	OPT_SCHEMA,
	OPT_OPENAPI,
	OPT_LIBEXEC,
	OPT_VERSION,
	OPT_GATE,
	OPT_TLS,
	OPT_PLAIN
};

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"help", no_argument, NULL, 'h'},
	{"foreground", no_argument, NULL, 'f'},
	{"check", no_argument, NULL, OPT_CHECK},
	{"print-schema", no_argument, NULL, OPT_SCHEMA},
	{"print-openapi", no_argument, NULL, OPT_OPENAPI},
	{"libexec", required_argument, NULL, OPT_LIBEXEC},
	{"version", no_argument, NULL, OPT_VERSION},
	{"gate", no_argument, NULL, OPT_GATE},
	{"tls", required_argument, NULL, OPT_TLS},
	{"plain", required_argument, NULL, OPT_PLAIN},
	{0}
};

struct command {
	enum { RUN, CHECK, SCHEMA, OPENAPI, GATE } what;
	struct parent_opts parent;
	struct gate_opts gate;
};

static int check(const char *path)
{
	struct conf_errors errors = {0};
	struct conf *c = NULL;
	int rc = conf_load(&c, path, &errors);
	for (unsigned i = 0; i < errors.n; i++)
		fprintf(stderr, "%s\n", errors.text[i]);
	if (errors.more)
		fprintf(stderr, "… and %u more\n", errors.more);
	if (rc == 0)
		printf("%s is in order: %s\n", path, c->domain);
	conf_unref(c);
	return rc == 0 ? 0 : EXIT_CONFIG;
}

static void add_fd(int *list, unsigned *n, const char *text)
{
	if (*n < GATE_FDS_MAX)
		list[(*n)++] = atoi(text);
}

/* Returns -1 to go on, else an exit status. */
static int take_option(struct command *c, int opt)
{
	switch (opt) {
	case 'c':
		c->parent.conf_path = optarg;
		return -1;
	case 'f':
		return -1; /* it never goes to the background */
	case 'h':
		fputs(usage, stdout);
		return 0;
	case OPT_VERSION:
		puts("lanthornd " PACKAGE_VERSION);
		return 0;
	case OPT_CHECK:
		c->what = CHECK;
		return -1;
	case OPT_SCHEMA:
		c->what = SCHEMA;
		return -1;
	case OPT_OPENAPI:
		c->what = OPENAPI;
		return -1;
	case OPT_LIBEXEC:
		c->parent.libexec = optarg;
		return -1;
	case OPT_GATE:
		c->what = GATE;
		return -1;
	case OPT_TLS:
		add_fd(c->gate.tls_fds, &c->gate.n_tls, optarg);
		return -1;
	case OPT_PLAIN:
		add_fd(c->gate.plain_fds, &c->gate.n_plain, optarg);
		return -1;
	}
	fputs("Try: lanthornd --help\n", stderr);
	return EXIT_USAGE;
}

static int parse(struct command *c, int argc, char **argv)
{
	for (int opt; (opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		int status = take_option(c, opt);
		if (status >= 0)
			return status;
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "lanthornd: unexpected argument: %s\nTry: lanthornd --help\n",
		argv[optind]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct command c = {
		.parent = {
			   .conf_path = SYSCONFDIR "/lanthorn/gateway.yaml", .libexec = LIBEXECDIR}
        };
	int status = parse(&c, argc, argv);
	if (status >= 0)
		return status;
	switch (c.what) {
	case CHECK:
		return check(c.parent.conf_path);
	case SCHEMA:
		conf_print_schema(stdout);
		return ferror(stdout) ? 1 : 0;
	case OPENAPI:
		return api_print_document(stdout) < 0;
	case GATE:
		c.gate.conf_path = c.parent.conf_path;
		c.gate.steward_fd = PARENT_FD_PEER;
		c.gate.api_fd = PARENT_FD_API;
		return gate_run(&c.gate);
	case RUN:
		break;
	}
	return parent_run(&c.parent);
}
