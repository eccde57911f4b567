/* See codes.h. */
#include "gate/codes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/crypto.h"

struct entry {
	struct code_grant grant;
	int64_t issued_at;
};

struct codes {
	struct map *entries; /* code → struct entry * */
};

static void free_entry(void *p)
{
	free_secret(p, sizeof(struct entry));
}

struct codes *codes_new(void)
{
	struct codes *c = xcalloc(1, sizeof(*c));
	c->entries = map_new();
	return c;
}

void codes_free(struct codes *c)
{
	if (!c)
		return;
	map_free(c->entries, free_entry);
	free(c);
}

static void drop_oldest(struct codes *c)
{
	const char *key, *oldest = NULL;
	int64_t at = INT64_MAX;
	size_t pos = 0;
	for (const struct entry *e; (e = map_next(c->entries, &pos, &key));) {
		if (e->issued_at < at) {
			at = e->issued_at;
			oldest = key;
		}
	}
	char *copy = xstrdup(oldest);
	free_entry(map_remove(c->entries, copy));
	free_secret_str(copy);
}

void codes_issue(struct codes *c, const struct code_grant *g, int64_t now, char out[CODE_TEXT_LEN])
{
	struct entry *e = xcalloc(1, sizeof(*e));
	e->grant = *g;
	e->issued_at = now;
	random_token(out, 16);
	if (map_count(c->entries) >= CODES_MAX)
		drop_oldest(c);
	map_put(c->entries, out, e);
}

int codes_redeem(struct codes *c, const struct code_claim *claim, struct code_grant *out)
{
	struct entry *e = map_remove(c->entries, claim->code);
	if (!e)
		return -EACCES;
	bool young = claim->now >= e->issued_at && claim->now - e->issued_at < CODE_LIFE_S;
	bool ours = strcmp(e->grant.host, claim->host) == 0 &&
		    bytes_equal_ct(e->grant.state, claim->state, sizeof(claim->state));
	*out = e->grant;
	free_entry(e);
	return young && ours ? 0 : -EACCES;
}
