/* An intrusive doubly linked ring. The head is a node too; an unlinked node points to itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *n)
{
	n->prev = at->prev;
	n->next = at;
	at->prev->next = n;
	at->prev = n;
}

static inline void list_push_back(struct list *head, struct list *n)
{
	list_insert_before(head, n);
}

static inline void list_push_front(struct list *head, struct list *n)
{
	list_insert_before(head->next, n);
}

/* Idempotent: an unlinked node stays unlinked. */
static inline void list_remove(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

#define list_each(pos, head) \
	for (struct list *pos = (head)->next; (pos) != (head); (pos) = (pos)->next)

/* The body may remove `pos`, nothing else. */
#define list_each_safe(pos, head) \
	for (struct list *pos = (head)->next, *pos##_next = (pos)->next; (pos) != (head); \
		(pos) = pos##_next, pos##_next = (pos)->next)
