/* See site.h. */
#include "gate/site.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/xalloc.h"
#include "gate/share.h"

struct site_box {
	struct site site;
	struct share *share;
	atomic_int refs;
};

struct site *site_new(const char *host)
{
	struct site_box *b = xcalloc(1, sizeof(*b));
	atomic_init(&b->refs, 1);
	b->site.host = xstrdup(host);
	b->share = share_new();
	return &b->site;
}

struct share *site_share(struct site *s)
{
	return container_of(s, struct site_box, site)->share;
}

void site_follow(struct site *s, struct site *old)
{
	struct site_box *b = container_of(s, struct site_box, site);
	if (!site_is_same_place(s, old))
		return;
	share_unref(b->share);
	b->share = share_ref(site_share(old));
}

bool site_is_same_place(const struct site *a, const struct site *b)
{
	if (a->port != b->port || a->n_addrs != b->n_addrs)
		return false;
	for (unsigned i = 0; i < a->n_addrs; i++)
		if (strcmp(a->addrs[i], b->addrs[i]) != 0)
			return false;
	return true;
}

struct site *site_ref(struct site *s)
{
	struct site_box *b = container_of(s, struct site_box, site);
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return s;
}

void site_unref(struct site *s)
{
	if (!s)
		return;
	struct site_box *b = container_of(s, struct site_box, site);
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (unsigned i = 0; i < s->n_addrs; i++)
		free(s->addrs[i]);
	free(s->host);
	share_unref(b->share);
	free(b);
}
