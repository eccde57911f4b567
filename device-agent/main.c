/* lanthorn-agent: puts a device's own web service behind its Lanthorn gateway, with no open port.
 * This file has the command line alone. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "device-agent/agent.h"
#include "device-agent/enroll.h"
#include "device-agent/status.h"

#define EXIT_USAGE 64
#define EXIT_LOCAL 78

static const char help[] =
	"lanthorn-agent puts this device's web service behind its Lanthorn gateway.\n"
	"\n"
	"  lanthorn-agent enrol [--token-file FILE|-] [--again]   join the gateway\n"
	"  lanthorn-agent run                                     serve until stopped\n"
	"  lanthorn-agent status [--json]                         how it goes\n"
	"\n"
	"  --config FILE        settings (" SYSCONFDIR "/lanthorn/agent.conf)\n"
	"  --state DIR          key and certificate (" LOCALSTATEDIR "/lib/lanthorn-agent)\n"
	"  --service HOST:PORT  the web service on this device (127.0.0.1:80)\n"
	"  --token-file FILE    the token that `lanthornctl pair NAME` printed; - or none: stdin\n"
	"  --again              enrol a device that is enrolled already\n"
	"  --json               status for programs\n"
	"  --help, --version\n"
	"\n"
	"Examples:\n"
	"  lanthorn-agent enrol < token.txt\n"
	"  lanthorn-agent run --service 127.0.0.1:8080\n"
	"  lanthorn-agent status --json\n"
	"\n"
	"`enrol` exits with 0, 1 (refused), 75 (not reached, try again) or 78 (local trouble);\n"
	"`status` with 0 (linked), 1 (not linked), 3 (not running) or 78 (not enrolled).\n";

struct options {
	struct conf_source from;
	const char *token_file;
	bool again, json;
};

enum { OPT_CONFIG = 256, OPT_STATE, OPT_SERVICE, OPT_TOKEN_FILE, OPT_AGAIN, OPT_JSON, OPT_TOKEN };

static const struct option long_options[] = {
	{"config",     required_argument, NULL, OPT_CONFIG    },
	{"state",      required_argument, NULL, OPT_STATE     },
	{"service",    required_argument, NULL, OPT_SERVICE   },
	{"token-file", required_argument, NULL, OPT_TOKEN_FILE},
	{"token",      optional_argument, NULL, OPT_TOKEN     },
	{"again",      no_argument,       NULL, OPT_AGAIN     },
	{"json",       no_argument,       NULL, OPT_JSON      },
	{"help",       no_argument,       NULL, 'h'           },
	{"version",    no_argument,       NULL, 'V'           },
	{NULL,         0,                 NULL, 0             },
};

static int usage(const char *what)
{
	fprintf(stderr, "lanthorn-agent: %s; see: lanthorn-agent --help\n", what);
	return EXIT_USAGE;
}

static int refuse_token(void)
{
	fprintf(stderr,
		"lanthorn-agent: a token on the command line can be read by everybody on this "
		"device (ps) and stays in the shell's history; nothing was done. Give it on stdin "
		"or with --token-file FILE, and make a new one: lanthornctl pair NAME\n");
	return EXIT_USAGE;
}

/* 0: go on; -1: done with exit code 0; else the exit code. */
static int take_option(struct options *o, int opt)
{
	switch (opt) {
	case OPT_CONFIG:
		o->from.path = optarg;
		o->from.must_exist = true;
		return 0;
	case OPT_STATE:
		o->from.state = optarg;
		return 0;
	case OPT_SERVICE:
		o->from.service = optarg;
		return 0;
	case OPT_TOKEN_FILE:
		o->token_file = optarg;
		return str_starts(optarg, "lt1.") ? refuse_token() : 0;
	case OPT_TOKEN:
		return refuse_token();
	case OPT_AGAIN:
		o->again = true;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case 'h':
		fputs(help, stdout);
		return -1;
	case 'V':
		puts("lanthorn-agent " AGENT_VERSION);
		return -1;
	}
	return usage("unknown option");
}

static int run_verb(const char *verb, const struct options *o)
{
	struct conf c;
	struct err e = {0};
	if (conf_gather(&c, &o->from, &e) < 0) {
		fprintf(stderr, "lanthorn-agent: %s\n", e.text);
		return EXIT_LOCAL;
	}
	if (strcmp(verb, "enrol") == 0)
		return enroll_run(&c, o->token_file, o->again);
	if (strcmp(verb, "run") == 0)
		return agent_run(&c, &o->from);
	return status_show(&c, o->json);
}

static bool is_verb(const char *s)
{
	return strcmp(s, "enrol") == 0 || strcmp(s, "run") == 0 || strcmp(s, "status") == 0;
}

int main(int argc, char **argv)
{
	struct options o = {.from.path = SYSCONFDIR "/lanthorn/agent.conf"};
	int opt, rc = 0;
	signal(SIGPIPE, SIG_IGN);
	opterr = 0;
	while (rc == 0 && (opt = getopt_long(argc, argv, "hV", long_options, NULL)) != -1)
		rc = take_option(&o, opt);
	if (rc)
		return rc < 0 ? 0 : rc;
	for (int i = optind; i < argc; i++) {
		if (str_starts(argv[i], "lt1."))
			return refuse_token();
	}
	if (optind == argc)
		return usage("say what to do: enrol, run or status");
	if (!is_verb(argv[optind]))
		return usage("no such verb");
	if (optind + 1 != argc)
		return usage("too many words");
	return run_verb(argv[optind], &o);
}
