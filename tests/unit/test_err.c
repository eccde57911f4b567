/* base/err: one sentence, never longer than its room, and NULL accepted everywhere. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void code_and_sentence_are_kept(void **state)
{
	struct err e = {0};
	(void)state;
	assert_int_equal(err_set(&e, -EINVAL, "no %s in line %d", "key", 3), -EINVAL);
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(e.text, "no key in line 3");
}

static void system_words_follow(void **state)
{
	struct err e = {0};
	(void)state;
	assert_int_equal(err_sys(&e, -ENOENT, "cannot open %s", "x"), -ENOENT);
	assert_string_equal(e.text, "cannot open x: No such file or directory");
}

static void prefixes_stack_up(void **state)
{
	struct err e = {0};
	(void)state;
	err_set(&e, -EIO, "broken");
	assert_int_equal(err_prefix(&e, "tv"), -EIO);
	assert_int_equal(err_prefix(&e, "link %d", 7), -EIO);
	assert_string_equal(e.text, "link 7: tv: broken");
}

static void null_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, -EPERM, "x"), -EPERM);
	assert_int_equal(err_sys(NULL, -EPERM, "x"), -EPERM);
	assert_int_equal(err_prefix(NULL, "x"), -1);
}

static void long_text_is_cut_and_ended(void **state)
{
	char big[2000];
	struct err e;
	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	err_set(&e, -EINVAL, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	err_sys(&e, -EINVAL, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	err_prefix(&e, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_and_sentence_are_kept),
		cmocka_unit_test(system_words_follow),
		cmocka_unit_test(prefixes_stack_up),
		cmocka_unit_test(null_is_accepted),
		cmocka_unit_test(long_text_is_cut_and_ended),
	};
	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
