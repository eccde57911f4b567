/* Priority fields: what counts of them, and what does not. */
#include "http/h2_priority.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/msg.h"

static void members_that_are_well_said_count(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		int urgency;
		bool incremental;
	} rows[] = {
		{"",		     3, false},
		{"u=0",                  0, false},
		{"u=7, i",               7, true },
		{"i,u=1",                1, true },
		{"i=?1",                 3, true },
		{"i, i=?0",              3, false},
		{"u=1,u=5",              5, false},
		{"u=8",                  3, false},
		{"u=-1",                 3, false},
		{"u=12",                 3, false},
		{"u=2.0",                3, false},
		{"u",                    3, false},
		{"U=1, I",               3, false},
		{"i=1",                  3, false},
		{"i=?2",                 3, false},
		{"u=2;x=1 , i;y",        2, true },
		{"x=\"a,u=0,i\", u=6",   6, false},
		{"x=\"a\\\",u=0\", u=6", 6, false},
		{"x=\"never ends, u=0",  3, false},
		{"x=\"\\",               3, false},
		{",,,u=4,,",             4, false},
		{"ux=1, iu",             3, false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct h2_priority p = {.urgency = 3};
		h2_priority_merge(&p, rows[i].value);
		if (p.urgency != rows[i].urgency || p.incremental != rows[i].incremental)
			fail_msg("\"%s\": %d %d", rows[i].value, p.urgency, p.incremental);
	}
}

static void the_answer_overrides_what_was_asked_for(void **state)
{
	(void)state;
	struct msg *req = msg_new_request("GET", "https", "tv.home.test", "/");
	struct msg *resp = msg_new_response(200);
	struct h2_priority p;
	msg_add(req, "priority", "u=5, i");
	assert_false(h2_priority_of(&p, req, resp));
	msg_add(resp, "priority", "u=1");
	assert_true(h2_priority_of(&p, req, resp));
	assert_int_equal(p.urgency, 1);
	assert_true(p.incremental);
	msg_remove(req, "priority");
	assert_true(h2_priority_of(&p, req, resp));
	assert_false(p.incremental);
	msg_free(req);
	msg_free(resp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_that_are_well_said_count),
		cmocka_unit_test(the_answer_overrides_what_was_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
