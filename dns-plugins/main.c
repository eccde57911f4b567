/* lanthorn-dns: change one DNS record at a provider, by the contract in README.md. Settings come
 * on stdin, so no secret is ever in the list of processes or in an environment. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/landlock.h"
#include "base/sandbox.h"
#include "base/seccomp.h"
#include "base/str.h"
#include "dns-plugins/plugin.h"

#define INPUT_MAX 16384
#define EXIT_NEVER 1
#define EXIT_LATER 75 /* EX_TEMPFAIL of sysexits.h */

static const struct provider *const providers[] = {&provider_rfc2136};
#define N_PROVIDERS (sizeof(providers) / sizeof(providers[0]))

/* Values by the place of their key in the provider's table. */
struct settings {
	const struct provider *provider;
	const char *values[PROVIDER_SETTINGS_MAX];
};

static int find_key(const struct provider *p, const char *key)
{
	for (int i = 0; i < PROVIDER_SETTINGS_MAX && p->settings[i].key; i++) {
		if (strcmp(p->settings[i].key, key) == 0)
			return i;
	}
	return -1;
}

const char *settings_get(const struct settings *s, const char *key)
{
	int i = find_key(s->provider, key);
	return i < 0 ? NULL : s->values[i];
}

static int read_stdin(struct buf *b, struct err *e)
{
	for (;;) {
		char chunk[1024];
		ssize_t n = read(0, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, -errno, "cannot read the settings from stdin");
		if (n == 0)
			return 0;
		if (buf_append(b, chunk, (size_t)n) < 0)
			return err_set(e, -EPERM, "the settings on stdin are larger than %d bytes",
				INPUT_MAX);
	}
}

static int unknown_key(const struct provider *p, const char *key, struct err *e)
{
	const char *nearest = p->settings[0].key;
	for (int i = 0; i < PROVIDER_SETTINGS_MAX && p->settings[i].key; i++) {
		if (str_distance(key, p->settings[i].key) < str_distance(key, nearest))
			nearest = p->settings[i].key;
	}
	return err_set(e, -EPERM, "provider %s has no setting \"%.60s\"; the nearest is \"%s\"",
		p->name, key, nearest);
}

static int take_line(struct settings *s, char *line, struct err *e)
{
	char *value = strchr(line, '=');
	if (!value) /* the line itself may be a secret */
		return err_set(e, -EPERM, "a line on stdin is not of the form key=value");
	*value++ = 0;
	int i = find_key(s->provider, line);
	if (i < 0)
		return unknown_key(s->provider, line, e);
	if (s->values[i])
		return err_set(e, -EPERM, "setting \"%s\" is given twice", line);
	s->values[i] = value;
	return 0;
}

/* Cuts `text` into the values. */
static int parse_settings(struct settings *s, char *text, struct err *e)
{
	char *rest;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		line[strcspn(line, "\r")] = 0;
		int rc = *line ? take_line(s, line, e) : 0;
		if (rc < 0)
			return rc;
	}
	for (int i = 0; i < PROVIDER_SETTINGS_MAX && s->provider->settings[i].key; i++) {
		const struct setting_spec *spec = &s->provider->settings[i];
		if (spec->required && (!s->values[i] || !s->values[i][0]))
			return err_set(e, -EPERM, "provider %s needs the setting \"%s\": %s",
				s->provider->name, spec->key, spec->help);
	}
	return 0;
}

static const struct provider *find_provider(const char *name, struct err *e)
{
	for (size_t i = 0; i < N_PROVIDERS; i++) {
		if (strcmp(providers[i]->name, name) == 0)
			return providers[i];
	}
	err_set(e, -EPERM, "there is no provider \"%.60s\"; see: lanthorn-dns --list", name);
	return NULL;
}

static int parse_type(struct change *c, const char *text)
{
	static const struct {
		const char *text;
		enum dns_type type;
	} types[] = {
		{"TXT",  DNS_TXT },
                {"A",    DNS_A   },
                {"AAAA", DNS_AAAA}
        };
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].text, text) != 0)
			continue;
		c->type = types[i].type;
		c->type_text = types[i].text;
		return 0;
	}
	return -EINVAL;
}

