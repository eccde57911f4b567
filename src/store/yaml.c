/* The tree is built from libyaml's events with a stack of fixed depth, so a hostile file can make
 * neither the tree nor our own stack deep. Whatever is refused is refused with its position. */
#include "store/yaml.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "base/xalloc.h"

struct frame {
	struct yaml *node;
	struct yaml *last; /* youngest child */
	char *key;         /* of a map: read, its value is to come */
	yaml_mark_t key_mark;
};

struct reader {
	const char *name;
	struct err *e;
	struct yaml *root;
	struct frame stack[YAML_DEPTH_MAX];
	unsigned depth, n_nodes, n_documents;
};

static int refuse(struct reader *r, int code, yaml_mark_t at, const char *words)
{
	return err_set(r->e, code, "%s:%zu:%zu: %s", r->name, at.line + 1, at.column + 1, words);
}

void yaml_tree_free(struct yaml *y)
{
	/* Flat on purpose: children are put before the siblings that are still to be freed. */
	while (y) {
		struct yaml *next = y->next;
		if (y->first) {
			struct yaml *last = y->first;
			while (last->next)
				last = last->next;
			last->next = next;
			next = y->first;
		}
		free(y->key);
		free(y->text);
		free(y);
		y = next;
	}
}

struct yaml *yaml_get(const struct yaml *y, const char *key)
{
	if (!y || y->kind != YAML_MAP)
		return NULL;
	for (struct yaml *c = y->first; c; c = c->next)
		if (!strcmp(c->key, key))
			return c;
	return NULL;
}

bool yaml_is_null(const struct yaml *y)
{
	return y->kind == YAML_SCALAR && y->plain &&
	       (!*y->text || !strcmp(y->text, "~") || !strcmp(y->text, "null"));
}

static int add_node(struct reader *r, enum yaml_kind kind, yaml_mark_t at, struct yaml **out)
{
	if (++r->n_nodes > YAML_NODES_MAX)
		return refuse(r, -E2BIG, at, "more than 100000 values in one file");
	struct frame *top = r->depth ? &r->stack[r->depth - 1] : NULL;
	struct yaml *y = xcalloc(1, sizeof(*y));
	y->kind = kind;
	if (top && top->key) {
		y->key = top->key;
		at = top->key_mark;
		top->key = NULL;
	}
	y->line = (unsigned)at.line + 1;
	y->column = (unsigned)at.column + 1;
	if (!top)
		r->root = y;
	else if (top->last)
		top->last->next = y;
	else
		top->node->first = y;
	if (top) {
		top->last = y;
		top->node->n_items++;
	}
	*out = y;
	return 0;
}

static bool wants_key(const struct reader *r)
{
	const struct frame *top = r->depth ? &r->stack[r->depth - 1] : NULL;
	return top && top->node->kind == YAML_MAP && !top->key;
}

static int push(struct reader *r, enum yaml_kind kind, yaml_mark_t at)
{
	if (wants_key(r))
		return refuse(r, -EINVAL, at, "a key must be plain text");
	if (r->depth == YAML_DEPTH_MAX)
		return refuse(r, -E2BIG, at, "nested deeper than 8 levels");
	struct yaml *y;
	int rc = add_node(r, kind, at, &y);
	if (rc < 0)
		return rc;
	r->stack[r->depth++] = (struct frame){.node = y};
	return 0;
}

static int take_key(struct reader *r, const yaml_event_t *ev, const char *text)
{
	struct frame *top = &r->stack[r->depth - 1];
	if (top->node->n_items == YAML_KEYS_MAX)
		return refuse(r, -E2BIG, ev->start_mark, "more than 1000 keys in one map");
	const struct yaml *twin = yaml_get(top->node, text);
	if (twin)
		return err_set(r->e, -EINVAL, "%s:%zu:%zu: “%.64s” is there already, at line %u",
			r->name, ev->start_mark.line + 1, ev->start_mark.column + 1, text,
			twin->line);
	top->key = xstrdup(text);
	top->key_mark = ev->start_mark;
	return 0;
}

static int on_scalar(struct reader *r, const yaml_event_t *ev)
{
	const char *text = (const char *)ev->data.scalar.value;
	if (memchr(text, 0, ev->data.scalar.length))
		return refuse(r, -EINVAL, ev->start_mark, "a zero byte is not allowed in text");
	if (wants_key(r))
		return take_key(r, ev, text);
	struct yaml *y;
	int rc = add_node(r, YAML_SCALAR, ev->start_mark, &y);
	if (rc < 0)
		return rc;
	y->text = xstrdup(text);
	y->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return 0;
}

