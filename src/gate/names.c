/* See names.h. */
#include "gate/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"

#define FILE_MAX (1u << 20)

struct name {
	char name[254];
	bool wanted, sent, done;
	enum state_class class;
	char text[PROCMSG_TEXT_MAX];
	int64_t next_at;
};

struct names {
	char *path;
	names_send_fn send;
	void *ctx;
	struct map *map;
	struct ifaddrs_list addrs;
	bool unsaved;
};

static struct name *obtain(struct names *n, const char *text)
{
	struct name *x = map_get(n->map, text);
	if (x)
		return x;
	x = xcalloc(1, sizeof(*x));
	snprintf(x->name, sizeof(x->name), "%s", text);
	map_put(n->map, text, x);
	n->unsaved = true;
	return x;
}

static void parse(struct names *n, char *text)
{
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (name_is_host(str_starts(line, "*.") ? line + 2 : line))
			obtain(n, line);
}

static int load(struct names *n, struct err *e)
{
	struct buf text = BUF_INIT(FILE_MAX);
	struct err why = {0};
	int rc = file_read(n->path, &text, &why);
	if (rc == 0 && text.len && !memchr(text.data, 0, text.len)) {
		char *copy = xstrndup((const char *)text.data, text.len);
		parse(n, copy);
		free(copy);
	}
	buf_done(&text);
	n->unsaved = false;
	return rc < 0 && rc != -ENOENT ? err_set(e, rc, "%s", why.text) : 0;
}

int names_open(struct names **out, const char *path, names_send_fn send, void *ctx, struct err *e)
{
	struct names *n = xcalloc(1, sizeof(*n));
	n->path = xstrdup(path);
	n->send = send;
	n->ctx = ctx;
	n->map = map_new();
	int rc = load(n, e);
	if (rc < 0) {
		names_free(n);
		return rc;
	}
	*out = n;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	map_free(n->map, free);
	free(n->path);
	free(n);
}

/* Before anything new is asked for: the memory must know of it first. */
static void save(struct names *n)
{
	struct buf text = BUF_INIT(FILE_MAX);
	struct err e = {0};
	size_t pos = 0;
	const char *key;
	int rc = 0;
	while (rc == 0 && map_next(n->map, &pos, &key))
		rc = buf_printf(&text, "%s\n", key);
	if (rc == 0)
		rc = file_write_durable(
			n->path, text.data ? (void *)text.data : "", text.len, 0600, &e);
	if (rc < 0)
		log_warn("gate/names", "cannot remember published names", "why", e.text);
	else
		n->unsaved = false;
	buf_done(&text);
}

static void forget_state(struct name *x)
{
	x->sent = x->done = false;
	x->class = 0;
	x->text[0] = 0;
	x->next_at = 0;
}

static bool same_addrs(const struct ifaddrs_list *a, const struct ifaddrs_list *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (strcmp(a->addrs[i], b->addrs[i]) != 0)
			return false;
	return true;
}

static void mark_all(struct names *n, bool *was)
{
	size_t pos = 0, i = 0;
	struct name *x;
	while ((x = map_next(n->map, &pos, NULL))) {
		was[i++] = x->wanted;
		x->wanted = false;
	}
}

static void compare_all(struct names *n, const bool *was, bool addrs_changed)
{
	size_t pos = 0, i = 0;
	struct name *x;
	while ((x = map_next(n->map, &pos, NULL))) {
		if (x->wanted != was[i++] || (x->wanted && addrs_changed))
			forget_state(x);
	}
}

void names_set(struct names *n, const struct names_want *w)
{
	bool changed = !same_addrs(&n->addrs, &w->addrs);
	n->addrs = w->addrs;
	for (unsigned i = 0; i < w->n; i++)
		obtain(n, w->names[i]);
	bool *was = xcalloc(map_count(n->map) + 1, sizeof(*was));
	mark_all(n, was);
	for (unsigned i = 0; i < w->n; i++)
		obtain(n, w->names[i])->wanted = true;
	compare_all(n, was, changed);
	free(was);
	if (n->unsaved)
		save(n);
}

void names_restart(struct names *n)
{
	size_t pos = 0;
	struct name *x;
	while ((x = map_next(n->map, &pos, NULL)))
		x->sent = false;
}

static void forget(struct names *n, struct name *x)
{
	map_remove(n->map, x->name);
	free(x);
	save(n);
}

bool names_state(struct names *n, const struct procmsg *m)
{
	struct name *x = m->n_names ? map_get(n->map, m->names[0]) : NULL;
	if (!x)
		return false;
	if (m->class == STATE_PUBLISHED && !x->wanted && x->sent) {
		log_info("gate/names", "taken out of DNS", "name", x->name);
		forget(n, x);
	} else if (m->class == STATE_PUBLISHED) {
		if (!x->done)
			log_info("gate/names", "in DNS", "name", x->name);
		x->done = true;
		x->class = 0;
		x->text[0] = 0;
		x->next_at = 0;
	} else if (m->class >= STATE_FAIL_OURS && m->class <= STATE_FAIL_NET) {
		x->done = false;
		x->class = m->class;
		snprintf(x->text, sizeof(x->text), "%s", m->text);
		x->next_at = m->next_at;
		log_warn("gate/names", "cannot publish", "name", x->name, "why", m->text);
	}
	return true;
}

static int push_one(struct names *n, struct name *x)
{
	struct procmsg m = {.type = PROCMSG_PUBLISH, .n_names = 1};
	snprintf(m.names[0], sizeof(m.names[0]), "%s", x->name);
	for (unsigned i = 0; x->wanted && i < n->addrs.n && i < PROCMSG_ADDRS_MAX; i++, m.n_addrs++)
		memcpy(m.addrs[i], n->addrs.addrs[i], sizeof(m.addrs[i]));
	int rc = n->send(n->ctx, &m, NULL);
	x->sent = rc == 0;
	return rc;
}

bool names_push(struct names *n)
{
	size_t pos = 0;
	struct name *x;
	while ((x = map_next(n->map, &pos, NULL))) {
		if (x->sent || (x->wanted && n->addrs.n == 0))
			continue;
		if (push_one(n, x) < 0)
			return true;
	}
	return false;
}

int names_get(const struct names *n, const char *name, struct names_view *out)
{
	const struct name *x = map_get(n->map, name);
	if (!x || !x->wanted)
		return -ENOENT;
	*out = (struct names_view){x->name, x->done, x->class, x->text, x->next_at};
	return 0;
}
