/* Unit tests of dns-plugins/run with small scripts in the place of plugins. */
#include "dns-plugins/run.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/loop.h"

static char script_path[64];

struct seen {
	struct loop *loop;
	unsigned calls;
	int rc;
	char message[PLUGIN_MESSAGE_MAX + 2];
};

static void on_done(void *ctx, int rc, const char *message)
{
	struct seen *s = ctx;
	s->calls++;
	s->rc = rc;
	snprintf(s->message, sizeof(s->message), "%s", message);
	loop_stop(s->loop);
}

static void write_script(const char *body)
{
	FILE *f = fopen(script_path, "we");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s\n", body);
	fclose(f);
	assert_int_equal(chmod(script_path, 0700), 0);
}

static const struct plugin_setting settings[] = {
	{"token", "s3cret==" },
        {"zone",  "home.test"}
};

static struct plugin_opts opts(struct seen *s)
{
	return (struct plugin_opts){
		.program = script_path,
		.provider = "fake",
		.settings = settings,
		.n_settings = 2,
		.op = PLUGIN_SET,
		.name = "_acme-challenge.home.test",
		.type = DNS_TXT,
		.ttl = 60,
		.value = "-abc def",
		.done = on_done,
		.ctx = s,
	};
}

static struct seen run_with(const char *body, struct plugin_opts *changed)
{
	struct seen s = {.calls = 0};
	struct plugin_call *call;
	struct err e = {0};
	write_script(body);
	assert_int_equal(loop_new(&s.loop, NULL), 0);
	struct plugin_opts o = changed ? *changed : opts(&s);
	o.ctx = &s;
	if (plugin_run(&call, s.loop, &o, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(s.calls, 0);
	loop_run(s.loop);
	assert_int_equal(s.calls, 1);
	loop_free(s.loop);
	return s;
}

static void exit_codes_become_verdicts(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		int rc;
		const char *message;
	} t[] = {
		{"echo noise >&2; exit 0",                                     0,       ""							  },
		{"echo 'busy, wait' >&2; exit 75",                             -EAGAIN, "busy, wait"                                                },
		{"echo 'no such zone' >&2; exit 1",                            -EPERM,  "no such zone"                                              },
		{"exit 1",						     -EPERM,  "DNS plugin \"fake\" refuses and does not say why"          },
		{"exit 75",						    -EAGAIN, "DNS plugin \"fake\" asks to try later and does not say why"},
		{"exit 64",						    -EPERM,
                 "DNS plugin \"fake\" ended with exit code 64, which the contract does not know"                                                    },
		{"kill -9 $$",						 -EAGAIN, "DNS plugin \"fake\" was killed by signal 9"                },
		{"printf '\\n  one\\033[31m\\ttwo\\r\\nthree\\n' >&2; exit 1", -EPERM,
                 "one [31m two"														     },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct seen s = run_with(t[i].body, NULL);
		assert_int_equal(s.rc, t[i].rc);
		assert_string_equal(s.message, t[i].message);
	}
}

static void a_long_message_is_cut_between_characters(void **state)
{
	(void)state;
	struct seen s =
		run_with("head -c 299 /dev/zero | tr '\\0' x >&2; echo 'ää' >&2; exit 1", NULL);
	assert_int_equal(strlen(s.message), 299);
	s = run_with("head -c 5000 /dev/zero | tr '\\0' x >&2; exit 1", NULL);
	assert_int_equal(strlen(s.message), PLUGIN_MESSAGE_MAX);
}

static void arguments_and_settings_arrive_each_by_its_way(void **state)
{
	(void)state;
	/* Everything a plugin is told, on one line; the secret must be on stdin alone. */
	struct seen s = run_with("printf '%s|' \"$@\" >&2; tr '\\n' '|' >&2;"
				 "env | grep -c s3cret >&2; exit 1",
		NULL);
	assert_string_equal(s.message,
		"fake|set|_acme-challenge.home.test|TXT|60|-abc def|token=s3cret==|zone=home.test|0");
	struct plugin_opts o = opts(NULL);
	o.provider = "exec";
	o.command = script_path;
	o.op = PLUGIN_UNSET;
	o.type = DNS_AAAA;
	o.value = "fd00::1";
	o.n_settings = 0;
	s = run_with("printf '%s|' \"$@\" >&2; wc -c >&2; exit 1", &o);
	assert_string_equal(s.message, "unset|_acme-challenge.home.test|AAAA|60|fd00::1|0");
}

static void a_plugin_that_hangs_is_ended(void **state)
{
	(void)state;
	uint64_t start = clock_mono_ms();
	struct plugin_opts o = opts(NULL);
	o.deadline_ms = 200;
	struct seen s = run_with("echo started >&2; sleep 60", &o);
	assert_int_equal(s.rc, -ETIMEDOUT);
	assert_non_null(strstr(s.message, "did not finish"));
	assert_true(clock_mono_ms() - start < 10000);
}

static void what_cannot_be_passed_on_is_refused(void **state)
{
	(void)state;
	static char big[PLUGIN_INPUT_MAX + 1];
	memset(big, 'x', sizeof(big) - 1);
	struct plugin_opts t[14];
	for (size_t i = 0; i < 14; i++)
		t[i] = opts(NULL);
	const struct plugin_setting bad[] = {
		{"a",    "b\nc=d"},
                {"a\nb", "c"     },
                {"a=b",  "c"     },
                {"",     "c"     },
                {"a",    big     },
                {"a",    NULL    }
        };
	for (size_t i = 0; i < 6; i++) {
		t[i].settings = &bad[i];
		t[i].n_settings = 1;
	}
	t[6].name = "a\nb";
	t[7].name = "-v";
	t[8].value = "a\rb";
	t[9].value = "";
	t[10].provider = "";
	t[11].provider = "exec";
	t[12].provider = "exec";
	t[12].command = "rm";
	t[13].type = DNS_CNAME;
	struct loop *loop;
	assert_int_equal(loop_new(&loop, NULL), 0);
	for (size_t i = 0; i < 14; i++) {
		struct plugin_call *call;
		struct err e = {0};
		assert_int_equal(plugin_run(&call, loop, &t[i], &e), -EINVAL);
		assert_true(e.text[0]);
		assert_null(call);
	}
	struct plugin_call *call;
	struct plugin_opts o = opts(NULL);
	o.program = "/nowhere/plugin";
	assert_int_equal(plugin_run(&call, loop, &o, NULL), -ENOENT);
	loop_free(loop);
}

static void a_cancelled_call_calls_nobody(void **state)
{
	(void)state;
	struct seen s = {.calls = 0};
	struct plugin_call *call;
	write_script("sleep 60");
	assert_int_equal(loop_new(&s.loop, NULL), 0);
	struct plugin_opts o = opts(&s);
	assert_int_equal(plugin_run(&call, s.loop, &o, NULL), 0);
	plugin_cancel(call);
	plugin_cancel(NULL);
	loop_free(s.loop);
	assert_int_equal(s.calls, 0);
}

int main(void)
{
	char dir[] = "/tmp/lanthorn-plugin-XXXXXX";
	if (!mkdtemp(dir))
		return 1;
	snprintf(script_path, sizeof(script_path), "%s/plugin", dir);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_codes_become_verdicts),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
		cmocka_unit_test(arguments_and_settings_arrive_each_by_its_way),
		cmocka_unit_test(a_plugin_that_hangs_is_ended),
		cmocka_unit_test(what_cannot_be_passed_on_is_refused),
		cmocka_unit_test(a_cancelled_call_calls_nobody),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(script_path);
	rmdir(dir);
	return failed;
}