static int refuse_tricks(
	struct reader *r, const yaml_char_t *anchor, const yaml_char_t *tag, yaml_mark_t at)
{
	if (anchor)
		return refuse(r, -EINVAL, at, "anchors (&) are not allowed here; write it out");
	if (tag)
		return refuse(
			r, -EINVAL, at, "tags (!) are not allowed here; write the value alone");
	return 0;
}

static int on_document(struct reader *r, const yaml_event_t *ev)
{
	if (++r->n_documents > 1)
		return refuse(r, -EINVAL, ev->start_mark, "only one document (---) a file");
	if (ev->data.document_start.version_directive ||
		ev->data.document_start.tag_directives.start !=
			ev->data.document_start.tag_directives.end)
		return refuse(r, -EINVAL, ev->start_mark, "directives (%) are not allowed here");
	return 0;
}

static int on_event(struct reader *r, const yaml_event_t *ev)
{
	int rc;
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		return on_document(r, ev);
	case YAML_ALIAS_EVENT:
		return refuse(r, -EINVAL, ev->start_mark,
			"aliases (*) are not allowed here; write it out, or put it in quotes");
	case YAML_SCALAR_EVENT:
		rc = refuse_tricks(r, ev->data.scalar.anchor, ev->data.scalar.tag, ev->start_mark);
		return rc < 0 ? rc : on_scalar(r, ev);
	case YAML_MAPPING_START_EVENT:
		rc = refuse_tricks(r, ev->data.mapping_start.anchor, ev->data.mapping_start.tag,
			ev->start_mark);
		return rc < 0 ? rc : push(r, YAML_MAP, ev->start_mark);
	case YAML_SEQUENCE_START_EVENT:
		rc = refuse_tricks(r, ev->data.sequence_start.anchor, ev->data.sequence_start.tag,
			ev->start_mark);
		return rc < 0 ? rc : push(r, YAML_LIST, ev->start_mark);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		r->depth--;
		return 0;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return 0;
	}
	return 0;
}

/* libyaml's words end where ours begin: it gives a problem and sometimes where it began. */
static int syntax_error(struct reader *r, const yaml_parser_t *p)
{
	const char *problem = p->problem ? p->problem : "not readable as YAML";
	if (p->error == YAML_READER_ERROR)
		return err_set(r->e, -EINVAL, "%s:%zu:1: not valid UTF-8 text: %s", r->name,
			p->mark.line + 1, problem);
	if (p->error == YAML_SCANNER_ERROR && p->buffer.pointer && *p->buffer.pointer == '\t')
		return err_set(r->e, -EINVAL, "%s:%zu:%zu: not valid YAML: a tab; indent by spaces",
			r->name, p->problem_mark.line + 1, p->problem_mark.column + 1);
	if (p->context)
		return err_set(r->e, -EINVAL, "%s:%zu:%zu: not valid YAML: %s (%s at line %zu)",
			r->name, p->problem_mark.line + 1, p->problem_mark.column + 1, problem,
			p->context, p->context_mark.line + 1);
	return err_set(r->e, -EINVAL, "%s:%zu:%zu: not valid YAML: %s", r->name,
		p->problem_mark.line + 1, p->problem_mark.column + 1, problem);
}

static int read_events(struct reader *r, yaml_parser_t *p)
{
	bool end = false;
	while (!end) {
		yaml_event_t ev;
		if (!yaml_parser_parse(p, &ev))
			return syntax_error(r, p);
		end = ev.type == YAML_STREAM_END_EVENT;
		int rc = on_event(r, &ev);
		yaml_event_delete(&ev);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int yaml_tree_parse(struct yaml **out, const char *name, const void *p, size_t n, struct err *e)
{
	*out = NULL;
	if (n > YAML_FILE_MAX)
		return err_set(e, -E2BIG, "%s:1:1: larger than 4 MiB", name);
	struct reader r = {.name = name, .e = e};
	yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser))
		return err_set(e, -ENOMEM, "%s: out of memory", name);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, p, n);
	int rc = read_events(&r, &parser);
	yaml_parser_delete(&parser);
	for (unsigned i = 0; i < YAML_DEPTH_MAX; i++)
		free(r.stack[i].key);
	if (rc < 0)
		yaml_tree_free(r.root);
	else
		*out = r.root;
	return rc;
}
