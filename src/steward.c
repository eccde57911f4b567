/* lanthorn-steward: the certificate process, started by lanthornd with its end of the message pair
 * as descriptor
 * 3. Ends when that pair's other end is gone. With --exec-uacme first it is the wrapper around
 * uacme. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/uacme_exec.h"
#include "base/file.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/seccomp.h"
#include "net/crypto.h"
#include "net/loop.h"
#include "steward/steward.h"
#include "store/conf.h"

#define EXIT_USAGE 64
#define EXIT_CONFIG 78
#define FD_GATE 3
#define AREA "steward"

static const char usage[] =
	"Usage: lanthorn-steward --config FILE\n"
	"\n"
	"Keeps certificates and DNS records for lanthornd, which starts it; not for people to run.\n";

struct program {
	struct loop *loop;
	struct steward *steward;
	const char *conf_path;
};

/* Everything that is wrong, each on a line of its own. */
static int load(struct conf **out, const char *path)
{
	struct conf_errors errors = {0};
	int rc = conf_load(out, path, &errors);
	for (unsigned i = 0; i < errors.n; i++)
		log_error(AREA, "configuration", "why", errors.text[i]);
	return rc;
}

static void on_reload(void *ctx, int signum)
{
	struct program *p = ctx;
	struct conf *conf = NULL;
	struct err e = {0};
	(void)signum;
	if (load(&conf, p->conf_path) < 0) {
		log_error(AREA, "reload failed, the old configuration stays");
		return;
	}
	log_setup(conf->log.level, conf->log.format == CONF_LOG_JSON);
	if (steward_configure(p->steward, conf, &e) < 0)
		log_error(AREA, "reload failed, the old configuration stays", "why", e.text);
	else
		log_info(AREA, "configuration read again");
	conf_unref(conf);
}

static void on_stop(void *ctx, int signum)
{
	struct program *p = ctx;
	(void)signum;
	loop_stop(p->loop);
}

static void on_gone(void *ctx)
{
	struct program *p = ctx;
	log_warn(AREA, "the gate's end is gone, ending");
	loop_stop(p->loop);
}

/* No core file and no debugger: this process holds credentials. */
static void harden(void)
{
	umask(077);
	sandbox_harden();
	signal(SIGPIPE, SIG_IGN);
	crypto_quiet(true);
}

/* What it starts inherits this: programs of others read and run what their user may, but write only
 * here and where everybody may. */
static int close_in(const struct conf *c, struct err *e)
{
	static const char *const for_all[] = {"/tmp", "/var/tmp", "/dev/shm"};
	const char *const tops[] = {c->state_dir, c->run_dir};
	struct landlock *l = landlock_new();
	struct sandbox s;
	int rc = 0;
	for (int i = 0; i < 2 && rc == 0; i++) {
		char own[PATH_MAX];
		snprintf(own, sizeof(own), "%s/steward", tops[i]);
		rc = dir_make(own, 0700, e);
		landlock_allow(l, own, LANDLOCK_WRITE);
	}
	for (size_t i = 0; i < sizeof(for_all) / sizeof(*for_all); i++)
		landlock_allow(l, for_all[i], LANDLOCK_WRITE);
	landlock_allow(l, "/", LANDLOCK_READ | LANDLOCK_RUN);
	landlock_allow_system(l);
	if (rc < 0) {
		landlock_free(l);
		return rc;
	}
	rc = sandbox_enter(&s, l, CALLS_OTHERS, e);
	if (rc == 0)
		log_info(AREA, "closed in", "calls", sandbox_calls(&s), "files", sandbox_files(&s));
	return rc;
}

static int open_all(struct program *p, const struct conf *conf, struct err *e)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_sys(e, -errno, "cannot find this program");
	self[n] = 0;
	int rc = loop_new(&p->loop, e);
	if (!rc)
		rc = loop_on_signal(p->loop, SIGHUP, on_reload, p, e);
	if (!rc)
		rc = loop_on_signal(p->loop, SIGTERM, on_stop, p, e);
	if (!rc)
		rc = loop_on_signal(p->loop, SIGINT, on_stop, p, e);
	if (!rc) {
		struct steward_opts o = {
			.conf = conf, .fd = FD_GATE, .self = self, .gone = on_gone, .ctx = p};
		rc = steward_open(&p->steward, p->loop, &o, e);
	}
	return rc;
}

static int run(const char *conf_path)
{
	struct program p = {.conf_path = conf_path};
	struct conf *conf = NULL;
	struct err e = {0};
	harden();
	if (load(&conf, conf_path) < 0)
		return EXIT_CONFIG;
	log_setup(conf->log.level, conf->log.format == CONF_LOG_JSON);
	int rc = close_in(conf, &e);
	if (rc == 0)
		rc = open_all(&p, conf, &e);
	conf_unref(conf);
	if (rc < 0)
		log_error(AREA, "cannot start", "why", e.text);
	else
		loop_run(p.loop);
	steward_free(p.steward);
	loop_free(p.loop);
	return rc < 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
                {"help",    no_argument, NULL, 'h'},
                {0       }
        };
	const char *conf_path = SYSCONFDIR "/lanthorn/gateway.yaml";
	if (argc > 1 && !strcmp(argv[1], "--exec-uacme"))
		return uacme_exec(argc - 2, argv + 2);
	for (int opt; (opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		if (opt == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		if (opt != 'c') {
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
		conf_path = optarg;
	}
	return run(conf_path);
}
