/* One row an address. A row goes only when it is neither wanted nor possibly in DNS. */
#include "store/published.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "store/db.h"

static int want_addr(struct db *db, const char *name, const char *addr, struct err *e)
{
	return db_run(db, e,
		"INSERT INTO published (name, addr, wanted, state) VALUES (?, ?, 1, ?)"
		" ON CONFLICT (name, addr) DO UPDATE SET wanted = 1",
		"tti", name, addr, (int64_t)PUBLISHED_ABSENT);
}

static int forget_absent(struct db *db, const char *name, struct err *e)
{
	return db_run(db, e, "DELETE FROM published WHERE name = ? AND NOT wanted AND state = ?",
		"ti", name, (int64_t)PUBLISHED_ABSENT);
}

static int want(struct db *db, const struct procmsg *m, struct err *e)
{
	const char *name = m->names[0];
	int rc = db_run(db, e, "UPDATE published SET wanted = 0 WHERE name = ?", "t", name);
	for (unsigned i = 0; rc >= 0 && i < m->n_addrs; i++)
		rc = want_addr(db, name, m->addrs[i], e);
	if (rc >= 0)
		rc = forget_absent(db, name, e);
	return rc < 0 ? rc : 0;
}

/* One row of the table, before rows of one name are put together. */
struct row {
	char name[254];
	struct published_addr addr;
};

static void fill(sqlite3_stmt *st, void *row)
{
	struct row *r = row;
	db_text(st, 0, r->name, sizeof(r->name));
	db_text(st, 1, r->addr.addr, sizeof(r->addr.addr));
	r->addr.wanted = db_int(st, 2);
	r->addr.state = (enum published_state)db_int(st, 3);
}

static const struct db_shape ROW = {sizeof(struct row), fill, "published name"};

static void fold(struct published *p, const struct row *r)
{
	if (!p->n_addrs) {
		memcpy(p->name, r->name, sizeof(p->name));
		p->done = true;
	}
	if (!r->addr.wanted || r->addr.state != PUBLISHED_PRESENT)
		p->done = false;
	/* Leftovers beyond the room come up once earlier ones are gone. */
	if (p->n_addrs < PUBLISHED_ADDRS_MAX)
		p->addrs[p->n_addrs++] = r->addr;
}

#define SELECT "SELECT name, addr, wanted, state FROM published"

int published_get(struct db *db, const char *name, struct published *out, struct err *e)
{
	struct db_rows r = {0};
	sqlite3_stmt *st;
	*out = (struct published){0};
	int rc = db_query(
		db, e, &st, SELECT " WHERE name = ? ORDER BY wanted DESC, addr", "t", name);
	if (rc == 0)
		rc = db_all(db, st, &ROW, &r, e);
	for (size_t i = 0; i < r.n; i++)
		fold(out, (struct row *)r.rows + i);
	if (rc == 0 && !r.n)
		rc = err_set(e, -ENOENT, "no such published name");
	free(r.rows);
	return rc;
}

/* Nothing to write? A gate that starts asks for everything anew. */
static bool is_wanted(struct db *db, const struct procmsg *m)
{
	struct published p;
	unsigned wanted = 0, same = 0;
	int rc = published_get(db, m->names[0], &p, NULL);
	if (rc < 0)
		return rc == -ENOENT && m->n_addrs == 0;
	for (unsigned i = 0; i < p.n_addrs; i++) {
		wanted += p.addrs[i].wanted;
		for (unsigned k = 0; p.addrs[i].wanted && k < m->n_addrs; k++)
			same += strcmp(p.addrs[i].addr, m->addrs[k]) == 0;
	}
	return wanted == m->n_addrs && same == wanted;
}

int published_want(struct db *db, const struct procmsg *m, struct err *e)
{
	if (m->n_names != 1 || m->n_addrs > PROCMSG_ADDRS_MAX)
		return err_set(e, -EINVAL, "one name and at most %d addresses can be published",
			PROCMSG_ADDRS_MAX);
	if (is_wanted(db, m))
		return 0;
	int rc = db_begin(db, e);
	return rc < 0 ? rc : db_settle(db, want(db, m, e), e);
}

int published_list(struct db *db, struct published **out, size_t *n, struct err *e)
{
	struct db_rows r = {0};
	*out = NULL;
	*n = 0;
	sqlite3_stmt *st;
	int rc = db_query(db, e, &st, SELECT " ORDER BY name, wanted DESC, addr", "");
	if (rc == 0)
		rc = db_all(db, st, &ROW, &r, e);
	const struct row *row = r.rows;
	size_t names = 0;
	for (size_t i = 0; i < r.n; i++)
		names += i == 0 || strcmp(row[i].name, row[i - 1].name) != 0;
	struct published *list = names ? xcalloc(names, sizeof(*list)) : NULL;
	for (size_t i = 0; i < r.n; i++) {
		*n += i == 0 || strcmp(row[i].name, row[i - 1].name) != 0;
		fold(&list[*n - 1], &row[i]);
	}
	*out = list;
	free(r.rows);
	return rc;
}

static int mark(struct db *db, const char *name, const char *addr, enum published_state state,
	struct err *e)
{
	int rc = db_must(db_run(db, e, "UPDATE published SET state = ? WHERE name = ? AND addr = ?",
				 "itt", (int64_t)state, name, addr),
		"published address", e);
	if (rc == 0)
		rc = forget_absent(db, name, e);
	return rc < 0 ? rc : 0;
}

int published_mark(struct db *db, const char *name, const char *addr, enum published_state state,
	struct err *e)
{
	int rc = db_begin(db, e);
	return rc < 0 ? rc : db_settle(db, mark(db, name, addr, state, e), e);
}
