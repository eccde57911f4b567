/* Unit tests of net/run with real children: what they may keep, print and outlive. */
#include "net/run.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/loop.h"

struct seen {
	struct loop *loop;
	struct run *run;
	int pid;
	unsigned calls;
	struct run_result result;
	char out[RUN_OUTPUT_MAX + 1], errs[RUN_OUTPUT_MAX + 1];
	struct timer kill;
};

static void on_done(void *ctx, const struct run_result *r)
{
	struct seen *s = ctx;
	s->calls++;
	s->result = *r;
	memcpy(s->out, r->out, r->out_len + 1);
	memcpy(s->errs, r->errs, r->errs_len + 1);
	loop_stop(s->loop);
}

static void on_kill(struct timer *t)
{
	struct seen *s = (struct seen *)((char *)t - offsetof(struct seen, kill));
	run_kill(s->run);
	run_kill(s->run);
}

/* Run to the end; `kill_ms` 0: let it. */
static void run_opts(struct seen *s, const struct run_opts *o, uint64_t kill_ms)
{
	struct err e = {0};
	memset(s, 0, sizeof(*s));
	assert_int_equal(loop_new(&s->loop, &e), 0);
	if (run_start(&s->run, s->loop, o, on_done, s, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(s->calls, 0);
	s->pid = run_pid(s->run);
	assert_true(s->pid > 1);
	timer_init(&s->kill, s->loop, on_kill);
	if (kill_ms)
		timer_arm(&s->kill, kill_ms);
	loop_run(s->loop);
	assert_int_equal(s->calls, 1);
	timer_cancel(&s->kill);
	loop_free(s->loop);
}

static struct seen *shell(const char *script, uint64_t deadline_ms)
{
	static struct seen s;
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	run_opts(&s, &(struct run_opts){.argv = argv, .deadline_ms = deadline_ms}, 0);
	return &s;
}

static bool is_alive(int pid)
{
	char path[64], line[512] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	fclose(f);
	const char *state = strrchr(line, ')');
	return state && state[2] != 'Z';
}

/* Death is asynchronous even after SIGKILL; wait for it, not for ever. */
static bool dies(int pid)
{
	for (int i = 0; i < 200 && is_alive(pid); i++)
		usleep(10000);
	return !is_alive(pid);
}

static void exit_codes_and_output_come_back(void **state)
{
	(void)state;
	struct seen *s = shell("echo out; echo err >&2; exit 75", 10000);
	assert_int_equal(s->result.exit_code, 75);
	assert_int_equal(s->result.signal, 0);
	assert_int_equal(s->result.timed_out, 0);
	assert_string_equal(s->out, "out\n");
	assert_string_equal(s->errs, "err\n");
	s = shell("exit 0", 10000);
	assert_int_equal(s->result.exit_code, 0);
	assert_string_equal(s->out, "");
	s = shell("kill -USR1 $$", 10000);
	assert_int_equal(s->result.exit_code, -1);
	assert_int_equal(s->result.signal, SIGUSR1);
}

static void a_program_that_is_not_there_is_told_at_once(void **state)
{
	(void)state;
	struct loop *loop;
	struct run *r;
	struct err e = {0};
	const char *const argv[] = {"/nowhere/program", NULL};
	assert_int_equal(loop_new(&loop, &e), 0);
	const struct run_opts o = {.argv = argv, .deadline_ms = 1000};
	assert_int_equal(run_start(&r, loop, &o, on_done, NULL, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/nowhere/program"));
	const struct run_opts dir = {
		.argv = (const char *const[]){"/bin/true", NULL},
		.dir = "/nowhere",
		.deadline_ms = 1
        };
	assert_int_equal(run_start(&r, loop, &dir, on_done, NULL, &e), -ENOENT);
	assert_null(r);
	loop_free(loop);
}

static void the_environment_is_cleared(void **state)
{
	(void)state;
	setenv("SECRET_OF_PARENT", "1", 1);
	static struct seen s;
	const char *const argv[] = {"/usr/bin/env", NULL};
	run_opts(&s, &(struct run_opts){.argv = argv, .deadline_ms = 10000}, 0);
	assert_string_equal(s.out,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nLANG=C\n");
	const char *const env[] = {"A=b", NULL};
	run_opts(&s, &(struct run_opts){.argv = argv, .env = env, .deadline_ms = 10000}, 0);
	assert_string_equal(s.out, "A=b\n");
}

static void descriptors_signals_and_session_are_fresh(void **state)
{
	(void)state;
	/* Inheritable on purpose. */
	int fd = open("/dev/null", O_RDONLY), far = fcntl(fd, F_DUPFD, 200);
	signal(SIGINT, SIG_IGN);
	sigset_t block, old;
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &old);
	/* Two signals are glibc's own, ignored in what posix_spawn() starts and out of our reach. */
	/* The shell lists its own descriptors, and one more for the listing. */
	struct seen *s = shell("set -- /proc/$$/fd/*; echo $(($# - 1));"
			       "grep -E '^Sig(Blk|Ign)' /proc/$$/status | cut -f2 |"
			       "sed s/^0000000180000000$/0000000000000000/;"
			       "cut -d' ' -f5,6 /proc/$$/stat; echo $$ $$; pwd",
		10000);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGINT, SIG_DFL);
	close(fd);
	close(far);
	char want[200];
	snprintf(want, sizeof(want), "3\n0000000000000000\n0000000000000000\n%d %d\n%d %d\n/\n",
		s->pid, s->pid, s->pid, s->pid);
	assert_string_equal(s->out, want);
}

static void a_child_gone_wild_has_limits(void **state)
{
	(void)state;
	struct seen *s = shell("ulimit -c; ulimit -n; ulimit -f; ulimit -Hc", 10000);
	assert_string_equal(s->out, "0\n256\n131072\n0\n"); /* files in blocks of 512 */
}

static void input_is_fed_and_ended(void **state)
{
	(void)state;
	static struct seen s;
	static char big[300000];
	memset(big, 'x', sizeof(big));
	const char *const wc[] = {"/usr/bin/wc", "-c", NULL}, *const cat[] = {"/bin/cat", NULL};
	const char *const deaf[] = {"/bin/true", NULL};
	struct run_opts o = {
		.argv = wc, .input = big, .input_len = sizeof(big), .deadline_ms = 10000};
	run_opts(&s, &o, 0);
	assert_string_equal(s.out, "300000\n");
	o.argv = deaf; /* reads nothing */
	run_opts(&s, &o, 0);
	assert_int_equal(s.result.exit_code, 0);
	run_opts(&s, &(struct run_opts){.argv = cat, .deadline_ms = 10000}, 0);
	assert_string_equal(s.out, "");
	assert_int_equal(s.result.exit_code, 0);
}

static void a_flood_is_read_and_cut(void **state)
{
	(void)state;
	struct seen *s = shell("head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2", 20000);
	assert_int_equal(s->result.exit_code, 0);
	assert_int_equal(s->result.out_len, RUN_OUTPUT_MAX);
	assert_int_equal(s->out[RUN_OUTPUT_MAX - 1], 'x');
	assert_string_equal(s->errs, "end\n");
}

static void the_end_of_a_flood_is_kept_on_request(void **state)
{
	(void)state;
	struct seen s;
	const char *argv[] = {
		"/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo last words", NULL};
	run_opts(&s, &(struct run_opts){.argv = argv, .deadline_ms = 20000, .keep_end = true}, 0);
	assert_in_range(s.result.out_len, RUN_OUTPUT_MAX / 4, RUN_OUTPUT_MAX);
	assert_string_equal(s.out + s.result.out_len - 12, "xlast words\n");
}

static void the_deadline_ends_the_whole_group(void **state)
{
	(void)state;
	uint64_t start = clock_mono_ms();
	/* The grandchild ignores SIGTERM, as its leader does. */
	struct seen *s = shell("trap '' TERM; (trap '' TERM; exec sleep 60) & echo $!; sleep 60;"
			       "sleep 60",
		300);
	uint64_t took = clock_mono_ms() - start;
	assert_int_equal(s->result.timed_out, 1);
	assert_int_equal(s->result.signal, SIGKILL);
	assert_true(took >= 2300 && took < 10000);
	assert_true(dies(atoi(s->out)));
}

static void one_that_heeds_sigterm_ends_at_the_deadline(void **state)
{
	(void)state;
	struct seen *s = shell("trap 'echo bye; exit 3' TERM; sleep 60 & wait", 300);
	assert_int_equal(s->result.timed_out, 1);
	assert_int_equal(s->result.exit_code, 3);
	assert_string_equal(s->out, "bye\n");
}

static void what_the_leader_leaves_behind_is_killed(void **state)
{
	(void)state;
	uint64_t start = clock_mono_ms();
	/* One holds the pipes, the other has let go of them. */
	struct seen *s = shell("sleep 60 & echo $!; exit 4", 30000);
	assert_int_equal(s->result.exit_code, 4);
	assert_int_equal(s->result.timed_out, 0);
	assert_true(clock_mono_ms() - start < 5000);
	assert_true(dies(atoi(s->out)));
	s = shell("sleep 60 >/dev/null 2>&1 & echo $!", 30000);
	assert_true(dies(atoi(s->out)));
}

static void run_kill_ends_it_and_is_told_once(void **state)
{
	(void)state;
	static struct seen s;
	const char *const argv[] = {"/bin/sh", "-c", "sleep 60 & echo $!; wait", NULL};
	run_opts(&s, &(struct run_opts){.argv = argv, .deadline_ms = 30000}, 200);
	assert_int_equal(s.result.signal, SIGKILL);
	assert_int_equal(s.result.timed_out, 0);
	assert_true(dies(atoi(s.out)));
}

static void on_done_quietly(void *ctx, const struct run_result *r)
{
	(void)r;
	++*(unsigned *)ctx;
}

/* Killed, we can end nobody; yet what runs must not go on behind the back of our successor. */
static void children_die_with_the_process_that_ran_them(void **state)
{
	int report[2], pid = 0;
	(void)state;
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	pid_t runner = fork();
	if (runner == 0) {
		struct err e = {0};
		struct loop *loop = NULL;
		struct run *run = NULL;
		const char *const argv[] = {"/bin/sleep", "60", NULL};
		const struct run_opts o = {.argv = argv, .deadline_ms = 60000};
		if (loop_new(&loop, &e) < 0 || run_start(&run, loop, &o, on_done, NULL, &e) < 0)
			_exit(1);
		pid = run_pid(run);
		if (write(report[1], &pid, sizeof(pid)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(report[0], &pid, sizeof(pid)), sizeof(pid));
	assert_true(is_alive(pid));
	kill(runner, SIGKILL);
	assert_int_equal(waitpid(runner, NULL, 0), runner);
	assert_true(dies(pid));
	close(report[0]);
	close(report[1]);
}

static void freeing_the_loop_ends_children(void **state)
{
	(void)state;
	struct loop *loop;
	struct run *r;
	unsigned calls = 0;
	const char *const argv[] = {"/bin/sleep", "60", NULL};
	assert_int_equal(loop_new(&loop, NULL), 0);
	const struct run_opts o = {.argv = argv, .deadline_ms = 60000};
	assert_int_equal(run_start(&r, loop, &o, on_done_quietly, &calls, NULL), 0);
	int pid = run_pid(r);
	loop_free(loop);
	assert_int_equal(calls, 1);
	assert_true(dies(pid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_codes_and_output_come_back),
		cmocka_unit_test(a_program_that_is_not_there_is_told_at_once),
		cmocka_unit_test(the_environment_is_cleared),
		cmocka_unit_test(descriptors_signals_and_session_are_fresh),
		cmocka_unit_test(a_child_gone_wild_has_limits),
		cmocka_unit_test(input_is_fed_and_ended),
		cmocka_unit_test(a_flood_is_read_and_cut),
		cmocka_unit_test(the_end_of_a_flood_is_kept_on_request),
		cmocka_unit_test(the_deadline_ends_the_whole_group),
		cmocka_unit_test(one_that_heeds_sigterm_ends_at_the_deadline),
		cmocka_unit_test(what_the_leader_leaves_behind_is_killed),
		cmocka_unit_test(run_kill_ends_it_and_is_told_once),
		cmocka_unit_test(children_die_with_the_process_that_ran_them),
		cmocka_unit_test(freeing_the_loop_ends_children),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
