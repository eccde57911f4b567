/* base/map: agrees with a plain array through thousands of puts and removals. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 5000

static const char *key_of(unsigned i)
{
	static char key[32];
	snprintf(key, sizeof(key), "key-%u", i);
	return key;
}

static void put_returns_what_stood_there(void **state)
{
	struct map *m = map_new();
	int a, b;
	(void)state;
	assert_null(map_get(m, "x"));
	assert_null(map_put(m, "x", &a));
	assert_ptr_equal(map_put(m, "x", &b), &a);
	assert_ptr_equal(map_get(m, "x"), &b);
	assert_int_equal(map_count(m), 1);
	assert_ptr_equal(map_remove(m, "x"), &b);
	assert_null(map_remove(m, "x"));
	assert_int_equal(map_count(m), 0);
	map_free(m, NULL);
	map_free(NULL, NULL);
}

static void keys_are_bytes(void **state)
{
	struct map *m = map_new();
	int v[4];
	(void)state;
	map_put_n(m, "a\0b", 3, &v[0]);
	map_put_n(m, "a\0c", 3, &v[1]);
	map_put_n(m, "a", 1, &v[2]);
	map_put_n(m, "", 0, &v[3]);
	assert_int_equal(map_count(m), 4);
	assert_ptr_equal(map_get_n(m, "a\0b", 3), &v[0]);
	assert_ptr_equal(map_get_n(m, "a\0c", 3), &v[1]);
	assert_ptr_equal(map_get(m, "a"), &v[2]);
	assert_ptr_equal(map_get(m, ""), &v[3]);
	assert_null(map_get_n(m, "a\0", 2));
	map_free(m, NULL);
}

static void keys_are_copied(void **state)
{
	char key[] = "first";
	struct map *m = map_new();
	(void)state;
	map_put(m, key, key);
	key[0] = 'F';
	assert_non_null(map_get(m, "first"));
	assert_null(map_get(m, "First"));
	map_free(m, NULL);
}

/* A fixed generator, so that a failure can be repeated. */
static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8;
}

static void random_changes_match_an_array(void **state)
{
	static int value[KEYS];
	static int *model[KEYS];
	unsigned seed = 1, live = 0;
	struct map *m = map_new();
	(void)state;
	memset(model, 0, sizeof(model));
	for (int step = 0; step < 60000; step++) {
		unsigned i = next_random(&seed) % KEYS;
		if (next_random(&seed) % 5 < (step < 30000 ? 3u : 1u)) {
			assert_ptr_equal(map_put(m, key_of(i), &value[i]), model[i]);
			live += !model[i];
			model[i] = &value[i];
		} else {
			assert_ptr_equal(map_remove(m, key_of(i)), model[i]);
			live -= model[i] != NULL;
			model[i] = NULL;
		}
		assert_int_equal(map_count(m), live);
	}
	for (unsigned i = 0; i < KEYS; i++)
		assert_ptr_equal(map_get(m, key_of(i)), model[i]);
	map_free(m, NULL);
}

static void a_walk_meets_each_once(void **state)
{
	int seen[1000] = {0};
	struct map *m = map_new();
	size_t pos = 0;
	const char *key;
	int *at;
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		map_put(m, key_of(i), &seen[i]);
	while ((at = map_next(m, &pos, &key))) {
		(*at)++;
		assert_string_equal(key, key_of((unsigned)(at - seen)));
	}
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(seen[i], 1);
	map_free(m, NULL);
}

static void values_are_freed_on_request(void **state)
{
	struct map *m = map_new();
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		map_put(m, key_of(i), malloc(16));
	map_free(m, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_returns_what_stood_there),
		cmocka_unit_test(keys_are_bytes),
		cmocka_unit_test(keys_are_copied),
		cmocka_unit_test(random_changes_match_an_array),
		cmocka_unit_test(a_walk_meets_each_once),
		cmocka_unit_test(values_are_freed_on_request),
	};
	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
