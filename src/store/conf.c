/* The life of a configuration: read, referenced, freed. Conf objects are shared between threads,
 * so after loading only the counter changes, atomically. */
#include "store/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/xalloc.h"
#include "store/conf_read.h"
#include "store/conf_value.h"
#include "store/yaml.h"

#define LARGE 65536 /* bytes; the tree of such a file leaves a hole of many times that size */

static void device_done(struct conf_device *d)
{
	for (const struct conf_key *k = conf_device_keys; k->path; k++)
		conf_value_clear(k, d);
}

static void conf_free(struct conf *c)
{
	for (unsigned i = 0; i < c->n_devices; i++)
		device_done(&c->devices[i]);
	free(c->devices);
	free(c->by_name);
	for (unsigned i = 0; i < c->dns.n_settings; i++) {
		free(c->dns.settings[i].key);
		free(c->dns.settings[i].value);
	}
	free(c->dns.settings);
	for (const struct conf_key *k = conf_keys; k->path; k++)
		conf_value_clear(k, c);
	free(c);
}

const struct conf *conf_ref(const struct conf *c)
{
	__atomic_add_fetch(&((struct conf *)c)->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void conf_unref(const struct conf *c)
{
	struct conf *own = (struct conf *)c;
	if (own && __atomic_sub_fetch(&own->refs, 1, __ATOMIC_ACQ_REL) == 0)
		conf_free(own);
}

static int fail(struct conf_errors *errors, const struct err *e)
{
	errors->n = 1;
	memcpy(errors->text[0], e->text, sizeof(errors->text[0]));
	return e->code;
}

int conf_parse(
	struct conf **out, const char *name, const void *text, size_t n, struct conf_errors *errors)
{
	struct err e = {0};
	struct yaml *root;
	*out = NULL;
	errors->n = errors->more = 0;
	if (yaml_tree_parse(&root, name, text, n, &e) < 0) {
		fail(errors, &e);
		return -EINVAL;
	}
	struct conf *c = xcalloc(1, sizeof(*c));
	c->refs = 1;
	conf_read(c, name, root, errors);
	yaml_tree_free(root);
	if (n > LARGE)
		xalloc_trim();
	if (errors->n) {
		conf_unref(c);
		return -EINVAL;
	}
	*out = c;
	return 0;
}

int conf_load(struct conf **out, const char *path, struct conf_errors *errors)
{
	struct err e = {0};
	/* One byte more than allowed, so that the reader of YAML says what is too large. */
	struct buf b = BUF_INIT(YAML_FILE_MAX + 1);
	*out = NULL;
	errors->n = errors->more = 0;
	int rc = file_read(path, &b, &e);
	if (rc == 0)
		rc = conf_parse(out, path, b.data, b.len, errors);
	else
		rc = fail(errors, &e);
	buf_done(&b);
	return rc;
}

const struct conf_device *conf_device_find(const struct conf *c, const char *name)
{
	unsigned from = 0, to = c->n_devices;
	while (from < to) {
		unsigned at = from + (to - from) / 2;
		int order = strcmp(name, c->by_name[at]->name);
		if (order == 0)
			return c->by_name[at];
		if (order < 0)
			to = at;
		else
			from = at + 1;
	}
	return NULL;
}

bool conf_name_is_reserved(const char *name)
{
	static const char *const RESERVED[] = {"www", "link", "enroll", "api"};
	for (size_t i = 0; i < sizeof(RESERVED) / sizeof(*RESERVED); i++)
		if (!strcmp(RESERVED[i], name))
			return true;
	return false;
}

int conf_secret_read(const char *path, struct buf *out, struct err *e)
{
	size_t before = out->len;
	int rc = file_read_secret(path, out, e);
	if (rc < 0)
		return rc;
	const char *p = (const char *)out->data + before;
	size_t n = out->len - before;
	if (n == 0)
		rc = err_set(e, -EINVAL, "%s is empty; expected a secret in one line", path);
	else if (memchr(p, '\n', n) || memchr(p, '\r', n) || memchr(p, 0, n))
		rc = err_set(
			e, -EINVAL, "%s has more than one line; expected a secret in one", path);
	if (rc < 0) {
		wipe(out->data + before, n);
		out->len = before;
	}
	return rc;
}
