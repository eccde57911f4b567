/* See names.h. */
#include "gate/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"

#define FILE_MAX (4u << 20)
/* Names that the steward has to answer for at once: fewer than messages may wait in the pipe. */
#define OPEN_MAX 64
/* Ids of what is asked: above every order's and below every DNS test's. From the clock on, since
 * answers to a gate that has ended may still be in the pipe. */
#define FIRST_ID(now_s) (((uint64_t)1 << 61) + ((uint64_t)(now_s) << 20))

struct name {
	bool wanted, sent, done;
	bool open; /* sent, and no answer yet */
	uint64_t id; /* of the last PUBLISH */
	enum state_class class;
	char *text; /* of the failure; NULL: none */
	int64_t next_at;
	char name[];
};

struct names {
	char *path;
	names_send_fn send;
	void *ctx;
	struct map *map;
	struct ifaddrs_list addrs;
	bool unsaved;
	uint64_t last_id;
	size_t next;   /* where names_push() goes on in the map; all before it are sent */
	unsigned open; /* sent, and no answer yet */
};

/* After changes to many names, or to which there are. */
static void look_anew(struct names *n)
{
	size_t pos = 0;
	struct name *x;
	n->next = n->open = 0;
	while ((x = map_next(n->map, &pos, NULL)))
		n->open += x->open;
}

static void note_failure(struct name *x, enum state_class class, const char *text, int64_t next_at)
{
	free(x->text);
	x->text = class ? xstrdup(text) : NULL;
	x->class = class;
	x->next_at = next_at;
}

static void free_name(void *name)
{
	free(((struct name *)name)->text);
	free(name);
}

static struct name *obtain(struct names *n, const char *text)
{
	struct name *x = map_get(n->map, text);
	if (x)
		return x;
	size_t len = strlen(text) + 1;
	x = xcalloc(1, sizeof(*x) + len);
	memcpy(x->name, text, len);
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
	n->last_id = FIRST_ID(clock_unix());
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
	map_free(n->map, free_name);
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
	x->sent = x->open = x->done = false;
	note_failure(x, 0, NULL, 0);
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
	look_anew(n);
	free(was);
	if (n->unsaved)
		save(n);
}

void names_restart(struct names *n)
{
	size_t pos = 0;
	struct name *x;
	while ((x = map_next(n->map, &pos, NULL)))
		x->sent = x->open = false;
	look_anew(n);
}

static void forget(struct names *n, struct name *x)
{
	map_remove(n->map, x->name);
	free_name(x);
	look_anew(n);
	save(n);
}

bool names_state(struct names *n, const struct procmsg *m)
{
	struct name *x = m->n_names ? map_get(n->map, m->names[0]) : NULL;
	if (!x)
		return false;
	if (m->id && m->id != x->id)
		return true; /* of an earlier wish */
	n->open -= x->open;
	x->open = false;
	if (m->class == STATE_PUBLISHED && !x->wanted && x->sent && m->id) {
		log_info("gate/names", "taken out of DNS", "name", x->name);
		forget(n, x);
		return true;
	} else if (m->class == STATE_PUBLISHED) {
		if (!x->done)
			log_info("gate/names", "in DNS", "name", x->name);
		x->done = true;
		note_failure(x, 0, NULL, 0);
	} else if (m->class >= STATE_FAIL_OURS && m->class <= STATE_FAIL_NET) {
		x->done = false;
		note_failure(x, m->class, m->text, m->next_at);
		log_warn("gate/names", "cannot publish", "name", x->name, "why", m->text);
	}
	return true;
}

static int push_one(struct names *n, struct name *x)
{
	struct procmsg m = {.type = PROCMSG_PUBLISH, .id = ++n->last_id, .n_names = 1};
	snprintf(m.names[0], sizeof(m.names[0]), "%s", x->name);
	for (unsigned i = 0; x->wanted && i < n->addrs.n && i < PROCMSG_ADDRS_MAX; i++, m.n_addrs++)
		memcpy(m.addrs[i], n->addrs.addrs[i], sizeof(m.addrs[i]));
	int rc = n->send(n->ctx, &m, NULL);
	x->id = m.id;
	x->sent = x->open = rc == 0;
	return rc;
}

bool names_push(struct names *n)
{
	struct name *x;
	size_t pos = n->next;
	while (n->open < OPEN_MAX && (x = map_next(n->map, &pos, NULL))) {
		if (!x->sent && (!x->wanted || n->addrs.n)) {
			if (push_one(n, x) < 0)
				return true;
			n->open++;
		}
		n->next = pos;
	}
	return false;
}

int names_get(const struct names *n, const char *name, struct names_view *out)
{
	const struct name *x = map_get(n->map, name);
	if (!x || !x->wanted)
		return -ENOENT;
	*out = (struct names_view){x->name, x->done, x->class, x->text ? x->text : "", x->next_at};
	return 0;
}