/* NAME TYPE TTL VALUE */
static int parse_change(struct change *c, char **argv, struct err *e)
{
	uint64_t ttl;
	uint8_t probe[2048];
	if (str_copy(c->name, sizeof(c->name), argv[0]) < 0)
		return err_set(e, -EPERM, "the name is longer than 253 bytes");
	str_lower(c->name);
	if (parse_type(c, argv[1]) < 0)
		return err_set(e, -EPERM, "the type must be TXT, A or AAAA");
	if (str_to_u64(argv[2], 0x7fffffff, &ttl) < 0)
		return err_set(e, -EPERM, "the TTL must be a number of seconds");
	c->ttl = (uint32_t)ttl;
	c->value = argv[3];
	struct dns_update u = {"", c->name, c->type, c->ttl, c->value, DNS_ADD};
	if (!*c->name || !*c->value || dns_update_encode(probe, sizeof(probe), 0, &u, 1) < 0)
		return err_set(e, -EPERM,
			"\"%.80s\" cannot be a value of type %s at the name %.80s", c->value,
			c->type_text, c->name);
	return 0;
}

/* PROVIDER set|unset NAME TYPE TTL VALUE */
static int run(char **argv, struct buf *input, struct err *e)
{
	struct settings s = {.provider = find_provider(argv[0], e)};
	struct change c;
	if (!s.provider)
		return -EPERM;
	bool is_set = strcmp(argv[1], "set") == 0;
	if (!is_set && strcmp(argv[1], "unset") != 0)
		return err_set(e, -EPERM, "the verb must be set or unset");
	int rc = parse_change(&c, argv + 2, e);
	if (rc == 0)
		rc = read_stdin(input, e);
	if (rc < 0)
		return rc;
	char *text = buf_str(input) ? (char *)input->data : NULL;
	if (!text || strlen(text) != input->len)
		return err_set(e, -EPERM, "the settings on stdin are not text");
	rc = parse_settings(&s, text, e);
	if (rc < 0)
		return rc;
	return is_set ? s.provider->set(&s, &c, e) : s.provider->unset(&s, &c, e);
}

static void print_list(void)
{
	for (size_t i = 0; i < N_PROVIDERS; i++) {
		const struct provider *p = providers[i];
		printf("%s: %s\n", p->name, p->about);
		for (int k = 0; k < PROVIDER_SETTINGS_MAX && p->settings[k].key; k++)
			printf("  %-16s %s%s\n", p->settings[k].key, p->settings[k].help,
				p->settings[k].required ? "" : " (optional)");
	}
}

static void print_help(FILE *f)
{
	fputs("Usage: lanthorn-dns PROVIDER set|unset NAME TYPE TTL VALUE <SETTINGS\n"
	      "       lanthorn-dns --list\n"
	      "Add one value to the records of TYPE (TXT, A, AAAA) at NAME, or remove it; values\n"
	      "beside it stay. SETTINGS are lines key=value on stdin; --list tells which.\n"
	      "Exit: 0 done; 1 never, until somebody changes something; 75 try later. The reason is\n"
	      "one line on stderr.\n\n"
	      "Example:\n"
	      "  printf 'server=127.0.0.1\\ntsig_name=lanthorn\\ntsig_secret=%s\\n' \"$SECRET\" |\n"
	      "    lanthorn-dns rfc2136 set _acme-challenge.home.example.com TXT 60 abc\n",
		f);
}

/* Before the secrets come: the network, and what looking up names reads. */
static int close_in(struct err *e)
{
	struct landlock *l = landlock_new();
	struct sandbox s;
	landlock_allow_system(l);
	landlock_stay_alone(l);
	return sandbox_enter(&s, l, CALLS_FILES | CALLS_NET, e);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		print_help(stdout);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		print_list();
		return 0;
	}
	if (argc != 7) {
		fprintf(stderr, "wrong number of arguments; see: lanthorn-dns --help\n");
		return EXIT_NEVER;
	}
	struct buf input = BUF_INIT(INPUT_MAX);
	struct err e = {.code = 0};
	int rc = close_in(&e);
	if (rc == 0)
		rc = run(argv + 1, &input, &e);
	buf_done_secret(&input);
	if (rc == 0)
		return 0;
	fprintf(stderr, "%s\n", e.text);
	return rc == -EAGAIN ? EXIT_LATER : EXIT_NEVER;
}
