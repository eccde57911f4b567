/* gate/names: what was ever asked for is taken out again when it is wanted no more, over restarts
 * of either process; without an address nothing is touched. */
#include "gate_tmp.h"

#include <errno.h>

#include "base/buf.h"
#include "base/file.h"
#include "gate/names.h"

struct scene {
	char dir[64];
	char *path;
	struct names *n;
	unsigned sent;
	struct procmsg last;
	uint64_t ids[2]; /* last asked with, of each of `hosts` */
	bool full;
};

static const char *const hosts[] = {"home.example.com", "tv.home.example.com"};

static int on_send(void *ctx, const struct procmsg *m, struct err *e)
{
	struct scene *s = ctx;
	if (s->full)
		return err_set(e, -ENOBUFS, "full");
	assert_int_equal(m->type, PROCMSG_PUBLISH);
	s->sent++;
	s->last = *m;
	for (int i = 0; i < 2; i++)
		if (!strcmp(m->names[0], hosts[i]))
			s->ids[i] = m->id;
	return 0;
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	tmp_make(s->dir);
	s->path = xasprintf("%s/published", s->dir);
	assert_int_equal(names_open(&s->n, s->path, on_send, s, NULL), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	names_free(s->n);
	tmp_remove(s->dir);
	free(s->path);
	free(s);
	return 0;
}

/* Returns how many messages that made. */
static unsigned want(struct scene *s, unsigned n, const char *addr)
{
	struct names_want w = {.names = hosts, .n = n};
	if (addr)
		snprintf(w.addrs.addrs[w.addrs.n++], 46, "%s", addr);
	s->sent = 0;
	names_set(s->n, &w);
	names_push(s->n);
	return s->sent;
}

static bool answer(struct scene *s, const char *name, uint64_t id, enum state_class class)
{
	struct procmsg m = {.type = PROCMSG_STATE,
		.id = id,
		.class = class,
		.n_names = 1,
		.text = "why",
		.next_at = 7};
	snprintf(m.names[0], sizeof(m.names[0]), "%s", name);
	return names_state(s->n, &m);
}

/* The answer to what was last asked of that name. */
static bool say(struct scene *s, const char *name, enum state_class class)
{
	for (int i = 0; i < 2; i++)
		if (!strcmp(name, hosts[i]))
			return answer(s, name, s->ids[i], class);
	return answer(s, name, s->last.id, class);
}

static void changes_are_sent_once(void **state)
{
	struct scene *s = *state;
	assert_int_equal(want(s, 2, "192.168.1.1"), 2);
	assert_int_equal(want(s, 2, "192.168.1.1"), 0);
	assert_int_equal(want(s, 2, "192.168.1.2"), 2);
	assert_string_equal(s->last.addrs[0], "192.168.1.2");
	names_restart(s->n);
	assert_int_equal(want(s, 2, "192.168.1.2"), 2);
}

static void without_an_address_dns_is_left_alone(void **state)
{
	struct scene *s = *state;
	assert_int_equal(want(s, 2, NULL), 0);
	assert_int_equal(want(s, 2, "192.168.1.1"), 2);
	assert_int_equal(want(s, 2, NULL), 0);
}

static void a_name_wanted_no_more_is_taken_out(void **state)
{
	struct scene *s = *state;
	want(s, 2, "192.168.1.1");
	assert_int_equal(want(s, 1, "192.168.1.1"), 1);
	assert_string_equal(s->last.names[0], hosts[1]);
	assert_int_equal(s->last.n_addrs, 0);
	assert_true(say(s, hosts[1], STATE_PUBLISHED));
	assert_false(say(s, hosts[1], STATE_PUBLISHED));
	names_restart(s->n);
	assert_int_equal(want(s, 1, "192.168.1.1"), 1);
}

static bool is_known(struct scene *s, const char *name)
{
	struct buf text = BUF_INIT(4096);
	assert_int_equal(file_read(s->path, &text, NULL), 0);
	assert_int_equal(buf_printf(&text, "%c", 0), 0);
	bool known = strstr((const char *)text.data, name);
	buf_done(&text);
	return known;
}

/* "It is there" comes when it has just been asked to go; a steward that dies then has taken nothing
 * out. */
static void a_late_answer_is_not_taken_for_the_next(void **state)
{
	struct scene *s = *state;
	struct names_view v;
	want(s, 2, "192.168.1.1");
	uint64_t first = s->ids[1];
	assert_int_equal(want(s, 1, "192.168.1.1"), 1);
	assert_int_not_equal(s->ids[1], first);
	assert_true(answer(s, hosts[1], first, STATE_PUBLISHED));
	assert_true(answer(s, hosts[1], 0, STATE_PUBLISHED));
	assert_true(is_known(s, hosts[1]));
	assert_true(say(s, hosts[1], STATE_PUBLISHED));
	assert_false(is_known(s, hosts[1]));

	assert_int_equal(want(s, 1, "192.168.1.2"), 1);
	first = s->ids[0];
	assert_int_equal(want(s, 1, "192.168.1.3"), 1);
	answer(s, hosts[0], first, STATE_PUBLISHED);
	assert_int_equal(names_get(s->n, hosts[0], &v), 0);
	assert_false(v.done);
	say(s, hosts[0], STATE_PUBLISHED);
	assert_int_equal(names_get(s->n, hosts[0], &v), 0);
	assert_true(v.done);
}

static void a_restart_does_not_forget_what_must_go(void **state)
{
	struct scene *s = *state;
	want(s, 2, "192.168.1.1");
	names_free(s->n);
	assert_int_equal(names_open(&s->n, s->path, on_send, s, NULL), 0);
	assert_int_equal(want(s, 1, "192.168.1.1"), 2);
	assert_true(say(s, hosts[1], STATE_PUBLISHED));
	names_free(s->n);
	assert_int_equal(names_open(&s->n, s->path, on_send, s, NULL), 0);
	assert_int_equal(want(s, 1, "192.168.1.1"), 1);
}

static void failures_are_told_until_it_works(void **state)
{
	struct scene *s = *state;
	struct names_view v;
	want(s, 1, "192.168.1.1");
	assert_int_equal(names_get(s->n, hosts[1], &v), -ENOENT);
	assert_true(say(s, hosts[0], STATE_FAIL_DNS));
	assert_int_equal(names_get(s->n, hosts[0], &v), 0);
	assert_false(v.done);
	assert_int_equal(v.class, STATE_FAIL_DNS);
	assert_string_equal(v.text, "why");
	assert_true(say(s, hosts[0], STATE_PUBLISHED));
	assert_int_equal(names_get(s->n, hosts[0], &v), 0);
	assert_true(v.done);
	assert_int_equal(v.class, 0);
}

static void a_full_pipe_loses_nothing(void **state)
{
	struct scene *s = *state;
	struct names_want w = {
		.names = hosts, .n = 2, .addrs = {1, {"192.168.1.1"}}
        };
	s->full = true;
	names_set(s->n, &w);
	assert_true(names_push(s->n));
	s->full = false;
	assert_false(names_push(s->n));
	assert_int_equal(s->sent, 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Thousands at once would be answered by more messages than the pipe holds. */
static void many_names_wait_for_answers(void **state)
{
	struct scene *s = *state;
	char names[300][40];
	const char *list[300];
	for (int i = 0; i < 300; i++) {
		snprintf(names[i], sizeof(names[i]), "d%d.home.example.com", i);
		list[i] = names[i];
	}
	struct names_want w = {
		.names = list, .n = 300, .addrs = {.n = 1, .addrs = {"10.0.0.1"}}
        };
	names_set(s->n, &w);
	assert_false(names_push(s->n));
	assert_int_equal(s->sent, 64);
	assert_false(names_push(s->n));
	assert_int_equal(s->sent, 64);
	for (unsigned done = 0; done < 300; done++) {
		char name[254];
		memcpy(name, s->last.names[0], sizeof(name));
		assert_true(say(s, name, done % 2 ? STATE_PUBLISHED : STATE_FAIL_DNS));
		assert_false(names_push(s->n));
		assert_int_equal(s->sent, done + 65 < 300 ? done + 65 : 300);
	}
	names_restart(s->n);
	assert_false(names_push(s->n));
	assert_int_equal(s->sent, 364);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(changes_are_sent_once),
		T(without_an_address_dns_is_left_alone),
		T(a_name_wanted_no_more_is_taken_out),
		T(a_late_answer_is_not_taken_for_the_next),
		T(a_restart_does_not_forget_what_must_go),
		T(failures_are_told_until_it_works),
		T(a_full_pipe_loses_nothing),
		T(many_names_wait_for_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
