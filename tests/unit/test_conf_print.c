/* store/conf_print: the printed reference is the one in conf/, and it and the examples load. */
#include "store/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"

#define DOMAIN "domain: home.example.com\n"

static struct conf_errors errors;

static struct conf *parse(const char *text)
{
	struct conf *c;
	int rc = conf_parse(&c, "f", text, strlen(text), &errors);
	if (rc < 0)
		fail_msg("%s", errors.text[0]);
	return c;
}

static void path_in_tree(char *out, size_t size, const char *name)
{
	const char *srcdir = getenv("srcdir");
	snprintf(out, size, "%s/%s", srcdir ? srcdir : SRCDIR, name);
}

/* What conf_print_schema writes, as a string. */
static void print(struct buf *b)
{
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	assert_non_null(f);
	conf_print_schema(f);
	fclose(f);
	assert_int_equal(buf_append(b, text, n), 0);
	free(text);
}

/* Copies `in` with `from` replaced by `to`. */
static void replace(struct buf *out, const char *in, const char *from, const char *to)
{
	for (const char *hit; (hit = strstr(in, from)); in = hit + strlen(from)) {
		buf_append(out, in, (size_t)(hit - in));
		buf_puts(out, to);
	}
	buf_puts(out, in);
}

static void the_reference_is_what_is_printed(void **state)
{
	struct buf b = BUF_INIT(65536), lib = BUF_INIT(65536), run = BUF_INIT(65536),
		   ref = BUF_INIT(65536), found = BUF_INIT(65536), want = BUF_INIT(65536);
	struct err e = {0};
	char path[512];
	(void)state;
	print(&b);
	/* The file in the tree has the usual prefix. */
	replace(&lib, buf_str(&b), LOCALSTATEDIR "/lib/lanthorn", "/var/lib/lanthorn");
	replace(&run, buf_str(&lib), LOCALSTATEDIR "/run/lanthorn", "/var/run/lanthorn");
	path_in_tree(path, sizeof(path), "conf/gateway.yaml");
	if (file_read(path, &ref, &e) < 0)
		fail_msg("%s", e.text);
	/* A long prefix breaks lines elsewhere. */
	replace(&found, buf_str(&run), "\n# ", " ");
	replace(&want, buf_str(&ref), "\n# ", " ");
	assert_string_equal(buf_str(&found), buf_str(&want));
	buf_done(&found);
	buf_done(&want);
	buf_done(&b);
	buf_done(&lib);
	buf_done(&run);
	buf_done(&ref);
}

static void the_reference_loads_with_a_domain(void **state)
{
	struct buf b = BUF_INIT(65536), set = BUF_INIT(65536);
	(void)state;
	print(&b);
	replace(&set, buf_str(&b), "\n#domain:", "\ndomain:");
	struct conf *c = parse(buf_str(&set));
	assert_string_equal(c->domain, "home.example.com");
	assert_int_equal(c->n_devices, 0);
	conf_unref(c);
	buf_done(&b);
	buf_done(&set);
}

/* Every key taken in: what is printed as a default is the default, and examples are valid. */
static void the_reference_loads_with_every_key(void **state)
{
	struct buf b = BUF_INIT(65536), all = BUF_INIT(65536);
	(void)state;
	print(&b);
	char *text = strdup(buf_str(&b)), *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		size_t blanks = strspn(line, " ");
		const char *after = line + blanks + 1;
		bool is_key = line[blanks] == '#' && (*after != ' ' || after[1] == ' ');
		if (is_key)
			buf_printf(&all, "%.*s%s\n", (int)blanks, line, after);
		else
			buf_printf(&all, "%s\n", line);
	}
	free(text);
	struct conf *c = parse(buf_str(&all)), *d = parse(DOMAIN);
	assert_int_equal(c->limits.connections, d->limits.connections);
	assert_int_equal(c->sessions.lifetime_ms, d->sessions.lifetime_ms);
	assert_string_equal(c->state_dir, d->state_dir);
	assert_int_equal(c->listen.addresses.n, 2);
	assert_int_equal(c->n_devices, 1);
	assert_true(c->devices[0].has_pin && *c->devices[0].ca_file);
	assert_int_equal(c->dns.n_settings, 2);
	conf_unref(c);
	conf_unref(d);
	buf_done(&b);
	buf_done(&all);
}

static void the_examples_load(void **state)
{
	static const struct {
		const char *file, *provider, *secret;
	} cases[] = {
		{"conf/examples/rfc2136.yaml", "rfc2136", "tsig_secret"},
		{"conf/examples/exec.yaml",    "exec",    "token"      },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char path[512];
		struct conf *c;
		path_in_tree(path, sizeof(path), cases[i].file);
		if (conf_load(&c, path, &errors) < 0)
			fail_msg("%s", errors.text[0]);
		assert_string_equal(c->dns.provider, cases[i].provider);
		const struct conf_setting *last = &c->dns.settings[c->dns.n_settings - 1];
		assert_string_equal(last->key, cases[i].secret);
		assert_true(last->is_file);
		conf_unref(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reference_is_what_is_printed),
		cmocka_unit_test(the_reference_loads_with_a_domain),
		cmocka_unit_test(the_reference_loads_with_every_key),
		cmocka_unit_test(the_examples_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
