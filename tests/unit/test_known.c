/* The cookie of a browser that has signed in before: whose it is, and when it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/known.h"

static const uint8_t blob[] = "a hash of a password", other[] = "a hash of another one";
static const struct known_of ann = {7, blob, sizeof(blob)};

static void it_is_for_one_person_and_one_password(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		struct known_of who;
		bool expected;
	} rows[] = {
		{"the same", {7, blob, sizeof(blob)}, true},
		{"another person", {8, blob, sizeof(blob)}, false},
		{"a new password", {7, other, sizeof(other)}, false},
		{"no password", {7, blob, 0}, false},
	};
	char text[KNOWN_TEXT];
	known_make(text, &ann);
	assert_int_equal(strlen(text), KNOWN_TEXT - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (known_check(text, &rows[i].who) != rows[i].expected)
			fail_msg("%s", rows[i].what);
	}
}

static void nothing_else_passes_for_it(void **state)
{
	(void)state;
	char text[KNOWN_TEXT], changed[KNOWN_TEXT + 1];
	known_make(text, &ann);
	for (size_t i = 0; i < KNOWN_TEXT - 1; i++) {
		memcpy(changed, text, sizeof(text));
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		assert_false(known_check(changed, &ann));
	}
	memcpy(changed, text, sizeof(text));
	changed[KNOWN_TEXT - 2] = 0;
	assert_false(known_check(changed, &ann));
	strcpy(changed, text);
	strcat(changed, "x");
	assert_false(known_check(changed, &ann));
	assert_false(known_check("", &ann));
}

static void each_browser_has_its_own(void **state)
{
	(void)state;
	char one[KNOWN_TEXT], two[KNOWN_TEXT];
	known_make(one, &ann);
	known_make(two, &ann);
	assert_memory_not_equal(one, two, KNOWN_ID_LEN);
	known_make(one, &(struct known_of){7, blob, 0});
	assert_string_equal(one, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_for_one_person_and_one_password),
		cmocka_unit_test(nothing_else_passes_for_it),
		cmocka_unit_test(each_browser_has_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
