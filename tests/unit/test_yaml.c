/* store/yaml: a small tree with line numbers, and a refusal with position for everything else. */
#include "store/yaml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_tree_has_keys_texts_and_lines(void **state)
{
	static const char text[] =
		"# c\na: 1\nlist:\n  - x\n  - \"~\"\n  - {k: v}\nempty:\nnone: ~\n";
	struct yaml *y;
	struct err e = {0};
	(void)state;
	assert_int_equal(yaml_tree_parse(&y, "f", text, strlen(text), &e), 0);
	assert_int_equal(y->kind, YAML_MAP);
	assert_int_equal(y->n_items, 4);
	const struct yaml *a = yaml_get(y, "a"), *list = yaml_get(y, "list");
	assert_string_equal(a->text, "1");
	assert_true(a->line == 2 && a->column == 1 && a->plain);
	assert_int_equal(list->kind, YAML_LIST);
	assert_true(list->line == 3 && list->n_items == 3);
	const struct yaml *quoted = list->first->next, *map = quoted->next;
	assert_true(list->first->line == 4 && list->first->column == 5);
	assert_string_equal(quoted->text, "~");
	assert_false(yaml_is_null(quoted));
	assert_string_equal(yaml_get(map, "k")->text, "v");
	assert_true(yaml_is_null(yaml_get(y, "empty")) && yaml_is_null(yaml_get(y, "none")));
	assert_null(yaml_get(y, "missing"));
	assert_null(yaml_get(a, "a"));
	yaml_tree_free(y);
}

static void nothing_is_no_tree(void **state)
{
	static const char *const texts[] = {"", "\n\n", "# only words\n"};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct yaml *y;
		assert_int_equal(yaml_tree_parse(&y, "f", texts[i], strlen(texts[i]), NULL), 0);
		assert_null(y);
	}
	yaml_tree_free(NULL);
}

static void what_surprises_is_refused_with_its_place(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"a: &x 1\n",
			"f:1:4: anchors (&) are not allowed here; write it out"},
		{"a: &x {b: c}\n",
			"f:1:4: anchors (&) are not allowed here; write it out"},
		{"a: *x\n",
			"f:1:4: aliases (*) are not allowed here; write it out, or put it in "
			"quotes"},
		{"a: 1\nb: !!int 3\n",
			"f:2:4: tags (!) are not allowed here; write the value alone"},
		{"a: !x [1]\n",
			"f:1:4: tags (!) are not allowed here; write the value alone"},
		{"a: 1\nb: 2\na: 3\n",
			"f:3:1: “a” is there already, at line 1"},
		{"m:\n  a: 1\n  \"a\": 3\n", "f:3:3: “a” is there already, at line 2"},
		{"a: 1\n---\nb: 2\n",
			"f:2:1: only one document (---) a file"},
		{"%YAML 1.1\n---\na: 1\n",
			"f:1:1: directives (%) are not allowed here"},
		{"[a]: 1\n",
			"f:1:1: a key must be plain text"},
		{"{a: b}: 1\n",
			"f:1:1: a key must be plain text"},
		{"a: \"x\\0y\"\n",
			"f:1:4: a zero byte is not allowed in text"},
		{"a: [[[[[[[[1]]]]]]]]\n",
			"f:1:11: nested deeper than 8 levels"},
		{"a: [1\nb: 2\n",
			"f:2:2: not valid YAML: did not find expected ',' or ']' (while "
			"parsing a flow sequence at line 1)"},
		{"a:\n\tb: 1\n",
			"f:2:1: not valid YAML: a tab; indent by spaces"},
		{"a:\n  @b: 1\n",
			"f:2:3: not valid YAML: found character that cannot start any token "
			"(while scanning for the next token at line 2)"},
		{"a: 1\n  b: 2\n",
			"f:2:4: not valid YAML: mapping values are not allowed in this context"},
		{"a: \xff\n",
			"f:1:1: not valid UTF-8 text: invalid leading UTF-8 octet"},
	};
	/* clang-format on */
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct yaml *y;
		struct err e = {0};
		assert_true(yaml_tree_parse(&y, "f", cases[i].text, strlen(cases[i].text), &e) < 0);
		assert_string_equal(e.text, cases[i].says);
		assert_null(y);
	}
}

static void limits_are_exact(void **state)
{
	struct yaml *y;
	struct err e = {0};
	(void)state;
	/* One list and 99,999 items are 100,000 nodes. */
	char *text = malloc(YAML_FILE_MAX + 1);
	for (int i = 0; i < YAML_NODES_MAX; i++)
		memcpy(text + 4 * i, "- x\n", 4);
	assert_int_equal(yaml_tree_parse(&y, "f", text, 4 * (YAML_NODES_MAX - 1), &e), 0);
	assert_int_equal(y->n_items, YAML_NODES_MAX - 1);
	yaml_tree_free(y);
	assert_int_equal(yaml_tree_parse(&y, "f", text, 4 * YAML_NODES_MAX, &e), -E2BIG);
	assert_string_equal(e.text, "f:100000:3: more than 100000 values in one file");

	memset(text, 'x', YAML_FILE_MAX + 1);
	text[0] = '#';
	assert_int_equal(yaml_tree_parse(&y, "f", text, YAML_FILE_MAX, &e), 0);
	assert_int_equal(yaml_tree_parse(&y, "f", text, YAML_FILE_MAX + 1, &e), -E2BIG);
	assert_string_equal(e.text, "f:1:1: larger than 4 MiB");

	size_t keys = 0;
	for (int i = 0; i <= YAML_KEYS_MAX; i++)
		keys += (size_t)sprintf(text + keys, "k%d:\n", i);
	assert_int_equal(yaml_tree_parse(&y, "f", text, keys, &e), -E2BIG);
	assert_string_equal(e.text, "f:1001:1: more than 1000 keys in one map");

	static const char deep[] = "a: [[[[[[[1]]]]]]]\n";
	assert_int_equal(yaml_tree_parse(&y, "f", deep, strlen(deep), &e), 0);
	yaml_tree_free(y);
	memset(text, '[', YAML_FILE_MAX);
	assert_int_equal(yaml_tree_parse(&y, "f", text, YAML_FILE_MAX, &e), -E2BIG);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_has_keys_texts_and_lines),
		cmocka_unit_test(nothing_is_no_tree),
		cmocka_unit_test(what_surprises_is_refused_with_its_place),
		cmocka_unit_test(limits_are_exact),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
