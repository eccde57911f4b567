/* The reference file, written from the schema: every key once, commented out with a `#` that
 * touches it (or is two blanks away, inside an item), while help has one blank after the `#`. */
#include <stdio.h>
#include <string.h>

#include "store/conf.h"
#include "store/conf_schema.h"
#include "store/conf_value.h"

#define WIDTH 92

/* Print help as comment lines of at most WIDTH bytes. */
static void print_help(FILE *out, const char *indent, const char *text)
{
	size_t width = WIDTH - strlen(indent);
	while (*text) {
		size_t n = strlen(text);
		if (n > width) {
			for (n = width; n && text[n] != ' '; n--)
				;
			if (!n)
				n = strcspn(text, " ");
		}
		fprintf(out, "%s# %.*s\n", indent, (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
}

/* As it is written in the file: lists in brackets, what YAML could misread in quotes. */
static void value_text(const struct conf_key *k, char *out, size_t size)
{
	const char *value = k->def ? k->def : k->example ? k->example : "";
	if (!k->def || !conf_type_is_list(k->type) || k->type == CONF_ADDRESSES) {
		snprintf(out, size, "%s", value);
		return;
	}
	size_t len = (size_t)snprintf(out, size, "[");
	while (*value && len < size) {
		size_t n = strcspn(value, ",");
		const char *quote = memchr(value, ':', n) ? "\"" : "";
		const char *join = value[n] ? ", " : "]";
		len += (size_t)snprintf(
			out + len, size - len, "%s%.*s%s%s", quote, (int)n, value, quote, join);
		value += n + (value[n] == ',');
	}
}

/* `mark` stands between `#` and the key: "", or "- " and "  " inside an item. */
static void print_key(FILE *out, const struct conf_key *k, const char *mark)
{
	const char *indent = strchr(k->path, '.') || *mark ? "  " : "";
	char expects[200], value[200], line[480];
	conf_key_expects(k, expects, sizeof(expects));
	value_text(k, value, sizeof(value));
	print_help(out, indent, k->help);
	if (k->def)
		snprintf(line, sizeof(line), "Value: %s. Default: %s.", expects, value);
	else
		snprintf(line, sizeof(line), "Value: %s.", expects);
	print_help(out, indent, line);
	fprintf(out, "%s#%s%s: %s\n", indent, mark, conf_key_leaf(k), value);
}

static void print_settings(FILE *out, const struct conf_key *k)
{
	print_help(out, "  ", k->help);
	fputs("  #settings:\n"
	      "  #  zone: example.com\n"
	      "  #  token_file: /etc/lanthorn/secrets/desec-token\n",
		out);
}

static void print_devices(FILE *out, const struct conf_key *k)
{
	print_help(out, "", k->help);
	fputs("devices:\n", out);
	for (const struct conf_key *dk = conf_device_keys; dk->path; dk++)
		print_key(out, dk, dk == conf_device_keys ? "- " : "  ");
}

void conf_print_schema(FILE *out)
{
	fputs("# The configuration of Lanthorn: every key, what it does, what it may be. A key that\n"
	      "# is commented out shows its default, or an example where it has none. Durations are\n"
	      "# written as 500ms, 30s, 10m, 2h or 14d, sizes as 8KiB or 1MiB. Paths are absolute.\n",
		out);
	for (const struct conf_key *k = conf_keys; k->path; k++) {
		if (!strchr(k->path, '.'))
			fputc('\n', out);
		if (k->type == CONF_SECTION) {
			print_help(out, "", k->help);
			fprintf(out, "%s:\n", k->path);
		} else if (k->type == CONF_SETTINGS) {
			print_settings(out, k);
		} else if (k->type == CONF_DEVICES) {
			print_devices(out, k);
		} else {
			print_key(out, k, "");
		}
	}
}
