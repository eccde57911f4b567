/* base/buf: grows to its cap and not a byte further; a refused append changes nothing. */
#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void the_cap_is_exact(void **state)
{
	static const size_t caps[] = {0, 1, 255, 256, 257, 5000};
	(void)state;
	for (size_t i = 0; i < sizeof(caps) / sizeof(*caps); i++) {
		struct buf b = BUF_INIT(caps[i]);
		for (size_t k = 0; k < caps[i]; k++)
			assert_int_equal(buf_append(&b, "x", 1), 0);
		assert_int_equal(buf_append(&b, "x", 1), -ENOBUFS);
		assert_int_equal(b.len, caps[i]);
		buf_done(&b);
	}
}

static void a_refused_append_changes_nothing(void **state)
{
	struct buf b = BUF_INIT(8);
	(void)state;
	assert_int_equal(buf_puts(&b, "abcde"), 0);
	assert_int_equal(buf_puts(&b, "fghi"), -ENOBUFS);
	assert_int_equal(buf_printf(&b, "%d", 1234), -ENOBUFS);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOBUFS);
	assert_string_equal(buf_str(&b), "abcde");
	assert_int_equal(buf_printf(&b, "%d", 123), 0);
	assert_string_equal(buf_str(&b), "abcde123");
	buf_done(&b);
}

static void consumed_bytes_make_room(void **state)
{
	struct buf b = BUF_INIT(4);
	(void)state;
	buf_puts(&b, "abcd");
	buf_consume(&b, 3);
	assert_int_equal(buf_puts(&b, "efg"), 0);
	assert_string_equal(buf_str(&b), "defg");
	buf_consume(&b, 100);
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void an_empty_buffer_is_a_string(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 0);
	assert_string_equal(buf_str(&b), "");
	buf_done(&b);
	assert_null(b.data);
	buf_done(&b);
}

static void bytes_survive_growth(void **state)
{
	struct buf b = BUF_INIT(100000);
	(void)state;
	for (unsigned i = 0; i < 50000; i++)
		assert_int_equal(buf_append(&b, &(uint8_t){(uint8_t)(i * 7)}, 1), 0);
	for (unsigned i = 0; i < 50000; i++)
		assert_int_equal(b.data[i], (uint8_t)(i * 7));
	buf_done_secret(&b);
	assert_int_equal(b.cap, 100000);
	assert_int_equal(b.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cap_is_exact),
		cmocka_unit_test(a_refused_append_changes_nothing),
		cmocka_unit_test(consumed_bytes_make_room),
		cmocka_unit_test(an_empty_buffer_is_a_string),
		cmocka_unit_test(bytes_survive_growth),
	};
	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
