/* The memory of a session at rest: blocks, and that all of it is as it was afterwards, and gone in
 * between. */
#include "http/h2_slot.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static uint8_t scratch[20480];

static size_t pages_held(const struct h2_slot *s)
{
	unsigned char is[H2_SLOT_SIZE / 1024];
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
	assert_int_equal(mincore(s->at, H2_SLOT_SIZE, is), 0);
	for (size_t i = 0; i < H2_SLOT_SIZE / page; i++)
		n += is[i] & 1;
	return n;
}

static struct h2_slot new_slot(void)
{
	struct h2_slot s;
	assert_true(h2_slot_init(&s));
	return s;
}

static void blocks_have_room_and_are_apart(void **state)
{
	struct h2_slot s = new_slot();
	uint8_t *p[520];
	(void)state;
	for (size_t n = 0; n < 500; n += 7) {
		p[n] = h2_slot_alloc(&s, n);
		assert_non_null(p[n]);
		assert_int_equal((uintptr_t)p[n] % 16, 0);
		assert_true(h2_slot_room(&s, p[n]) >= n);
		memset(p[n], (int)(n & 0xff), h2_slot_room(&s, p[n]));
	}
	for (size_t n = 0; n < 500; n += 7) {
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[n][i], n & 0xff);
	}
	assert_int_equal(h2_slot_room(&s, scratch), 0);
	h2_slot_done(&s);
}

static void small_blocks_are_used_again(void **state)
{
	struct h2_slot s = new_slot();
	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		size_t n = i * 37 % (H2_SLOT_SMALL + 1);
		void *a = h2_slot_alloc(&s, n), *b = h2_slot_alloc(&s, H2_SLOT_SMALL);
		assert_true(a && b && a != b);
		h2_slot_release(&s, a);
		h2_slot_release(&s, b);
	}
	h2_slot_done(&s);
}

static void a_full_one_says_so(void **state)
{
	struct h2_slot s = new_slot();
	size_t n = 0;
	(void)state;
	assert_null(h2_slot_alloc(&s, H2_SLOT_SIZE));
	assert_null(h2_slot_alloc(&s, SIZE_MAX - 3));
	while (h2_slot_alloc(&s, 1000))
		n++;
	assert_in_range(n, 60, 65);
	while (h2_slot_alloc(&s, 1))
		n++;
	h2_slot_done(&s);
}

static void without_a_place_all_goes_elsewhere(void **state)
{
	struct h2_slot s = {0};
	(void)state;
	assert_null(h2_slot_alloc(&s, 10));
	assert_int_equal(h2_slot_room(&s, scratch), 0);
	assert_false(h2_slot_rest(&s, scratch, sizeof(scratch)));
	h2_slot_wake(&s);
	h2_slot_done(&s);
}

/* Like a session: much that is zero, pointers into itself, some text. */
struct like {
	struct like *next;
	size_t n;
	char text[40];
	uint8_t table[1000];
};

static struct like *make_list(struct h2_slot *s)
{
	struct like *first = NULL;
	for (size_t i = 0; i < 10; i++) {
		struct like *l = h2_slot_alloc(s, sizeof(*l));
		memset(l, 0, sizeof(*l));
		*l = (struct like){.next = first, .n = i, .text = "__Host-lanthorn=secret"};
		l->table[i * 100] = 1;
		first = l;
	}
	return first;
}

static void assert_list(const struct like *l)
{
	for (size_t i = 10; i--; l = l->next) {
		assert_int_equal(l->n, i);
		assert_string_equal(l->text, "__Host-lanthorn=secret");
		for (size_t k = 0; k < sizeof(l->table); k++)
			assert_int_equal(l->table[k], k == i * 100);
	}
	assert_null(l);
}

static void what_rests_takes_little_and_comes_back(void **state)
{
	struct h2_slot s = new_slot();
	struct like *l = make_list(&s);
	void *small = h2_slot_alloc(&s, 100), *again;
	(void)state;
	h2_slot_release(&s, small);
	for (int i = 0; i < 3; i++) {
		assert_true(pages_held(&s) > 0);
		assert_true(h2_slot_rest(&s, scratch, sizeof(scratch)));
		assert_int_equal(pages_held(&s), 0);
		assert_true(malloc_usable_size(s.packed) < 500);
		assert_false(h2_slot_rest(&s, scratch, sizeof(scratch)));
		h2_slot_wake(&s);
		assert_null(s.packed);
		assert_list(l);
		h2_slot_wake(&s);
	}
	again = h2_slot_alloc(&s, 100);
	assert_ptr_equal(again, small);
	assert_non_null(h2_slot_alloc(&s, 100));
	assert_list(l);
	h2_slot_done(&s);
}

/* What was released is nobody's any more: it is not kept, and takes no room. */
static void released_blocks_do_not_rest(void **state)
{
	struct h2_slot s = new_slot();
	uint8_t *p[100];
	uint32_t x = 1;
	(void)state;
	for (size_t i = 0; i < 100; i++) {
		p[i] = h2_slot_alloc(&s, 400);
		for (size_t k = 0; k < 400; k++)
			p[i][k] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
	}
	/* noise does not get smaller, so it stays as it is */
	assert_false(h2_slot_rest(&s, scratch, sizeof(scratch)));
	assert_null(s.packed);
	for (size_t i = 0; i < 100; i++)
		h2_slot_release(&s, p[i]);
	assert_true(h2_slot_rest(&s, scratch, sizeof(scratch)));
	assert_true(malloc_usable_size(s.packed) < 1000);
	h2_slot_wake(&s);
	for (size_t i = 0; i < 100; i++) {
		for (size_t k = 2; k < 400; k++)
			assert_int_equal(p[i][k], 0);
	}
	h2_slot_done(&s);
}

static void one_at_rest_may_go(void **state)
{
	struct h2_slot s = new_slot();
	(void)state;
	make_list(&s);
	assert_true(h2_slot_rest(&s, scratch, sizeof(scratch)));
	h2_slot_done(&s);
	assert_null(s.packed);
	assert_null(s.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_have_room_and_are_apart),
		cmocka_unit_test(small_blocks_are_used_again),
		cmocka_unit_test(a_full_one_says_so),
		cmocka_unit_test(without_a_place_all_goes_elsewhere),
		cmocka_unit_test(what_rests_takes_little_and_comes_back),
		cmocka_unit_test(released_blocks_do_not_rest),
		cmocka_unit_test(one_at_rest_may_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
